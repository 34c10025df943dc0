"""SKM-TEA's raw-data track: hybrid k-space of two echoes, half of whose lines GE's ARC has interpolated."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Complex

from ssrecon.archive.arrays import acquired_only, finite
from ssrecon.archive.base import Archive, holds, slice_fields
from ssrecon.archive.slices import slice_of
from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import complex_dataset, opened, other_layout, stored
from ssrecon.core.scan import Header, Scan
from ssrecon.core.shapes import checked

OFFSETS = (-3, -1, 1, 3)
"""The lines about a line from which it is predicted; with acceleration 2 those at odd distance were acquired where it was not."""

WINDOW = 2
"""Neighbours on either side along the other axis."""

PREDICTED = 0.1
"""A line is interpolated where the prediction leaves less than this part of what it leaves of acquired lines, which have noise."""

REACH = 3
"""Lines at the border of the calibration region that do not count as acquired: ARC uses other kernels there."""


class SKMTEA(Archive):
    """A file of SKM-TEA's folder ``files_recon_calib-24``: ``kspace`` (x, ky, kz, echo, coil), transformed along the readout, and ``maps``
    (x, ky, kz, coil, map). One scan a hybrid slice ``kz ky``, one frame an echo.

    - The publishers call this k-space fully sampled: it was acquired with acceleration 2 x 1 and elliptical, and filled by ARC. The file
      does not say which lines were measured, but they can be told: an interpolated line is a linear combination of its neighbours, an
      acquired one has noise of its own. `interpolated_lines` finds them; they are in no mask. Where it finds none the file is refused,
      unless ``acquired`` (kz, ky) says what was measured. A loss on interpolated lines teaches the interpolation.
    - What is zero in every coil and echo of the middle slice, the zero-filling of GE's ZIP2 and the corners of the ellipse, is
      `Scan.padding`.
    - ``maps`` (JSENSE, from the central 24 x 24) are handed on as sensitivities that came with the data. ``target`` was reconstructed from
      the interpolated k-space: it is no reference.

    Desai et al. SKM-TEA: a dataset for accelerated MRI reconstruction with dense image labels for quantitative clinical evaluation.
    NeurIPS Datasets and Benchmarks (2021). arXiv:2203.06823
    """

    layout: ClassVar[str] = "a SKM-TEA file (HDF5, complex 'kspace' (x, ky, kz, echo, coil) and 'maps' (x, ky, kz, coil, map))"

    def __init__(self, path: Path | str, acquired: Bool[np.ndarray, "kz ky"] | None = None):
        self.path, self.acquired = Path(path), acquired

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return holds(path, lambda file: _kspace_and_maps(file) is not None)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        slices, y, z = self._shape[:3]
        name = self.path.stem
        notes = {"frames": f"{self._shape[3]} echoes", "sampling": "lines interpolated by ARC are left out, as told from the data"}
        if self.acquired is not None:
            notes["sampling"] = "as the user gave it"
        return tuple(
            Header(
                **slice_fields(name, index),
                subject=name,
                contrast="qDESS",
                vendor="GE",
                encoded_matrix=(z, y),
                recon_matrix=(z, y),
                encoding=HybridSlice(index, slices),
                notes=notes,
            )
            for index in range(slices)
        )

    def read(self, scan_id: str) -> Scan:
        header = self.listed(scan_id)
        index, (mask, padding) = header.slice, self._sampling
        with opened(self.path, self.layout) as file:
            maps = slice_of(file["maps"], index).transpose(3, 2, 1, 0)
        kspace = self._slice(index)
        data, sampled = acquired_only(kspace, np.broadcast_to(mask, (len(kspace), 1, *mask.shape)), self.path, scan_id)
        zeros = torch.from_numpy(padding).expand(sampled.shape).clone()
        return Scan(header=header, kspace=data, mask=sampled, padding=zeros, csm=finite(maps[None], self.path, "maps"))

    def _slice(self, index: int) -> Complex[np.ndarray, "echo coil kz ky"]:
        with opened(self.path, self.layout) as file:
            return slice_of(file["kspace"], index).transpose(2, 3, 1, 0)

    @cached_property
    def _sampling(self) -> tuple[Bool[np.ndarray, "kz ky"], Bool[np.ndarray, "kz ky"]]:
        """Return what was acquired and what is padding, which are the same in all slices."""
        middle = self._slice(self._shape[0] // 2)
        finite(middle, self.path, "the middle slice")  # else nothing can be predicted from it
        padding = (middle == 0).all(axis=(0, 1))
        if self.acquired is not None:
            if self.acquired.shape != padding.shape:
                raise BadInput(self.path, found=f"acquired {self.acquired.shape}", expected=f"{padding.shape}, (kz, ky)")
            return np.asarray(self.acquired, bool) & ~padding, padding
        count = self._shape[0]
        echoes = (self._slice(index)[0] for index in sorted({count // 4, count // 2, 3 * count // 4}))
        looked = (interpolated_lines(echo, padding) for echo in echoes if np.isfinite(echo).all())
        told = [lines for lines in looked if lines is not None]
        if not told:
            raise BadInput(
                self.path,
                found="k-space filled by ARC, whose acquired lines cannot be told from the interpolated ones",
                expected="SKMTEA(path, acquired=...), what was acquired of (kz, ky)",
            )
        # All slices have one mask. What was interpolated in one of these was in all: damage to one slice must not make it acquired.
        return ~padding & ~np.logical_or.reduce(told), padding

    @cached_property
    def _shape(self) -> tuple[int, int, int, int, int]:
        with opened(self.path, self.layout) as file:
            if (parts := _kspace_and_maps(file)) is None:
                raise other_layout(file, self.path, self.layout)
            shape, maps = (stored(part, self.path).shape for part in parts)
        if min(shape) < 1 or maps[:4] != (*shape[:3], shape[4]) or maps[4] < 1:
            raise BadInput(
                self.path, found=f"kspace {shape} and maps {maps}", expected="(x, ky, kz, echo, coil) and (x, ky, kz, coil, map)"
            )
        return shape


def _kspace_and_maps(file: h5py.File) -> tuple[h5py.Dataset, h5py.Dataset] | None:
    """Return k-space and sensitivities; None where one of them is missing."""
    kspace, maps = complex_dataset(file, "kspace", 5), complex_dataset(file, "maps", 5)
    return None if kspace is None or maps is None else (kspace, maps)


@checked
def interpolated_lines(kspace: Complex[np.ndarray, "coil kz ky"], padding: Bool[np.ndarray, "kz ky"]) -> Bool[np.ndarray, "kz ky"] | None:
    """Tell which samples of k-space, acquired with acceleration 2 along one axis, were interpolated; None where that cannot be told.

    The lines of either parity are predicted by least squares from their neighbours in all coils (those at distances 1 and 3, and 2 samples
    to either side), the kernel being fitted to the outer lines. Of an interpolated line almost nothing is left, of an acquired one its
    noise. The calibration region is the run of lines about the centre where the interpolated parity has noise too, less `REACH` at either
    end. The transform along x leaves an interpolation by one kernel what it was: at each x it is one kernel along ky and kz.
    """
    best: tuple[float, np.ndarray] | None = None
    for axis in (1, 0):
        lines = kspace if axis == 1 else kspace.swapaxes(1, 2)
        inside = ~padding if axis == 1 else ~padding.T
        left = _energy_left(lines, inside)
        for parity in (0, 1):
            mine, others = _outer_lines(left[parity::2]), _outer_lines(left[1 - parity :: 2])
            if not (mine.size and others.size) or np.median(others) <= 0:
                continue
            ratio = float(np.median(mine) / np.median(others))
            if ratio < PREDICTED and (best is None or ratio < best[0]):
                missing = _outside_calibration(left, parity, PREDICTED * float(np.median(others)))
                full = np.broadcast_to(missing, inside.shape)
                best = (ratio, full if axis == 1 else full.T)
    return None if best is None else best[1] & ~padding


def _outer_lines(left: np.ndarray) -> np.ndarray:
    """Return the known values of the outer lines, a third at either end: a calibration region lies in the middle."""
    known = left[~np.isnan(left)]
    third = len(known) // 3
    return np.concatenate([known[:third], known[len(known) - third :]])


def _energy_left(kspace: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return for each line (last axis) the mean energy that its prediction leaves; NaN where it has none. Either parity has a kernel."""
    coils, across, lines = kspace.shape
    reach = max(OFFSETS)
    padded = np.pad(kspace.astype(np.complex128), ((0, 0), (WINDOW, WINDOW), (reach, reach)))
    shifts = [(step, offset) for offset in OFFSETS for step in range(2 * WINDOW + 1)]
    sources = np.concatenate([padded[:, s : s + across, reach + o : reach + o + lines] for s, o in shifts])
    # A position counts where every neighbour along the line's axis is inside: at the edges the interpolation had another kernel.
    whole = inside.copy()
    for offset in OFFSETS:
        shifted = np.zeros_like(inside)
        shifted[:, max(0, -offset) : lines - max(0, offset)] = inside[:, max(0, offset) : lines - max(0, -offset)]
        whole &= shifted
    left = np.full(lines, np.nan)
    for parity in (0, 1):
        chosen = whole.copy()
        chosen[:, 1 - parity :: 2] = False
        outer = chosen.copy()
        outer[:, lines // 3 : lines - lines // 3] = False
        if outer.sum() < 2 * len(sources):
            continue
        weights = np.linalg.lstsq(sources[:, outer].T, kspace[:, outer].T, rcond=None)[0]
        matrix, wanted = sources[:, chosen].T, kspace[:, chosen].T
        energy = np.zeros((across, lines))
        energy[chosen] = (np.abs(wanted - matrix @ weights) ** 2).sum(axis=1)
        for line in np.flatnonzero(chosen.any(axis=0)):
            left[line] = energy[chosen[:, line], line].mean()
    return left


def _outside_calibration(left: np.ndarray, parity: int, threshold: float) -> np.ndarray:
    """Tell which lines are of a parity and not among those that were acquired about the centre."""
    mine = np.arange(len(left)) % 2 == parity
    missing = mine.copy()
    noisy = np.where(np.isnan(left), False, left >= threshold) & mine
    middle = len(left) // 2
    start = middle if middle % 2 == parity else middle + 1
    first = last = start
    while first - 2 >= 0 and noisy[first] and noisy[first - 2]:
        first -= 2
    while last + 2 < len(left) and noisy[last] and noisy[last + 2]:
        last += 2
    if noisy[start]:
        missing[max(0, first + REACH) : max(0, last - REACH + 1)] = False
    return missing
