"""Scores of every method on every test scan, with the names of their conventions, and the images that figures are made of."""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.files import whole_file
from ssrecon.core.progress import track
from ssrecon.core.radius import radius
from ssrecon.core.scan import CalibratedScan, Estimate, Header, Prepared
from ssrecon.core.window import window
from ssrecon.metrics.residual import heldout_residual
from ssrecon.metrics.volume import Value, score_volume
from ssrecon.operators import Fourier, coil_combined, encoding
from ssrecon.partition import Gamma, gamma_score
from ssrecon.recipe.selection import Selection
from ssrecon.store.store import Store

COLUMNS = ("arm", "seed", "selection", "subject", "volume", "scan", "metric", "convention", "value")
BANDS = 16
"""Radial bands of k-space, of equal width, from the centre to the edge of the shortest axis; the corners belong to the last."""

SUFFIXES = {"measured": "", "rss": ", reference=rss", "noiseless": ", reference=noiseless"}
"""What is added to the name of a convention: nothing for the coil-combined image of the measured reference."""

Row = dict[str, str | float]


@dataclass(frozen=True)
class Arm:
    """One method as it is evaluated: a trained network under one selection rule, or a baseline."""

    name: str
    reconstruct: Callable[[CalibratedScan], Estimate]
    seed: int | None = None
    """None for what was not trained."""
    selection: Selection = Selection.NONE
    """By which rule the checkpoint was chosen."""

    @property
    def labels(self) -> Row:
        return {"arm": self.name, "seed": "" if self.seed is None else str(self.seed), "selection": self.selection}


def evaluate(
    arms: Sequence[Arm],
    store: Store,
    scan_ids: Sequence[str],
    out: Path,
    device: torch.device | str = "cpu",
    figure_scans: int = 3,
    gamma: Gamma | None = None,
    draw: Draw = Draw(0),  # noqa: B008 - frozen
) -> list[Row]:
    r"""Reconstruct every scan with every arm, one at a time, and write ``metrics.csv`` and ``images.npz`` into `out`, each whole or not.

    Magnitudes, cut to the header's reconstruction matrix, are scored per slice and per volume (then `scan` is empty; see
    `score_parts` for volumes of several shapes) against
    :math:`|E^H y|` of the fully sampled scan; against the root sum of squares of its (whitened) coil images, noise and all (the convention
    then ends in ``, reference=rss``); and, where a simulation has it, against the noiseless image (``, reference=noiseless``).

    Without any reference there is the residual :math:`|y - E x|^2` in units of the noise (relative to the data where that is unknown): over
    what was acquired, where less than 1 is over-fitting and not quality; over what was withheld, where there is a reference; and, where
    `gamma` is given, over samples that this arm was not given, for which it reconstructs a second time.

    `images.npz` holds `figure_scans` scans, evenly spread; of an arm with several seeds or selections the first. Raises BadInput for no
    arms or scans.
    """
    if not arms or not scan_ids:
        raise BadInput("evaluation", found=f"{len(arms)} arms and {len(scan_ids)} scans", expected="at least one of each")
    shown = {scan_ids[(2 * i + 1) * len(scan_ids) // (2 * figure_scans)] for i in range(min(figure_scans, len(scan_ids)))}
    rows: list[Row] = []
    pictures: list[_Picture] = []
    bar = track(None, "Evaluating", total=len(scan_ids), unit="scan")
    with bar, torch.inference_mode():
        for ids in _volumes(store, scan_ids):
            volume = _Volume()
            for scan_id in ids:
                prepared = _on(store.load(scan_id, reference=True), device)
                volume.start(prepared)
                picture = _Picture(prepared) if scan_id in shown else None
                for arm in arms:
                    estimate = arm.reconstruct(prepared.scan)
                    volume.add(arm, prepared, estimate)
                    rows += residual_rows(arm, prepared, estimate, gamma, draw)
                    if picture is not None:
                        picture.add(arm.name, prepared, estimate)
                pictures += [] if picture is None else [picture]
                bar.update()
            rows += volume.rows()
    write_metrics(Path(out) / "metrics.csv", rows)
    _write_images(Path(out) / "images.npz", pictures)
    return rows


def write_metrics(path: Path, rows: Iterable[Row]) -> None:
    """The tidy table: one number a line."""
    with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "value": repr(float(row["value"]))} for row in rows)


