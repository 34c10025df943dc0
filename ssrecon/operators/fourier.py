"""The centred orthonormal discrete Fourier transform."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.operators.linear import LinearOperator


@dataclass(frozen=True, eq=False)
class Fourier(LinearOperator):
    r"""Centred, orthonormal Fourier transform over the last `dims` axes, from image to k-space.

    :math:`y_k = N^{-1/2} \sum_x x_x \exp(-2\pi i (k - c)(x - c) / N)` with :math:`c = \lfloor N/2 \rfloor`; unitary, so its gram is the
    identity.
    """

    dims: int

    def __call__(self, x: Complex[Tensor, "*batch_x"]) -> Complex[Tensor, "*batch_k"]:
        axes = tuple(range(-self.dims, 0))
        return torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(x, dim=axes), dim=axes, norm="ortho"), dim=axes)

    def adjoint(self, y: Complex[Tensor, "*batch_k"]) -> Complex[Tensor, "*batch_x"]:
        axes = tuple(range(-self.dims, 0))
        return torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(y, dim=axes), dim=axes, norm="ortho"), dim=axes)

    def gram(self, x: Complex[Tensor, "*batch_x"]) -> Complex[Tensor, "*batch_x"]:
        return x
