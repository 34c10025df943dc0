"""From raw scans to images on disk, in fastMRI's layout, with a trained network or a baseline."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.archive import Archive, open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.calibrate.calibrator import VolumeCalibration
from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput, OutputInUse, SsreconError
from ssrecon.core.files import whole_file
from ssrecon.core.progress import track
from ssrecon.core.provenance import provenance
from ssrecon.core.scan import CalibratedScan, Estimate, Header, Scan
from ssrecon.operators import Sensitivity
from ssrecon.recipe.recipe import Recipe
from ssrecon.reconstruction.domain import DomainWarning, TrainingDomain
from ssrecon.store.hybrid import Hybrid

Network = Callable[[CalibratedScan], Estimate]


@dataclass(frozen=True)
class Result:
    """What became of one volume."""

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
) -> list[Result]:
    r"""Reconstruct every volume of a file or folder and write each as ``OUT/<volume>.h5``.

    The dataset ``reconstruction`` (slices, y, x), float32, is in fastMRI's orientation (rows along the readout), cropped about its centre
    to the header's reconstruction matrix, and in the file's own units: the root sum of squares over the file's own coils of the images
    :math:`W^{+} S x`, with W what whitening, compression and scaling did, so that it compares with ``reconstruction_rss``. Several frames
    give (slices, frames, y, x). With `complex_images`, ``reconstruction_complex`` has the same magnitude and the phase of x, for each set
    of maps.

    A trained network (`load_checkpoint`) brings the calibrator of its training scans and its `domain` with it. A volume unlike the
    domain is reconstructed, with a `DomainWarning` and a note in the file. A volume that cannot be reconstructed is reported in the
    results and does not stop the others; where the file is a single volume its error is raised instead. Raises BadInput where `path` is
    no archive.
    """
    if Path(out).exists() and not Path(out).is_dir():
        raise OutputInUse(out, found="a file", expected="a folder, or a path where one can be made")
    archive = open_archive(path, require_deidentified)
    recipe = getattr(network, "recipe", None)
    calibrator = calibrator or getattr(network, "calibrator", None) or Calibrator()
    domain = domain or getattr(network, "domain", None)
    if domain is not None and all(len(matrix) == 2 for matrix in domain.matrices):
        archive = Hybrid.of(archive)  # what was trained on slices sees 3-D scans as slices
    about = provenance(device, [], recipe.hash if isinstance(recipe, Recipe) else None)
    job = _Job(network, archive, Path(out), complex_images, calibrator, domain, torch.device(device), about)
    volumes = archive.volumes()
    alone = len(volumes) == 1 and not Path(path).is_dir()
    results = [Result(str(name), error=reason) for name, reason in archive.skipped.items()]
    for volume_id, scan_ids in track(volumes.items(), "Reconstructing"):
        try:
            results.append(job.volume(volume_id, scan_ids))
        except (SsreconError, OSError, RuntimeError, ValueError) as error:
            if alone:
                raise
            results.append(Result(volume_id, error=str(error)))
    return results


@dataclass(frozen=True)
class _Job:
    network: Network
    archive: Archive
    out: Path
    complex_images: bool
    calibrator: Calibrator
    domain: TrainingDomain | None
    device: torch.device
    about: Mapping[str, Any]

    def volume(self, volume_id: str, scan_ids: Sequence[str]) -> Result:
        target = _target(self.out, volume_id)
        calibration = self.calibrator.fit(self._read(scan_id) for scan_id in scan_ids)
        images: list[np.ndarray] = []
        complexes: list[np.ndarray] = []
        unlike: dict[str, None] = {}
        scan = None
        for scan_id in track(scan_ids, volume_id):
            scan = calibration.apply(self._read(scan_id)).scan
            unlike |= dict.fromkeys(self.domain.unlike(scan) if self.domain is not None else [])
            with torch.inference_mode():
                estimate = self.network(scan)
                magnitude, image = own_units(estimate, scan, calibration)
            if not bool(torch.isfinite(magnitude).all()):
                raise BadInput(scan_id, found="an image that is not finite", expected="finite values: the network does not fit this scan")
            images.append(_as_fastmri(magnitude[0], scan))
            if self.complex_images:
                complexes.append(_as_fastmri(image[0], scan))
        if unlike:
            warnings.warn(f"{volume_id}: unlike the training scans: " + "; ".join(unlike), DomainWarning, stacklevel=4)
        if scan is None:
            raise BadInput(volume_id, found="no scans", expected="at least one")
        hybrid = isinstance(scan.headers[0].encoding, HybridSlice)
        about = {**self.about, "unlike_training": list(unlike), "noise_source": scan.noise_source, "scale": calibration.scale}
        _write(target, scan.headers[0], _joined(volume_id, images, hybrid), _joined(volume_id, complexes, hybrid), about)
        return Result(volume_id, target, warnings=tuple(unlike))

    def _read(self, scan_id: str) -> Scan:
        return self.archive.read(scan_id).to(self.device)


def own_units(
    estimate: Estimate, scan: CalibratedScan, calibration: VolumeCalibration
) -> tuple[Tensor, Complex[Tensor, "1 frames maps *x"]]:
    r"""The root sum of squares over the receiver's own coils (1, frames, \*x), and the complex image in the same units.

    Whitening and compression are undone by the pseudo-inverse of their matrix W: the coil images are :math:`W^{+} S x` times the scale.
    """
    csm = scan.with_csm_of(estimate).csm
    undo = torch.linalg.pinv(calibration.matrix.to(torch.complex128)).to(csm)
    coil_maps = torch.einsum("oc,bmc...->bmo...", undo, csm) * calibration.scale
    magnitude = torch.linalg.vector_norm(Sensitivity(coil_maps)(estimate.image), dim=2)
    return magnitude, estimate.image * torch.linalg.vector_norm(coil_maps, dim=2).unsqueeze(1)


def _as_fastmri(image: Tensor, scan: CalibratedScan) -> np.ndarray:
    """`(..., *x)`, readout last, to fastMRI's readout second to last, cropped as its targets are; axes of a single frame or map go."""
    dims = scan.dims
    image = scan.headers[0].shown(image, dims)
    kept = [n for n in image.shape[: image.ndim - dims] if n > 1]
    return image.reshape(*kept, *image.shape[image.ndim - dims :]).mT.cpu().numpy()