def residual_rows(arm: Arm, prepared: Prepared, estimate: Estimate, gamma: Gamma | None, draw: Draw) -> list[Row]:
    """The scores that need no reference image."""
    scan = prepared.scan.with_csm_of(estimate)
    unit = "relative" if scan.noise_std is None else "noise units"
    found = {f"acquired, {unit}": _residual(scan, estimate.image)}
    if prepared.reference is not None and bool((withheld := prepared.reference.mask & ~scan.mask).any()):
        found[f"withheld, {unit}"] = _residual(replace(prepared.reference, csm=scan.csm).on(withheld), estimate.image)
    if gamma is not None:
        score, _ = gamma_score(arm.reconstruct, prepared.scan, gamma.hold_out(prepared.scan, draw))
        found[f"gamma, {unit}"] = float(score.mean())
    header = scan.headers[0]
    for convention, value in found.items():
        if not math.isfinite(value):
            raise BadInput(
                f"evaluation of {arm.name}, scan {header.scan_id}",
                found=f"a residual ({convention}) of {value}: its image or its samples are zero or not finite",
                expected="a scan that may train: prepare the archive again, or name it in --leave-out",
            )
    return [tidy_row(arm.labels, header, header.scan_id, "residual", convention, value) for convention, value in found.items()]


def _residual(judge: CalibratedScan, image: Complex[Tensor, "1 frames maps *x"]) -> float:
    return float(heldout_residual(encoding(judge)(image), judge.kspace, judge.mask, judge.noise_std).mean())


@dataclass
class _Volume:
    """The slices of one volume as they come, until the volume can be scored as one."""

    header: Header | None = None
    labels: list[str] = field(default_factory=list)
    references: dict[str, list[np.ndarray]] = field(default_factory=dict)
    images: dict[int, tuple[Arm, list[np.ndarray]]] = field(default_factory=dict)

    def start(self, prepared: Prepared) -> None:
        """The next scan; then comes `add`, once an arm."""
        scan = prepared.scan
        self.header = scan.headers[0]
        shown = scan.headers[0].shown(scan.kspace[:, :, 0], scan.dims)
        slices = math.prod(shown.shape[1:-2])
        self.labels += [scan.ids[0]] if slices == 1 else [f"{scan.ids[0]}#{index}" for index in range(slices)]
        if prepared.reference is not None:
            coil_images = Fourier(scan.dims).adjoint(prepared.reference.kspace)
            self._keep("measured", prepared, Estimate(coil_combined(prepared.reference)).magnitude)
            self._keep("rss", prepared, torch.linalg.vector_norm(coil_images, dim=2))
        if prepared.truth is not None:
            self._keep("noiseless", prepared, Estimate(prepared.truth).magnitude)

    def _keep(self, kind: str, prepared: Prepared, magnitude: Tensor) -> None:
        self.references.setdefault(kind, []).append(_stacked(prepared, magnitude))

    def add(self, arm: Arm, prepared: Prepared, estimate: Estimate) -> None:
        self.images.setdefault(id(arm), (arm, []))[1].append(_stacked(prepared, estimate.magnitude))

    def rows(self) -> Iterator[Row]:
        if self.header is None:
            return
        for arm, stacks in self.images.values():
            for kind, references in self.references.items():
                if sum(len(part) for part in references) != len(self.labels):
                    continue  # a volume of which only some scans have a reference is not scored as if it were whole
                for score in score_parts(stacks, references):
                    scan_id = "" if score.slice is None else self.labels[score.slice]
                    yield tidy_row(arm.labels, self.header, scan_id, score.metric, score.convention + SUFFIXES[kind], score.value)


