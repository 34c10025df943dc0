"""What a network is: a frozen description that builds a module, `module(scan) -> Estimate`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from torch import nn

from ssrecon.core.scan import CalibratedScan


class NetworkSpec(ABC):
    """This is a frozen description of a network. Two arms with equal descriptions and seeds start from equal weights."""

    @abstractmethod
    def build(self, seed: int, example: CalibratedScan) -> nn.Module:
        """Build a module that maps a `CalibratedScan` to an `Estimate`, its initial weights drawn from `seed` alone.

        `example` is a scan or a batch of those that the network will see. The network's size may depend on its shapes (matrix, coils,
        frames, map sets, sides of the calibration region), which are kept in checkpoints, and on nothing else of it.
        """


class DenoiserSpec(ABC):
    """This is a frozen description of a real-valued image-to-image network: the learned regulariser inside an unrolled one."""

    dims: ClassVar[tuple[int, ...]] = (2,)
    """The denoiser takes images of these numbers of spatial axes."""

    @abstractmethod
    def build(self, maps: int) -> nn.Module:
        """Build a module from `(batch, 2 maps, *x)` to the same shape: real and imaginary parts are channels. It draws from torch's own
        generator.
        """


def parts(spec: Any) -> Iterator[Any]:
    """Yield a description and all the descriptions inside it, however deep, those in tuples, lists and mappings as well."""
    if is_dataclass(spec) and not isinstance(spec, type):
        yield spec
        inside: Iterable[Any] = (getattr(spec, f.name) for f in fields(spec))
    elif isinstance(spec, Mapping):
        inside = spec.values()
    else:
        inside = spec if isinstance(spec, (tuple, list)) else ()
    for item in inside:
        yield from parts(item)
