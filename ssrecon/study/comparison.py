"""A recipe becomes a finished run folder here: prepare, train, tune, evaluate, report."""

from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ssrecon.archive.splits import Assignment, Split, spread
from ssrecon.baselines import Baseline
from ssrecon.baselines.tuning import HeldOutResidual, reference_nmse, tune
from ssrecon.core.description import describe
from ssrecon.core.distributed import Process
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe, OutputInUse, at_least
from ssrecon.core.folder_lock import folder_lock
from ssrecon.evaluation.evaluate import Method, evaluate
from ssrecon.recipe.recipe import Comparison, Recipe
from ssrecon.recipe.selection import TRAINED
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.store.prepare import prepare_data
from ssrecon.store.store import Store
from ssrecon.study.arms import ArmTraining, train_arms
from ssrecon.study.report import write_report
from ssrecon.study.run_record import arm_records, data_record, folder_of_run, read_record, write_record
from ssrecon.training.preflight import Preflight, preflight
from ssrecon.training.state import Trained

Say = Callable[[str], None]
NEEDS = {
    "train": "the arms are trained on it",
    "validation": "the checkpoint is chosen on it",
    "test": "the report is about it; ssrecon.train trains without one",
}
"""What a comparison has each side of its split for."""
TUNING_SCANS = 4
"""Baselines are tuned on this many validation scans at the most, evenly spread."""


@dataclass(frozen=True)
class Run:
    """This is a run while its folder is being filled; ``docs/run_folder.md`` says with what."""

    folder: Path
    comparison: Comparison
    process: Process
    say: Say
    workers: int = 1

    def training(self, arm: str, seed: int, assignment: Assignment) -> ArmTraining:
        """Return the training of one arm with one seed, in its own folder."""
        recipe = replace(self.comparison.arms[arm], seed=seed)
        folder = self.folder / "arms" / arm / f"seed-{seed}"
        return ArmTraining(arm, recipe, self.folder / "store", assignment, folder, self.process)

    @property
    def trainings_at_a_time(self) -> int:
        """This is the number of trainings that share the device at a time."""
        return min(self.workers, len(self.comparison.arms) * len(self.comparison.seeds))


def run(
    experiment: Recipe | Comparison,
    folder: Path,
    process: Process | None = None,
    resume: bool = False,
    say: Say = lambda text: None,
    workers: int = 1,
    require_deidentified: bool = False,
) -> Path:
    """Run a recipe or a comparison into `folder` and return its report.

    A finished arm is never trained again: with `resume` a comparison may have gained arms and seeds since, and those alone are trained. On
    several processes (torchrun) all of them train, and the first does the rest. `workers` are processes of another kind: so many arms and
    seeds are trained at a time, each by one of them, on the same device. They share the CPU's threads, whose number changes the rounding of
    sums. They are spawned: a script that calls this with several has ``if __name__ == "__main__":`` about the call. `require_deidentified`
    is that of `open_archive`.

    Raises OutputInUse where the folder holds another recipe's run, or an unfinished one of this recipe without `resume`, and where another
    process is writing into it (`folder_lock`). Raises BadRecipe for several workers under torchrun, where the split leaves no scan to
    validate or to test on, and where an arm has a class that the script itself defines, which another process cannot import.
    """
    comparison = experiment if isinstance(experiment, Comparison) else _as_comparison(experiment)
    this = Run(Path(folder), comparison, process or Process(), say, workers)
    at_least(this, workers=1)
    if workers > 1 and this.process.world > 1:
        raise BadRecipe("workers", found=f"{workers} under torchrun", expected="1: the processes of torchrun train one arm together")
    _check_split(comparison.data.split)
    if this.trainings_at_a_time > 1 and "__main__" in _user_modules(comparison):
        found = "a class that the script itself defines"
        raise BadRecipe(
            "workers", found, expected="it in a module that is imported, or the script as a recipe: ssrecon run FILE --workers N"
        )
    if this.folder.exists() and not this.folder.is_dir():
        raise OutputInUse(this.folder, found="a file", expected="a folder, or a path where one can be made; choose another with --out")
    with folder_lock(this.folder) if this.process.first else nullcontext():
        return _run(this, resume, require_deidentified)


def _run(this: Run, resume: bool, require_deidentified: bool) -> Path:
    comparison = this.comparison
    if this.process.first:
        with folder_of_run(this.folder, comparison, resume):
            prepare_data(comparison.data, this.folder / "store", this.say, require_deidentified)
    this.process.wait()
    store = Store(this.folder / "store")
    assignment = comparison.data.split.assign(comparison.data.chosen(store.headers))
    if not assignment.test:
        raise BadRecipe("data.split", found="no scan to test on", expected=f"at least one subject: {NEEDS['test']}")
    record: dict[str, Any] = {}
    if this.process.first:
        record = data_record(comparison, store, assignment, this.process, this.trainings_at_a_time)
        # What an earlier call knew of the arms stays until this one has trained them.
        write_record(this.folder, {**read_record(this.folder), **record})
    trained, flights = _train_arms(this, assignment)
    if this.process.first:
        baselines = _tune_baselines(this, store, assignment)
        record["baselines"] = {name: tuning for name, (_, tuning) in baselines.items()}
        record["arms"] = arm_records(comparison, trained, flights)
        write_record(this.folder, record)
        _evaluate(this, store, assignment, trained, {name: baseline for name, (baseline, _) in baselines.items()})
        write_record(this.folder, {**record, "finished": True})
        write_report(this.folder)
    this.process.wait()
    return this.folder / "report.html"


