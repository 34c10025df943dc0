"""The physics-guided unrolled network of SSDU and MoDL."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Complex
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ssrecon.algorithms import conjugate_gradient, implicit_conjugate_gradient
from ssrecon.core.description import NO_RESULT
from ssrecon.core.errors import BadInput, BadRecipe, at_least
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.networks.base import DenoiserSpec, NetworkSpec
from ssrecon.networks.denoisers import ResNet, as_channels, as_image
from ssrecon.operators import encoding


@dataclass(frozen=True)
class Unrolled(NetworkSpec):
    r"""This is variable splitting with a quadratic penalty, unrolled: from :math:`x = E^H y`, it computes `unrolls` times

    .. math:: z = R_\theta(x), \qquad x = (E^H E + \mu I)^{-1} (E^H y + \mu z)

    with `cg_iterations` steps of conjugate gradients and a learned scalar :math:`\mu` of unconstrained sign, as published. With
    ``ResNet()`` the SSDU network (1,145,089 parameters; 592,129 tied), with ``CNN()`` the MoDL network (113,413).

    The published networks start each solve at zero. With `warm_start` it starts at the denoised image :math:`z`: one gram more an unroll,
    and what few iterations cannot reach stays as the denoiser left it, not at zero.

    Yaman et al. doi:10.1002/mrm.28378; Aggarwal et al. doi:10.1109/TMI.2018.2865356
    """

    denoiser: DenoiserSpec = ResNet()
    unrolls: int = 10
    cg_iterations: int = 10
    mu: float = 0.05
    r"""The initial value of :math:`\mu`."""
    warm_start: bool = False
    """Conjugate gradients start at the denoised image instead of at zero, where the published networks start."""
    maps: int = 1
    """The network is made for so many map sets of the csm, or for those of its example where these are more. They become channels of the
    denoiser. The example says it; the setting is for checkpoints of earlier versions, which keep none."""
    shared: bool = True
    """One denoiser serves all unrolls, as published; else each has its own."""
    mixed_precision: bool = False
    """The denoiser runs in bfloat16; the k-space arithmetic stays in single precision."""
    implicit_backward: bool = False
    """The converged solve is differentiated instead of the truncated iteration. That takes less memory, and is exact only where it
    converged.
    """
    recompute: bool = field(default=False, metadata=NO_RESULT)
    """Each unroll is computed again in the backward pass: the memory of one unroll, for a third more time."""
    padding_is_known: bool = False
    """Data consistency holds zero-padded samples at zero, as SSDU's published code does."""

    def __post_init__(self) -> None:
        at_least(self, unrolls=1, cg_iterations=1, maps=1)
        if not isinstance(self.denoiser, DenoiserSpec):
            raise BadRecipe("Unrolled.denoiser", found=type(self.denoiser).__name__, expected="a denoiser, such as ResNet() or CNN()")

    def build(self, seed: int, example: CalibratedScan) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return UnrolledNetwork(self, maps=max(self.maps, example.csm.shape[1]))


class UnrolledNetwork(nn.Module):
    """This is the module that an `Unrolled` describes, for csm of so many map sets."""

    def __init__(self, spec: Unrolled, maps: int):
        super().__init__()
        self.spec, self.maps = spec, maps
        count = 1 if spec.shared else spec.unrolls
        self.denoisers = nn.ModuleList(spec.denoiser.build(maps) for _ in range(count)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mu = nn.Parameter(torch.tensor(spec.mu))

    def forward(self, scan: CalibratedScan) -> Estimate:
        if scan.csm.shape[1] != self.maps:
            expected = f"{self.maps}, which the network was made for, or another calibration"
            raise BadInput(scan.ids[0], f"{scan.csm.shape[1]} sets of sensitivity maps", expected)
        known = replace(scan, mask=scan.mask | scan.padding) if self.spec.padding_is_known else scan
        operator = encoding(known)
        zero_filled = encoding(scan).adjoint(scan.kspace)

        def unroll(x: Tensor, index: int) -> Tensor:
            z = self._denoise(x, self.denoisers[index % len(self.denoisers)])
            rhs = zero_filled + self.mu * z
            initial = z if self.spec.warm_start else None
            solve = implicit_conjugate_gradient if self.spec.implicit_backward else conjugate_gradient
            return solve(operator.gram, rhs, self.mu, self.spec.cg_iterations, initial)

        x = zero_filled
        for index in range(self.spec.unrolls):
            if self.spec.recompute and torch.is_grad_enabled():
                x = checkpoint(unroll, x, index, use_reentrant=False)
            else:
                x = unroll(x, index)
        return Estimate(x)

    def _denoise(self, x: Complex[Tensor, "batch frames maps *x"], denoiser: nn.Module) -> Complex[Tensor, "batch frames maps *x"]:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.spec.mixed_precision):
            return as_image(denoiser(as_channels(x)), like=x)
