"""CMRxRecon 2023, 2024 and 2025: MATLAB 7.3 files of cardiac k-space, masks in files of their own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np

from ssrecon.archive.arrays import acquired_only, check_order
from ssrecon.archive.base import Archive, slice_fields
from ssrecon.archive.slices import keep, slice_of
from ssrecon.core.encoding import WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import opened, stored, top_names
from ssrecon.core.matlab import is_matlab5, matlab5_array, matlab5_variables
from ssrecon.core.scan import Header, Scan
from ssrecon.sampling.lines import encoding_of

FULL = ("kspace_full", "kspace_single_full", "kspace")
UNDERSAMPLED = re.compile(r"^(kus|kspace_(single_)?sub(?P<factor>\d\d))$")
MASK = re.compile(r"^mask(\d\d)?$")
SET = re.compile(r"^(Training|Train|Validation|Test)Set$")
PATIENT, CENTRE = re.compile(r"^P\d+$"), re.compile(r"^Center\d+$")
SCANNER = re.compile(r"^(?P<vendor>[A-Za-z]+)_(?P<field>\d\d)T_\w+$")
CONTRASTS = ("Cine", "Mapping", "Aorta", "Tagging", "Flow2d", "BlackBlood", "LGE", "T1rho", "T1w", "T2w", "Perfusion")


@dataclass(frozen=True)
class _Variable:
    """This is a variable of k-space in a file. MATLAB's first axis is the last here: (nt, nz, nc, ny, nx), single trailing axes missing."""

    name: str
    shape: tuple[int, ...]

    @property
    def single(self) -> bool:
        return "single" in self.name

    @property
    def axes(self) -> tuple[str, ...]:
        """These are those of ``t z c y x`` that the variable has; of a single coil, those of ``t z y x``."""
        return ("t", "z", "y", "x")[-len(self.shape) :] if self.single else ("t", "z", "c", "y", "x")[-len(self.shape) :]

    def length(self, axis: str) -> int:
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1