def _check_split(split: Split) -> None:
    """Raise BadRecipe where a split leaves a side of a comparison empty, and BadInput where it names a list that cannot be read: before
    the archive is opened.
    """
    for side in split.empty_sides():
        found = f"{getattr(split, side)!r}, which leaves no scan in {side}"
        raise BadRecipe(f"data.split.{side}", found=found, expected=f"at least one subject: {NEEDS[side]}")


def _as_comparison(recipe: Recipe) -> Comparison:
    name = type(recipe.objective).__name__.lower()
    return Comparison(title=recipe.title or name, arms={name: recipe}, seeds=(recipe.seed,))


def _train_arms(this: Run, assignment: Assignment) -> tuple[dict[str, dict[int, Trained]], dict[str, Preflight]]:
    flights: dict[str, Preflight] = {}
    # All arms before any is trained: what will not do for the last is not to be learned after the first has trained for hours.
    for name in this.comparison.arms:
        flights[name] = preflight(this.training(name, this.comparison.seeds[0], assignment).trainer(), this.trainings_at_a_time)
        if this.process.first:
            this.say(f"\n{name}\n  " + "\n  ".join(flights[name].lines()))
    trainings = [this.training(name, seed, assignment) for name in this.comparison.arms for seed in this.comparison.seeds]
    if this.trainings_at_a_time > 1:  # The longest first, so that no worker ends long after the others.
        trainings.sort(key=lambda training: -flights[training.arm].seconds_per_update * flights[training.arm].steps)
        if this.process.device.type == "cuda":
            torch.cuda.empty_cache()  # what the pre-flights have left belongs to the workers
    ended: dict[tuple[str, int], Trained] = {}
    with closing(train_arms(trainings, this.workers)) as results:
        for training, result in results:
            if isinstance(result, BaseException):
                if this.process.first:
                    this.say(f"\n{training.name}: {result or type(result).__name__}")
                raise result
            ended[training.arm, training.recipe.seed] = result
            if this.process.first:
                best = f"best Gamma score {result.best_gamma:.4g} at step {result.best_gamma_step}"
                this.say(f"\n{training.name}: {result.updates} updates, {best}")
    trained = {name: {seed: ended[name, seed] for seed in this.comparison.seeds} for name in this.comparison.arms}
    return trained, flights


def _tune_baselines(this: Run, store: Store, assignment: Assignment) -> dict[str, tuple[Baseline, dict[str, Any]]]:
    scans = [store.load(scan_id, reference=True) for scan_id in spread(assignment.validation, TUNING_SCANS)]
    referenced = all(prepared.reference is not None for prepared in scans)
    gamma = next(iter(this.comparison.arms.values())).validation if this.comparison.arms else None
    relative = any(prepared.scan.noise_std is None for prepared in scans)
    tuned: dict[str, tuple[Baseline, dict[str, Any]]] = {}
    for name, arm in this.comparison.baselines.items():
        if not arm.grid:
            tuned[name] = (arm.baseline, {"chosen": describe(arm.baseline), "tuning": []})
            continue
        score = reference_nmse if referenced or gamma is None else HeldOutResidual(gamma, Draw(this.comparison.data.seed), relative)
        result = tune(arm.baseline, arm.grid, scans, score)
        record = result.record()
        record["tuned_by"] = "reference NMSE" if referenced else "Gamma"
        if set(assignment.validation) & set(assignment.test):
            record["tuned_by"] += ", on the very scan that is reported"  # scan-specific training: to the baselines' advantage
        record["tuning"] = record["grid"]
        this.say(f"\n{name}, tuned by {record['tuned_by']} on {len(scans)} validation scans\n{result.table()}")
        tuned[name] = (result.baseline, record)
    return tuned


def _evaluate(
    this: Run,
    store: Store,
    assignment: Assignment,
    trained: Mapping[str, Mapping[int, Trained]],
    baselines: Mapping[str, Baseline],
) -> None:
    comparison = this.comparison
    trusted = _user_modules(comparison)
    methods = [Method(name, baseline) for name, baseline in baselines.items()]
    for name, seeds in trained.items():
        for seed, result in seeds.items():
            for selection in TRAINED:
                path = result.checkpoint(selection)
                if path.exists():
                    methods.append(Method(name, load_checkpoint(path, this.process.device, trusted), seed, selection))
    # Without a reference, what is predicted of Gamma is all there is to compare.
    gamma = None if all(map(store.has_reference, assignment.test)) else next(iter(comparison.arms.values())).validation
    draw = Draw(comparison.data.seed)
    evaluate(methods, store, assignment.test, this.folder, this.process.device, comparison.figure_scans, gamma, draw)


def _user_modules(comparison: Comparison) -> set[str]:
    """Return the modules that the classes of this recipe come from. Running the recipe has trusted them already."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "class" in value:
                found.add(str(value["class"]).rpartition(".")[0])
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(comparison.description)
    return found
