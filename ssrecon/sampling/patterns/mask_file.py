"""A mask of one's own, from a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.description import READ_FILE
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import is_hdf5, opened, stored
from ssrecon.core.matlab import is_matlab5, matlab5_array, matlab5_variables
from ssrecon.core.scan import Scan
from ssrecon.privacy.pseudonyms import safe_name
from ssrecon.sampling.patterns.base import Undersampling, encoded_window, phase_axis

KINDS = "a mask in a .npy, .npz, .mat or HDF5 file"
SAME = "mask"
"""The array that is taken where none is called as the volume."""


@dataclass(frozen=True)
class MaskFile(Undersampling):
    """This undersampling takes its masks from a file: one for all scans, one a volume, or one a frame. What is not 0 is kept.

    - A ``.npy`` file holds one mask. A ``.npz``, ``.mat`` (of either kind) or HDF5 file holds one, or one for each volume, called as the
      volume is (its id, or the last part of it); of several others the one called ``mask`` is taken, or the one that `variable` names.
    - A mask has the axes of the scan: ``(phase,)`` or ``(phase, readout)``, in 3-D ``(y,)``, ``(z, y)`` or ``(z, y, readout)``, with the
      frames before them where each has its own. Axes of length 1 do not count. It is as large as the matrix, or as its encoded part (the
      matrix without the padding on both sides).
    - The readout is the last axis, as everywhere in this package. A mask in the order of fastMRI's files, which have the readout before the
      phase, needs ``transposed``. MATLAB's first axis counts as the last: its ``(readout, phase, frames)`` needs nothing.

    Raises `BadInput`, which names both shapes, where no mask fits a scan, or one fits in several ways.
    """

    path: str = field(metadata=READ_FILE)
    variable: str = ""
    """The name of the mask in a file that holds several arrays."""
    transposed: bool = False
    """Whether the file has the axes of a frame in reverse order."""

    def mask_of(self, scan: Scan, generator: np.random.Generator) -> Bool[Tensor, "#frames *k"]:
        found, shown = self._read_mask(scan)
        matrix, frames, readout = tuple(scan.mask.shape[3:]), scan.mask.shape[1], scan.header.encoding.has_readout
        whole = window = tuple(slice(0, n) for n in matrix)
        if not (fits := self._fitting_axes(found.shape, whole, readout, frames)):
            window = encoded_window(scan.padding)
            fits = self._fitting_axes(found.shape, window, readout, frames)
        where = f"as scan {scan.scan_id} ({'x'.join(map(str, matrix))}, {frames} frame{'s' * (frames > 1)}) has it"
        if len(fits) > 1:
            raise BadInput(
                self.path, found=f"a mask {shown}, which fits in {len(fits)} ways", expected=f"a mask {(frames, *matrix)}, {where}"
            )
        if not fits:
            shapes = dict.fromkeys(self._shape_in_file(whole, axes) for axes in _possible_axes(matrix, readout))
            shapes_text = " or ".join(map(str, shapes)) + (f", or {frames} of them" if frames > 1 else "")
            turned = found.shape[-len(matrix) :] == tuple(reversed(self._shape_in_file(whole, tuple(range(len(matrix))))))
            hint = f"; with transposed={not self.transposed} it would fit" if turned else ""
            raise BadInput(self.path, found=f"a mask {shown}", expected=f"{shapes_text}, {where}{hint}")
        (axes,) = fits
        mask = found.reshape(-1, *self._shape_in_file(window, axes))
        mask = mask.transpose(0, *range(mask.ndim - 1, 0, -1)) if self.transposed else mask
        sides = _sides_of(window)
        kept = np.zeros((len(mask), *matrix), bool)
        kept[(slice(None), *window)] = mask.reshape(-1, *(n if axis in axes else 1 for axis, n in enumerate(sides)))
        return torch.from_numpy(kept)

    def _fitting_axes(self, shape: tuple[int, ...], window: tuple[slice, ...], readout: bool, frames: int) -> list[tuple[int, ...]]:
        """Return the sets of axes of a window for which a mask of this shape may be meant, for all frames or for each one. A set is there
        twice where both are possible."""
        leading = ((), (frames,)) if frames > 1 else ((),)
        return [
            axes
            for axes in _possible_axes(_sides_of(window), readout)
            for first in leading
            if shape == (*first, *self._shape_in_file(window, axes))
        ]

    def _shape_in_file(self, window: tuple[slice, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that a mask over some axes of a window has in the file."""
        shape = tuple(_sides_of(window)[axis] for axis in axes)
        return shape[::-1] if self.transposed else shape

    def _read_mask(self, scan: Scan) -> tuple[Bool[np.ndarray, "*any"], tuple[int, ...]]:
        """Return the mask of a scan's volume without axes of length 1, and its shape in the file."""
        arrays = _readers_by_name(Path(self.path))
        named = [name for name in arrays if _is_named_after(name, scan.volume_id)]
        if self.variable or len(arrays) != 1:
            name = self.variable or next((name for name in (*named, SAME) if name in arrays), "")
        else:
            (name,) = arrays
        if name not in arrays:
            found = f"no array {name!r}" if name else f"{len(arrays)} arrays"
            held = f"{found} (it holds {', '.join(sorted(arrays)) or 'none'})"
            raise BadInput(self.path, found=held, expected=f"one, one called {scan.volume_id}, one called {SAME}, or MaskFile.variable")
        values = arrays[name]()
        if values.dtype.kind not in "buif" or not np.isfinite(values).all():
            raise BadInput(self.path, found=f"{name or 'a mask'} of {values.dtype}, or not finite", expected="booleans, or 0 and 1")
        return values.squeeze() != 0, values.shape


