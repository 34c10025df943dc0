"""The encoding operator of parallel imaging, with the gram that every iteration runs on."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.core.encoding import ParallelBeam, Trajectory
from ssrecon.core.errors import BadInput, BadShape
from ssrecon.core.scan import CalibratedScan
from ssrecon.core.shapes import checked
from ssrecon.operators.fourier import Fourier, alternating
from ssrecon.operators.linear import LinearOperator
from ssrecon.operators.mask import Mask
from ssrecon.operators.sensitivity import Sensitivity

CACHE_BYTES = 1 << 20
"""On a CPU the gram works through the coils in blocks of about this size, so that one block's transforms stay in the core's own cache."""


@checked
@dataclass(frozen=True, eq=False)
class Sense(LinearOperator):
    r"""The SENSE operator :math:`E = M F S` takes an image to the k-space that was acquired; see `sense`."""

    mask: Bool[Tensor, "batch frames 1 *k"]
    csm: Complex[Tensor, "batch maps coils *x"]

    @checked
    def __call__(self, x: Complex[Tensor, "batch frames maps *x"]) -> Complex[Tensor, "batch frames coils *k"]:
        if self._signs is None:
            return self._product(x)
        of_image, of_kspace = self._signs
        spectrum = torch.fft.fftn(Sensitivity(self.csm)(x * of_image), dim=self._axes, norm="ortho")
        return torch.where(self.mask, spectrum, 0).mul_(of_kspace)

    @checked
    def adjoint(self, y: Complex[Tensor, "batch frames coils *k"]) -> Complex[Tensor, "batch frames maps *x"]:
        if self._signs is None:
            return self._product.adjoint(y)
        of_image, of_kspace = self._signs
        coil_images = torch.fft.ifftn(torch.where(self.mask, y, 0).mul_(of_kspace), dim=self._axes, norm="ortho")
        return Sensitivity(self.csm).adjoint(coil_images) * of_image

    @property
    def _product(self) -> LinearOperator:
        return Mask(self.mask) @ Fourier(len(self._axes)) @ Sensitivity(self.csm)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(3 - self.csm.ndim, 0))

    @cached_property
    def _signs(self) -> tuple[Tensor, Tensor] | None:
        """Signs that, on even sides, do what shifts would, so that no coil image is moved about; None on odd sides."""
        return alternating(tuple(self.csm.shape[3:]), self.csm.dtype, self.csm.device)

    @checked
    def gram(self, x: Complex[Tensor, "batch frames maps *x"]) -> Complex[Tensor, "batch frames maps *x"]:
        r"""Return :math:`E^H E x = S^H F^H M F S x`, differentiable in x and csm; no coil images are kept for the backward pass."""
        return _Gram.apply(x, self.csm, self._layout)

    @cached_property
    def _layout(self) -> "_GramLayout":
        # It is kept as long as the operator: made while reconstructing, it has to serve a later training too.
        with torch.inference_mode(False):
            return _GramLayout.of(self.mask, self.csm.detach())


@dataclass(frozen=True, eq=False)
class _GramLayout:
    """Holds mask and csm in the order of axes that the gram works in.

    F^H M F is a circular convolution and so commutes with any shift of the image: with the mask shifted once, the gram needs no shift at
    all. Along an axis on which the mask is constant (the readout, where lines were acquired) F^H and F cancel and that axis is not
    transformed; if it is the last, it goes to the front, because transforms of contiguous lines are several times faster.
    """

    csm: Tensor
    conj: Tensor
    weights: Tensor
    """The shifted mask over the length of the transforms; complex, because a product of mixed types is converted on the way, at length."""
    axes: tuple[int, ...]
    readout_first: bool

    @staticmethod
    def of(mask: Tensor, csm: Tensor) -> "_GramLayout":
        dims = csm.ndim - 3
        axes = tuple(axis for axis in range(-dims, 0) if not _constant_along(mask, axis)) or (-1,)
        weights = torch.fft.ifftshift(mask, dim=tuple(range(-dims, 0))).to(csm.dtype)
        readout_first = axes[-1] != -1
        if readout_first:
            weights, csm = weights[..., :1].movedim(-1, -dims), csm.movedim(-1, -dims)
            axes = tuple(axis + 1 for axis in axes)
        weights = weights / math.prod(weights.shape[axis] for axis in axes)
        return _GramLayout(csm.contiguous(), csm.conj().resolve_conj().contiguous(), weights.contiguous(), axes, readout_first)

    def to_gram_order(self, x: Tensor, images: int) -> Tensor:
        """Bring x into this layout. Its first `images` axes are not of the image."""
        return x.movedim(-1, images).contiguous() if self.readout_first else x

    def to_scan_order(self, x: Tensor, images: int) -> Tensor:
        return x.movedim(images, -1).contiguous() if self.readout_first else x

    def convolve(self, coil_images: Tensor) -> Tensor:
        spectrum = torch.fft.fftn(coil_images, dim=self.axes)
        spectrum *= self.weights
        return torch.fft.ifftn(spectrum, dim=self.axes, norm="forward")

    def blocks(self, x: Tensor) -> list[slice]:
        """Divide the coils into blocks: on a CPU of as many as fit the cache, elsewhere of all."""
        coils = self.csm.shape[2]
        if x.device.type != "cpu":
            return [slice(0, coils)]
        step = max(1, CACHE_BYTES * x.shape[2] // (x.element_size() * x.numel()))
        return [slice(first, first + step) for first in range(0, coils, step)]


def _constant_along(mask: Tensor, axis: int) -> bool:
    return bool((mask == mask.narrow(axis, 0, 1)).all())


class _Gram(torch.autograd.Function):
    """The gram is self-adjoint: the backward pass for x is another gram, so that nothing of a coil's size is stored."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, csm: Tensor, layout: _GramLayout) -> Tensor:
        ctx.save_for_backward(x if csm.requires_grad else None)
        ctx.layout = layout
        return _gram(x, layout)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x,) = ctx.saved_tensors
        (grad,) = grads
        grad_x = _gram(grad, ctx.layout) if ctx.needs_input_grad[0] else None
        grad_csm = _csm_gradient(x, grad, ctx.layout) if ctx.needs_input_grad[1] else None
        return grad_x, grad_csm, None


