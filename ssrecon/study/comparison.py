"""From a recipe to a finished run folder: prepare, tune, train, evaluate, report."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ssrecon.archive.splits import Assignment, spread
from ssrecon.baselines import Baseline
from ssrecon.baselines.tuning import HeldOutResidual, reference_nmse, tune
from ssrecon.core.description import HASH_VERSION, alike, describe
from ssrecon.core.distributed import Process
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe, OutputInUse, at_least
from ssrecon.core.files import discard_partial_files, whole_file
from ssrecon.core.folder_lock import NAME as LOCK
from ssrecon.core.folder_lock import folder_lock
from ssrecon.core.provenance import provenance
from ssrecon.evaluation.evaluate import Arm, evaluate
from ssrecon.recipe.recipe import Comparison, Recipe
from ssrecon.recipe.selection import TRAINED
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.store.prepare import prepare_data
from ssrecon.store.store import Store
from ssrecon.study.arms import ArmTraining, train_arms
from ssrecon.study.report import write_report
from ssrecon.training.preflight import Preflight, preflight
from ssrecon.training.state import Trained

Say = Callable[[str], None]
TUNING_SCANS = 4
"""Baselines are tuned on at most so many validation scans, evenly spread."""


@dataclass(frozen=True)
class Run:
    """A run folder while it is being filled: see ``docs/run_folder.md``."""

    folder: Path
    comparison: Comparison
    process: Process
    say: Say
    workers: int = 1

    def training(self, arm: str, seed: int, assignment: Assignment) -> ArmTraining:
        recipe = replace(self.comparison.arms[arm], seed=seed)
        folder = self.folder / "arms" / arm / f"seed-{seed}"
        return ArmTraining(arm, recipe, self.folder / "store", assignment, folder, self.process)

    @property
    def together(self) -> int:
        """How many trainings share the device at a time."""
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

    Raises OutputInUse where the folder holds another recipe's run, or an unfinished one of this recipe without `resume`, and where another
    process is writing into it (`folder_lock`; a process that was killed is none). A finished arm is
    never trained again: with `resume` a comparison may have gained arms and seeds since, and those alone are trained. On several processes
    (torchrun) all train, the first does the rest. `workers` are processes of another kind: so many arms and seeds are trained at a time,
    each by one of them, on the same device; they share the CPU's threads, whose number changes the rounding of sums. They are spawned: a
    script that calls this with several has ``if __name__ == "__main__":`` about the call. `require_deidentified` is that of `open_archive`.

    Raises BadRecipe for several workers under torchrun, and where an arm has a class of the script itself, which no other process could
    give its name.
    """
    comparison = experiment if isinstance(experiment, Comparison) else _as_comparison(experiment)
    this = Run(Path(folder), comparison, process or Process(), say, workers)
    at_least(this, workers=1)
    if workers > 1 and this.process.world > 1:
        raise BadRecipe("workers", found=f"{workers} under torchrun", expected="1: the processes of torchrun train one arm together")
    if this.together > 1 and "__main__" in _user_modules(comparison):
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
        with _folder_of_this_run(this, resume):
            prepare_data(comparison.data, this.folder / "store", this.say, require_deidentified)
    this.process.wait()
    store = Store(this.folder / "store")
    assignment = comparison.data.split.assign(comparison.data.chosen(store.headers))
    about = _run_record(this, store)
    trained, flights = _train_arms(this, assignment)
    if this.process.first:
        baselines = _tune_baselines(this, store, assignment)
        about["baselines"] = {name: record for name, (_, record) in baselines.items()}
        about["arms"] = _arm_records(this, trained, flights)
        _write_json(this.folder / "run.json", about)
        _evaluate(this, store, assignment, trained, {name: baseline for name, (baseline, _) in baselines.items()})
        _write_json(this.folder / "run.json", {**about, "finished": True})
        write_report(this.folder)
    this.process.wait()
    return this.folder / "report.html"


def _as_comparison(recipe: Recipe) -> Comparison:
    name = type(recipe.objective).__name__.lower()
    return Comparison(title=recipe.title or name, arms={name: recipe}, seeds=(recipe.seed,))


@contextmanager
def _folder_of_this_run(this: Run, resume: bool) -> Iterator[None]:
    """Make the folder this run's. What fails inside the block before the first volume is prepared (a mistyped path) leaves no trace."""
    known = _has_files(this.folder)
    fresh = _begin(this, resume)
    try:
        yield
    except BaseException:
        if fresh and not any((this.folder / "store").glob("*.h5")):
            (this.folder / "run.json").unlink()
            if not known:
                shutil.rmtree(this.folder)
        raise