def _possible_axes(matrix: tuple[int, ...], readout: bool) -> tuple[tuple[int, ...], ...]:
    """Return the sets of axes over which a mask may be given: all, the phase-encoded ones, or that of the columns."""
    axes = tuple(range(len(matrix)))
    phase_encoded = axes[:-1] if readout and len(axes) > 1 else axes
    return tuple(dict.fromkeys((axes, phase_encoded, (phase_axis(matrix, readout),))))


def _sides_of(window: tuple[slice, ...]) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in window)


def _is_named_after(name: str, volume_id: str) -> bool:
    """Tell whether an array is named after a volume, whose id may be the pseudonym of its name."""
    wanted = {volume_id, volume_id.rpartition("/")[2]}
    return name in wanted or safe_name(name) in wanted


def _readers_by_name(path: Path) -> Mapping[str, Callable[[], np.ndarray]]:
    """Return a function that reads it for each array of a file, by name. Raises `BadInput` where there is none that can be read."""
    try:
        if is_matlab5(path):
            return {name: partial(matlab5_array, path, name) for name, it in matlab5_variables(path).items() if it.is_number}
        if is_hdf5(path):
            return {name: partial(_hdf5_array, path, name) for name in _dataset_names(path)}
        held = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not one of these files, or a damaged one"
        raise BadInput(path, found=f"no readable mask ({reason})", expected=KINDS) from None
    if isinstance(held, np.ndarray):
        return {"": lambda: held}
    with held:
        return {name: partial(np.asarray, held[name]) for name in held.files}


def _dataset_names(path: Path) -> list[str]:
    """List the arrays of an HDF5 file, in groups too, but not what MATLAB keeps of its own."""
    names: list[str] = []

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset) and node.shape and node.dtype.kind in "buif" and not name.startswith("#"):
            names.append(name)

    with opened(path, KINDS) as file:
        file.visititems(visit)
    return names


def _hdf5_array(path: Path, name: str) -> np.ndarray:
    with opened(path, KINDS) as file:
        return np.asarray(stored(file[name], path))
