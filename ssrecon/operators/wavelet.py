"""The orthonormal Daubechies wavelet transform, for sparsity in compressed sensing."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.operators.linear import LinearOperator

DB4 = (
    0.2303778133088965,
    0.7148465705529156,
    0.6308807679298589,
    -0.02798376941685985,
    -0.1870348117190931,
    0.03084138183556076,
    0.0328830116668852,
    -0.01059740178506903,
)
"""Low-pass synthesis filter of Daubechies' wavelet with four vanishing moments (PyWavelets and sigpy call it db4)."""


def deepest_level(shape: tuple[int, ...]) -> int:
    r"""Return the usual depth, :math:`\lfloor\log_2(N/(L-1))\rfloor` for the shortest axis N and filter length L = 8; at least 1."""
    return max(1, (min(shape) // (len(DB4) - 1)).bit_length() - 1)


@dataclass(frozen=True, eq=False)
class Wavelet(LinearOperator):
    r"""The separable multi-level Daubechies-4 transform W runs over the last axes, with periodic boundary, after padding with zeros.

    It maps `(..., *shape)` to coefficients `(..., *padded)`, where each axis of `padded` is the next multiple of :math:`2^{levels}` and the
    coarsest approximation is in the first corner (Mallat's layout). :math:`W^H W = I` always; :math:`W W^H = I` where nothing was padded.
    Each level multiplies every axis by its orthogonal matrix: short axes make this faster than a convolution, and it runs on any device.

    Daubechies. Orthonormal bases of compactly supported wavelets. Commun Pure Appl Math 41:909-996 (1988). doi:10.1002/cpa.3160410705
    Mallat. A theory for multiresolution signal decomposition. IEEE Trans PAMI 11:674-693 (1989). doi:10.1109/34.192463
    """

    shape: tuple[int, ...]
    levels: int

    @property
    def padded(self) -> tuple[int, ...]:
        unit = 1 << self.levels
        return tuple(-(-size // unit) * unit for size in self.shape)

    def pad(self, x: Tensor) -> Tensor:
        """Bring `(..., *shape)` to `(..., *padded)` with zeros at the ends."""
        if tuple(x.shape[-len(self.shape) :]) != self.shape:
            raise ValueError(f"expected the last axes to be {self.shape}, found {tuple(x.shape)}")
        widths = [width for old, new in zip(self.shape[::-1], self.padded[::-1], strict=True) for width in (0, new - old)]
        return torch.nn.functional.pad(x, widths)

    def crop(self, x: Tensor) -> Tensor:
        """Take the zeros of `pad` away; this is its adjoint."""
        return x[_first_corner(self.shape)]

    @checked
    def __call__(self, x: Complex[Tensor, "*batch_x"]) -> Complex[Tensor, "*batch_padded"]:
        return self.analysis(self.pad(x))

    @checked
    def adjoint(self, y: Complex[Tensor, "*batch_padded"]) -> Complex[Tensor, "*batch_x"]:
        return self.crop(self.synthesis(y))

    @checked
    def gram(self, x: Complex[Tensor, "*batch_x"]) -> Complex[Tensor, "*batch_x"]:
        return x

    @checked
    def analysis(self, x: Complex[Tensor, "*batch_padded"]) -> Complex[Tensor, "*batch_padded"]:
        """Apply the orthogonal transform to an image that is padded already."""
        return _as_complex(_analysis(_as_real_parts(x), len(self.shape), self.levels))

    @checked
    def synthesis(self, y: Complex[Tensor, "*batch_padded"]) -> Complex[Tensor, "*batch_padded"]:
        """Apply the inverse of `analysis`, which is its adjoint."""
        return _as_complex(_synthesis(_as_real_parts(y), len(self.shape), self.levels))


def _as_real_parts(x: Tensor) -> Tensor:
    # The filters are real: real and imaginary parts in front are half the work of a complex matrix product.
    return torch.stack((x.real, x.imag))


def _as_complex(parts: Tensor) -> Tensor:
    return torch.complex(parts[0], parts[1])


def _analysis(x: Tensor, dims: int, levels: int) -> Tensor:
    if levels == 0:
        return x
    for axis in range(-dims, 0):
        x = _multiply_axis(_level_matrix(x.shape[axis], x.dtype, x.device), x, axis)
    coarse = _coarse_corner(x, dims)
    result = x.clone()
    result[coarse] = _analysis(x[coarse], dims, levels - 1)
    return result


def _synthesis(y: Tensor, dims: int, levels: int) -> Tensor:
    if levels == 0:
        return y
    coarse = _coarse_corner(y, dims)
    x = y.clone()
    x[coarse] = _synthesis(y[coarse], dims, levels - 1)
    for axis in range(-dims, 0):
        x = _multiply_axis(_level_matrix(x.shape[axis], x.dtype, x.device).T, x, axis)
    return x


def _coarse_corner(x: Tensor, dims: int) -> Any:
    return _first_corner(tuple(size // 2 for size in x.shape[-dims:]))


def _first_corner(sizes: tuple[int, ...]) -> Any:
    return (..., *(slice(0, size) for size in sizes))


def _multiply_axis(matrix: Float[Tensor, "n n"], x: Tensor, axis: int) -> Tensor:
    if axis == -1:
        return x @ matrix.T
    if axis == -2:
        return matrix @ x
    return torch.movedim(torch.tensordot(matrix, x, dims=([1], [axis])), 0, axis)


@lru_cache(maxsize=64)
def _level_matrix(size: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "n n"]:
    """Return the matrix of one level along one periodic axis.

    Its rows are low-pass filters at every second sample, then high-pass filters.
    """
    half, length = size // 2, len(DB4)
    # It is kept: made while reconstructing, it has to serve a later training too.
    with torch.inference_mode(False):
        matrix = torch.zeros(size, size, dtype=torch.float64)
        for tap, value in enumerate(DB4):
            for row in range(half):
                # The offset is PyWavelets' (mode "zero"): the same grid of wavelets as sigpy's, on which the minimiser of an l1 norm
                # depends. Filters longer than the axis wrap and add up.
                column = (2 * row + tap - length + 2) % size
                matrix[row, column] += value
                matrix[half + row, column] += (-1) ** tap * DB4[length - 1 - tap]
        return matrix.to(device=device, dtype=dtype)
