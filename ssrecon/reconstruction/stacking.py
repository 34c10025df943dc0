"""The images of single scans become those of a volume, ``slices frames [maps] rows columns``, each slice with its place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import AXES, Geometry
from ssrecon.core.scan import Header
from ssrecon.operators.fourier import resample


@dataclass(frozen=True)
class Plane:
    """A plane holds the images of one scan, readout last as in k-space; of a 3-D scan they are a slab."""

    header: Header
    shown: tuple[int, ...]
    """The size to which they were cropped; where they were resampled, before that."""
    magnitude: np.ndarray
    """``frames *x``."""
    combined: np.ndarray | None
    """``frames maps *x``, complex."""

    @property
    def size(self) -> tuple[int, ...]:
        return self.magnitude.shape[1:]


def resampled(image: Tensor, header: Header, dims: int) -> Tensor:
    """Resample the last `dims` axes to the header's reconstruction matrix; without one in the header the image stays as it is."""
    sides = header.recon_matrix[:dims] if isinstance(header.encoding, HybridSlice) else header.recon_matrix[-dims:]
    if len(sides) != dims or min(sides) < 1 or tuple(image.shape[-dims:]) == sides:
        return image
    return resample(image, sides)


def stack(planes: Sequence[Plane]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return magnitudes ``(slices, frames, rows, columns)`` and complex images ``(slices, frames, maps, rows, columns)``.

    Raises BadInput where sizes differ or hybrid slices are missing.
    """
    shapes = {plane.magnitude.shape for plane in planes}
    if len(shapes) > 1:
        found = f"images (frames, y, x) of {len(shapes)} different sizes, such as {' and '.join(map(str, sorted(shapes)[:2]))}"
        raise BadInput(planes[0].header.volume_id, found=found, expected="one size in a volume")
    slabs = _slabs(planes)
    complexes = [[plane.combined for plane in slab if plane.combined is not None] for slab in slabs]
    images = np.concatenate([_slices([plane.magnitude for plane in slab], slab[0], 1) for slab in slabs])
    if not all(complexes):
        return images, None
    return images, np.concatenate([_slices(parts, slab[0], 2) for parts, slab in zip(complexes, slabs, strict=True)])


def _slabs(planes: Sequence[Plane]) -> list[Sequence[Plane]]:
    """Divide planes into slabs: hybrid slices of one 3-D scan belong together; every other scan is by itself."""
    encoding = planes[0].header.encoding
    if not isinstance(encoding, HybridSlice):
        return [planes[i : i + 1] for i in range(len(planes))]
    places = [plane.header.encoding.position for plane in planes if isinstance(plane.header.encoding, HybridSlice)]
    whole = list(range(encoding.positions))
    slabs = [planes[i : i + len(whole)] for i in range(0, len(planes), len(whole))]
    if places != whole * len(slabs):
        missing = sorted(set(whole) - set(places))
        found = f"hybrid slices at {len(places)} positions along the readout" + (f", without position {missing[0]}" if missing else "")
        raise BadInput(planes[0].header.volume_id, found=found, expected=f"positions 0 to {len(whole) - 1}, in order")
    return slabs


def _slices(images: Sequence[np.ndarray], of: Plane, leading: int) -> np.ndarray:
    """Return one slab ``(slices, *leading, rows, columns)`` from images with `leading` axes (frames, or frames and maps) before ``*x``."""
    if isinstance(of.header.encoding, HybridSlice):
        # (x, ..., z, y) along the readout: partitions become the slices, the readout the rows.
        return np.ascontiguousarray(np.moveaxis(np.stack(images), (leading + 1, 0), (0, leading + 1)))
    (image,) = images
    volume = image if image.ndim == leading + 3 else np.expand_dims(image, leading)
    return np.ascontiguousarray(np.swapaxes(np.moveaxis(volume, leading, 0), -1, -2))


def slice_geometries(planes: Sequence[Plane]) -> tuple[Geometry, ...]:
    """Return where each slice of the stacked volume lies. Its axes are ``read phase``, those of the written rows and columns."""
    found: list[Geometry] = []
    for slab in _slabs(planes):
        middle = slab[len(slab) // 2]  # of hybrid slices that at N // 2 along the readout, where the volume's own position lies
        geometry, hybrid = middle.header.geometry, isinstance(middle.header.encoding, HybridSlice)
        if hybrid or len(middle.size) == 3:
            found += _partition_geometries(geometry, middle, len(slab) if hybrid else None)
        else:
            axes = geometry.axes[-2:]
            shown = replace(geometry, axes=axes).cropped(middle.shown)
            shown = shown if middle.size == middle.shown else shown.resampled(middle.size)
            found.append(replace(shown, axes=axes[::-1]))
    return tuple(found)


def _partition_geometries(geometry: Geometry, plane: Plane, readouts: int | None) -> list[Geometry]:
    """Return the geometry of each partition of a 3-D scan, which is whole or (of so many `readouts`) hybrid slices."""
    shown, size = ((*s, readouts) if readouts is not None else s for s in (plane.shown, plane.size))
    volume = replace(geometry, axes=AXES).cropped(shown)
    volume = volume if size == shown else volume.resampled(size)
    slices = []
    for z in range(size[0]):
        one = replace(volume, axes=("read", "phase"))
        if volume.voxel_size is not None and volume.field_of_view is not None:
            one = replace(one, field_of_view=(volume.voxel_size[0], *volume.field_of_view[1:]))
        place = volume.index_to_lps((z, size[1] // 2, size[2] // 2), size) if volume.known else None
        slices.append(replace(one, position=place))
    return slices
