"""Where an image lies in the patient, and the one place that says along which direction an axis of an array runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ssrecon.core.errors import BadInput

Vector = tuple[float, float, float]

AXES = ("slice", "phase", "read")
"""The three encoded directions, in the order of ``*k`` and ``*x``; sizes in millimetres are in this order too."""

PATIENT_POSITIONS = frozenset(
    {"HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS", "LFP", "LFS", "RFP", "RFS", "AFDR", "AFDL", "PFDR", "PFDL"}
)
"""DICOM's words for how somebody lies: head or feet (left, right, anterior, posterior) first, supine, prone or on a side."""


@dataclass(frozen=True)
class Geometry:
    r"""A geometry says where the image of a scan lies. Whatever its file does not say is None.

    **Coordinates** are the patient's, as in DICOM and ISMRMRD: LPS, in millimetres. The first grows towards the left of the patient, the
    second towards the back (posterior), the third towards the head (superior).

    **Orientation of arrays.** The image is what `ssrecon.operators.encoding` makes of the k-space as it lies in the file's order: the
    centred *inverse* Fourier transform, :math:`\sum_k s(k)\, e^{+2\pi i k x / N}`, without any flip or transposition. Its last axes are
    `axes`: ``phase read`` of a slice, ``slice phase read`` of a volume, ``slice phase`` of a hybrid slice. The index along an axis grows
    along the direction of that name, always; so the pixel with index :math:`(i_1, i_2, \dots)` of an image of :math:`(N_1, N_2, \dots)`
    pixels has its centre at

    .. math:: r = \mathrm{position} + \sum_a (i_a - \lfloor N_a / 2 \rfloor)\, \mathrm{voxel}_a\, \mathrm{direction}_a .

    `position` therefore is the centre of the pixel ``N // 2``, where the Fourier transform has its origin, and no corner of the array.
    Crops about ``N // 2`` (`Header.shown`) do not move it.

    The readers see to the sign. Siemens gives its directions for a *forward* transform from k-space to the image, so that under ours the
    index grows against them (PTB-MR/mrpro 828, and `twixtools`, which turns them too): for that vendor the Fourier-encoded directions are
    stored here with the opposite sign. So `read_direction` is what an image's header wants, and may be minus the acquisition's.

    **Display.** Neither fastMRI's targets nor arrays here are turned for display. `display` says how an image has to be transposed and
    flipped to be seen as scanners show it: axial from the feet with the right of the patient on the left, coronal from the front,
    sagittal from the left with the front on the left.
    """

    position: Vector | None = None
    """The centre of the slice or volume, which is the centre of pixel ``N // 2``."""
    read_direction: Vector | None = None
    """A unit vector: along it the index of the readout axis grows."""
    phase_direction: Vector | None = None
    slice_direction: Vector | None = None
    """Of a volume the direction of its first axis; of a slice the normal."""
    voxel_size: Vector | None = None
    """Millimetres, ``(slice, phase, read)``; of a slice the first is its thickness."""
    field_of_view: Vector | None = None
    """Millimetres, ``(slice, phase, read)``, of the whole array before anything is cropped."""
    patient_position: str | None = None
    """One of `PATIENT_POSITIONS`, such as ``HFS``."""
    table_position: Vector | None = None
    """The position of the patient table, in millimetres."""
    axes: tuple[str, ...] = ("phase", "read")
    """Which of `AXES` the last axes of the image are."""

    @property
    def known(self) -> bool:
        """This says whether position, directions and voxel size are all known, so that pixels have a place."""
        return None not in (self.position, self.read_direction, self.phase_direction, self.slice_direction, self.voxel_size)

    def direction(self, axis: str) -> Vector:
        """Return the direction of one of `AXES`. Raises BadInput where it is unknown."""
        return self._known(f"{axis}_direction")

    def index_to_lps(self, index: Sequence[float], matrix: Sequence[int]) -> Vector:
        """Return the place (LPS, mm) of a pixel of an image of `matrix` pixels, both in the order of `axes`.

        Raises BadInput where the geometry does not say it, and where `index` or `matrix` have another number of axes.
        """
        if not len(index) == len(matrix) == len(self.axes):
            raise BadInput("geometry", found=f"index {tuple(index)}, matrix {tuple(matrix)}", expected=f"one number each of {self.axes}")
        place = self._known("position")
        for axis, i, size in zip(self.axes, index, matrix, strict=True):
            place = _moved_along(place, self.direction(axis), (i - size // 2) * self._known("voxel_size")[AXES.index(axis)])
        return place

    def lps_to_index(self, place: Sequence[float], matrix: Sequence[int]) -> tuple[float, ...]:
        """Return the index, in fractions of a pixel, of the image's point nearest to a place: the inverse of `index_to_lps`."""
        offset = [a - b for a, b in zip(place, self._known("position"), strict=True)]
        voxel = self._known("voxel_size")
        return tuple(
            size // 2 + sum(a * b for a, b in zip(offset, self.direction(axis), strict=True)) / voxel[AXES.index(axis)]
            for axis, size in zip(self.axes, matrix, strict=True)
        )

    def cropped(self, matrix: Sequence[int]) -> "Geometry":
        """Return the geometry after a cut about ``N // 2`` to `matrix` pixels (in the order of `axes`): pixels keep size and place."""
        if self.voxel_size is None:
            return replace(self, field_of_view=None)
        sizes = dict(zip(AXES, self.field_of_view or self.voxel_size, strict=True))
        sizes |= {axis: n * self.voxel_size[AXES.index(axis)] for axis, n in zip(self.axes, matrix, strict=True)}
        return replace(self, field_of_view=(sizes["slice"], sizes["phase"], sizes["read"]))

    def resampled(self, matrix: Sequence[int]) -> "Geometry":
        """Return the geometry after resampling the field of view to `matrix` pixels. The centre of the pixel ``N // 2`` stays."""
        if self.field_of_view is None:
            return replace(self, voxel_size=None)
        sizes = dict(zip(AXES, self.voxel_size or self.field_of_view, strict=True))
        sizes |= {axis: self.field_of_view[AXES.index(axis)] / n for axis, n in zip(self.axes, matrix, strict=True)}
        return replace(self, voxel_size=(sizes["slice"], sizes["phase"], sizes["read"]))

    def hybrid_slice(self, position: int, positions: int) -> "Geometry":
        """Return the geometry of the slice at `position` of `positions` along the readout of this volume; its axes are ``slice phase``."""
        made = replace(self, axes=("slice", "phase"))
        if self.voxel_size is None:
            return replace(made, position=None, field_of_view=None)
        if self.field_of_view is not None:
            made = replace(made, field_of_view=(*self.field_of_view[:2], self.voxel_size[2]))
        if self.position is None or self.read_direction is None:
            return replace(made, position=None)
        return replace(made, position=_moved_along(self.position, self.read_direction, (position - positions // 2) * self.voxel_size[2]))

    def display(self) -> tuple[bool, tuple[bool, bool]]:
        """Tell how the last two axes become what a scanner shows: whether they are swapped, and which axis is flipped *after* that.

        Shown rows run to the back (to the feet in sagittal and coronal slices), shown columns to the left (to the back in sagittal ones).
        An oblique slice is shown as the main plane that it is nearest to. Raises BadInput where a direction is unknown.
        """
        rows, columns = (self.direction(axis) for axis in self.axes[-2:])
        normal = _cross_product(rows, columns)
        plane = max(range(3), key=lambda i: abs(normal[i]))
        down, right = {0: ((2, -1), (1, 1)), 1: ((2, -1), (0, 1)), 2: ((1, 1), (0, 1))}[plane]
        swapped = abs(rows[down[0]]) < abs(columns[down[0]])
        if swapped:
            rows, columns = columns, rows
        return swapped, (rows[down[0]] * down[1] < 0, columns[right[0]] * right[1] < 0)

    def in_known_words(self) -> "Geometry":
        """Return the same without any text but `PATIENT_POSITIONS` and `AXES`."""
        position = self.patient_position if self.patient_position in PATIENT_POSITIONS else None
        return replace(self, patient_position=position, axes=tuple(axis for axis in self.axes if axis in AXES))

    @staticmethod
    def of(written: Mapping[str, Any]) -> "Geometry":
        """Return the geometry that `dataclasses.asdict` and JSON have written. Fields of other versions are passed over."""
        known = {f.name for f in fields(Geometry)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in written.items() if name in known
        }
        return Geometry(**values)

    def _known(self, name: str) -> Any:
        value = getattr(self, name)
        if value is None:
            raise BadInput("geometry", found=f"no {name.replace('_', ' ')}", expected="a scan whose file says where it lies")
        return value


def _moved_along(place: Vector, direction: Vector, by: float) -> Vector:
    return (place[0] + by * direction[0], place[1] + by * direction[1], place[2] + by * direction[2])


def _cross_product(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