def score_parts(estimates: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> list[Value]:
    """`score_volume` of one volume whose parts ``(slice, y, x)`` may differ in shape: a row for each slice, and one for the volume.

    Slices are numbered through in the order of the parts. Slices of one shape are scored together, in the data range of the whole volume;
    the volume's value is the mean of the shapes' values, weighted by their numbers of slices whose reference is not zero everywhere. Where
    all slices have one shape this is `score_volume` itself. Raises ValueError as that does.
    """
    places: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    first = 0
    for part, reference in enumerate(references):
        places.setdefault(reference.shape[1:], []).append((part, first))
        first += len(reference)
    top = max(float(reference.max()) for reference in references)
    rows: list[Value] = []
    joined: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for own in places.values():
        whole = np.concatenate([references[part] for part, _ in own])
        numbers = [start + index for part, start in own for index in range(len(references[part]))]
        filled = int((whole > 0).any(axis=(1, 2)).sum())
        if not filled and top > 0:
            continue
        for score in score_volume(np.concatenate([estimates[part] for part, _ in own]), whole, volume_max=top):
            if score.slice is None:
                joined.setdefault((score.metric, score.convention), []).append((filled, score.value))
            else:
                rows.append(replace(score, slice=numbers[score.slice]))
    for (metric, convention), found in joined.items():
        counts, values = zip(*found, strict=True)
        rows.append(Value(None, metric, convention, values[0] if len(values) == 1 else float(np.average(values, weights=counts))))
    return rows


def _stacked(prepared: Prepared, magnitude: Float[Tensor, "1 frames *x"]) -> Float[np.ndarray, "n y x"]:
    magnitude = prepared.scan.headers[0].shown(magnitude, prepared.scan.dims)
    return magnitude.reshape(-1, *magnitude.shape[-2:]).float().cpu().numpy()


def tidy_row(labels: Row, header: Header, scan_id: str, metric: str, convention: str, value: float) -> Row:
    place: Row = {"subject": header.subject, "volume": header.volume_id, "scan": scan_id}
    return {**labels, **place, "metric": metric, "convention": convention, "value": float(value)}


def _volumes(store: Store, scan_ids: Sequence[str]) -> list[list[str]]:
    """Scans of one volume together, of whatever shapes, in the store's order of slices."""
    wanted = set(scan_ids)
    groups: dict[str, list[tuple[int, str]]] = {}
    for header in store.headers:
        if header.scan_id in wanted:
            groups.setdefault(header.volume_id, []).append((header.slice, header.scan_id))
    missing = wanted - {scan_id for group in groups.values() for _, scan_id in group}
    if missing:
        raise BadInput("evaluation", found=f"no scan {sorted(missing)[0]!r} in the store", expected="scans that were prepared")
    return [[scan_id for _, scan_id in sorted(group)] for group in groups.values()]


def _on(prepared: Prepared, device: torch.device | str) -> Prepared:
    reference = None if prepared.reference is None else prepared.reference.to(device)
    return Prepared(prepared.scan.to(device), reference, None if prepared.truth is None else prepared.truth.to(device))


class _Picture:
    """What figures need of one scan: its first frame, and of a volume the middle slice."""

    def __init__(self, prepared: Prepared):
        self.scan_id = prepared.scan.ids[0]
        mask = prepared.scan.mask[0, 0, 0]
        self.mask = _middle(mask).cpu().numpy()
        image = prepared.truth if prepared.reference is None else coil_combined(prepared.reference)
        self.reference = None if image is None else _shown(prepared, Estimate(image))
        self.arms: dict[str, np.ndarray] = {}
        self.residuals: dict[str, np.ndarray] = {}

    def add(self, name: str, prepared: Prepared, estimate: Estimate) -> None:
        if name not in self.arms:
            self.arms[name] = _shown(prepared, estimate)
            self.residuals[name] = radial_residual(prepared, estimate)


def radial_residual(prepared: Prepared, estimate: Estimate) -> Float[np.ndarray, " bands"]:
    r""":math:`\sum|y - E x|^2 / \sum|y|^2` per radial band of k-space, centre first: of the samples that were withheld where there is a
    reference, else of the acquired ones. NaN in a band without samples."""
    scan = prepared.scan if prepared.reference is None else prepared.reference.on(~prepared.scan.mask)
    error = (encoding(scan.with_csm_of(estimate))(estimate.image) - scan.kspace).abs().square().sum(dim=(0, 1, 2))
    energy = scan.kspace.abs().square().sum(dim=(0, 1, 2))
    band = _bands(tuple(energy.shape)).to(energy.device).flatten()
    error, energy = (torch.bincount(band, value.double().flatten(), minlength=BANDS) for value in (error, energy))
    return (error / torch.where(energy > 0, energy, torch.nan)).cpu().numpy()


def _bands(shape: tuple[int, ...]) -> Tensor:
    # In single precision, in which a location between two bands has exactly the number of the outer one.
    distance = torch.from_numpy(radius(shape, reach=[n / 2 for n in shape])).float()
    return (distance * BANDS).long().clamp_max(BANDS - 1)


def _shown(prepared: Prepared, estimate: Estimate) -> Float[np.ndarray, "y x"]:
    magnitude = prepared.scan.headers[0].shown(estimate.magnitude, prepared.scan.dims)
    return _middle(magnitude[0, 0]).float().cpu().numpy()


def _middle(x: Float[Tensor, "*x"] | Bool[Tensor, "*x"]) -> Tensor:
    return x[x.shape[0] // 2] if x.ndim == 3 else x


def _write_images(path: Path, pictures: Sequence[_Picture]) -> None:
    arrays: dict[str, np.ndarray] = {
        "scan_ids": np.array([p.scan_id for p in pictures], dtype=str),
        "mask": _stack([p.mask for p in pictures]),
    }
    if pictures and all(p.reference is not None for p in pictures):
        arrays["reference"] = _stack([p.reference for p in pictures if p.reference is not None])
    for name in pictures[0].arms if pictures else ():
        arrays[f"arm/{name}"] = _stack([p.arms[name] for p in pictures])
        arrays[f"kspace_residual/{name}"] = np.stack([p.residuals[name] for p in pictures])
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _stack(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images of different sizes get a border of zeros, for showing them side by side; scores are taken before."""
    shape = tuple(max((image.shape[axis] for image in images), default=0) for axis in (0, 1))
    padded = []
    for image in images:
        padded.append(np.zeros(shape, image.dtype))
        padded[-1][window(shape, image.shape)] = image
    return np.stack(padded) if padded else np.zeros((0, *shape))
