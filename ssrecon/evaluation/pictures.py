"""The images and residuals of some test scans are kept for figures here, in ``images.npz``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssrecon.core.files import whole_file
from ssrecon.core.radius import radius
from ssrecon.core.scan import Estimate, Prepared
from ssrecon.core.window import window
from ssrecon.operators import coil_combined, encoding

BANDS = 16
"""K-space has this many radial bands of equal width, from the centre to the edge of the shortest axis; the last has the corners."""


class Picture:
    """A picture holds what figures need of one scan: its first frame, and of a volume the middle slice."""

    def __init__(self, prepared: Prepared):
        self.scan_id = prepared.scan.ids[0]
        mask = prepared.scan.mask[0, 0, 0]
        self.mask = _middle_slice(mask).cpu().numpy()
        image = prepared.truth if prepared.reference is None else coil_combined(prepared.reference)
        self.reference = None if image is None else _shown_magnitude(prepared, Estimate(image))
        self.arms: dict[str, np.ndarray] = {}
        self.residuals: dict[str, np.ndarray] = {}

    def add(self, name: str, prepared: Prepared, estimate: Estimate) -> None:
        if name not in self.arms:
            self.arms[name] = _shown_magnitude(prepared, estimate)
            self.residuals[name] = radial_residual(prepared, estimate)


def radial_residual(prepared: Prepared, estimate: Estimate) -> Float[np.ndarray, " bands"]:
    r"""Return :math:`\sum|y - E x|^2 / \sum|y|^2` per radial band of k-space, centre first.

    The samples are those that were withheld where there is a reference, else the acquired ones. A band without samples has NaN.
    """
    scan = prepared.scan if prepared.reference is None else prepared.reference.on(~prepared.scan.mask)
    error = (encoding(scan.with_csm_of(estimate))(estimate.image) - scan.kspace).abs().square().sum(dim=(0, 1, 2))
    energy = scan.kspace.abs().square().sum(dim=(0, 1, 2))
    band = radial_band_numbers(tuple(energy.shape)).to(energy.device).flatten()
    error, energy = (torch.bincount(band, value.double().flatten(), minlength=BANDS) for value in (error, energy))
    return (error / torch.where(energy > 0, energy, torch.nan)).cpu().numpy()


def radial_band_numbers(shape: tuple[int, ...]) -> Tensor:
    # In single precision, in which a location between two bands has exactly the number of the outer one.
    distance = torch.from_numpy(radius(shape, reach=[n / 2 for n in shape])).float()
    return (distance * BANDS).long().clamp_max(BANDS - 1)


def _shown_magnitude(prepared: Prepared, estimate: Estimate) -> Float[np.ndarray, "y x"]:
    magnitude = prepared.scan.headers[0].shown(estimate.magnitude, prepared.scan.dims)
    return _middle_slice(magnitude[0, 0]).float().cpu().numpy()


def _middle_slice(x: Float[Tensor, "*x"] | Bool[Tensor, "*x"]) -> Tensor:
    return x[x.shape[0] // 2] if x.ndim == 3 else x


def write_pictures(path: Path, pictures: Sequence[Picture]) -> None:
    arrays: dict[str, np.ndarray] = {
        "scan_ids": np.array([p.scan_id for p in pictures], dtype=str),
        "mask": stack_with_borders([p.mask for p in pictures]),
    }
    if pictures and all(p.reference is not None for p in pictures):
        arrays["reference"] = stack_with_borders([p.reference for p in pictures if p.reference is not None])
    for name in pictures[0].arms if pictures else ():
        arrays[f"arm/{name}"] = stack_with_borders([p.arms[name] for p in pictures])
        arrays[f"kspace_residual/{name}"] = np.stack([p.residuals[name] for p in pictures])
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def stack_with_borders(images: Sequence[np.ndarray]) -> np.ndarray:
    """Stack images of different sizes, with borders of zeros, to show them side by side. Scores are taken before."""
    shape = tuple(max((image.shape[axis] for image in images), default=0) for axis in (0, 1))
    padded = []
    for image in images:
        padded.append(np.zeros(shape, image.dtype))
        padded[-1][window(shape, image.shape)] = image
    return np.stack(padded) if padded else np.zeros((0, *shape))
