"""What the detectors share: acquired samples of one frame, their noise-like part, and how power runs along the axes of k-space."""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.core.radius import largest_offset
from ssrecon.core.scan import Scan
from ssrecon.core.shapes import checked


def acquired_frame(scan: Scan) -> tuple[Complex[Tensor, "coils *k"], Bool[Tensor, "*k"]]:
    """Return the first frame in double precision, zero where nothing was acquired, and a mask of what was."""
    mask = (scan.mask & ~scan.padding)[0, 0, 0]
    return torch.where(mask, scan.kspace[0, 0], 0).to(torch.complex128), mask


def outer_half(shape: tuple[int, ...]) -> Bool[Tensor, "*k"]:
    """Return a mask of the locations that lie beyond half of k-space along any axis."""
    return torch.from_numpy(largest_offset(shape) > 0.5)


@checked
def noise_modes(kspace: Complex[Tensor, "coils *k"], mask: Bool[Tensor, "*k"]) -> Complex[Tensor, "modes *k"]:
    r"""Return the combinations of coils with the least signal.

    They are the eigenvectors of the smaller half of the eigenvalues of the coils' covariance; channels that are dead are left out. With
    fewer than four coils no combination is without signal, and all coils are returned.
    """
    samples = kspace[:, mask]
    power = samples.abs().square().mean(dim=1)
    kept = kspace[power > 1e-6 * power.median()]
    if len(kept) < 4:
        return kept
    covariance = torch.einsum("cn,dn->cd", kept[:, mask], kept[:, mask].conj()) / int(mask.sum())
    _, vectors = torch.linalg.eigh(covariance)
    return torch.einsum("cm,c...->m...", vectors[:, : len(kept) // 2].conj(), kept)


@checked
def line_power(kspace: Complex[Tensor, "coils *k"], mask: Bool[Tensor, "*k"], axis: int) -> Float[Tensor, " n"]:
    """Return the mean power of the acquired samples at each place along an axis, over coils and the other axes; NaN where there is none."""
    others = tuple(i for i in range(mask.ndim) if i != axis)
    power = kspace.abs().square().mean(dim=0)
    return power.sum(dim=others) / mask.sum(dim=others)
