"""Which coils of a volume are connected: one that gives less than a receiver's noise has no part in noise and sensitivities."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.shapes import checked

SILENT = 1e-4
"""A coil whose strongest sample has less than this part (40 dB) of a receiver's noise power hears nothing."""


@checked
def heard_coils(
    kspace: Complex[Tensor, "1 frames coils *k"],
    acquired: Bool[Tensor, "1 frames 1 *k"],
    noise: Complex[Tensor, "readouts coils samples"] | None = None,
    bandwidth_ratio: float = 1.0,
) -> Bool[Tensor, "frames coils"]:
    """Tell which coils give at least a receiver's noise in the acquired samples of each frame.

    The power of a coil's strongest sample, about the mean of all its samples, is compared with the noise power that it is to have. That is
    the coil's own, from the noise scan, where there is one; a noise scan in other units, above the median coil's strongest sample, is
    brought down to that. Without a noise scan it is the median coil's median power, which is noise, or noise and some signal. A coil below
    `SILENT` times that hears nothing. A coil far from the object has its noise, and one of low gain amplifies some signal: both are above.
    """
    count = kspace.shape[2]
    own = None if noise is None else bandwidth_ratio * noise.cpu().to(torch.complex128).abs().square().mean(dim=(0, 2))
    frames = [[_powers(kspace[0, frame, coil][acquired[0, frame, 0]]) for coil in range(count)] for frame in range(kspace.shape[1])]
    return torch.stack([_at_least_noise(torch.tensor(powers, dtype=torch.float64), own) for powers in frames])


def _powers(samples: Complex[Tensor, " samples"]) -> tuple[float, float, float]:
    """Return one coil's largest magnitude, the largest power that a sample has about the mean of all, and the median power."""
    largest = float(samples.abs().max()) if len(samples) else 0.0
    if largest == 0:
        return 0.0, 0.0, 0.0
    parts = torch.view_as_real(samples.to(torch.complex128) / largest)
    about_mean = float((parts - parts.mean(dim=0)).square().sum(dim=1).max())
    return largest, largest**2 * about_mean, largest**2 * float(parts.square().sum(dim=1).median())


def _at_least_noise(powers: Float[Tensor, "coils 3"], own: Float[Tensor, " coils"] | None) -> Bool[Tensor, " coils"]:
    """Tell which coils, of `_powers` each, reach `SILENT` times the noise, which is `own` where it is known from a noise scan."""
    largest, power, typical = powers.unbind(dim=1)
    some = largest != 0
    if not bool(some.any()):
        return some
    if own is None:
        noise = typical[some].median().expand_as(power)
    else:
        ratios = power[some & (own > 0)] / own[some & (own > 0)]
        noise = own * ratios.median().clamp_max(1) if len(ratios) else torch.zeros_like(own)
    return some & ~(power < SILENT * noise)


def connected_coils(names: Sequence[str], heard: Sequence[Tensor]) -> tuple[Bool[Tensor, " coils"], tuple[str, ...]]:
    """Return which coils are never silent where others are heard, and a note on each of the rest.

    `heard` holds the rows of `heard_coils` for every scan of a volume; a scan, or a frame, that is silent in all coils tells nothing.
    Raises BadInput where no coil is left.
    """
    silent = [(~parts & parts.any(dim=1, keepdim=True)).any(dim=0) for parts in heard]
    count = torch.stack(silent).sum(dim=0)
    connected = count == 0
    if not bool(connected.any()):
        raise BadInput(
            names[0], f"each of {len(connected)} coils silent in some scan of its volume", "a coil with signal in all of its scans"
        )
    where = "everywhere" if len(names) == 1 else "in {} of {} scans"
    return connected, tuple(
        f"coil {coil} of {len(connected)} is silent {where.format(int(count[coil]), len(names))}: not connected, left out"
        for coil in (~connected).nonzero().flatten().tolist()
    )
