"""What the partitioners share: which elements may be chosen, the choice itself, and the probability of being chosen.

An element is a sample, or a whole phase-encoding line. All of it runs in NumPy on the CPU, so that a split is the same on every device.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.radius import radius
from ssrecon.core.scan import CalibratedScan
from ssrecon.core.shapes import checked
from ssrecon.partition.base import Partition
from ssrecon.sampling.centre import centre_box
from ssrecon.sampling.lines import any_along, line_by_line

BoolArray = Bool[np.ndarray, "..."]
FloatArray = Float[np.ndarray, "..."]


def check_fraction(owner: object, name: str, value: float) -> None:
    """Raise BadRecipe unless 0 < value < 1."""
    if not 0.0 < value < 1.0:  # NaN fails this too
        raise BadRecipe(f"{type(owner).__name__}.{name}", found=repr(value), expected="a number between 0 and 1, neither included")


def check_protected(owner: object, sides: Sequence[int]) -> None:
    """Raise BadRecipe for what is no tuple of sides."""
    if not isinstance(sides, (tuple, list)) or any(side < 0 for side in sides):
        raise BadRecipe(f"{type(owner).__name__}.protected", found=repr(sides), expected="sides of a box, 0 or more")


def acquired(scan: CalibratedScan) -> Bool[np.ndarray, "batch frames *k"]:
    """Return Omega without padding. Zeros that the scanner filled in were never measured: they are in no set."""
    return (scan.mask & ~scan.padding)[:, :, 0].cpu().numpy()


@checked
def require_lines(scan: CalibratedScan, omega: Bool[np.ndarray, "batch frames *k"], who: str) -> None:
    """Raise BadInput, naming the scan, where whole lines along a readout cannot be told apart."""
    for header, one in zip(scan.headers, omega, strict=True):
        if not header.encoding.has_readout:
            raise BadInput(header.scan_id, found=f"a scan without a readout axis for {who}", expected="a readout, or a selection of points")
        if not line_by_line(one):
            raise BadInput(
                header.scan_id, found=f"a mask that varies along the readout for {who}", expected="whole lines, or a selection of points"
            )


def radius_below_one(shape: Sequence[int]) -> Float[np.ndarray, " *k"]:
    """Return the distance of each location from DC: 0 there, just below 1 in the corners (root mean square over the axes)."""
    return radius(shape, reach=[n // 2 + 1 for n in shape], mean=True)


@checked
def choose(eligible: BoolArray, count: int, generator: np.random.Generator, log_weights: FloatArray | None = None) -> BoolArray:
    r"""Choose exactly `count` of the eligible elements by Gumbel top-k: the largest :math:`\log w_i + g_i`, :math:`g_i` independent Gumbel.

    That is the law of drawing one element after another with probabilities proportional to w, leaving out what was drawn before; a loop
    that draws from w and rejects repetitions, as SSDU's published Gaussian selection does, has the same law. Time does not depend on count.

    Efraimidis & Spirakis. Weighted random sampling with a reservoir. Inf Process Lett 97:181-185 (2006). doi:10.1016/j.ipl.2005.11.003
    """
    where = np.flatnonzero(eligible)
    keys = generator.gumbel(size=where.size)
    if log_weights is not None:
        keys += np.broadcast_to(log_weights, eligible.shape).ravel()[where]
    chosen = np.zeros(eligible.size, dtype=bool)
    if count:
        chosen[where[np.argpartition(keys, where.size - count)[where.size - count :]]] = True
    return chosen.reshape(eligible.shape)


@checked
def inclusion_probability(eligible: BoolArray, count: int, log_weights: FloatArray | None = None) -> FloatArray:
    r"""Return the probability of every element to be chosen by `choose`, zero where it is not eligible.

    It is exact without weights. With weights, `choose` gives each element an exponential waiting time of rate w and takes the `count` that
    come first. The time of the last of them varies little where there are many, so each is chosen with probability
    :math:`1 - e^{-w t}` nearly independently, at the t for which these sum to `count`. The error falls as 1 / count.

    Rosén. On sampling with probability proportional to size. J Stat Plan Inference 62:159-191 (1997). doi:10.1016/S0378-3758(96)00186-3
    """
    result = np.zeros(eligible.shape)
    total = int(eligible.sum())
    if count == 0 or total == 0:
        return result
    if log_weights is None:
        result[eligible] = count / total
        return result
    logs = np.broadcast_to(log_weights, eligible.shape)[eligible]
    # Solved for s = log t, in which weights of any size fit: Newton's steps, and halving the bracket where a step would leave it.
    low = math.log(count) - float(np.logaddexp.reduce(logs))  # 1 - exp(-w t) <= w t: the solution is not below
    high = math.log(750.0) - float(logs.min())  # where every element has rung
    s = low
    for _ in range(100):
        rate = np.exp(np.minimum(logs + s, 7.0))
        left = np.exp(-rate)
        excess, slope = total - left.sum() - count, (rate * left).sum()
        if abs(excess) <= 1e-9 * count:
            break
        low, high = (s, high) if excess < 0 else (low, s)
        step = s - excess / slope if slope > 1e-200 else math.inf
        s = step if low < step < high else (low + high) / 2
    result[eligible] = -np.expm1(-rate)
    return result


@checked
def split_exactly(
    scan: CalibratedScan,
    draw: Draw,
    loss_fraction: float,
    protected: Sequence[int],
    log_weights: FloatArray | None = None,
    lines: bool = False,
) -> Partition:
    r"""Split every frame of every scan with exactly :math:`|\Lambda|` = floor(loss_fraction x what may be split).

    `log_weights` (on the grid ``*k``, for lines without the readout) is the logarithm of the weight of an element, up to a constant.
    Raises BadInput where that leaves Lambda empty in all frames of a scan.
    """
    omega = acquired(scan)
    if lines:
        require_lines(scan, omega, "a split of whole lines")
    elements = any_along(omega, -1) if lines else omega
    keep = centre_box(elements.shape[2:], protected)
    chosen, inclusion = np.zeros(elements.shape, dtype=bool), np.zeros(elements.shape)
    for index, header in enumerate(scan.headers):
        generator = draw.generator("partition", header.scan_key)
        for frame in range(elements.shape[1]):
            eligible = elements[index, frame] & ~keep
            count = math.floor(loss_fraction * int(eligible.sum()))
            chosen[index, frame] = choose(eligible, count, generator, log_weights)
            inclusion[index, frame] = inclusion_probability(eligible, count, log_weights)
    return assemble(scan, omega, chosen, inclusion, lines)


@checked
def assemble(scan: CalibratedScan, omega: BoolArray, chosen: BoolArray, inclusion: FloatArray, lines: bool) -> Partition:
    """Return the partition in which `chosen` elements are Lambda and the rest of `omega` is Theta, on the scan's device."""
    if lines:
        chosen, inclusion = chosen[..., None], inclusion[..., None]
    lambda_ = omega & chosen
    for header, one, all_of_it in zip(scan.headers, lambda_, omega, strict=True):
        if not one.any():
            found = f"an empty loss set from {int(all_of_it.sum())} acquired samples"
            raise BadInput(header.scan_id, found=found, expected="more samples outside the protected centre, or a larger loss fraction")
    return Partition(
        theta=to_mask(scan, omega & ~lambda_),
        lambda_=to_mask(scan, lambda_),
        inclusion=torch.from_numpy(np.where(omega, inclusion, 0.0).astype(np.float32)).unsqueeze(2).to(scan.mask.device),
    )


@checked
def to_mask(scan: CalibratedScan, array: Bool[np.ndarray, "batch frames *k"]) -> Bool[torch.Tensor, "batch frames 1 *k"]:
    """Return an array of the CPU as a mask beside the scan."""
    return torch.from_numpy(array).unsqueeze(2).to(scan.mask.device)
