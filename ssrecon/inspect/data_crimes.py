"""The detectors of processed k-space that is taken for raw; they look at the data themselves.

Shimron et al. Implicit data crimes: machine learning bias arising from misuse of public data. PNAS 119:e2117203119 (2022).
doi:10.1073/pnas.2117203119

Every detector looks at one frame of one scan as it was read and knows nothing of what a header claims. Thresholds are far from what raw
measurements and simulated scans show, and from what each kind of processing makes; the tests have both sides.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ssrecon.core.scan import Scan
from ssrecon.inspect.filled_lines import parallel_imaging_filled
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.profiles import acquired_frame, line_power, noise_modes

DROP = 1e-2
"""Power beyond an edge over power before it, below which the outside was never measured: receivers' noise is on both sides of any edge."""
EDGE_FALL = 0.2
"""Power in the last tenth of an axis over that at .7 to .8 of it: 1 for noise, .4 for signal alone that falls as the fourth power of k, and
below .15 for Hann, Hamming, Tukey and Fermi windows."""
SYMMETRIC = 0.98


def zero_filled(scan: Scan) -> Finding | None:
    """Find samples said to be acquired that are zero beyond an inner box, or hold nothing but rounding or an interpolation's leakage.

    Along each axis, every line from the edge outwards has less than `DROP` times the power of the four lines before it. The lines beyond an
    edge of raw k-space hold the receiver's noise.
    """
    kspace, mask = acquired_frame(scan)
    found: list[tuple[int, int, float]] = []
    for axis, n in enumerate(mask.shape):
        power = line_power(kspace, mask, axis)
        for side in (range(n // 2, n), range(n // 2 - 1, -1, -1)):
            known = [i for i in side if math.isfinite(float(power[i]))]
            if edge := _empty_edge([float(power[i]) for i in known]):
                inside, left = edge
                found.append((axis, len(known) - inside, left))
    if not found:
        return None
    axis, lines, left = max(found, key=lambda item: item[1])
    exact = all(item[2] == 0 for item in found)
    how = "exactly zero" if exact else f"{left:.0e} of the power inside"
    return Finding(
        "zero_filled" if exact else "interpolated",
        "refuse",
        f"the outer {lines} lines along axis {axis} are said to be acquired and are {how}: k-space was "
        + ("zero-filled" if exact else "made of an interpolated image"),
        "take the raw data, or declare these lines as padding (not acquired)",
        {"lines": float(lines), "power_left": left},
    )


def _empty_edge(power: list[float]) -> tuple[int, float] | None:
    """Return where the empty part begins, counted from the centre outwards, and its power over that of the four lines before."""
    for first in range(4, len(power) - 1):
        inside = min(power[first - 4 : first])
        outside = sum(power[first:]) / len(power[first:])
        if inside > 0 and max(power[first:]) < DROP * inside:
            return first, outside / inside
    return None


def filtered(scan: Scan) -> Finding | None:
    r"""Find a window over k-space: the power of the combinations of coils that hold least signal falls towards the ends of an axis.

    It does where :math:`P(.9 .. 1) / P(.7 .. .8) <` `EDGE_FALL`; P is the median power in a band of an axis over its acquired samples. With
    fewer than four coils, of which no combination is without signal, it has to be below a tenth of that. Noise
    is white over k-space in any raw measurement; an axis that ends before the matrix does is measured by its own extent.
    """
    kspace, mask = acquired_frame(scan)
    modes = noise_modes(kspace, mask)
    if not len(modes):
        return None
    worst: tuple[float, int] | None = None
    for axis in range(mask.ndim):
        power = line_power(modes, mask, axis)
        known = power.isfinite() & (power > 0)
        if int(known.sum()) < 32:
            continue
        reach = (torch.arange(len(power)) - len(power) // 2).abs()
        reach = reach / reach[known].max()
        bands = [power[known & (reach > low) & (reach <= high)] for low, high in ((0.9, 1.0), (0.7, 0.8))]
        if min(len(band) for band in bands) < 2:
            continue
        fall = float(bands[0].median() / bands[1].median())
        if worst is None or fall < worst[0]:
            worst = (fall, axis)
    # With fewer coils no combination of them is without signal, which falls too.
    if worst is None or worst[0] >= (EDGE_FALL if len(kspace) >= 4 else EDGE_FALL / 10):
        return None
    return Finding(
        "filtered",
        "refuse",
        f"power in the outer tenth of axis {worst[1]} is {worst[0]:.2g} of that at .7 to .8 of it, noise included: a window was applied",
        "take the raw data; switch the scanner's raw filter off for export",
        {"edge_power": worst[0]},
    )


def magnitude_derived(scan: Scan) -> Finding | None:
    r"""Find k-space that was made of a magnitude (or otherwise real) image, or one side of which is the conjugate of the other.

    :math:`\rho = |\sum_k y(k) y(-k)| / \sum_k |y(k)|^2` is 1 for a real image times a constant phase, and about 0 for noise and for images
    whose phase varies. It is taken over locations acquired with their opposites, over all k-space and over the outer half of each axis
    (conjugate filling of partial Fourier), and the median over coils has to exceed `SYMMETRIC`. A few strong samples rule this sum, and
    of a single coil and an object of little phase they may be symmetric; the noise never is. So the same has to hold with every pair of
    one weight, :math:`|\mathrm{mean}_k\, 2 y(k) y(-k) / (|y(k)|^2 + |y(-k)|^2)|`, in which weak samples count like strong ones.
    """
    kspace, mask = acquired_frame(scan)
    opposite = _reflected(kspace)
    both = mask & _reflected(mask[None])[0]
    places = [(torch.arange(n) - n // 2).abs() / max(1, n // 2) > 0.5 for n in mask.shape]
    ends = [both & place.reshape(-1, *[1] * (mask.ndim - 1 - axis)) for axis, place in enumerate(places)]
    for where, what in ((both, "an image without phase"), *((end, "lines that are the conjugates of the opposite ones") for end in ends)):
        if int(where.sum()) < 64:
            continue
        one, other = kspace[:, where], opposite[:, where]
        energy = one.abs().square().sum(dim=1)
        kept = energy > 0
        if not bool(kept.any()):
            continue
        product = one * other
        strength = one.abs().square() + other.abs().square()
        each = torch.where(strength > 0, 2 * product / strength.clamp_min(torch.finfo(torch.float64).tiny), 0)
        alike = each.sum(dim=1).abs() / (strength > 0).sum(dim=1).clamp_min(1)
        symmetry = float(torch.minimum(product.sum(dim=1).abs()[kept] / energy[kept], alike[kept]).median())
        if symmetry > SYMMETRIC:
            return Finding(
                "magnitude_derived",
                "refuse",
                f"k-space is its own conjugate reflected ({symmetry:.3f} of 1): {what}, not a measurement",
                "take the raw data with their phase",
                {"symmetry": symmetry},
            )
    return None


def _reflected(kspace: Tensor) -> Tensor:
    """Return the values at -k, DC at N // 2; the first place of an even axis is its own opposite."""
    for axis in range(1, kspace.ndim):
        n = kspace.shape[axis]
        kspace = kspace.index_select(axis, (2 * (n // 2) - torch.arange(n)) % n)
    return kspace


DATA_CRIMES: tuple[Callable[[Scan], Finding | None], ...] = (zero_filled, filtered, magnitude_derived, parallel_imaging_filled)
