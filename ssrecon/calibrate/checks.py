"""What a scan must be before anything is computed from it."""

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Scan
from ssrecon.core.shapes import checked


def check_scan(scan: Scan) -> None:
    """Raise BadInput, naming the scan, where it acquired nothing, acquired values are not finite, or its own csm is of another matrix, zero
    everywhere or not finite.
    """
    if scan.csm is not None:
        _check_csm(scan.scan_id, scan.csm, tuple(scan.kspace.shape[3:]))
    acquired = scan.mask & ~scan.padding
    if not bool(acquired.any()):
        raise BadInput(scan.scan_id, "a mask that samples nothing", "acquired samples")
    check_finite(torch.where(acquired, scan.kspace, 0), scan.scan_id)


def _check_csm(where: str, csm: Complex[Tensor, "1 maps coils *x"], matrix: tuple[int, ...]) -> None:
    if csm.shape[3:] != matrix:
        raise BadInput(where, f"a csm of shape {tuple(csm.shape)}", f"maps of {matrix}, as its k-space")
    bad = int((~torch.isfinite(torch.view_as_real(csm))).any(dim=-1).sum())
    if bad or not bool(csm.any()):
        found = f"a csm with {bad} values that are not finite" if bad else "a csm that is zero everywhere"
        raise BadInput(where, found, "sensitivities that are finite, and not zero where the object is")


@checked
def check_finite(kspace: Complex[Tensor, "1 frames coils *k"], where: str) -> None:
    """Raise BadInput, naming `where`, for values that are not finite."""
    bad = int((~torch.isfinite(torch.view_as_real(kspace))).any(dim=-1).sum())
    if bad:
        raise BadInput(where, f"{bad} acquired values that are not finite", "finite k-space wherever the mask says that it was acquired")
