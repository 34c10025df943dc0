"""What readers of Cartesian lines know of a file besides its lines, whatever format says it; nothing of it names a person."""

from dataclasses import dataclass
from typing import Any

from ssrecon.core.scan import Numbers
from ssrecon.privacy.pseudonyms import pseudonym

SHARED = (
    "protocol",
    "vendor",
    "site",
    "scanner",
    "field_strength",
    "echo_time",
    "repetition_time",
    "inversion_time",
    "flip_angle",
)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Limit:
    """A limit is the range of one encoding counter, and its value at the centre of k-space."""

    minimum: int
    maximum: int
    center: int


@dataclass(frozen=True)
class EncodingSpace:
    """An encoding space says what was encoded, and what the scanner reconstructs of it.

    Matrices and fields of view (mm) are ``(z, y, x)``, x being the readout.
    """

    trajectory: str
    encoded_matrix: tuple[int, int, int]
    encoded_fov: Triple
    recon_matrix: tuple[int, int, int]
    recon_fov: Triple
    step_1: Limit | None
    step_2: Limit | None
    calibration_mode: str
    told_kept: int | None = None
    """Samples of a readout without its oversampling, where the lines and not the fields of view tell it."""

    @property
    def readout_kept(self) -> int:
        """Samples of a readout without its oversampling: the encoded matrix times reconstructed over encoded field of view."""
        if self.told_kept is not None:
            return self.told_kept
        encoded, fov, kept = self.encoded_matrix[2], self.encoded_fov[2], self.recon_fov[2]
        return round(encoded * kept / fov) if 0 < kept < fov else encoded


@dataclass(frozen=True)
class FileHeader:
    """This is what a file says of itself. `subject` is a hash, never the number in the file; empty where there is none."""

    encodings: tuple[EncodingSpace, ...]
    subject: str = ""
    protocol: str = ""
    vendor: str = ""
    site: str = ""
    """A pseudonym of the institution."""
    scanner: str = ""
    """A pseudonym of the very device; its model where the file does not say which it was."""
    field_strength: float | None = None
    """In tesla."""
    echo_time: Numbers = None
    """In milliseconds, as all times."""
    repetition_time: Numbers = None
    inversion_time: Numbers = None
    flip_angle: Numbers = None
    """In degrees."""
    patient_position: str | None = None
    """One of `ssrecon.core.geometry.PATIENT_POSITIONS`."""
    noise_bandwidth: float | None = None
    """The receiver's noise bandwidth relative to 1 / dwell time: .793 on Siemens systems."""

    @property
    def shared(self) -> dict[str, Any]:
        """Return the fields that `ssrecon.core.Header` has too, but not the subject, nor how a patient lies."""
        return {name: getattr(self, name) for name in SHARED}


def scanner_name(serial: str, model: str) -> str:
    """Return what a scanner is called here: a pseudonym of its serial number, or its model where that is not known."""
    return pseudonym(serial, "d") if serial else model
