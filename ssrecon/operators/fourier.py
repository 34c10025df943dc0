"""The centred orthonormal discrete Fourier transform."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.core.window import crop
from ssrecon.operators.linear import LinearOperator


@dataclass(frozen=True, eq=False)
class Fourier(LinearOperator):
    r"""The centred, orthonormal Fourier transform over the last `dims` axes takes an image to k-space.

    :math:`y_k = N^{-1/2} \sum_x x_x \exp(-2\pi i (k - c)(x - c) / N)` with :math:`c = \lfloor N/2 \rfloor`; unitary, so its gram is the
    identity.
    """

    dims: int

    @checked
    def __call__(self, x: Complex[Tensor, "*batch_x"]) -> Complex[Tensor, "*batch_k"]:
        axes = tuple(range(-self.dims, 0))
        return torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(x, dim=axes), dim=axes, norm="ortho"), dim=axes)

    @checked
    def adjoint(self, y: Complex[Tensor, "*batch_k"]) -> Complex[Tensor, "*batch_x"]:
        axes = tuple(range(-self.dims, 0))
        return torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(y, dim=axes), dim=axes, norm="ortho"), dim=axes)

    @checked
    def gram(self, x: Complex[Tensor, "*batch_x"]) -> Complex[Tensor, "*batch_x"]:
        return x


@checked
def resample(image: Complex[Tensor, "*batch_x"], matrix: tuple[int, ...]) -> Complex[Tensor, "*batch_resampled"]:
    r"""Show the same field of view on a grid of `matrix` pixels. Its transform is cut about DC, or surrounded with zeros, along each axis.

    The result is :math:`\sqrt{M/N}\, F_M^H P F_N x`, with P the crop or the padding of the last ``len(matrix)`` axes from N to M places.
    Values stay those of the image (a constant stays that constant), and the pixel ``N // 2`` becomes the pixel ``M // 2``. This is
    trigonometric interpolation: edges ring, and an object that reaches over one edge of the field of view shows at the other.
    """
    dims = len(matrix)
    spectrum, cut = Fourier(dims)(image), tuple(image.shape[-dims:])
    small = tuple(min(n, m) for n, m in zip(cut, matrix, strict=True))
    padded = spectrum.new_zeros((*image.shape[: image.ndim - dims], *matrix))
    crop(padded, small)[...] = crop(spectrum, small)
    return Fourier(dims).adjoint(padded) * math.sqrt(math.prod(matrix) / math.prod(cut))


@lru_cache(maxsize=64)
def alternating(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor] | None:
    r"""Return the signs (s, t) for which ``t * fftn(s * x)`` is the centred transform of x; None where a side is odd and signs will not do.

    With N even and c = N/2, :math:`e^{-2\pi i (k-c)(n-c)/N} = (-1)^{N/2}\,(-1)^k\, e^{-2\pi i kn/N}\,(-1)^n`. The signs are of the type of
    the data: a product of mixed types is converted on the way, at length.
    """
    if any(n % 2 for n in shape):
        return None
    # They are kept: made while reconstructing, they have to serve a later training too.
    with torch.inference_mode(False):
        total = torch.zeros(shape, dtype=torch.int64, device=device)
        for axis, n in enumerate(shape):
            total += torch.arange(n, device=device).reshape(-1, *(1,) * (len(shape) - axis - 1))
        signs = (1 - 2 * (total % 2)).to(dtype)
        return signs, signs * math.prod((-1) ** (n // 2) for n in shape)
