"""Scans whose sensitivities are found together."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import TypeVar

from torch import Tensor

from ssrecon.calibrate.espirit import SCANS_AT_ONCE
from ssrecon.calibrate.region import Region
from ssrecon.sampling.centre import Sides

Item = TypeVar("Item")
Kind = tuple[str, bool, Sides, Sides, float | None]

LARGEST_GROUP = 16
"""At most so many scans are in a group on a device that is not a CPU."""


def kind_of(csm: Tensor | None, shape: Sides, region: Region) -> Kind:
    """Return what the scans of a group share: device, whether a csm was given, matrix, and the shape and noise of calibration data."""
    return region.kspace.device.type, csm is not None, shape, tuple(region.kspace.shape), region.noise


def groups_of_one_kind(items: Iterable[Item], kind: Callable[[Item], Kind]) -> Iterator[list[Item]]:
    """Yield neighbours of one kind in lists: of one item on a CPU, where memory is bounded by a slice, and of more elsewhere."""
    for (device, *_), neighbours in groupby(items, kind):
        size = SCANS_AT_ONCE.get(device, LARGEST_GROUP)
        while group := list(islice(neighbours, size)):
            yield group
