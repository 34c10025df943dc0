"""The encoding operator of parallel imaging, with the gram that every iteration runs on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.operators.fourier import Fourier
from ssrecon.operators.linear import LinearOperator
from ssrecon.operators.mask import Mask
from ssrecon.operators.sensitivity import Sensitivity
from ssrecon.scan import CalibratedScan

CACHE_BYTES = 1 << 20
"""On a CPU the gram works through the coils in blocks of about this size, so that one block's transforms stay in the core's own cache."""


@dataclass(frozen=True, eq=False)
class Sense(LinearOperator):
    r"""SENSE: :math:`E = M F S`, from an image to the k-space that was acquired; see `sense`."""

    mask: Bool[Tensor, "batch frames 1 *k"]
    csm: Complex[Tensor, "batch maps coils *x"]

    @property
    def _steps(self) -> LinearOperator:
        return Mask(self.mask) @ Fourier(self.csm.ndim - 3) @ Sensitivity(self.csm)

    def __call__(self, x: Complex[Tensor, "batch frames maps *x"]) -> Complex[Tensor, "batch frames coils *k"]:
        return self._steps(x)

    def adjoint(self, y: Complex[Tensor, "batch frames coils *k"]) -> Complex[Tensor, "batch frames maps *x"]:
        return self._steps.adjoint(y)

    def gram(self, x: Complex[Tensor, "batch frames maps *x"]) -> Complex[Tensor, "batch frames maps *x"]:
        r""":math:`E^H E x = S^H F^H M F S x`, differentiable in x and csm, keeping no coil images for the backward pass."""
        return _Gram.apply(x, self.csm, *self._weights)

    @cached_property
    def _weights(self) -> tuple[Tensor, tuple[int, ...]]:
        # F^H M F is a circular convolution and so commutes with any shift of the image: with the mask shifted once, the gram needs no
        # shift at all. Along an axis on which the mask is constant (the readout, where lines were acquired) F^H and F cancel, and
        # that axis is not transformed.
        dims = self.csm.ndim - 3
        axes = tuple(axis for axis in range(-dims, 0) if not _constant_along(self.mask, axis)) or (-1,)
        size = 1
        for axis in axes:
            size *= self.mask.shape[axis]
        weights = torch.fft.ifftshift(self.mask, dim=tuple(range(-dims, 0))).to(self.csm.real.dtype) / size
        return weights, axes


def _constant_along(mask: Tensor, axis: int) -> bool:
    return bool((mask == mask.narrow(axis, 0, 1)).all())


class _Gram(torch.autograd.Function):
    """Self-adjoint: the backward pass for x is another gram, so that nothing of a coil's size is stored."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, csm: Tensor, weights: Tensor, axes: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x if csm.requires_grad else None, csm, weights)
        ctx.axes = axes
        return _gram(x, csm, weights, axes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, csm, weights = ctx.saved_tensors
        (grad,) = grads
        grad_x = _gram(grad, csm, weights, ctx.axes) if ctx.needs_input_grad[0] else None
        grad_csm = _gram_csm(x, grad, csm, weights, ctx.axes) if ctx.needs_input_grad[1] else None
        return grad_x, grad_csm, None, None


def _coil_blocks(x: Tensor, csm: Tensor) -> list[slice]:
    coils = csm.shape[2]
    if x.device.type != "cpu":
        return [slice(0, coils)]
    coil_bytes = x.element_size() * x.numel() // x.shape[2]
    step = max(1, CACHE_BYTES // coil_bytes)
    return [slice(first, first + step) for first in range(0, coils, step)]


def _convolve(coil_images: Tensor, weights: Tensor, axes: tuple[int, ...]) -> Tensor:
    spectrum = torch.fft.fftn(coil_images, dim=axes)
    spectrum *= weights
    return torch.fft.ifftn(spectrum, dim=axes, norm="forward")


def _gram(x: Tensor, csm: Tensor, weights: Tensor, axes: tuple[int, ...]) -> Tensor:
    total = torch.zeros_like(x)
    for block in _coil_blocks(x, csm):
        maps = Sensitivity(csm[:, :, block])
        total += maps.adjoint(_convolve(maps(x), weights, axes))
    return total


def _gram_csm(x: Tensor, grad: Tensor, csm: Tensor, weights: Tensor, axes: tuple[int, ...]) -> Tensor:
    r"""For :math:`g = \sum_c \bar s_c C(s_c x)` with self-adjoint C: :math:`\partial s_c = \bar g\, C(s_c x) + \bar x\, C(s_c g)`."""
    result = torch.empty_like(csm)
    for block in _coil_blocks(x, csm):
        maps = Sensitivity(csm[:, :, block])
        through_x, through_grad = _convolve(maps(x), weights, axes), _convolve(maps(grad), weights, axes)
        outer = grad.conj().unsqueeze(3) * through_x.unsqueeze(2) + x.conj().unsqueeze(3) * through_grad.unsqueeze(2)
        result[:, :, block] = outer.sum(dim=1)
    return result


def sense(mask: Bool[Tensor, "batch frames 1 *k"], csm: Complex[Tensor, "batch maps coils *x"]) -> LinearOperator:
    r"""The encoding operator :math:`E = M F S`, from an image to the k-space that was acquired.

    Maps `(batch, frames, maps, *x)` to `(batch, frames, coils, *k)`; `F` is centred and orthonormal, so that with unit-norm csm and a full
    mask :math:`E^H E = I` inside the object. Not checked: that csm and mask belong to the same scan.

    Pruessmann et al. SENSE: sensitivity encoding for fast MRI. Magn Reson Med 42:952-962 (1999).
    doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S
    """
    return Sense(mask, csm)


def encoding(scan: CalibratedScan) -> LinearOperator:
    """The encoding operator of a scan: what turns an image into exactly the samples that were acquired."""
    return sense(scan.mask, scan.csm)
