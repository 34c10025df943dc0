"""What a sampling pattern is, and how a scan is undersampled by one."""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.encoding import GridPoints
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Scan
from ssrecon.sampling.describe import describe_sampling
from ssrecon.sampling.lines import line_by_line


class Undersampling(ABC):
    """An undersampling says what is kept of a scan in retrospect. It is a frozen dataclass: the object is its own configuration."""

    @abstractmethod
    def mask_of(self, scan: Scan, generator: np.random.Generator) -> Bool[Tensor, "#frames *k"]:
        """Return the locations kept of the whole matrix of a scan, one mask for all frames or one a frame. Padding counts for nothing.

        Raises `BadInput` where there is no mask of the shape of the scan.
        """


class Pattern(Undersampling):
    """A pattern is a law by which masks are drawn on the encoded matrix: one mask a draw, the same for all frames."""

    @abstractmethod
    def sample(self, matrix: tuple[int, ...], generator: np.random.Generator, readout: bool = True) -> Bool[Tensor, "*k"]:
        """Draw the locations kept of a whole `matrix`, DC at N // 2. Where the last axis is a `readout`, whole lines along it are kept."""

    def mask_of(self, scan: Scan, generator: np.random.Generator) -> Bool[Tensor, "#frames *k"]:
        """Draw a mask on the encoded matrix, which has no padding on both sides.

        So the acceleration asked for is that of what the scanner encoded, and zero-padding does not flatter it (Shimron et al. 2022,
        doi:10.1073/pnas.2117203119).
        """
        window = encoded_window(scan.padding)
        sides = tuple(part.stop - part.start for part in window)
        found = torch.as_tensor(self.sample(sides, generator, scan.header.encoding.has_readout))
        if tuple(found.shape) != sides:
            expected = f"{sides}, the encoded matrix of scan {scan.scan_id}"
            raise BadInput(f"undersampling {type(self).__name__}", found=f"a mask {tuple(found.shape)}", expected=expected)
        drawn = torch.zeros(tuple(scan.mask.shape[3:]), dtype=torch.bool)
        drawn[window] = found != 0
        return drawn[None]


def undersample(scan: Scan, pattern: Undersampling, draw: Draw, per_slice: bool = False, only_full: bool = False) -> Scan:
    """Return the scan as if only the pattern's part of it had been acquired.

    One mask is drawn for a volume (for a scan with `per_slice`); see `Pattern.mask_of` and `MaskFile`. Padding stays what it is. A measured
    scan that an archive has read draws by the content of its file, so that its name changes nothing (`Header.draw_key`).

    A scan that was fully sampled (`SamplingDescription.is_full`) becomes `Scan.reference`. One that was undersampled before keeps the
    reference it has, and with `only_full` is left as it was acquired. Values that are left out are gone from `Scan.kspace`. Raises
    `BadInput` where the pattern does not fit the scan.
    """
    full = describe_sampling(scan).is_full
    if only_full and not full:
        return scan
    generator = draw.generator("undersampling", scan.header.scan_key if per_slice else scan.header.volume_key)
    mask = scan.mask & pattern.mask_of(scan, generator)[None, :, None] & ~scan.padding
    if not mask.any():
        raise BadInput(scan.scan_id, found=f"{pattern} keeps nothing of what was acquired", expected="at least one sample")
    points = scan.header.encoding.has_readout and not line_by_line(mask[0, :, 0].numpy())
    return replace(
        scan,
        header=replace(scan.header, encoding=GridPoints()) if points else scan.header,
        mask=mask,
        kspace=torch.where(mask, scan.kspace, 0),
        reference=scan.kspace if full else scan.reference,
        reference_mask=scan.mask & ~scan.padding if full else scan.reference_mask,
    )


def encoded_window(padding: Tensor) -> tuple[slice, ...]:
    """Return the slices of the smallest box centred on DC with everything that is not padding."""
    encoded = (~padding[0, :, 0]).any(dim=0)
    window = []
    for axis, n in enumerate(encoded.shape):
        others = tuple(i for i in range(encoded.ndim) if i != axis)
        places = encoded.any(dim=others).nonzero().flatten() if others else encoded.nonzero().flatten()
        if not len(places):
            return tuple(slice(0, n) for n in encoded.shape)
        half = max(n // 2 - int(places[0]), int(places[-1]) + 1 - n // 2)
        start, stop = max(0, n // 2 - half), min(n, n // 2 + half)
        # The box's own centre, size // 2, has to be DC; only a box that was cut at the matrix's border can miss it, by the last sample.
        window.append(slice(start, stop) if start + (stop - start) // 2 == n // 2 else slice(0, n))
    return tuple(window)


def phase_axis(matrix: tuple[int, ...], readout: bool) -> int:
    """Return the axis along which whole columns are skipped: the last one that is no readout."""
    axis = len(matrix) - (2 if readout else 1)
    if axis < 0:
        raise BadInput("undersampling", found=f"a matrix {matrix} that is all readout", expected="a phase-encoded axis")
    return axis


def along_phase(columns: np.ndarray, matrix: tuple[int, ...], readout: bool) -> Bool[Tensor, "*k"]:
    """Write columns out over the whole matrix."""
    axis = phase_axis(matrix, readout)
    shape = [1] * len(matrix)
    shape[axis] = len(columns)
    return torch.from_numpy(columns).reshape(shape).expand(matrix).clone()


def points_matrix(pattern: Pattern, matrix: tuple[int, ...], readout: bool, retrospective_2d: bool) -> tuple[int, ...]:
    """Return the phase-encoded part of `matrix`, two axes or more. Raises `BadInput` where single points of a readout would be skipped."""
    phase_encoded = matrix[:-1] if readout and len(matrix) > 2 else matrix
    if len(phase_encoded) < 2 or (readout and len(matrix) == 2 and not retrospective_2d):
        raise BadInput(
            f"undersampling {type(pattern).__name__}",
            found=f"a {len(matrix)}-D scan whose last axis is a readout: no scanner skips single points along one",
            expected="a 3-D scan or a hybrid slice; columns; or retrospective_2d=True, as published studies on single slices do",
        )
    return phase_encoded


def over_readout(points: np.ndarray, matrix: tuple[int, ...]) -> Bool[Tensor, "*k"]:
    """Write points of the phase-encoded axes out along the readout, where `matrix` has one more axis."""
    drawn = torch.from_numpy(points)
    return (drawn if points.ndim == len(matrix) else drawn[..., None]).expand(matrix).clone()


def budget(pattern: Pattern, total: int, acceleration: float, protected: int) -> int:
    """Return how many locations `acceleration` leaves of `total`, calibration included. Raises `BadInput` where calibration is more."""
    where = f"undersampling {type(pattern).__name__}"
    if not acceleration >= 1:
        raise BadInput(where, found=f"acceleration {acceleration}", expected="at least 1")
    kept = round(total / acceleration)
    if kept < protected or kept < 1:
        raise BadInput(
            where,
            found=f"acceleration {acceleration:g} of {total} locations, which leaves {kept}, with {protected} for calibration",
            expected="a smaller calibration region or acceleration",
        )
    return kept
