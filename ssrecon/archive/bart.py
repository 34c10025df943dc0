"""BART's pairs of files: a text header with the dimensions, and complex64 samples."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.arrays import acquired_only, finite, not_zero
from ssrecon.archive.base import slice_fields
from ssrecon.archive.partitioned import WHOLE, PartitionedArchive
from ssrecon.archive.pieces import steps, uneven
from ssrecon.core.encoding import Encoding, HybridSlice
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header, Scan
from ssrecon.sampling.lines import encoding_of

READ, PHASE_1, PHASE_2, COIL, MAPS, ECHO, TIME, TIME_2, SLICE, AVERAGE = 0, 1, 2, 3, 4, 5, 10, 11, 13, 14
DIMENSIONS = 16
FRAMES = (AVERAGE, TIME_2, TIME, ECHO)
USED = (READ, PHASE_1, PHASE_2, COIL, *FRAMES, SLICE)
FIRST_LINE = b"# Dimensions"

COMPANIONS = ("_pattern", "_sens", "_noise")
TRAJECTORY = "_traj"


@dataclass(frozen=True)
class _Pair:
    """A pair is ``NAME.hdr`` and ``NAME.cfl``."""

    header: Path

    @property
    def samples(self) -> Path:
        return self.header.with_suffix(".cfl")

    @property
    def name(self) -> str:
        return self.header.stem

    def beside(self, suffix: str) -> "_Pair | None":
        other = self.header.with_name(f"{self.name}{suffix}.hdr")
        return _Pair(other) if other.is_file() else None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """These are the 16 dimensions. Raises `BadInput` where the header has none, or the samples are not as many as it says."""
        try:
            lines = self.header.read_bytes()[:4096].splitlines()
            shape = tuple(int(text) for text in lines[1].split())
        except (OSError, ValueError, IndexError):
            raise BadInput(self.header, found="a header without readable dimensions", expected=Bart.layout) from None
        if not shape or min(shape) < 1 or any(n != 1 for n in shape[DIMENSIONS:]):
            raise BadInput(self.header, found=f"dimensions {shape}", expected=f"{DIMENSIONS} dimensions, each 1 or more")
        shape = (*shape[:DIMENSIONS], *(1,) * (DIMENSIONS - len(shape)))
        size = self.samples.stat().st_size if self.samples.is_file() else None
        bytes_wanted = 8 * int(np.prod([int(n) for n in shape], dtype=object))
        if size != bytes_wanted:
            found = "no such file" if size is None else f"{size} bytes"
            raise BadInput(self.samples, found=found, expected=f"{bytes_wanted} bytes, as the dimensions {shape} in its header say")
        return shape

    def read(self, index: int, at: slice = WHOLE) -> np.ndarray:
        """Read one slice: (average, time 2, time, echo, maps, coil, phase 2, phase 1, read), and no more than that from the disk.

        Of a 3-D scan `at` are the places along phase 2, which a companion may not depend on.
        """
        everything = np.memmap(self.samples, np.complex64, mode="r", shape=self.shape, order="F")
        part: list[int | slice] = [WHOLE] * DIMENSIONS
        for axis in set(range(DIMENSIONS)) - {*USED, MAPS}:
            part[axis] = 0
        part[SLICE] = min(index, self.shape[SLICE] - 1)
        part[PHASE_2] = at if self.shape[PHASE_2] > 1 else WHOLE
        return np.asarray(everything[tuple(part)]).T


class Bart(PartitionedArchive):
    """This format is a BART pair ``NAME.hdr``, ``NAME.cfl`` of Cartesian k-space; either file opens it.

    - Dimensions (first index fastest): 0 readout, 1 and 2 phase encodings, 3 coils, 13 slices (scans here); 5 echoes, 10 and 11 time and 14
      averages are frames. Every other dimension must be 1. With one sample along dimension 0 it is a hybrid slice ``kz ky``. BART's unitary
      transform (``fft -u``) has our convention: orthonormal, DC at N // 2.
    - ``NAME_pattern`` (as ``pics -p`` takes it) is the mask. Without it, sampled is what is not zero in some coil, as BART itself takes it.
    - ``NAME_sens`` (dimensions as ``ecalib`` writes them, 4 for the maps) are sensitivities that the user brought.
    - ``NAME_noise`` (dimension 3 the coils, as ``whiten`` takes it) are noise readouts; the format has no place for their bandwidth, which
      counts as that of the image.
    - A pair beside a ``NAME_traj`` is refused: it is not Cartesian.
    - The format does not say whether a file is k-space: one whose largest sample is far from the centre is read with a note. The header's
      "Command" and "Files", which may name people, are not read.

    Uecker et al. Berkeley Advanced Reconstruction Toolbox. Proc ISMRM 23:2486 (2015). doi:10.5281/zenodo.592960
    """

    layout: ClassVar[str] = "a BART pair (NAME.hdr that begins with '# Dimensions', NAME.cfl)"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        try:
            return _header_path(path) is not None
        except OSError:
            return False

    @property
    def companions(self) -> frozenset[Path]:
        pairs = [self._pair, *(other for suffix in COMPANIONS if (other := self._pair.beside(suffix)))]
        return frozenset(file for pair in pairs for file in (pair.header, pair.samples)) - {self.path}

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        shape, notes = self._shape, self._notes
        name, k = self._pair.name, self._matrix
        return tuple(
            Header(
                **slice_fields(name, index),
                subject=name,
                encoded_matrix=k,
                recon_matrix=k,
                encoding=self._encoding(index),
                notes=notes,
            )
            for index in range(shape[SLICE])
        )

    def not_transformable(self, scan_id: str) -> str:
        """The pattern tells it where there is one, and else the zeros (see `Archive.not_transformable`)."""
        index = self.listed(scan_id).slice
        return uneven({"points": torch.from_numpy(self._sampled_points(index, at))} for at in self.steps)

    @property
    def steps(self) -> list[slice]:
        return steps(self._matrix[0], 1 if len(self._matrix) == 3 else self._matrix[0], 0)

    def _sampled_points(self, index: int, at: slice) -> np.ndarray:
        return not_zero(self._read_frames(self._pair.beside("_pattern") or self._pair, index, at), axis=1)

    def _encoding(self, index: int) -> Encoding:
        """Return how a slice was encoded. One without a readout is a hybrid slice.

        Of others the pattern tells or, without one, what is not zero in the middle slice's first frame; of a 3-D scan, in its centre.
        """
        if self._shape[READ] == 1:
            return HybridSlice(index, self._shape[SLICE])
        if self._pair.beside("_pattern") is None:
            return encoding_of(self._central_plane[0])
        middle = self._matrix[0] // 2
        return encoding_of(self._sampled_points(index, slice(middle, middle + 1) if len(self._matrix) == 3 else WHOLE)[:, 0])

    def part_of(self, header: Header, at: slice) -> Scan:
        index, noise = header.slice, self._pair.beside("_noise")
        data, sampled = acquired_only(
            self._read_frames(self._pair, index, at), self._sampled_points(index, at), self.path, header.scan_id, at == WHOLE
        )
        return Scan(
            header=header,
            kspace=data,
            mask=sampled,
            padding=sampled.new_zeros(sampled.shape),
            noise=None if noise is None else self._read_noise(noise),
            csm=self._read_csm(index, at),
        )

    def _read_frames(self, pair: _Pair, index: int, at: slice) -> np.ndarray:
        """Read (frames, coils, *k) of a pair whose dimensions are those of the k-space, or 1 where it does not depend on them."""
        if pair != self._pair:
            self._check_dimensions(pair, {*USED})
        data = pair.read(index, at)[:, :, :, :, 0]
        frames, (z, *sides) = (tuple(self._shape[axis] for axis in axes) for axes in (FRAMES, (PHASE_2, PHASE_1, READ)))
        z = len(range(*at.indices(z)))
        return np.broadcast_to(data, (*frames, data.shape[4], z, *sides)).reshape(-1, data.shape[4], *self._matrix_at(at))

    def _matrix_at(self, at: slice) -> tuple[int, ...]:
        """Return the matrix of the part that lies `at` places along the first axis."""
        first, *others = self._matrix
        return (len(range(*at.indices(first))), *others)

    def _read_csm(self, index: int, at: slice) -> Tensor | None:
        pair = self._pair.beside("_sens")
        if pair is None:
            return None
        self._check_dimensions(pair, {SLICE, MAPS}, exact=frozenset({READ, PHASE_1, PHASE_2, COIL}))
        maps = pair.read(index, at)[0, 0, 0, 0]
        return finite(maps.reshape(1, *maps.shape[:2], *self._matrix_at(at)), pair.samples, "sensitivities")

    def _read_noise(self, pair: _Pair) -> Tensor:
        coils = self._shape[COIL]
        if pair.shape[COIL] != coils:
            raise BadInput(
                pair.header, found=f"noise of {pair.shape[COIL]} coils", expected=f"{coils} (dimension 3), as in {self._pair.name}"
            )
        everything = np.memmap(pair.samples, np.complex64, mode="r", shape=pair.shape, order="F")
        readouts = np.moveaxis(everything, COIL, 0).reshape(coils, pair.shape[READ], -1, order="F")
        return finite(readouts.transpose(2, 0, 1), pair.samples, "noise")

    def _check_dimensions(self, pair: _Pair, free: set[int], exact: frozenset[int] = frozenset()) -> None:
        """Refuse a companion with other dimensions: the `exact` ones must be the k-space's, the `free` ones these or 1, all others 1."""
        for axis, (found, wanted) in enumerate(zip(pair.shape, self._shape, strict=True)):
            allowed = {wanted} if axis in exact else {1, wanted} if axis in free else {1}
            if axis != MAPS and found not in allowed or axis == MAPS and MAPS not in free and found != 1:
                told = " or ".join(str(n) for n in sorted(allowed))
                raise BadInput(pair.header, found=f"dimension {axis} of {found}", expected=f"{told}, as in {self._pair.name}")

    @cached_property
    def _pair(self) -> _Pair:
        header = _header_path(self.path)
        if header is None:
            raise BadInput(self.path, found="no such pair of files", expected=self.layout)
        return _Pair(header)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        pair = self._pair
        owner = next((pair.name.removesuffix(suffix) for suffix in (*COMPANIONS, TRAJECTORY) if pair.name.endswith(suffix)), pair.name)
        if owner != pair.name and pair.header.with_name(f"{owner}.hdr").is_file():
            raise BadInput(self.path, found=f"what belongs to {owner}.cfl, and is read with it", expected="k-space")
        if pair.beside(TRAJECTORY) is not None:
            raise BadInput(self.path, found=f"k-space along the trajectory {pair.name}{TRAJECTORY}", expected="Cartesian k-space")
        shape = pair.shape
        for axis in set(range(DIMENSIONS)) - set(USED):
            if shape[axis] != 1:
                raise BadInput(pair.header, found=f"dimension {axis} of {shape[axis]}", expected="1: k-space does not have it")
        if len(self._without_single_sides((shape[PHASE_2], shape[PHASE_1], shape[READ]))) < 2 or shape[PHASE_1] == 1:
            raise BadInput(pair.header, found=f"dimensions {shape[:3]}", expected="at least two encoded dimensions, 1 among them")
        return shape

    @property
    def _matrix(self) -> tuple[int, ...]:
        return self._without_single_sides((self._shape[PHASE_2], self._shape[PHASE_1], self._shape[READ]))

    @staticmethod
    def _without_single_sides(sides: tuple[int, ...]) -> tuple[int, ...]:
        """Return ``kz ky kx``, ``ky kx`` or ``kz ky``: the sides but for z and x where they have one sample."""
        z, y, x = sides
        return ((z,) if z > 1 else ()) + (y,) + ((x,) if x > 1 else ())

    @cached_property
    def _central_plane(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what was sampled, and its energy over the coils, in the central plane of the middle slice's first frame."""
        kspace = self._pair.read(self._shape[SLICE] // 2)[0, 0, 0, 0, 0]
        z, y, x = kspace.shape[1:]
        plane = kspace[:, z // 2] if x > 1 else kspace[..., 0]
        with np.errstate(invalid="ignore", over="ignore"):  # refused when the slice is read, where it was acquired
            energy = (np.abs(plane.astype(np.complex128)) ** 2).sum(axis=0)
        return energy > 0, energy

    @property
    def _notes(self) -> dict[str, str]:
        notes = {"units": "the format has none: matrix and fields of view are not told"}
        if self._pair.beside("_pattern") is None:
            notes["sampling"] = "told from the zeros, as BART does"
        if self._shape[READ] == 1:
            notes["readout"] = "dimension 0 has one sample: taken for a slice of a 3-D scan, phase-encoded both ways"
        energy = self._central_plane[1]
        peak = np.unravel_index(int(np.nan_to_num(energy).argmax()), energy.shape)
        if any(abs(int(at) - n // 2) > max(1, n // 8) for at, n in zip(peak, energy.shape, strict=True)):
            notes["centre"] = (
                f"the largest sample is at {tuple(map(int, peak))} of {energy.shape}: is this k-space, with its centre at N // 2?"
            )
        return notes


def _header_path(path: Path) -> Path | None:
    """Return the header of the pair that `path` belongs to; None where it belongs to none."""
    for header in (path, path.with_suffix(".hdr")):
        if header == path or path == header.with_suffix(".cfl"):
            if header.is_file():
                with header.open("rb") as file:
                    if file.read(len(FIRST_LINE)) == FIRST_LINE:
                        return header
    return None
