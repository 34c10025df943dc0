"""A network that also says how wrong it expects its prediction of k-space to be."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ssrecon.core.errors import at_least, positive
from ssrecon.core.per_scan import per_scan
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.networks.base import NetworkSpec
from ssrecon.networks.unrolled import Unrolled
from ssrecon.operators import sense

FEATURES = 5
TINY = 1e-6


@dataclass(frozen=True)
class WithUncertainty(NetworkSpec):
    r"""This is any network, and a small one beside it that returns `Estimate.kspace_std`.

    That is the expected error :math:`u_k` of the predicted sample at each location of k-space, alike for all coils (whitened, they share
    one noise level).

    :math:`\log u` is computed by `layers` 3x3 convolutions over k-space from what is known without truth: the logarithm of the predicted
    signal (root sum of squares over coils), whether the location was given, how much of its neighbourhood was, its distance from DC, and
    the noise level (0 where unknown). The predicted signal enters without its gradient: the expected error never moves the image, only the
    loss does. For `Heteroscedastic`.
    """

    inner: NetworkSpec = Unrolled()
    layers: int = 3
    channels: int = 16
    initial: float = 0.1
    """This is u at the start, about."""

    def __post_init__(self) -> None:
        at_least(self, layers=1, channels=1)
        positive(self, "initial")

    def build(self, seed: int, example: CalibratedScan) -> nn.Module:
        inner = self.inner.build(seed, example)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + (1 << 32))  # not the numbers that `inner` starts from
            return _WithUncertainty(self, inner)


class _WithUncertainty(nn.Module):
    def __init__(self, spec: WithUncertainty, inner: nn.Module):
        super().__init__()
        self.inner = inner
        widths = [FEATURES, *[spec.channels] * (spec.layers - 1), 1]
        steps: list[nn.Module] = []
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            steps += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        self.head = nn.Sequential(*steps[:-1])
        nn.init.constant_(self.head[-1].bias, math.log(spec.initial))  # type: ignore[arg-type]

    def forward(self, scan: CalibratedScan) -> Estimate:
        estimate: Estimate = self.inner(scan)
        features = _features(scan, estimate)
        # 3-D k-space partition by partition, frames as a batch.
        planes = features.movedim(2, -3).reshape(-1, FEATURES, *features.shape[-2:])
        log_std = self.head(planes).reshape(scan.mask.shape)
        return replace(estimate, kspace_std=torch.exp(log_std.clamp(-20.0, 10.0)))


def _features(scan: CalibratedScan, estimate: Estimate) -> Float[Tensor, "batch frames 5 *k"]:
    csm = scan.with_csm_of(estimate).csm
    everything = torch.ones_like(scan.mask)
    signal = torch.linalg.vector_norm(sense(everything, csm.detach())(estimate.image.detach()), dim=2, keepdim=True)
    given = scan.mask.to(signal.dtype)
    planes = given.reshape(-1, 1, *given.shape[-2:])
    neighbours = avg_pool2d(planes, 5, stride=1, padding=2).reshape(given.shape)
    axes = [(torch.arange(n, device=given.device, dtype=given.dtype) - n // 2) / max(n // 2, 1) for n in given.shape[3:]]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().mean(dim=0).sqrt().expand(given.shape)
    noise = torch.zeros_like(scan.scale) if scan.noise_std is None else scan.noise_std
    level = per_scan(noise, given).expand(given.shape)
    return torch.cat([torch.log(signal + TINY), given, neighbours, distance, level], dim=2)