def _joined(volume_id: str, images: Sequence[np.ndarray], hybrid: bool) -> np.ndarray | None:
    if not images:
        return None
    if len({image.shape for image in images}) > 1:
        raise BadInput(volume_id, found=f"slices of {len({i.shape for i in images})} different sizes", expected="one size in a volume")
    # A native 3-D scan is a volume already: its partitions are the slices.
    stacked = images[0] if len(images) == 1 and images[0].ndim == 3 else np.stack(images)
    # Hybrid slices come along the readout, each (y, z) here: the partitions become the slices, as they are of a native scan.
    return np.moveaxis(stacked, -1, 0) if hybrid else stacked


def _write(target: Path, header: Header, images: np.ndarray | None, complexes: np.ndarray | None, about: Mapping[str, Any]) -> None:
    if target.exists() and not _is_ours(target):
        raise OutputInUse(target, found="a file that is no reconstruction", expected="another folder: raw data are never written over")
    with whole_file(target) as partial, h5py.File(partial, "w") as file:
        if images is not None:
            file["reconstruction"] = images.astype(np.float32)
            file.attrs["max"] = float(images.max())
        if complexes is not None:
            file["reconstruction_complex"] = complexes.astype(np.complex64)
        file.attrs["acquisition"], file.attrs["patient_id"] = header.contrast, header.subject
        file.attrs["provenance"] = json.dumps(about)


def _is_ours(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return "reconstruction" in file and "kspace" not in file
    except OSError:
        return False


def _target(out: Path, volume_id: str) -> Path:
    """A volume of a subfolder goes into a subfolder; nothing goes outside `out`."""
    parts = [part for part in PurePosixPath(volume_id).parts if part not in ("/", "..")]
    return out.joinpath(*parts[:-1], f"{parts[-1] if parts else 'volume'}.h5")
