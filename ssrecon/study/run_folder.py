"""The folder of a finished (or half finished) run is read here; docs/run_folder.md describes its parts.

Only ``run.json`` must be there. Whatever else is missing is empty or None here, so that a report can be made of what there is.
"""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ssrecon.core.errors import BadInput
from ssrecon.core.json_text import json_object
from ssrecon.core.table import read_table
from ssrecon.evaluation.rows import METRIC_COLUMNS
from ssrecon.recipe.selection import Selection
from ssrecon.training.history import HISTORY_COLUMNS


@dataclass(frozen=True)
class Arm:
    """An arm is one method of a comparison: a network trained by an objective, or a baseline."""

    name: str
    label: str
    kind: str
    """``network`` or ``baseline``."""
    objective: str
    """The class of a network's objective; empty for a baseline."""
    seeds: Mapping[str, Mapping[str, Any]] = field(hash=False)
    """What is known of each seed: ``updates``, ``parameters``, ``flops_per_update``, ``seconds``, ``selected_step``."""
    needs_reference: bool = False
    """Whether fully sampled scans were used in training."""

    @property
    def is_network(self) -> bool:
        return self.kind == "network"

    @property
    def is_supervised(self) -> bool:
        return self.is_network and self.needs_reference

    @property
    def is_self_supervised(self) -> bool:
        return self.is_network and not self.is_supervised


@dataclass(frozen=True)
class Images:
    """These are the images that ``images.npz`` keeps of some test scans, in each scan's own scaled units."""

    scan_ids: tuple[str, ...]
    reference: np.ndarray | None
    """Magnitudes (n, y, x); None where there is no truth."""
    arms: Mapping[str, np.ndarray]
    """Magnitudes (n, y, x) by arm."""
    mask: np.ndarray | None
    """Acquired samples (n, ky, kx)."""
    kspace_residual: Mapping[str, np.ndarray]
    """Residual energy per radial band of k-space (n, bands), centre first, by arm."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder is read with `RunFolder.open`. Its larger files are read when they are asked for."""

    path: Path
    about: Mapping[str, Any]
    """The content of ``run.json``, unchanged."""

    @staticmethod
    def open(path: Path | str) -> "RunFolder":
        """Return the folder of a run. Raises BadInput where there is no folder, no ``run.json``, or no JSON object in it."""
        folder = Path(path)
        file = folder / "run.json"
        if not folder.is_dir():
            raise BadInput(folder, found="no folder", expected="the folder of a run, with its run.json")
        if not file.is_file():
            raise BadInput(folder, found="no run.json", expected="the folder of a run, as `ssrecon run` makes it")
        try:
            return RunFolder(folder, json_object(file.read_bytes(), file, "a JSON object, the run.json of a run"))
        except OSError as error:
            raise BadInput(file, found=f"a file that cannot be read ({error})", expected="the run.json of a run") from error

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a nested object of ``run.json``. It is empty where it is absent."""
        value = self.about.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def sampling(self) -> Mapping[str, Any]:
        """This says how the test scans were sampled (`ssrecon.study.acquisition`). It is empty in runs from before that was recorded."""
        value = self.section("data").get("sampling")
        return value if isinstance(value, dict) else {}

    @property
    def title(self) -> str:
        return str(self.about.get("title") or self.path.resolve().name)

    @property
    def headline_selection(self) -> Selection:
        """This is the selection rule of the headline. Raises BadInput where ``run.json`` names one that does not exist."""
        recorded = str(self.about.get("headline_selection") or Selection.GAMMA)
        if recorded not in set(Selection):
            raise BadInput(self.path / "run.json", found=f"headline_selection {recorded!r}", expected=" or ".join(Selection))
        return Selection(recorded)

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """These are the baselines and then the networks, in the order in which they were evaluated, else in that of ``run.json``.

        An arm that only has metrics counts as a baseline.
        """
        known = {name: _read_arm(str(name), about) for name, about in self.section("arms").items() if isinstance(about, dict)}
        evaluated = list(dict.fromkeys(str(row["arm"]) for row in self.metrics))
        for name in (*self.section("baselines"), *evaluated):
            known.setdefault(name, _read_arm(name, {"kind": "baseline"}))
        place = {name: i for i, name in enumerate(evaluated)}
        return tuple(sorted(known.values(), key=lambda arm: (arm.is_network, place.get(arm.name, len(place)))))

    @property
    def networks(self) -> tuple[Arm, ...]:
        return tuple(arm for arm in self.arms if arm.is_network)

    def selection(self, arm: Arm) -> Selection:
        """Return the selection rule under which an arm enters the headline."""
        return self.headline_selection if arm.is_network else Selection.NONE

    @cached_property
    def metrics(self) -> tuple[dict[str, Any], ...]:
        """These are the rows of ``metrics.csv``, `value` as a float and `selection` as a `Selection`. A missing file has no rows.

        Raises BadInput naming the line where a number or a column is not there, or a rule of selection is unknown.
        """
        file = self.path / "metrics.csv"
        if not file.is_file():
            return ()
        rows = []
        for number, row in enumerate(read_table(file), start=2):
            try:
                texts = {key: row[key] for key in METRIC_COLUMNS}
                rows.append({**texts, "selection": Selection(texts["selection"]), "value": float(row["value"])})
            except (KeyError, TypeError, ValueError) as error:
                where, expected = f"{file}, line {number}", f"a number, a rule of selection, and the columns {','.join(METRIC_COLUMNS)}"
                raise BadInput(where, found=f"{type(error).__name__} {error}", expected=expected) from error
        return tuple(rows)

    @cached_property
    def images(self) -> Images | None:
        """This is what ``images.npz`` holds, or None where it is missing. Raises BadInput where it cannot be read."""
        file = self.path / "images.npz"
        if not file.is_file():
            return None
        try:
            # A damaged file would be left open by numpy if it had opened it.
            with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise BadInput(file, found=f"no readable npz file ({error})", expected="the images of a run") from error
        return Images(
            scan_ids=tuple(str(i) for i in arrays.get("scan_ids", ())),
            reference=arrays.get("reference"),
            arms=_arrays_by_arm(arrays, "arm/"),
            mask=arrays.get("mask"),
            kspace_residual=_arrays_by_arm(arrays, "kspace_residual/"),
        )

    def history(self, arm: Arm) -> dict[str, dict[str, np.ndarray]]:
        """Return the columns of each seed's ``history.csv`` as float arrays, NaN where a cell is empty. A seed may have no file."""
        found = {}
        for folder in sorted((self.path / "arms" / arm.name).glob("seed-*"), key=lambda f: (len(f.name), f.name)):
            if columns := _read_history(folder / "history.csv"):
                found[folder.name.removeprefix("seed-")] = columns
        return found


