"""Writing fastMRI's layout: what simulations and tests write is what the reader of real files reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import h5py
import numpy as np
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.archive.mrd.header import SEQUENCE
from ssrecon.core.files import whole_file
from ssrecon.core.origin import Origin
from ssrecon.core.scan import Numbers
from ssrecon.core.shapes import checked


@checked
def write_fastmri(
    path: Path | str,
    kspace: Complex[Tensor | np.ndarray, "slices coils phase readout"],
    *,
    subject: str = "",
    acquisition: str = "",
    protocol: str = "",
    vendor: str = "",
    field_strength: float | None = None,
    timing: Mapping[str, Numbers] | None = None,
    encoded_fov: Sequence[float] | None = None,
    recon_matrix: Sequence[int] | None = None,
    recon_fov: Sequence[float] | None = None,
    limits: tuple[int, int] | None = None,
    mask: Bool[Tensor | np.ndarray, " phase"] | Bool[Tensor | np.ndarray, "phase readout"] | None = None,
    noise: Complex[Tensor | np.ndarray, "readouts coils samples"] | None = None,
    noise_bandwidth_ratio: float = 1.0,
    truth: Complex[Tensor | np.ndarray, "slices coils phase readout"] | None = None,
    reference_rss: Float[Tensor | np.ndarray, "slices phase readout"] | None = None,
    origin: Origin = Origin.MEASURED,
) -> Path:
    """Write one volume as a fastMRI file, the readout going second to last; a file is replaced whole or not at all.

    Everything is in ssrecon's axes (readout last); matrices and fields of view (mm) are ``(phase, readout)``. `timing` holds echo,
    repetition and inversion time (ms) and flip angle (degrees) by the names that `ssrecon.core.Header` has for them. `limits` are the first
    phase-encoded column and the one after the last: outside, the file holds zeros and its header says so. A `mask` makes a test file:
    what it leaves out is written as zero. Without one the root sum of squares is written as ``reconstruction_rss`` (or `reference_rss`
    where given), and its maximum as the attribute ``max``.

    ssrecon's extension of the layout, which other readers pass over: the datasets ``noise`` (readouts, coils, samples) and ``truth``
    (k-space without noise, as ``kspace``) and the attributes ``noise_bandwidth_ratio`` and, where scans were not measured, ``origin``.
    Raises `BadShape`, a `BadInput`, where shapes do not fit.
    """
    path = Path(path)
    data = np.asarray(kspace, dtype=np.complex64)
    phase, samples = data.shape[2:]
    first, end = limits or (0, phase)
    sampled = None if mask is None else np.asarray(mask, dtype=bool)
    columns = np.arange(phase)[:, None]
    data = np.where((columns >= first) & (columns < end), data, 0)
    if sampled is not None:
        data = np.where(sampled.reshape(phase, -1), data, 0)
    rss = _rss(data) if reference_rss is None and sampled is None else reference_rss
    fov = tuple(encoded_fov or (float(phase), float(samples)))
    shown = tuple(recon_matrix or (phase, samples))
    # A smaller matrix alone is a crop: its pixels are of the size that was encoded.
    recon = shown, tuple(recon_fov or (side * n / whole for side, n, whole in zip(fov, shown, (phase, samples), strict=True)))
    header = _header_xml((phase, samples), fov, *recon, (first, end), field_strength, protocol, vendor, timing or {})
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file["kspace"] = _readout_then_phase(data)
        file["ismrmrd_header"] = header
        if sampled is not None:
            file["mask"] = sampled.T
        if rss is not None:
            file["reconstruction_rss"] = _readout_then_phase(np.asarray(rss, dtype=np.float32))
            file.attrs["max"] = float(np.max(np.asarray(rss)))
            file.attrs["norm"] = float(np.linalg.norm(np.asarray(rss)))
        if noise is not None:
            file["noise"] = np.asarray(noise, dtype=np.complex64)
            file.attrs["noise_bandwidth_ratio"] = noise_bandwidth_ratio
        if truth is not None:
            file["truth"] = _readout_then_phase(np.asarray(truth, dtype=np.complex64))
        if subject:
            file.attrs["patient_id"] = subject
        file.attrs["acquisition"] = acquisition
        if origin is not Origin.MEASURED:
            file.attrs["origin"] = str(origin)
    return path


def _readout_then_phase(data: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.swapaxes(data, -1, -2))


def _rss(kspace: np.ndarray) -> np.ndarray:
    axes = (-2, -1)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes=axes), norm="ortho"), axes=axes)
    return np.sqrt((np.abs(images) ** 2).sum(axis=1)).astype(np.float32)


def _header_xml(
    matrix: tuple[int, int],
    fov: tuple[float, ...],
    recon_matrix: tuple[int, ...],
    recon_fov: tuple[float, ...],
    limits: tuple[int, int],
    field_strength: float | None,
    protocol: str,
    vendor: str,
    timing: Mapping[str, Numbers],
) -> str:
    def space(name: str, size: Sequence[float], mm: Sequence[float]) -> str:
        box = f"<matrixSize><x>{size[1]}</x><y>{size[0]}</y><z>1</z></matrixSize>"
        return f"<{name}>{box}<fieldOfView_mm><x>{mm[1]}</x><y>{mm[0]}</y><z>1</z></fieldOfView_mm></{name}>"

    system = f"<systemVendor>{escape(vendor)}</systemVendor>" if vendor else ""
    system += f"<systemFieldStrength_T>{field_strength}</systemFieldStrength_T>" if field_strength else ""
    step = f"<minimum>0</minimum><maximum>{limits[1] - limits[0] - 1}</maximum><center>{matrix[0] // 2 - limits[0]}</center>"
    times = "".join(
        f"<{name}>{value}</{name}>"
        for name, told in SEQUENCE.items()
        if (known := timing.get(told)) is not None
        for value in (known if isinstance(known, tuple) else (known,))
    )
    frequency = round(42.577e6 * (field_strength or 1.5))
    return (
        '<?xml version="1.0" encoding="utf-8"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        + (f"<measurementInformation><protocolName>{escape(protocol)}</protocolName></measurementInformation>" if protocol else "")
        + (f"<acquisitionSystemInformation>{system}</acquisitionSystemInformation>" if system else "")
        + f"<experimentalConditions><H1resonanceFrequency_Hz>{frequency}</H1resonanceFrequency_Hz></experimentalConditions>"
        + f"<encoding><trajectory>cartesian</trajectory>{space('encodedSpace', matrix, fov)}{space('reconSpace', recon_matrix, recon_fov)}"
        + f"<encodingLimits><kspace_encoding_step_1>{step}</kspace_encoding_step_1></encodingLimits></encoding>"
        + (f"<sequenceParameters>{times}</sequenceParameters>" if times else "")
        + "</ismrmrdHeader>"
    )
