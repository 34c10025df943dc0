"""Slices of arrays whose files give them several at a time: a compressed chunk is decompressed once, and kept while its slices are read."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

import h5py
import numpy as np

KEPT = 2**30
"""Bytes of decompressed values that one process keeps at most. What is more than that by itself is read again for each slice."""

_kept: OrderedDict[Hashable, np.ndarray] = OrderedDict()


def slice_of(data: h5py.Dataset, index: int, axis: int = 0) -> np.ndarray:
    """Return the values of `data` at one place of one axis, without that axis.

    Where compressed chunks reach over several places, HDF5 would decompress them for each; here all the places that a chunk holds are read
    together and kept, up to `KEPT` bytes in all, until others take their place.
    """
    places = _places_in_a_chunk(data, axis)
    size = data.nbytes // data.shape[axis] * places
    if places == 1 or size > KEPT:
        return np.asarray(data[(slice(None),) * axis + (index,)])
    first = index // places * places
    at = (slice(None),) * axis + (slice(first, first + places),)
    block = keep(Path(data.file.filename), (data.name, axis, first), lambda: np.asarray(data[at]))
    return np.array(block.take(index - first, axis=axis))


def too_large_to_keep(data: h5py.Dataset, axis: int = 0) -> str:
    """Return a note for a dataset whose chunks hold several slices and more bytes than are kept; it is empty for any other."""
    places = _places_in_a_chunk(data, axis)
    size = data.nbytes // data.shape[axis] * places
    if places == 1 or size <= KEPT:
        return ""
    told = f"compressed chunks of {places} slices, {size / 2**20:.0f} MB, more than is kept in memory"
    return f"{told}: each slice decompresses one again; a file with chunks of one slice reads faster"


def keep(path: Path, part: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what `make` gives of a file. It is kept while the file is the same and nothing newer needs the room: do not write into it."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size, part)
    if key not in _kept:
        made = make()
        while _kept and sum(block.nbytes for block in _kept.values()) + made.nbytes > KEPT:
            _kept.popitem(last=False)
        if made.nbytes > KEPT:
            return made
        _kept[key] = made
    _kept.move_to_end(key)
    return _kept[key]


def _places_in_a_chunk(data: h5py.Dataset, axis: int) -> int:
    """Return how many places of an axis are decompressed together; 1 where nothing is compressed."""
    filtered = data.chunks is not None and data.id.get_create_plist().get_nfilters() > 0
    return min(data.chunks[axis], data.shape[axis]) if filtered and math.prod(data.shape) else 1
