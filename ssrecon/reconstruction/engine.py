"""The engine makes images, with their place in the patient, of the raw scans of one volume. Files, PACS and scanners lean on it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.calibrate import Calibrator, VolumeCalibration
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.scan import CalibratedScan, Estimate, Header, Network, Scan
from ssrecon.core.shapes import checked
from ssrecon.operators import Sensitivity
from ssrecon.reconstruction.domain import TrainingDomain
from ssrecon.reconstruction.stacking import Plane, resampled, slice_geometries, stack
from ssrecon.store.hybrid import hybrid_slices


@checked
@dataclass(frozen=True)
class ReconstructedVolume:
    """A reconstructed volume holds the images of one volume, and what is known of them.

    Images have one order of axes, whatever the scans were: ``slices frames rows columns``. Rows are counted along the readout and columns
    along the phase encoding, as in fastMRI's files; slices are the scans of a multi-slice volume in their order, or the partitions of a
    3-D scan (slab after slab, where there are several), be it reconstructed as a whole or as hybrid slices.
    """

    volume_id: str
    image: Float[np.ndarray, "slices frames rows columns"]
    r"""Magnitudes in the receiver's own units: the root sum of squares over its coils of :math:`W^{+} S x`; see `own_units`."""
    complex_image: Complex[np.ndarray, "slices frames maps rows columns"] | None
    """The combined images in the same units, one for each set of maps; None where they were not asked for."""
    geometry: tuple[Geometry, ...]
    """Where each slice lies, as it is here: cropped, resampled, its axes ``read phase``. What is not known is None."""
    headers: tuple[Header, ...]
    """Of the scans, in their order: one a slice, one a slab, or one a hybrid slice."""
    noise_source: str
    """``noise scan``, ``calibration matrix`` or ``unknown``."""
    scale: float
    """What the whitened k-space was divided by."""
    unlike_training: tuple[str, ...] = ()
    """How the volume differs from what the network was trained on, one sentence each."""
    notes: tuple[str, ...] = ()
    """What calibration had to do: coils that are not connected."""
    resampled: bool = False
    """Whether the images were brought to the reconstruction matrix."""


def reconstruct_volume(
    network: Network,
    scans: Iterable[Scan],
    *,
    complex_images: bool = False,
    resample: bool = False,
    calibrator: Calibrator | None = None,
    domain: TrainingDomain | None = None,
    device: torch.device | str = "cpu",
) -> ReconstructedVolume:
    """Reconstruct the scans of one volume with a trained network or a baseline.

    `scans` is read twice, first for what the volume shares (noise, coils, scale), then image by image, one scan in memory at a time: it is
    a list, or an object that gives a new iterator each time. A network brings the `calibrator` and the `domain` of its training scans with
    it (`load_checkpoint`), where none is given. Where the domain knows slices alone, 3-D scans of whole readouts become hybrid slices.

    Images are cropped about pixel ``N // 2`` to the reconstruction field of view. With `resample` they are brought to the header's
    reconstruction matrix by their Fourier transforms (`ssrecon.operators.fourier.resample`), coil by coil for the magnitudes; not along
    the readout of hybrid slices.

    Raises BadInput where there is no scan, where `scans` cannot be read twice or is of several volumes, where an image is not finite,
    where images differ in size, and where hybrid slices are missing; what the calibrator raises passes through.
    """
    calibrator = calibrator or getattr(network, "calibrator", None) or Calibrator()
    domain = domain or getattr(network, "domain", None)
    if not isinstance(scans, Iterable) or isinstance(scans, (np.ndarray, Tensor)):
        expected = "a list of Scan; ssrecon.scan_from_arrays makes one of arrays"
        raise BadInput("scans", found=f"a {type(scans).__name__}", expected=expected)
    if iter(scans) is scans:
        raise BadInput("scans", found="an iterator, which can be read once", expected="a list, or what gives a new iterator each time")
    slices_alone = domain is not None and all(len(matrix) == 2 for matrix in domain.matrices)

    def read() -> Iterator[Scan]:
        for scan in scans:
            if not isinstance(scan, Scan):
                expected = "a Scan; ssrecon.scan_from_arrays makes one of arrays"
                raise BadInput("scans", found=f"a {type(scan).__name__} among them", expected=expected)
            for part in hybrid_slices(scan) if slices_alone else (scan,):
                yield part.to(device)

    calibration = calibrator.fit(read())
    unlike: dict[str, None] = {}
    planes: list[Plane] = []
    headers: list[Header] = []
    for raw in read():
        scan = calibration.apply(raw).scan
        if headers and raw.volume_id != headers[0].volume_id:
            raise BadInput(raw.scan_id, found=f"a scan of {raw.volume_id}", expected=f"one of {headers[0].volume_id}: one volume at a time")
        unlike |= dict.fromkeys(domain.unlike(scan) if domain is not None else [])
        planes.append(_reconstructed_plane(network, scan, calibration, complex_images, resample))
        headers.append(raw.header)
    image, complexes = stack(planes)
    return ReconstructedVolume(
        volume_id=headers[0].volume_id,
        image=image,
        complex_image=complexes,
        geometry=slice_geometries(planes),
        headers=tuple(headers),
        noise_source=scan.noise_source,
        scale=calibration.scale,
        unlike_training=tuple(unlike),
        notes=calibration.notes,
        resampled=resample,
    )


def _reconstructed_plane(
    network: Network, scan: CalibratedScan, calibration: VolumeCalibration, complex_images: bool, resample: bool
) -> Plane:
    """Take one scan through the network, and bring its images, as they are shown, to the CPU."""
    header = scan.headers[0]
    with torch.inference_mode():
        estimate = network(scan)
        coil_images, image = _receiver_coil_images(estimate, scan, calibration)

        def finished(x: Tensor) -> Tensor:
            shown = header.shown(x, scan.dims)
            return resampled(shown, header, scan.dims) if resample else shown

        magnitude = torch.linalg.vector_norm(finished(coil_images), dim=2)[0]
        combined = finished(image)[0].cpu().numpy() if complex_images else None
    if not bool(torch.isfinite(magnitude).all()):
        raise BadInput(header.scan_id, found="an image that is not finite", expected="finite values: the network does not fit this scan")
    return Plane(header, header.shown_matrix(scan.kspace.shape[3:]), magnitude.float().cpu().numpy(), combined)


def own_units(
    estimate: Estimate, scan: CalibratedScan, calibration: VolumeCalibration
) -> tuple[Float[Tensor, "1 frames *x"], Complex[Tensor, "1 frames maps *x"]]:
    r"""Return the root sum of squares over the receiver's own coils, and the complex image in the same units.

    Whitening and compression are undone by the pseudo-inverse of their matrix W: the coil images are :math:`W^{+} S x` times the scale, and
    the image of each set of maps is x times the root sum of squares of :math:`W^{+} S` times the scale.
    """
    coil_images, image = _receiver_coil_images(estimate, scan, calibration)
    return torch.linalg.vector_norm(coil_images, dim=2), image


def _receiver_coil_images(
    estimate: Estimate, scan: CalibratedScan, calibration: VolumeCalibration
) -> tuple[Complex[Tensor, "1 frames coils *x"], Complex[Tensor, "1 frames maps *x"]]:
    csm = scan.with_csm_of(estimate).csm
    undo = torch.linalg.pinv(calibration.matrix.to(torch.complex128)).to(csm)
    coil_maps = torch.einsum("oc,bmc...->bmo...", undo, csm) * calibration.scale
    return Sensitivity(coil_maps)(estimate.image), estimate.image * torch.linalg.vector_norm(coil_maps, dim=2).unsqueeze(1)