LABEL_WORDS = {
    "ssdu": "SSDU",
    "ei": "EI",
    "moi": "MOI",
    "mo": "MO",
    "sure": "SURE",
    "ensure": "ENSURE",
    "ddss": "DDSS",
    "jssl": "JSSL",
    "spicer": "SPICER",
    "csm": "CSM",
    "noise2noise": "Noise2Noise",
    "noise2recon": "Noise2Recon",
    "cg": "CG",
    "sense": "SENSE",
    "l1": "L1",
    "zs": "ZS",
    "ssl": "SSL",
    "mse": "MSE",
    "tv": "TV",
}


def arm_label(name: str) -> str:
    """Return an arm's name for a reader: ``zero_filled`` is Zero-filled, ``cg_sense`` CG-SENSE, ``multi_mask_ssdu`` Multi-mask SSDU."""
    words = [LABEL_WORDS.get(word, word) for word in name.replace("-", "_").split("_") if word]
    text = "-".join(words).replace("mask-SSDU", "mask SSDU") or name
    return text[0].upper() + text[1:]


def _read_arm(name: str, about: Mapping[str, Any]) -> Arm:
    objective = about.get("objective") or ""
    if isinstance(objective, dict):
        objective = objective.get("class", "")
    objective = str(objective).rpartition(".")[2]
    seeds, label = about.get("seeds"), about.get("label")
    return Arm(
        name=name,
        label=str(label) if label and label != name else arm_label(name),
        kind="baseline" if about.get("kind") == "baseline" else "network",
        objective=objective,
        seeds={str(k): v for k, v in seeds.items() if isinstance(v, dict)} if isinstance(seeds, dict) else {},
        needs_reference=bool(about.get("needs_reference", objective.lower().startswith("supervised"))),
    )


def _arrays_by_arm(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _read_history(file: Path) -> dict[str, np.ndarray]:
    """Return the columns of a history, none where there is no file or no row. A last line that a kill has cut short has empty cells."""
    if not file.is_file():
        return {}
    rows = read_table(file)
    if not rows:
        return {}
    # Runs from before Gamma's floor was written down have no such column: that they do not say it is to be seen.
    known = [key for key in HISTORY_COLUMNS if key != "gamma_floor" or key in rows[0]]
    return {key: np.array([_number_or_nan(row.get(key)) for row in rows]) for key in known}


def _number_or_nan(text: str | None) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan
