"""Files with raw scans become files with images, by a trained network or a baseline: archives and HDF5 stand around the engine."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from ssrecon.archive import Archive, open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.core.errors import OutputInUse, SsreconError
from ssrecon.core.progress import track
from ssrecon.core.provenance import provenance
from ssrecon.core.scan import Network, Scan
from ssrecon.recipe.recipe import Recipe
from ssrecon.reconstruction.domain import DomainWarning, TrainingDomain
from ssrecon.reconstruction.engine import reconstruct_volume
from ssrecon.reconstruction.hdf5 import write_images
from ssrecon.store.hybrid import Hybrid


@dataclass(frozen=True)
class Result:
    """The result says what became of one volume."""

    source: str
    """The volume's id, or the file that could not be read."""
    path: Path | None = None
    """The file that was written; None where there is none."""
    error: str | None = None
    warnings: tuple[str, ...] = ()
    """How the volume is unlike what the network was trained on."""


def reconstruct(
    network: Network,
    path: Path | str,
    out: Path | str,
    complex_images: bool = False,
    calibrator: Calibrator | None = None,
    domain: TrainingDomain | None = None,
    device: torch.device | str = "cpu",
    require_deidentified: bool = False,
    resample: bool = False,
) -> list[Result]:
    r"""Reconstruct every volume of a file or folder and write each as ``OUT/<volume>.h5``.

    The dataset ``reconstruction``, float32, is ``(slices, rows, columns)`` in fastMRI's orientation (rows along the readout), or ``(slices,
    frames, rows, columns)`` where there are several frames; its attributes name the axes and say where the slices lie. It is cropped about
    ``N // 2`` to the reconstruction field of view, resampled to the reconstruction matrix where `resample` says so, and in the file's own
    units: the root sum of squares over the file's own coils of the images :math:`W^{+} S x`, with W what whitening, compression and scaling
    did, so that it compares with ``reconstruction_rss``. With `complex_images`, ``reconstruction_complex`` has the same magnitude and the
    phase of x, for each set of maps (``slices frames maps rows columns``, where there are several). See docs/reconstructions.md.

    A trained network (`load_checkpoint`) brings the calibrator of its training scans and its `domain` with it. A volume unlike the
    domain is reconstructed, with a `DomainWarning` and a note in the file. A volume that cannot be reconstructed is reported in the
    results and does not stop the others; where the file is a single volume its error is raised instead. Raises BadInput where `path` is
    no archive.
    """
    if Path(out).exists() and not Path(out).is_dir():
        raise OutputInUse(out, found="a file", expected="a folder, or a path where one can be made")
    archive = open_archive(path, require_deidentified)
    recipe = getattr(network, "recipe", None)
    domain = domain or getattr(network, "domain", None)
    if domain is not None and all(len(matrix) == 2 for matrix in domain.matrices):
        archive = Hybrid.of(archive)  # what was trained on slices sees 3-D scans as slices; read partition by partition here
    about = provenance(device, [], recipe.hash if isinstance(recipe, Recipe) else None)
    options = {"complex_images": complex_images, "resample": resample, "calibrator": calibrator, "domain": domain, "device": device}
    volumes = archive.volumes()
    alone = len(volumes) == 1 and not Path(path).is_dir()
    results = [Result(str(name), error=reason) for name, reason in archive.skipped.items()]
    for volume_id, scan_ids in track(volumes.items(), "Reconstructing"):
        try:
            results.append(_reconstruct_and_write(network, _VolumeScans(archive, volume_id, scan_ids), Path(out), options, about))
        except (SsreconError, OSError, RuntimeError, ValueError) as error:
            if alone:
                raise
            results.append(Result(volume_id, error=str(error)))
    return results


@dataclass(frozen=True)
class _VolumeScans:
    """The scans of one volume are read from their archive each time that somebody goes through them."""

    archive: Archive
    volume_id: str
    scan_ids: Sequence[str]

    def __iter__(self) -> Iterator[Scan]:
        return (self.archive.read(scan_id) for scan_id in track(self.scan_ids, self.volume_id))


def _reconstruct_and_write(
    network: Network, scans: _VolumeScans, out: Path, options: Mapping[str, Any], about: Mapping[str, Any]
) -> Result:
    target = _output_file(out, scans.volume_id)
    volume = reconstruct_volume(network, scans, **options)
    if volume.unlike_training:
        warnings.warn(f"{volume.volume_id}: unlike the training scans: " + "; ".join(volume.unlike_training), DomainWarning, stacklevel=3)
    write_images(target, volume, about)
    return Result(volume.volume_id, target, warnings=volume.unlike_training)


def _output_file(out: Path, volume_id: str) -> Path:
    """Return the file of a volume: that of a subfolder lies in a subfolder, and nothing lies outside `out`."""
    parts = [part for part in PurePosixPath(volume_id).parts if part not in ("/", "..")]
    return out.joinpath(*parts[:-1], f"{parts[-1] if parts else 'volume'}.h5")
