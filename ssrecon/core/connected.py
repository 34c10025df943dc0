"""Which coils of a volume are connected: a receiver that gives zeros hears nothing, and has no part in noise and sensitivities."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.shapes import checked


@checked
def heard_coils(kspace: Complex[Tensor, "1 frames coils *k"], acquired: Bool[Tensor, "1 frames 1 *k"]) -> Bool[Tensor, "frames coils"]:
    """Tell which coils hold anything at all in the acquired samples of each frame."""
    return ((kspace != 0) & acquired)[0].flatten(2).any(dim=2).cpu()


def connected_coils(names: Sequence[str], heard: Sequence[Tensor]) -> tuple[Bool[Tensor, " coils"], tuple[str, ...]]:
    """Return which coils are never silent where others are heard, and a note on each of the rest.

    `heard` holds the rows of `heard_coils` for every scan of a volume; a scan, or a frame, that is zero in all coils tells nothing. Raises
    BadInput where no coil is left.
    """
    silent = [(~parts & parts.any(dim=1, keepdim=True)).any(dim=0) for parts in heard]
    count = torch.stack(silent).sum(dim=0)
    connected = count == 0
    if not bool(connected.any()):
        raise BadInput(
            names[0], f"each of {len(connected)} coils zero in some scan of its volume", "a coil with signal in all of its scans"
        )
    where = "everywhere" if len(names) == 1 else "in {} of {} scans"
    return connected, tuple(
        f"coil {coil} of {len(connected)} is zero {where.format(int(count[coil]), len(names))}: not connected, left out"
        for coil in (~connected).nonzero().flatten().tolist()
    )