class CMRxRecon(Archive):
    """This format is one MATLAB file of CMRxRecon (7.3, or saved without ``-v7.3``).

    One scan is a slice (or long-axis view), one frame a cardiac phase or weighting.

    - The variable is ``kspace_full`` (2023, 2024) or ``kspace`` (2025), or undersampled ``kspace_sub04|08|10`` (2023) or ``kus`` (2024,
      2025); ``kspace_single_*`` has one coil. Its type is a compound of ``real`` and ``imag``, its MATLAB axes (nx, ny, nc, nz, nt),
      reversed in HDF5: (t, z, coil, y, x), so that the readout x comes last, as here. A missing last axis has length 1 (black blood has no
      frames).
    - The mask of undersampled k-space, (nx, ny) or (nx, ny, nt), is a file of its own: ``NAME_mask.mat`` beside it (2023, variable
      ``mask04|08|10``), or with ``_mask_`` for ``_kus_`` in its name and ``Mask_`` for ``UnderSample_`` in its folder's (2024, 2025,
      variable ``mask``). Without it the file is refused: zeros are not taken for a mask.
    - Subjects are numbered anew in every set and centre: the folders' names ``CenterNNN``, ``VENDOR_30T_MODEL``, ``TrainingSet`` and
      ``PNNN`` together are the subject, and vendor and field strength are told from them.
    - Coils were compressed to 10 by the publishers and noise was not kept. Whether the scanner filled lines in the "full" k-space by
      parallel imaging is not told by the file.

    Wang et al. CMRxRecon: a publicly available k-space dataset and benchmark. Sci Data 11:687 (2024). doi:10.1038/s41597-024-03525-4
    Wang et al. CMRxRecon2024. arXiv:2406.19043. Layout of 2025: https://cmrxrecon.github.io/2025/Data.html
    """

    layout: ClassVar[str] = "a CMRxRecon file (MATLAB, best -v7.3, with 'kspace_full', 'kspace_sub04', 'kus' or 'kspace', complex)"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        try:
            found = _read_contents(path)
        except BadInput:
            return False
        return bool(found.kspace) or found.only_masks

    @property
    def companions(self) -> frozenset[Path]:
        mask = self._mask_path
        return frozenset() if mask is None else frozenset({mask})

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        variable, name = self._variable, self.path.stem
        encoding = WholeLines() if self._is_full else encoding_of(self._read_mask()[:, 0])
        where = self._named_by_folders()
        matrix = (variable.length("y"), variable.length("x"))
        scanner = SCANNER.match(where.get("scanner", ""))
        parts = [where[key] for key in ("centre", "scanner", "set", "patient") if key in where]
        notes = {"full k-space": "the file does not tell acquired lines from any that the scanner interpolated"} if self._is_full else {}
        return tuple(
            Header(
                **slice_fields(name, index),
                subject="-".join(parts) if "patient" in where else name,
                protocol=name,
                contrast=where.get("contrast", ""),
                vendor=scanner["vendor"] if scanner else "",
                site=where.get("centre", ""),
                scanner=where.get("scanner", ""),
                field_strength=int(scanner["field"]) / 10 if scanner else None,
                encoded_matrix=matrix,
                recon_matrix=matrix,
                encoding=encoding,
                notes=notes,
            )
            for index in range(variable.length("z"))
        )

    def read(self, scan_id: str) -> Scan:
        header, variable = self.listed(scan_id), self._variable
        axis = variable.axes.index("z") if "z" in variable.axes else None
        kspace = _read_values(self.path, variable.name, self.layout, header.slice, axis)
        kspace = kspace.reshape([variable.length(axis) for axis in ("t", "c", "y", "x")])
        mask = np.ones((1, 1, *kspace.shape[2:]), bool) if self._is_full else self._read_mask()
        data_kept, sampled = acquired_only(kspace, np.broadcast_to(mask, (len(kspace), *mask.shape[1:])), self.path, scan_id)
        return Scan(header=header, kspace=data_kept, mask=sampled, padding=sampled.new_zeros(sampled.shape))

    def _read_mask(self) -> np.ndarray:
        """Read the mask: (frames or 1, 1, y, x)."""
        name, shape = self._mask_shape()
        assert self._mask_path is not None
        mask = _read_values(self._mask_path, name, "a CMRxRecon mask") != 0
        return mask.reshape(-1, 1, *shape[-2:])

    def _mask_shape(self) -> tuple[str, tuple[int, ...]]:
        """Return the name of the mask's variable, and its shape. Raises `BadInput` where it does not fit."""
        path, variable = self._mask_path, self._variable
        if path is None:
            told = " or ".join(candidate.name for candidate in _mask_candidates(self.path))
            raise BadInput(self.path, found=f"undersampled k-space ({variable.name}) without its mask", expected=f"its mask in {told}")
        matched = UNDERSAMPLED.match(variable.name)
        factor = matched["factor"] if matched else None
        shapes = _read_contents(path).masks
        names = [name for name in shapes if factor is None or name in (f"mask{factor}", "mask")]
        wanted = (variable.length("y"), variable.length("x"))
        if len(names) != 1:
            raise BadInput(path, found=f"{len(names)} masks for {variable.name}", expected=f"one, mask{factor or ''}")
        shape = shapes[names[0]]
        if shape not in (wanted, (variable.length("t"), *wanted)):
            expected = f"{wanted} or {(variable.length('t'), *wanted)} in HDF5's order, as {self.path.name} has it"
            raise BadInput(path, found=f"a mask {shape}", expected=expected)
        return names[0], shape

    @cached_property
    def _mask_path(self) -> Path | None:
        if self._is_full:
            return None
        return next((path for path in _mask_candidates(self.path) if _is_mask(path)), None)

    @property
    def _is_full(self) -> bool:
        return self._variable.name in FULL

    @cached_property
    def _variable(self) -> _Variable:
        found = _read_contents(self.path)
        if found.only_masks:
            raise BadInput(self.path, found="a sampling mask, which is read with its k-space", expected="k-space")
        if len(found.kspace) != 1:
            held = ", ".join(found.names) or "nothing"
            raise BadInput(self.path, found=f"a file with {held} at its top", expected=self.layout)
        ((name, shape),) = found.kspace.items()
        variable = _Variable(name, shape)
        smallest, largest = (2, 4) if variable.single else (3, 5)
        if not smallest <= len(variable.shape) <= largest or min(variable.shape) < 1:
            axes = "(t, z, y, x)" if variable.single else "(t, z, coil, y, x)"
            raise BadInput(self.path, found=f"{variable.name} {variable.shape}", expected=f"{axes}, of which the first may be missing")
        check_order(self.path, variable.name, variable.shape, "(t, z, y, x)" if variable.single else "(t, z, coil, y, x)")
        return variable

    def _named_by_folders(self) -> dict[str, str]:
        """Return what the names of the folders say; nothing else of the path goes further."""
        found: dict[str, str] = {}
        for part in self.path.parts[:-1]:
            for key, pattern in (("centre", CENTRE), ("scanner", SCANNER), ("set", SET), ("patient", PATIENT)):
                if pattern.match(part):
                    found[key] = part
            if part in CONTRASTS:
                found["contrast"] = part
        return found


