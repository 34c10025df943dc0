"""What a scan must be before anything is computed from it."""

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Scan
from ssrecon.core.shapes import checked


def check_scan(scan: Scan) -> None:
    """Raise BadInput, naming the scan, where its own csm is of another matrix, it acquired nothing, or acquired values are not finite."""
    if scan.csm is not None and scan.csm.shape[3:] != scan.kspace.shape[3:]:
        raise BadInput(scan.scan_id, f"a csm of shape {tuple(scan.csm.shape)}", f"maps of {tuple(scan.kspace.shape[3:])}, as its k-space")
    acquired = scan.mask & ~scan.padding
    if not bool(acquired.any()):
        raise BadInput(scan.scan_id, "a mask that samples nothing", "acquired samples")
    check_finite(torch.where(acquired, scan.kspace, 0), scan.scan_id)


@checked
def check_finite(kspace: Complex[Tensor, "1 frames coils *k"], where: str) -> None:
    """Raise BadInput, naming `where`, for values that are not finite."""
    bad = int((~torch.isfinite(torch.view_as_real(kspace))).any(dim=-1).sum())
    if bad:
        raise BadInput(where, f"{bad} acquired values that are not finite", "finite k-space wherever the mask says that it was acquired")
