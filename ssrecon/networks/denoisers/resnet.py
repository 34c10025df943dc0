"""The residual network of SSDU."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssrecon.core.errors import at_least
from ssrecon.networks.base import DenoiserSpec


@dataclass(frozen=True)
class ResNet(DenoiserSpec):
    r"""This is the ResNet of SSDU: a convolution, `blocks` residual blocks, a convolution with a skip over all blocks, and a convolution
    back to an image.

    A residual block is a convolution, a ReLU, a convolution, times 0.1, plus its input. Kernels are 3x3, without bias and without
    normalisation.

    At 64 channels and 15 blocks it has 1,145,088 weights, or 592,128 with `tied`, where the two convolutions of a block share one kernel as
    in the authors' TensorFlow release (their PyTorch port does not). As published the output is not added to the input; `residual` adds
    it.

    Yaman et al. Self-supervised learning of physics-guided reconstruction neural networks without fully sampled reference data.
    Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    blocks: int = 15
    channels: int = 64
    tied: bool = False
    residual: bool = False
    init_std: float = 0.05

    def __post_init__(self) -> None:
        at_least(self, blocks=1, channels=1, init_std=0)

    def build(self, maps: int) -> nn.Module:
        return _ResNet(self, maps)


class _ResNet(nn.Module):
    def __init__(self, spec: ResNet, maps: int):
        super().__init__()
        width = spec.channels

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            nn.init.normal_(layer.weight, std=spec.init_std)
            return layer

        self.first = conv(2 * maps, width)
        # One kernel for both convolutions of a block where they are tied.
        self.inner = nn.ModuleList(conv(width, width) for _ in range(spec.blocks))
        self.outer = self.inner if spec.tied else nn.ModuleList(conv(width, width) for _ in range(spec.blocks))
        self.skipped = conv(width, width)
        self.last = conv(width, 2 * maps)
        self.residual = spec.residual

    def forward(self, x: Tensor) -> Tensor:
        first = features = self.first(x)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            features = features + 0.1 * outer(torch.relu_(inner(features)))
        output = self.last(self.skipped(features) + first)
        return x + output if self.residual else output
