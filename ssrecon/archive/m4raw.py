"""M4Raw: low-field scans whose repetitions are files of their own, and frames here."""

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import torch

from ssrecon.archive.base import Archive, holds
from ssrecon.archive.fastmri.about import is_m4raw
from ssrecon.archive.fastmri.fastmri import FastMRI
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import attribute, opened, other_layout
from ssrecon.core.scan import Header, Scan
from ssrecon.privacy.pseudonyms import pseudonym

NAME = re.compile(r"^(?P<study>.+)_(?P<contrast>[A-Za-z]+[12]?)(?P<repetition>\d\d)$")


class M4Raw(Archive):
    """The repetitions of one contrast of one M4Raw study: files ``STUDY_CONTRASTnn.h5`` (``2022061003_T201.h5``, ``..._T202.h5``) in one
    folder, opened by any of them. One scan a slice, one frame a repetition, in the order of their numbers.

    - Every file has fastMRI's layout: ``kspace`` (slice, coil, readout, phase), ``ismrmrd_header``, ``reconstruction_rss``. It is told from
      fastMRI by its header, which lists the repetitions, or by its four coils and .3 T.
    - The repetitions are kept apart: one object seen with independent noise. Train on one, validate on another; averaging them first throws
      that away. Their phase may differ, which the data's publishers correct before they average.
    - A file whose contrast or matrix differs from the first one's is no repetition of it and stays an archive of its own.
    - The subject is a hash of the study, which all contrasts of a volunteer share; of ``patient_id`` it is not known whether they do.

    Lyu et al. M4Raw: a multi-contrast, multi-repetition, multi-channel MRI k-space dataset for low-field MRI research. Sci Data 10:264
    (2023). doi:10.1038/s41597-023-02181-4
    """

    layout: ClassVar[str] = "an M4Raw file (fastMRI's layout, with a header that lists its repetitions)"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return holds(path, is_m4raw)

    @property
    def companions(self) -> frozenset[Path]:
        return frozenset(reader.path for reader in self._repetitions) - {self.path}

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        first, count = self._repetitions[0].headers, len(self._repetitions)
        name, volume = NAME.match(self.path.stem), self._repetitions[0].path.stem
        if name and self._siblings[0] == self._repetitions[0].path:
            volume = f"{name['study']}_{name['contrast']}"
        notes = {"frames": f"{count} repetitions: one object, independent noise"} if count > 1 else {}
        points = [header.encoding for reader in self._repetitions for header in reader.headers[:1] if not header.encoding.has_readout]
        return tuple(
            replace(
                header,
                scan_id=f"{volume}/slice-{header.slice:03d}",
                volume_id=volume,
                subject=pseudonym(name["study"]) if name else header.subject if header.subject != header.volume_id else volume,
                encoding=points[0] if points else header.encoding,
                notes={**header.notes, **notes},
            )
            for header in first
        )

    def read(self, scan_id: str) -> Scan:
        header = self.listed(scan_id)
        scans = [reader.read(reader.headers[header.slice].scan_id) for reader in self._repetitions]
        if len(shapes := {tuple(scan.kspace.shape) for scan in scans}) > 1:
            found = " and ".join("x".join(map(str, shape[2:])) for shape in sorted(shapes))
            raise BadInput(self.path, found=f"repetitions of {found} samples", expected="one size of all repetitions of a scan")
        kspace, mask, padding = (torch.cat([getattr(scan, name) for scan in scans], dim=1) for name in ("kspace", "mask", "padding"))
        return Scan(header=header, kspace=kspace, mask=mask, padding=padding)

    @cached_property
    def _repetitions(self) -> tuple[FastMRI, ...]:
        if not self.recognises(self.path):
            with opened(self.path, self.layout) as file:
                raise other_layout(file, self.path, self.layout)
        kinds = {other: _contrast_and_shape(other) for other in self._siblings}
        return tuple(FastMRI(other) for other, kind in kinds.items() if kind == kinds[self.path])

    @cached_property
    def _siblings(self) -> tuple[Path, ...]:
        """These are the readable files of this name but for the number, this one among them."""
        name = NAME.match(self.path.stem)
        if name is None:
            return (self.path,)
        beside = sorted(
            other
            for other in self.path.parent.glob(f"*{self.path.suffix}")
            if (found := NAME.match(other.stem)) and self._is_same_contrast(name, found)
        )
        return tuple(other for other in beside if _contrast_and_shape(other) is not None)

    @staticmethod
    def _is_same_contrast(one: re.Match[str], other: re.Match[str]) -> bool:
        return (one["study"], one["contrast"]) == (other["study"], other["contrast"])


def _contrast_and_shape(path: Path) -> tuple[object, ...] | None:
    """Return what repetitions have in common; None for a file that is none."""
    found: list[tuple[object, ...]] = []

    def test(file: h5py.File) -> bool:
        if is_m4raw(file):
            found.append((file["kspace"].shape, str(attribute(file, "acquisition"))))
        return bool(found)

    return found[0] if holds(path, test) else None