def _begin(this: Run, resume: bool) -> bool:
    """Tell whether the folder is newly this run's. Raises OutputInUse where it holds anything else."""
    record = this.folder / "run.json"
    trained = any(this.folder.glob("arms/*/*/checkpoints/*.safetensors"))
    if record.exists() and trained:
        known = _read_record(record)
        same = known.get("hash") == this.comparison.hash
        if not same and "hash_version" not in known:
            same = alike(known.get("recipe"), this.comparison.description)
        if not same and not _has_grown(known.get("recipe"), this.comparison.description):
            raise OutputInUse(
                this.folder,
                found=f"the run of another recipe ({known.get('title', '?')}, {known.get('hash')})",
                expected=f"an empty folder, or this recipe's ({this.comparison.hash}); choose another with --out",
            )
        if not resume and not (same and known.get("finished")):
            found = "an unfinished run of this recipe" if same else "a run of this recipe before it gained arms or seeds"
            raise OutputInUse(this.folder, found=found, expected="--resume to continue it, or another --out")
        if not same:
            _write_json(record, _recipe_record(this.comparison))
        return False
    # A run that has trained nothing yet (its pre-flight failed, or its recipe was mended since) is begun again; a store it prepared is
    # kept where it fits.
    discard_partial_files(this.folder)
    if not record.exists() and _has_files(this.folder):
        raise OutputInUse(this.folder, found="files that are not a run of ssrecon", expected="an empty folder; choose another with --out")
    # Before anything is trained: the margins of non-inferiority are on record.
    _write_json(record, _recipe_record(this.comparison))
    return True


def _has_files(folder: Path) -> bool:
    return any(item.name != LOCK for item in folder.iterdir())


def _recipe_record(comparison: Comparison) -> dict[str, Any]:
    return {"title": comparison.title, "hash": comparison.hash, "hash_version": HASH_VERSION, "recipe": comparison.description}


def _has_grown(known: Any, now: Mapping[str, Any]) -> bool:
    """Tell whether a comparison is a recorded one with more arms or seeds, and the same in everything else."""
    now = json.loads(json.dumps(now))
    if not isinstance(known, dict) or known.keys() != now.keys() or "arms" not in known:
        return False
    same = all(alike(known[name], value) for name, value in now.items() if name not in ("title", "arms", "seeds"))
    kept = all(name in now["arms"] and alike(arm, now["arms"][name]) for name, arm in known["arms"].items())
    return same and kept and set(known["seeds"]) <= set(now["seeds"])


def _read_record(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise OutputInUse(path, found=f"a damaged record of a run ({error})", expected="a whole one, or another folder (--out)") from error


def _run_record(this: Run, store: Store) -> dict[str, Any]:
    comparison = this.comparison
    return {
        "title": comparison.title,
        "hash": comparison.hash,
        "hash_version": HASH_VERSION,
        "recipe": comparison.description,
        "data": {
            "kind": store.kind,
            "description": store.description,
            "fingerprint": store.fingerprint(),
            "left_out": {**store.skipped, **dict.fromkeys(comparison.data.leave_out, "left out by request")},
        },
        "margins": describe(comparison.margins),
        "headline_selection": comparison.headline,
        "workers": this.together,
        **provenance(this.process.device, comparison.seeds, store.fingerprint()),
    }


def _train_arms(this: Run, assignment: Assignment) -> tuple[dict[str, dict[int, Trained]], dict[str, Preflight]]:
    flights: dict[str, Preflight] = {}
    # All arms before any is trained: what will not do for the last is not to be learned after the first has trained for hours.
    for name in this.comparison.arms:
        flights[name] = preflight(this.training(name, this.comparison.seeds[0], assignment).trainer(), this.together)
        if this.process.first:
            this.say(f"\n{name}\n  " + "\n  ".join(flights[name].lines()))
    trainings = [this.training(name, seed, assignment) for name in this.comparison.arms for seed in this.comparison.seeds]
    if this.together > 1:  # The longest first, so that no worker ends long after the others.
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


def _arm_records(this: Run, trained: Mapping[str, Mapping[int, Trained]], flights: Mapping[str, Preflight]) -> dict[str, Any]:
    records: dict[str, Any] = {name: {"kind": "baseline", "label": name, "seeds": {}} for name in this.comparison.baselines}
    for name, recipe in this.comparison.arms.items():
        seeds = {
            str(seed): {
                "updates": result.updates,
                "parameters": flights[name].parameters,
                "flops_per_update": flights[name].flops_per_update,
                "seconds": result.seconds,
                "stopped_early": result.stopped_early,
                "selected_step": {"gamma": result.best_gamma_step, "reference": result.best_hidden_step},
            }
            for seed, result in trained[name].items()
        }
        records[name] = {
            "kind": "network",
            "objective": type(recipe.objective).__name__,
            "needs_reference": recipe.objective.needs_reference or recipe.objective.takes_reference,
            "label": name,
            "seeds": seeds,
        }
    return records


def _evaluate(
    this: Run,
    store: Store,
    assignment: Assignment,
    trained: Mapping[str, Mapping[int, Trained]],
    baselines: Mapping[str, Baseline],
) -> None:
    arms = [Arm(name, baseline) for name, baseline in baselines.items()]
    for name, seeds in trained.items():
        for seed, result in seeds.items():
            for selection in TRAINED:
                path = result.checkpoint(selection)
                if path.exists():
                    arms.append(Arm(name, load_checkpoint(path, this.process.device, _user_modules(this.comparison)), seed, selection))
    comparison = this.comparison
    # Without a reference, what is predicted of Gamma is all there is to compare.
    gamma = None if all(map(store.has_reference, assignment.test)) else next(iter(comparison.arms.values())).validation
    draw = Draw(comparison.data.seed)
    evaluate(arms, store, assignment.test, this.folder, this.process.device, comparison.figure_scans, gamma, draw)


def _user_modules(comparison: Comparison) -> set[str]:
    """Return the user's own modules in this recipe: running it has trusted them already."""
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


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, indent=1))
