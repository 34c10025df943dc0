"""The parts of a virtual HDF5 dataset: how many of its values have a source, and which files and datasets the sources are."""

import math
from collections.abc import Iterable
from typing import Any

from h5py import h5s

Slab = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Start, stride, count and block along each axis."""


def values_in(selections: Iterable[h5s.SpaceID], shape: tuple[int, ...]) -> int:
    """Return how many values of a dataset of this shape lie in one of the selections or in several."""
    if not math.prod(shape) or not shape:
        return math.prod(shape)
    ones, union = (1,) * len(shape), h5s.create_simple(shape)
    union.select_none()
    for start, stride, count, block in (slab for selection in selections for slab in _slabs(selection, shape)):
        union.select_hyperslab(start, count, stride, block, op=h5s.SELECT_OR)
    union.select_hyperslab((0,) * len(shape), ones, ones, shape, op=h5s.SELECT_AND)
    return int(union.get_select_npoints())


def sources_in(mapping: Any, shape: tuple[int, ...]) -> tuple[list[tuple[str, str]], int]:
    """Return the files and datasets that a mapping (`h5py.Dataset.virtual_sources`) takes the values of a dataset of this shape from.

    There is one, or one for each block where a name has a ``%b``, which stands for the block's number. The second is how many values are
    taken from each."""
    names = (mapping.file_name, mapping.dset_name)
    if not any("%b" in name.replace("%%", "") for name in names):
        return [(_with_number(names[0], 0), _with_number(names[1], 0))], values_in([mapping.vspace], shape)
    start, stride, count, block = mapping.vspace.get_regular_hyperslab()
    axis = count.index(h5s.UNLIMITED)
    steps = range(_steps(shape[axis], start[axis], stride[axis]))
    return [(_with_number(names[0], step), _with_number(names[1], step)) for step in steps], math.prod(
        count[:axis] + count[axis + 1 :] + block
    )


def _slabs(selection: h5s.SpaceID, shape: tuple[int, ...]) -> list[Slab]:
    """Return the hyperslabs of a selection. One without an end gets one, not before that of a dataset of this shape."""
    kind, ones = selection.get_select_type(), (1,) * len(shape)
    if kind == h5s.SEL_NONE:
        return []
    if kind == h5s.SEL_ALL:
        return [((0,) * len(shape), ones, ones, shape)]
    if not selection.is_regular_hyperslab():
        ends = [(tuple(map(int, first)), tuple(map(int, last))) for first, last in selection.get_select_hyper_blocklist()]
        return [(first, ones, ones, tuple(b - a + 1 for a, b in zip(first, last, strict=True))) for first, last in ends]
    start, stride, count, block = selection.get_regular_hyperslab()
    block = tuple(max(n - a, 1) if b == h5s.UNLIMITED else b for n, a, b in zip(shape, start, block, strict=True))
    count = tuple(_steps(n, a, s) if c == h5s.UNLIMITED else c for n, a, s, c in zip(shape, start, stride, count, strict=True))
    return [(start, stride, count, block)] if min(count) > 0 else []


def _steps(length: int, start: int, stride: int) -> int:
    """Return how many steps from `start` begin within an axis."""
    return max(0, -(-(length - start) // stride))


def _with_number(name: str, block: int) -> str:
    return "%".join(part.replace("%b", str(block)) for part in name.split("%%"))
