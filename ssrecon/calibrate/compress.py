"""Coil compression: fewer virtual coils that hold most of the signal."""

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.shapes import checked


@checked
def compression_matrix(calibration: Complex[Tensor, "samples coils"], coils: int) -> Complex[Tensor, "virtual coils"]:
    r"""Return the `coils` leading principal components of (whitened) calibration data as rows.

    They are orthonormal, so that white noise stays white: the rows of :math:`V^H` in :math:`\sum y y^H = V \Lambda V^H`, the eigenvalues
    descending. The phase of a row is fixed by making its largest entry positive. Where there are no more than `coils` coils all of them are
    kept, as principal components.

    Buehrer et al. Array compression for MRI with large coil arrays. Magn Reson Med 57:1131-1139 (2007). doi:10.1002/mrm.21237
    """
    samples = calibration.to(torch.complex128)
    samples = samples / samples.abs().amax().clamp_min(torch.finfo(torch.float64).tiny)
    _, vectors = torch.linalg.eigh(samples.mT @ samples.conj())
    rows = vectors.flip(1)[:, :coils].mH
    largest = rows.take_along_dim(rows.abs().argmax(dim=1, keepdim=True), dim=1)
    return (rows * (largest.conj() / largest.abs())).to(torch.complex64)