def _gram(x: Tensor, layout: _GramLayout) -> Tensor:
    x = layout.to_gram_order(x, 3)
    total = torch.zeros_like(x)
    for block in layout.blocks(x):
        convolved = layout.convolve(Sensitivity(layout.csm[:, :, block])(x))
        conj = layout.conj[:, :, block]
        if x.device.type != "cpu":
            total = (convolved.unsqueeze(2) * conj.unsqueeze(1)).sum(dim=3)
        else:
            for coil in range(conj.shape[2]):
                total.addcmul_(convolved[:, :, coil : coil + 1], conj[:, None, :, coil])
    return layout.to_scan_order(total, 3)


def _csm_gradient(x: Tensor, grad: Tensor, layout: _GramLayout) -> Tensor:
    r"""Return the gradient of the csm s.

    For :math:`g = \sum_c \bar s_c C(s_c x)` with self-adjoint C it is :math:`\partial s_c = \bar g\, C(s_c x) + \bar x\, C(s_c g)`.
    """
    x, grad = layout.to_gram_order(x, 3), layout.to_gram_order(grad, 3)
    result = torch.empty_like(layout.csm)
    for block in layout.blocks(x):
        maps = Sensitivity(layout.csm[:, :, block])
        through_x, through_grad = layout.convolve(maps(x)), layout.convolve(maps(grad))
        outer = grad.conj().unsqueeze(3) * through_x.unsqueeze(2) + x.conj().unsqueeze(3) * through_grad.unsqueeze(2)
        result[:, :, block] = outer.sum(dim=1)
    return layout.to_scan_order(result, 3)


@checked
def sense(mask: Bool[Tensor, "batch frames 1 *k"], csm: Complex[Tensor, "batch maps coils *x"]) -> LinearOperator:
    r"""Return the encoding operator :math:`E = M F S`, from an image to the k-space that was acquired.

    It maps `(batch, frames, maps, *x)` to `(batch, frames, coils, *k)`. `F` is centred and orthonormal, so that with unit-norm csm and a
    full mask :math:`E^H E = I` inside the object. Raises BadShape where csm and mask have not the same matrix or batch. Not checked: that
    they belong to the same scan.

    Pruessmann et al. SENSE: sensitivity encoding for fast MRI. Magn Reson Med 42:952-962 (1999).
    doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S
    """
    if mask.shape[3:] != csm.shape[3:]:
        found = f"a matrix of {tuple(csm.shape[3:])}, shape {tuple(csm.shape)}"
        raise BadShape("sense: csm", found=found, expected=f"{tuple(mask.shape[3:])}, the matrix of the mask of shape {tuple(mask.shape)}")
    return Sense(mask, csm)


def encoding(scan: CalibratedScan) -> LinearOperator:
    """Return the encoding operator of a scan, which turns an image into exactly the samples that were acquired.

    Raises BadInput, naming the scan, for an encoding that is not Cartesian.
    """
    for header in scan.headers:
        if isinstance(header.encoding, (Trajectory, ParallelBeam)):
            found, expected = type(header.encoding).__name__, "whole lines, points of a grid, or a hybrid slice"
            raise BadInput(header.scan_id, found=f"the encoding {found}", expected=expected)
    return sense(scan.mask, scan.csm)


def coil_combined(scan: CalibratedScan) -> Complex[Tensor, "batch frames maps *x"]:
    r"""Return :math:`E^H y`. Of a fully sampled scan it is the image that others are scored against, of others the zero-filled one."""
    return encoding(scan).adjoint(scan.kspace)
