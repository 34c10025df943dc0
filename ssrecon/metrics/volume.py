"""A volume and its slices are scored against a reference here, in every convention.

Images are real magnitudes, NumPy arrays or torch tensors, computed in float64. A number means nothing without its convention: data range of
the slice or of the volume, mean over the volume or over its slices, which SSIM. `Convention` names it, and `score_volume` puts it beside
every value. All functions raise ValueError, naming the shapes, for shapes that differ, non-finite values and empty references.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ssrecon.metrics.checks import Array, comparable_arrays
from ssrecon.metrics.hfen import hfen
from ssrecon.metrics.nmse import nmse, nrmse
from ssrecon.metrics.psnr import psnr
from ssrecon.metrics.ssim import WANG, Window, ssim


@dataclass(frozen=True)
class Convention:
    """A convention says how values were made. Its `name` stands beside them in ``metrics.csv``."""

    name: str
    volume_range: bool
    """Whether the data range is the maximum of the reference volume, or that of each reference slice."""
    whole_volume: bool
    """Whether a volume's NMSE, NRMSE, PSNR and HFEN are taken over all its pixels, or as means over slices, as SSIM always is."""
    metrics: tuple[str, ...] = ("nmse", "nrmse", "psnr", "ssim", "hfen")
    window: Window = Window()


FASTMRI = Convention("fastmri", volume_range=True, whole_volume=True)
"""fastMRI's evaluation. Zbontar et al. fastMRI: an open dataset and benchmarks for accelerated MRI. arXiv:1811.08839 (2018)."""
PER_SLICE = Convention("slice", volume_range=False, whole_volume=False)
"""Every slice is scored on its own, in its own data range."""
PAPER = Convention("wang", volume_range=False, whole_volume=False, metrics=("ssim",), window=WANG)
"""SSIM as in the SSDU papers: Wang's Gaussian window, slice by slice."""
CONVENTIONS = (FASTMRI, PER_SLICE, PAPER)
HIGHER_IS_BETTER = {"nmse": False, "nrmse": False, "psnr": True, "ssim": True, "hfen": False}


@dataclass(frozen=True)
class Value:
    """A value is one tidy row; `slice` is None for the whole volume."""

    slice: int | None
    metric: str
    convention: str
    value: float


def score_volume(
    estimate: Array,
    reference: Array,
    mask: Array | None = None,
    volume_max: float | None = None,
    conventions: Sequence[Convention] = CONVENTIONS,
) -> list[Value]:
    """Return all metrics in all conventions of a volume ``(slice, y, x)`` and of each of its slices, tidy.

    `mask` restricts everything to a foreground; `volume_max` is the data range of conventions that take the volume's, by default the
    maximum of `reference`. Slices whose reference is zero everywhere have no rows of their own; a convention that looks at the whole
    volume counts them.
    """
    e, r, m = comparable_arrays(estimate, reference, mask, slices=True)
    filled = [i for i in range(len(r)) if (r[i][m[i]] > 0).any()]
    if not filled:
        raise ValueError(f"the reference of shape {r.shape} is zero everywhere")
    top = float(r.max()) if volume_max is None else volume_max
    rows = []
    for convention in conventions:
        by_metric: dict[str, list[float]] = {name: [] for name in convention.metrics}
        for i in filled:
            data_range = top if convention.volume_range else float(r[i].max())
            for name, value in _measure(convention, e[i : i + 1], r[i : i + 1], data_range, m[i : i + 1]):
                by_metric[name].append(value)
                rows.append(Value(i, name, convention.name, value))
        means = {name: float(np.mean(values)) for name, values in by_metric.items()}
        whole = dict(_measure(convention, e, r, top, m)) if convention.whole_volume else means
        rows += [Value(None, name, convention.name, value) for name, value in whole.items()]
    return rows


def _measure(convention: Convention, e: np.ndarray, r: np.ndarray, data_range: float, m: np.ndarray) -> Iterator[tuple[str, float]]:
    for name in convention.metrics:
        if name == "psnr":
            yield name, psnr(e, r, data_range, m)
        elif name == "ssim":
            yield name, ssim(e, r, data_range, convention.window, m)
        else:
            yield name, {"nmse": nmse, "nrmse": nrmse, "hfen": hfen}[name](e, r, m)
