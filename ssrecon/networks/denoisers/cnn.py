"""The convolutional network of MoDL."""

from dataclasses import dataclass

from torch import Tensor, nn

from ssrecon.core.errors import at_least
from ssrecon.networks.base import DenoiserSpec


@dataclass(frozen=True)
class CNN(DenoiserSpec):
    r"""This is the CNN of MoDL: :math:`D(x) = x + N(x)` with `layers` 3x3 convolutions of `channels`.

    Batch normalisation follows each of them, and a ReLU each but the last. There is no bias where there is normalisation. At the published
    size the network has 113,412 weights.

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
