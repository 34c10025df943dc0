"""Every method is scored on every test scan here, and the images that figures need are kept."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.progress import track
from ssrecon.core.scan import CalibratedScan, Estimate, Header, Prepared
from ssrecon.evaluation.pictures import Picture, write_pictures
from ssrecon.evaluation.rows import Row, tidy_row, write_metrics
from ssrecon.metrics.residual import heldout_residual
from ssrecon.metrics.volume import Value, score_volume
from ssrecon.operators import Fourier, coil_combined, encoding
from ssrecon.partition import Gamma, gamma_score
from ssrecon.recipe.selection import Selection
from ssrecon.store.store import Store

SUFFIXES = {"measured": "", "rss": ", reference=rss", "noiseless": ", reference=noiseless"}
"""This is added to the name of a convention: nothing where the reference is the coil-combined measured image."""


@dataclass(frozen=True)
class Method:
    """A method is what is evaluated: a trained network whose checkpoint one rule selected, or a baseline. Its name is that of its arm."""

    name: str
    reconstruct: Callable[[CalibratedScan], Estimate]
    seed: int | None = None
    """The seed of the training; None for what was not trained."""
    selection: Selection = Selection.NONE
    """The rule that chose the checkpoint."""

    @property
    def labels(self) -> Row:
        return {"arm": self.name, "seed": "" if self.seed is None else str(self.seed), "selection": self.selection}


def evaluate(
    methods: Sequence[Method],
    store: Store,
    scan_ids: Sequence[str],
    out: Path,
    device: torch.device | str = "cpu",
    figure_scans: int = 3,
    gamma: Gamma | None = None,
    draw: Draw = Draw(0),  # noqa: B008 - frozen
) -> list[Row]:
    r"""Reconstruct every scan with every method, one at a time, and write ``metrics.csv`` and ``images.npz`` into `out`, each whole or not.

    Magnitudes, cropped to the reconstruction field of view (`Header.shown`), are scored per slice and per volume (then `scan` is empty; see
    `score_parts` for volumes of several shapes) against :math:`|E^H y|` of the fully sampled scan; against the root sum of squares of its
    (whitened) coil images, noise and all (the convention then ends in ``, reference=rss``); and, where a simulation has it, against the
    noiseless image (``, reference=noiseless``).

    Without any reference there is the residual :math:`|y - E x|^2` in units of the noise (relative to the data where that is unknown): over
    what was acquired, where less than 1 is over-fitting and not quality; over what was withheld, where there is a reference; and, where
    `gamma` is given, over samples that this method was not given, for which it reconstructs a second time.

    `images.npz` holds `figure_scans` scans, evenly spread; of a method with several seeds or selections the first. Raises BadInput for no
    methods or scans.
    """
    if not methods or not scan_ids:
        raise BadInput("evaluation", found=f"{len(methods)} methods and {len(scan_ids)} scans", expected="at least one of each")
    shown = {scan_ids[(2 * i + 1) * len(scan_ids) // (2 * figure_scans)] for i in range(min(figure_scans, len(scan_ids)))}
    rows: list[Row] = []
    pictures: list[Picture] = []
    bar = track(None, "Evaluating", total=len(scan_ids), unit="scan")
    with bar, torch.inference_mode():
        for ids in _scan_ids_by_volume(store, scan_ids):
            volume = _Volume()
            for scan_id in ids:
                prepared = _on_device(store.load(scan_id, reference=True), device)
                volume.start(prepared)
                picture = Picture(prepared) if scan_id in shown else None
                for method in methods:
                    estimate = method.reconstruct(prepared.scan)
                    volume.add(method, prepared, estimate)
                    rows += residual_rows(method, prepared, estimate, gamma, draw)
                    if picture is not None:
                        picture.add(method.name, prepared, estimate)
                pictures += [] if picture is None else [picture]
                bar.update()
            rows += volume.rows()
    write_metrics(Path(out) / "metrics.csv", rows)
    write_pictures(Path(out) / "images.npz", pictures)
    return rows


def residual_rows(method: Method, prepared: Prepared, estimate: Estimate, gamma: Gamma | None, draw: Draw) -> list[Row]:
    """Return the scores that need no reference image. Raises BadInput, naming method and scan, where one is not finite."""
    scan = prepared.scan.with_csm_of(estimate)
    unit = "relative" if scan.noise_std is None else "noise units"
    found = {f"acquired, {unit}": _mean_residual(scan, estimate.image)}
    if prepared.reference is not None and bool((withheld := prepared.reference.mask & ~scan.mask).any()):
        found[f"withheld, {unit}"] = _mean_residual(replace(prepared.reference, csm=scan.csm).on(withheld), estimate.image)
    if gamma is not None:
        score, _ = gamma_score(method.reconstruct, prepared.scan, gamma.hold_out(prepared.scan, draw))
        found[f"gamma, {unit}"] = float(score.mean())
    header = scan.headers[0]
    for convention, value in found.items():
        if not math.isfinite(value):
            raise BadInput(
                f"evaluation of {method.name}, scan {header.scan_id}",
                found=f"a residual ({convention}) of {value}: its image or its samples are zero or not finite",
                expected="a scan that may train: prepare the archive again, or name it in --leave-out",
            )
    return [tidy_row(method.labels, header, header.scan_id, "residual", convention, value) for convention, value in found.items()]


def _mean_residual(judge: CalibratedScan, image: Complex[Tensor, "1 frames maps *x"]) -> float:
    return float(heldout_residual(encoding(judge)(image), judge.kspace, judge.mask, judge.noise_std).mean())


@dataclass
class _Volume:
    """This collects the slices of one volume as they come, until the volume can be scored as one."""

    header: Header | None = None
    labels: list[str] = field(default_factory=list)
    references: dict[str, list[np.ndarray]] = field(default_factory=dict)
    images: dict[int, tuple[Method, list[np.ndarray]]] = field(default_factory=dict)

    def start(self, prepared: Prepared) -> None:
        """Begin the next scan. Then `add` is called once for each method."""
        scan = prepared.scan
        self.header = scan.headers[0]
        shown = scan.headers[0].shown(scan.kspace[:, :, 0], scan.dims)
        slices = math.prod(shown.shape[1:-2])
        self.labels += [scan.ids[0]] if slices == 1 else [f"{scan.ids[0]}#{index}" for index in range(slices)]
        if prepared.reference is not None:
            coil_images = Fourier(scan.dims).adjoint(prepared.reference.kspace)
            self._add_reference("measured", prepared, Estimate(coil_combined(prepared.reference)).magnitude)
            self._add_reference("rss", prepared, torch.linalg.vector_norm(coil_images, dim=2))
        if prepared.truth is not None:
            self._add_reference("noiseless", prepared, Estimate(prepared.truth).magnitude)

    def _add_reference(self, kind: str, prepared: Prepared, magnitude: Tensor) -> None:
        self.references.setdefault(kind, []).append(_slices_as_array(prepared, magnitude))

    def add(self, method: Method, prepared: Prepared, estimate: Estimate) -> None:
        self.images.setdefault(id(method), (method, []))[1].append(_slices_as_array(prepared, estimate.magnitude))

    def rows(self) -> Iterator[Row]:
        if self.header is None:
            return
        for method, stacks in self.images.values():
            for kind, references in self.references.items():
                if sum(len(part) for part in references) != len(self.labels):
                    continue  # a volume of which only some scans have a reference is not scored as if it were whole
                for score in score_parts(stacks, references):
                    scan_id = "" if score.slice is None else self.labels[score.slice]
                    yield tidy_row(method.labels, self.header, scan_id, score.metric, score.convention + SUFFIXES[kind], score.value)


def score_parts(estimates: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> list[Value]:
    """Score one volume whose parts ``(slice, y, x)`` may differ in shape: a row for each slice, and one for the volume.

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
    for members in places.values():
        whole = np.concatenate([references[part] for part, _ in members])
        numbers = [start + index for part, start in members for index in range(len(references[part]))]
        filled = int((whole > 0).any(axis=(1, 2)).sum())
        if not filled and top > 0:
            continue
        for score in score_volume(np.concatenate([estimates[part] for part, _ in members]), whole, volume_max=top):
            if score.slice is None:
                joined.setdefault((score.metric, score.convention), []).append((filled, score.value))
            else:
                rows.append(replace(score, slice=numbers[score.slice]))
    for (metric, convention), found in joined.items():
        counts, values = zip(*found, strict=True)
        rows.append(Value(None, metric, convention, values[0] if len(values) == 1 else float(np.average(values, weights=counts))))
    return rows


