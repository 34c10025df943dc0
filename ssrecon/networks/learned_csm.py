"""A network that finds its own coil sensitivities, without truth."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn

from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.core.shapes import checked
from ssrecon.networks.base import DenoiserSpec, NetworkSpec, parts
from ssrecon.networks.denoisers import ResNet
from ssrecon.networks.unrolled import Unrolled
from ssrecon.operators import Fourier

TINY = 1e-12


@dataclass(frozen=True)
class LearnedCSM(NetworkSpec):
    r"""Any network, with sensitivities that a second network corrects; the two are trained together:

    .. math:: s_c = \gamma\big(s^0_c + g\, W\, D(s^0_c, \tilde x_c)\big)

    from the scan's own csm :math:`s^0` (calibrated once, from all calibration samples of :math:`\Omega`, whatever part of them this scan
    holds) and the low-resolution coil images :math:`\tilde x` of the calibration samples that this scan holds (of :math:`\Theta` where it
    is handed :math:`\Theta`), relative to their root sum of squares. D is one `denoiser` for all coils and map sets, so that any number of
    them will do; W keeps the spatial frequencies that a sensitivity can have, a Gaussian of `width` samples of k-space; g starts small.
    :math:`\gamma` fixes the gauge: the root sum of squares over the coils is 1 wherever the scan's csm is not zero, and
    :math:`\sum_c \bar s^0_c s_c` is real and positive, so that images stay comparable to those made with the scan's own csm. Several map
    sets are corrected each on its own and need not stay orthogonal. The product of image and csm is what a loss in k-space sees: without
    the gauge their scale and phase would drift.

    SPICER (doi:10.1002/mrm.30121) and E2E-VarNet (doi:10.1007/978-3-030-59713-9_7) find the maps by a U-Net from the calibration lines
    alone; NLINV-Net (doi:10.48550/arXiv.2402.06550) solves for image and maps in one unrolled Gauss-Newton method, with a Sobolev norm for
    W. Here calibration has found good maps already, and only what is wrong with them is learned. Train it by `SPICER` or any other
    objective.
    """

    inner: NetworkSpec = Unrolled()
    denoiser: DenoiserSpec = ResNet(blocks=2, channels=16)
    width: float = 6.0
    gain: float = 0.1
    """This is g at the start."""

    def __post_init__(self) -> None:
        if not (0 < self.width < math.inf and 0 < abs(self.gain) < math.inf):
            raise BadRecipe(
                "LearnedCSM", found=f"width {self.width}, gain {self.gain}", expected="a positive width and a gain that is not 0"
            )
        if any(getattr(part, "implicit_backward", False) for part in parts(self.inner)):
            raise BadRecipe(
                "LearnedCSM.inner", found="implicit_backward=True", expected="False: that backward pass has no gradient for csm"
            )

    def build(self, seed: int, example: CalibratedScan) -> nn.Module:
        inner = self.inner.build(seed, example)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + (1 << 32))  # not the numbers that `inner` starts from
            return _LearnedCSM(self, inner)


class _LearnedCSM(nn.Module):
    def __init__(self, spec: LearnedCSM, inner: nn.Module):
        super().__init__()
        self.spec, self.inner = spec, inner
        # Two complex channels: the csm and the image of a coil. Of what comes out, the first is the correction.
        self.denoiser = spec.denoiser.build(2)
        self.gain = nn.Parameter(torch.tensor(spec.gain))

    def forward(self, scan: CalibratedScan) -> Estimate:
        csm = self.sensitivities(scan)
        estimate: Estimate = self.inner(replace(scan, csm=csm))
        return replace(estimate, csm=csm)

    def sensitivities(self, scan: CalibratedScan) -> Complex[Tensor, "batch maps coils *x"]:
        own = scan.csm
        images = low_resolution(scan).expand_as(own)
        # Each coil's map and image as four real channels, everything else in the batch.
        channels = torch.view_as_real(torch.stack([own, images], dim=3)).movedim(-1, 4)
        corrections = self.denoiser(channels.reshape(-1, 4, *own.shape[3:]))[:, :2].movedim(1, -1).contiguous()
        correction = self._smooth(torch.view_as_complex(corrections.float()).reshape(own.shape))
        support = (own != 0).any(dim=2, keepdim=True)
        return gauge_fixed(torch.where(support, own + self.gain * correction, 0), own)

    def _smooth(self, maps: Complex[Tensor, "batch maps coils *x"]) -> Complex[Tensor, "batch maps coils *x"]:
        fourier = Fourier(maps.ndim - 3)
        return fourier.adjoint(fourier(maps) * _gaussian_taper(tuple(maps.shape[3:]), self.spec.width, maps.device))


@checked
def gauge_fixed(
    csm: Complex[Tensor, "batch maps coils *x"], like: Complex[Tensor, "batch maps coils *x"]
) -> Complex[Tensor, "batch maps coils *x"]:
    """Return a csm of unit norm over the coils wherever it is not zero, in phase with another csm."""
    norm = csm.abs().square().sum(dim=2, keepdim=True).clamp_min(TINY).sqrt()
    overlap = (like.conj() * csm).sum(dim=2, keepdim=True)
    # Where the overlap is nothing there is no phase to be in; and no gradient of one.
    phase = torch.where(overlap.abs() > TINY, overlap, 1)
    return csm / norm * (phase.conj() / phase.abs())


def low_resolution(scan: CalibratedScan) -> Complex[Tensor, "batch 1 coils *x"]:
    """Return the coil images of the calibration samples that a scan holds, over their root sum of squares.

    The samples are averaged over frames and tapered to the border of the region. The images are zero where a scan holds no such samples (a
    separate calibration measurement).
    """
    region = scan.calibration & scan.mask
    count = region.sum(dim=1, keepdim=True)
    mean = torch.where(region, scan.kspace, 0).sum(dim=1, keepdim=True) / count.clamp_min(1)
    images = Fourier(scan.dims).adjoint(mean * _cosine_taper(count > 0))
    return images / images.abs().square().sum(dim=2, keepdim=True).clamp_min(TINY).sqrt()


def _cosine_taper(region: Bool[Tensor, "batch 1 1 *k"]) -> Float[Tensor, "batch 1 1 *k"]:
    """Return along every axis half a cosine that ends where the region does."""
    taper = torch.ones_like(region, dtype=torch.float32)
    for axis in range(3, region.ndim):
        others = tuple(other for other in range(3, region.ndim) if other != axis)
        inside = region.any(dim=others, keepdim=True) if others else region
        n = region.shape[axis]
        distance = (torch.arange(n, device=region.device) - n // 2).abs().reshape([-1 if a == axis else 1 for a in range(region.ndim)])
        border = (distance * inside).amax(dim=axis, keepdim=True) + 1
        taper = taper * torch.cos(0.5 * torch.pi * (distance / border).clamp_max(1))
    return taper


def _gaussian_taper(shape: tuple[int, ...], width: float, device: torch.device) -> Float[Tensor, "*k"]:
    axes = [torch.arange(n, device=device) - n // 2 for n in shape]
    squares = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(dim=0)
    return torch.exp(-0.5 * squares / width**2)
