"""Simulated archives are written to the disk."""

import json
from pathlib import Path

import h5py
import torch

from ssrecon.archive.fastmri.fastmri import FastMRI
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.core.description import alike, describe
from ssrecon.core.errors import BadInput, OutputInUse
from ssrecon.core.files import whole_file
from ssrecon.core.json_text import json_object
from ssrecon.core.progress import track
from ssrecon.core.scan import Scan
from ssrecon.simulation.phantom.archive import PhantomArchive

DESCRIPTION = ".ssrecon.json"
"""The description of the archive that the volumes were made from. It is hidden: other programs open whatever else lies among data."""
EARLIER = "archive.json"
"""What it was called before: such a folder is continued, and its description is renamed."""


def simulate(out: Path | str, archive: PhantomArchive) -> list[Path]:
    """Write a phantom archive to a folder, one file a volume in fastMRI's layout, with its noise scan and its noiseless k-space.

    Each file is written whole or not at all, and those already there whole are kept: an interrupted call is continued by the same call.
    Returns the files, in the order of the archive. Raises OutputInUse where the folder holds anything else, an archive made from another
    description among it, and BadInput where `out` is a file.
    """
    out = Path(out)
    volumes = {out / f"{volume_id}.h5": scan_ids for volume_id, scan_ids in archive.volumes().items()}
    _check_folder(out, archive, {path.name for path in volumes})
    for path, scan_ids in track(volumes.items(), "simulating"):
        if not _is_whole(path, len(scan_ids)):
            _write(path, [archive.read(scan_id) for scan_id in scan_ids])
    return list(volumes)


def _check_folder(out: Path, archive: PhantomArchive, names: set[str]) -> None:
    """Make sure that nothing but this archive is in the folder, and say in it what it is."""
    if out.exists() and not out.is_dir():
        raise BadInput(out, found="a file", expected="a folder, or a path where one can be made")
    description, path = describe(archive), out / DESCRIPTION
    told = next((place for place in (path, out / EARLIER) if place.exists()), None)
    if told is not None and not alike(_read_json(told), description):
        raise OutputInUse(told, found="the description of another archive", expected="the same one, or an empty folder")
    # Hidden files are what an interrupted writer leaves.
    present = {item.name for item in out.iterdir() if not item.name.startswith(".")} if out.exists() else set()
    if others := sorted(present - names - {EARLIER} if told is not None else present):
        listed = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")
        raise OutputInUse(out, found=listed, expected="an empty folder, or one that holds part of this same archive")
    with whole_file(path) as partial:
        partial.write_text(json.dumps(description, indent=1) + "\n")
    if (earlier := out / EARLIER).exists() and alike(_read_json(earlier), description):
        earlier.unlink()


def _read_json(path: Path) -> object:
    try:
        return json_object(path.read_bytes(), path, "the description of an archive")
    except BadInput:
        return None


def _is_whole(path: Path, slices: int) -> bool:
    if not FastMRI.recognises(path):
        return False
    with h5py.File(path) as file:
        return {"kspace", "truth"} <= set(file) and len(file["kspace"]) == slices


def _write(path: Path, scans: list[Scan]) -> None:
    header = scans[0].header
    write_fastmri(
        path,
        torch.cat([scan.kspace[0] for scan in scans]),
        subject=header.subject,
        acquisition=header.contrast,
        protocol=header.protocol,
        vendor=header.vendor,
        field_strength=header.field_strength,
        timing=header.timing,
        encoded_fov=header.encoded_fov,
        recon_matrix=header.recon_matrix,
        recon_fov=header.recon_fov,
        noise=scans[0].noise,
        noise_bandwidth_ratio=scans[0].noise_bandwidth_ratio,
        origin=header.origin,
        truth=torch.cat([scan.truth[0] for scan in scans if scan.truth is not None]),
    )
