"""Receivers that fail: channels that hear nothing, and samples that are sparks."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ssrecon.core.scan import Scan
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.profiles import acquired_frame, outer_half

DEAD = 1e-3
"""Noise power of a channel over the upper quartile of the channels."""
SPARK = 40.0
"""Power of a sample over the mean of its neighbours: among 10^7 samples of noise about none reaches 25."""
ALONE = 20.0
"""And over the mean of the eight beside it: a strong sample of signal has strong neighbours, a spark has those of the noise."""
WINDOW, CORE = 9, 3
FEWEST = 12
"""Neighbours that a mean is taken of, or nothing is said: acquired, and not exactly zero, which no receiver gives."""


def dead_coil(scan: Scan) -> Finding | None:
    """Find channels whose power in the outer half of k-space is zero, or at most `DEAD` times the channels' upper quartile."""
    kspace, mask = acquired_frame(scan)
    where = mask & outer_half(tuple(mask.shape))
    where = where if int(where.sum()) >= 64 else mask
    power = kspace[:, where].abs().square().mean(dim=1)
    # The upper quartile: where most channels are dead, their median is too.
    typical = power.quantile(0.75)
    dead = (power <= DEAD * typical).nonzero().flatten().tolist()
    if not dead or not bool(typical > 0):
        return None
    listed = ", ".join(map(str, dead[:8]))
    return Finding(
        "dead_coil",
        "warn",
        f"channel {listed} of {len(power)} hears nothing ({float(power[dead].max() / typical):.1e} of the others' noise)",
        "train: a coil that is not connected is left out, and the noise of a weak one is made equal; tell whoever looks after the coil",
        {"channels": float(len(dead))},
    )


def spiking_coil(scan: Scan) -> Finding | None:
    """Find samples of the outer half of k-space that are far stronger than the acquired ones around them.

    They have `SPARK` times the mean power in a square of `WINDOW` along the last two axes without its core, and `ALONE` times that of the
    samples right beside them. Neighbours that are exactly zero are no measure of anything. A spark that lasts for two samples of like power
    is not told from signal.
    """
    kspace, mask = acquired_frame(scan)
    if mask.ndim < 2 or min(mask.shape[-2:]) < 2 * WINDOW:
        return None
    where = (mask & outer_half(tuple(mask.shape))).reshape(-1, 1, *mask.shape[-2:])
    count, channels = 0, set()
    for coil, power in enumerate(kspace.abs().square().reshape(len(kspace), *where.shape)):
        heard = (power > 0).double()
        around, beside = _sum_around_core(heard), _sum_beside(heard)
        sparks = where & (around >= FEWEST) & (beside > 0)
        sparks &= (power * around > SPARK * _sum_around_core(power)) & (power * beside > ALONE * _sum_beside(power))
        if bool(sparks.any()):
            count += int(sparks.sum())
            channels.add(coil)
    if not count:
        return None
    return Finding(
        "spiking_coil",
        "warn",
        f"{count} samples in channel {', '.join(map(str, sorted(channels)[:8]))} are sparks ({SPARK:g} times their surroundings or more)",
        "leave the scan out, or these samples (a mask without them); look for a loose contact",
        {"samples": float(count), "channels": float(len(channels))},
    )


def _sum_around_core(values: Float[Tensor, "n 1 z y"]) -> Float[Tensor, "n 1 z y"]:
    """Return the sums over the window less those over its core."""
    whole, core = (avg_pool2d(values, w, stride=1, padding=w // 2, divisor_override=1) for w in (WINDOW, CORE))
    return (whole - core).clamp_min(0)


def _sum_beside(values: Float[Tensor, "n 1 z y"]) -> Float[Tensor, "n 1 z y"]:
    """Return the sums over the core less its centre."""
    return (avg_pool2d(values, CORE, stride=1, padding=CORE // 2, divisor_override=1) - values).clamp_min(0)


CHANNELS: tuple[Callable[[Scan], Finding | None], ...] = (dead_coil, spiking_coil)