def _slices_as_array(prepared: Prepared, magnitude: Float[Tensor, "1 frames *x"]) -> Float[np.ndarray, "n y x"]:
    magnitude = prepared.scan.headers[0].shown(magnitude, prepared.scan.dims)
    return magnitude.reshape(-1, *magnitude.shape[-2:]).float().cpu().numpy()


def _scan_ids_by_volume(store: Store, scan_ids: Sequence[str]) -> list[list[str]]:
    """Return the scans of each volume together, whatever their shapes, in the order of their slices."""
    wanted = set(scan_ids)
    groups: dict[str, list[tuple[int, str]]] = {}
    for header in store.headers:
        if header.scan_id in wanted:
            groups.setdefault(header.volume_id, []).append((header.slice, header.scan_id))
    missing = wanted - {scan_id for group in groups.values() for _, scan_id in group}
    if missing:
        raise BadInput("evaluation", found=f"no scan {sorted(missing)[0]!r} in the store", expected="scans that were prepared")
    return [[scan_id for _, scan_id in sorted(group)] for group in groups.values()]


def _on_device(prepared: Prepared, device: torch.device | str) -> Prepared:
    reference = None if prepared.reference is None else prepared.reference.to(device)
    return Prepared(prepared.scan.to(device), reference, None if prepared.truth is None else prepared.truth.to(device))