@dataclass(frozen=True)
class _Contents:
    """These are the variables of a MATLAB file, of either kind, with their shapes as HDF5 has them."""

    names: tuple[str, ...]
    kspace: Mapping[str, tuple[int, ...]]
    masks: Mapping[str, tuple[int, ...]]

    @property
    def only_masks(self) -> bool:
        """This is True where there are masks and nothing else but what MATLAB adds."""
        return bool(self.masks) and all(MASK.match(name) or name.startswith("#") for name in self.names)


def _read_contents(path: Path) -> _Contents:
    """List the variables of a file. Raises `BadInput` for a file that is no MATLAB file, or damaged."""
    if is_matlab5(path):
        variables = matlab5_variables(path)
        shapes = {name: variable.shape for name, variable in variables.items() if variable.is_number}
        found = ({name: shape for name, shape in shapes.items() if test(name)} for test in (_is_kspace_name, MASK.match))
        return _Contents(tuple(sorted(variables)), *found)
    with opened(path, CMRxRecon.layout) as file:
        numbers = {name: file[name] for name in top_names(file) if isinstance(file.get(name), h5py.Dataset)}
        kspace = {name: data for name, data in numbers.items() if _is_kspace_name(name) and {"real", "imag"} <= set(data.dtype.names or ())}
        masks = {name: data.shape for name, data in numbers.items() if MASK.match(name) and data.dtype.kind in "buif"}
        return _Contents(tuple(top_names(file)), {name: stored(data, path).shape for name, data in kspace.items()}, masks)


def _is_kspace_name(name: str) -> bool:
    return name in FULL or UNDERSAMPLED.match(name) is not None


def _is_mask(path: Path) -> bool:
    try:
        return path.is_file() and _read_contents(path).only_masks
    except BadInput:
        return False


def _read_values(path: Path, name: str, layout: str, index: int = 0, axis: int | None = None) -> np.ndarray:
    """Read the values of a variable; of k-space those at one place of an axis."""
    if is_matlab5(path):
        whole = keep(path, name, lambda: matlab5_array(path, name))
        return whole if axis is None else whole.take(index, axis=axis)
    with opened(path, layout) as file:
        part = np.asarray(stored(file[name], path)) if axis is None else slice_of(file[name], index, axis)
    if part.dtype.names is None:
        return part
    values = np.empty(part.shape, np.complex64)
    values.real, values.imag = part["real"], part["imag"]
    return values


def _mask_candidates(path: Path) -> list[Path]:
    """Return where the mask of an undersampled file may be, of 2023 and of the years after."""
    candidates = [path.with_name(f"{path.stem}_mask{path.suffix}")]
    name = path.name.replace("_kus_", "_mask_")
    if name != path.name:
        folders = [re.sub(r"^UnderSample_", "Mask_", part) for part in path.parent.parts]
        candidates += [Path(*folders) / name if folders else Path(name), path.with_name(name)]
    return candidates
