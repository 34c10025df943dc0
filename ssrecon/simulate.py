"""Simulated archives on the disk, and multi-coil scans made from coil-combined images."""

import json
import math
from pathlib import Path

import h5py
import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.archive.fastmri import FastMRI
from ssrecon.archive.fastmri_writer import write_fastmri
from ssrecon.archive.phantom import PhantomArchive
from ssrecon.archive.phantom.acquisition import correlated, encode
from ssrecon.archive.phantom.archive import NOISE_READOUTS, NOISE_SAMPLES
from ssrecon.archive.phantom.coils import CoilArray
from ssrecon.archive.phantom.fields import Canvas
from ssrecon.description import describe
from ssrecon.draw import Draw
from ssrecon.errors import BadInput, OutputInUse
from ssrecon.files import whole_file
from ssrecon.operators import Fourier
from ssrecon.progress import track
from ssrecon.scan import Header, Scan

DESCRIPTION = "archive.json"
"""Beside the volumes: the description of the archive they were made from."""


def simulate(out: Path | str, archive: PhantomArchive) -> list[Path]:
    """Write a phantom archive to a folder, one file a volume in fastMRI's layout, with its noise scan and its noiseless k-space.

    Each file is written whole or not at all, and those already there whole are kept: an interrupted call is continued by the same call.
    Returns the files, in the order of the archive. Raises OutputInUse where the folder holds anything else, an archive made from another
    description among it, and BadInput where `out` is a file.
    """
    out = Path(out)
    volumes = {out / f"{volume_id}.h5": scan_ids for volume_id, scan_ids in archive.volumes().items()}
    _claim(out, archive, {path.name for path in volumes})
    for path, scan_ids in track(volumes.items(), "simulating"):
        if not _is_whole(path, len(scan_ids)):
            _write(path, [archive.read(scan_id) for scan_id in scan_ids])
    return list(volumes)


def _claim(out: Path, archive: PhantomArchive, names: set[str]) -> None:
    """Make sure that nothing but this archive is in the folder, and say in it what it is."""
    if out.exists() and not out.is_dir():
        raise BadInput(out, found="a file", expected="a folder, or a path where one can be made")
    description, path = describe(archive), out / DESCRIPTION
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except ValueError:
            found = None
        if found != json.loads(json.dumps(description)):
            raise OutputInUse(path, found="the description of another archive", expected="the same one, or an empty folder")
    # Hidden files are what an interrupted writer leaves.
    present = {item.name for item in out.iterdir() if not item.name.startswith(".")} if out.exists() else set()
    others = sorted(present - names - {DESCRIPTION}) or sorted(present if DESCRIPTION not in present else ())
    if others:
        listed = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")
        raise OutputInUse(out, found=listed, expected="an empty folder, or one that holds part of this same archive")
    with whole_file(path) as partial:
        partial.write_text(json.dumps(description, indent=1) + "\n")


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
        encoded_fov=header.encoded_fov,
        recon_matrix=header.recon_matrix,
        recon_fov=header.recon_fov,
        noise=scans[0].noise,
        noise_bandwidth_ratio=scans[0].noise_bandwidth_ratio,
        truth=torch.cat([scan.truth[0] for scan in scans if scan.truth is not None]),
    )


def simulate_coils(
    image: Complex[Tensor, "y x"],
    coils: int = 8,
    noise_std: float = 0.02,
    seed: int = 0,
    header: Header | None = None,
    fov: float = 230.0,
) -> Scan:
    r"""A fully sampled multi-coil scan of a coil-combined complex image: semi-synthetic, real anatomy and phase through simulated coils.

    :math:`y_c = F(s_c\, x) + n_c` with loop coils (Biot-Savart, unit norm over the coils: the coil-combined image is `image`) and noise
    correlated between them. `noise_std` is sqrt(E|n|^2) of the optimally combined image, the median over the field of view, in units of
    the 99th percentile of ``|image|``. `image` is interpolated (by zero-filling its transform) to twice its matrix before it meets the
    coils, so that what they see is not periodic in the encoded grid. `fov` is the length of its longer side in millimetres.

    The coil array depends on `seed`, the noise on `seed` and the header's scan_id: give every image of a cohort its own header and all of
    them one seed. Say of results made from this that they are semi-synthetic. Raises BadInput where the image is not two-dimensional and
    finite, or noise_std is negative.
    """
    where = header.scan_id if header else "image"
    if image.ndim != 2 or not torch.isfinite(torch.view_as_real(image.to(torch.complex64))).all():
        raise BadInput(where, found=f"shape {tuple(image.shape)} or values that are not finite", expected="a finite complex image (y, x)")
    if noise_std < 0 or coils < 1:
        raise BadInput(where, found=f"noise_std={noise_std}, coils={coils}", expected="noise_std of 0 or more, at least one coil")
    matrix = (int(image.shape[0]), int(image.shape[1]))
    canvas = Canvas((2 * matrix[0], 2 * matrix[1]), (fov * matrix[0] / max(matrix), fov * matrix[1] / max(matrix)))
    draw = Draw(seed)
    header = header or _header(matrix, canvas.fov)
    array = CoilArray.drawn(draw, coils)
    maps = array.maps(canvas, z=10.0).unit_norm
    truth = encode(_finer(image.to(torch.complex64)), maps, matrix)
    kspace, readouts = truth, None
    if noise_std > 0:
        covariance = array.covariance()
        seen = maps.coarse.flatten(1).to(covariance.dtype)
        combined = 1 / (seen.conj() * torch.linalg.solve(covariance, seen)).sum(dim=0).real
        level = noise_std * float(torch.quantile(image.abs().flatten(), 0.99))
        covariance = covariance * (level**2 / float(combined.median()))
        kspace = truth + correlated(draw.generator("semi-synthetic noise", header.scan_id), covariance, matrix)
        generator = draw.generator("semi-synthetic noise scan", header.volume_id)
        readouts = correlated(generator, covariance, (NOISE_READOUTS, NOISE_SAMPLES)).transpose(0, 1).contiguous()
    full = torch.ones(1, 1, 1, *matrix, dtype=torch.bool)
    return Scan(header, kspace[None, None], full, torch.zeros_like(full), noise=readouts, truth=truth[None, None])


def _finer(image: Complex[Tensor, "y x"]) -> Complex[Tensor, "2*y 2*x"]:
    """The same image on twice as fine a grid: its transform, surrounded by zeros."""
    padded = torch.zeros(2 * image.shape[0], 2 * image.shape[1], dtype=image.dtype)
    first = [n - n // 2 for n in image.shape]
    padded[first[0] : first[0] + image.shape[0], first[1] : first[1] + image.shape[1]] = Fourier(2)(image)
    return 2 * Fourier(2).adjoint(padded)


def _header(matrix: tuple[int, int], fov: tuple[float, float]) -> Header:
    rounded = tuple(math.floor(length * 1000 + 0.5) / 1000 for length in fov)
    return Header(
        scan_id="semi-synthetic",
        volume_id="semi-synthetic",
        subject="semi-synthetic",
        vendor="simulated coils",
        encoded_matrix=matrix,
        recon_matrix=matrix,
        encoded_fov=rounded,
        recon_fov=rounded,
        notes={"origin": "semi-synthetic: a measured image through simulated coils"},
    )
