"""Regularisers: the convolutional networks inside an unrolled one. Complex images enter as pairs of real channels, here and nowhere
else.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ssrecon.core.errors import at_least
from ssrecon.core.shapes import checked
from ssrecon.networks.base import DenoiserSpec


@checked
def as_channels(image: Complex[Tensor, "batch frames maps *x"]) -> Float[Tensor, "folded channels *x"]:
    """Real and imaginary parts as channels, frames folded into the batch. For one map set this is the channels-last layout, without a
    copy.
    """
    parts = torch.view_as_real(image).movedim(2, -2)
    return parts.flatten(-2).flatten(0, 1).movedim(-1, 1)


@checked
def as_image(
    channels: Float[Tensor, "folded channels *x"], like: Complex[Tensor, "batch frames maps *x"]
) -> Complex[Tensor, "batch frames maps *x"]:
    """The inverse of `as_channels`."""
    batch, frames, maps, *space = like.shape
    parts = channels.movedim(1, -1).to(like.real.dtype).reshape(batch, frames, *space, maps, 2)
    return torch.view_as_complex(parts.contiguous()).movedim(-1, 2)


@dataclass(frozen=True)
class ResNet(DenoiserSpec):
    r"""The ResNet of SSDU: a convolution, `blocks` residual blocks (convolution, ReLU, convolution, times 0.1, plus its input), a
    convolution with a skip over all blocks, and a convolution back to an image. 3x3 kernels, no bias, no normalisation.

    At 64 channels and 15 blocks: 1,145,088 weights, or 592,128 with `tied`, where the two convolutions of a block share one kernel as in
    the authors' TensorFlow release (their PyTorch port does not). As published the output is not added to the input; `residual` adds it.

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


@dataclass(frozen=True)
class CNN(DenoiserSpec):
    r"""The CNN of MoDL: :math:`D(x) = x + N(x)` with `layers` 3x3 convolutions of `channels`, each followed by batch normalisation and,
    but for the last, by a ReLU. No bias where there is normalisation. At the published size 113,412 weights.

    Batch normalisation ties a scan to its batch-mates: as published, train with batches of one, or set `batch_norm` to False.

    Aggarwal et al. MoDL: model-based deep learning architecture for inverse problems. IEEE Trans Med Imaging 38:394-405 (2019).
    doi:10.1109/TMI.2018.2865356
    """

    layers: int = 5
    channels: int = 64
    batch_norm: bool = True

    def __post_init__(self) -> None:
        at_least(self, layers=1, channels=1)

    def build(self, maps: int) -> nn.Module:
        return _CNN(self, maps)


class _CNN(nn.Module):
    def __init__(self, spec: CNN, maps: int):
        super().__init__()
        widths = [2 * maps, *[spec.channels] * (spec.layers - 1), 2 * maps]
        steps: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not spec.batch_norm)
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            steps.append(layer)
            if spec.batch_norm:
                steps.append(nn.BatchNorm2d(outputs))
            if index + 2 < len(widths):
                steps.append(nn.ReLU(inplace=True))
        self.steps = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.steps(x)
