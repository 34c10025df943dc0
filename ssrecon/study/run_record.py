"""``run.json`` is written here: whose run a folder holds, and what is known before, between and after its trainings."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssrecon.archive.splits import Assignment
from ssrecon.core.description import HASH_VERSION, alike, describe
from ssrecon.core.distributed import Process
from ssrecon.core.errors import OutputInUse
from ssrecon.core.files import discard_partial_files, whole_file
from ssrecon.core.folder_lock import NAME as LOCK
from ssrecon.core.json_text import json_object
from ssrecon.core.provenance import provenance
from ssrecon.recipe.recipe import Comparison
from ssrecon.recipe.selection import Selection
from ssrecon.store.store import Store
from ssrecon.study.acquisition import acquisition_record
from ssrecon.training.preflight import Preflight
from ssrecon.training.state import Trained


@contextmanager
def folder_of_run(folder: Path, comparison: Comparison, resume: bool) -> Iterator[None]:
    """Make the folder that of this comparison's run while its data are prepared inside the block.

    What fails before the first volume is prepared (a mistyped path) leaves no trace. Raises OutputInUse where the folder holds anything
    else, and, without `resume`, an unfinished run.
    """
    had_files = _has_files(folder)
    is_new = _claim(folder, comparison, resume)
    try:
        yield
    except BaseException:
        if is_new and not any((folder / "store").glob("*.h5")):
            (folder / "run.json").unlink()
            if not had_files:
                shutil.rmtree(folder)
        raise


def read_record(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` holds. Raises OutputInUse where that is damaged."""
    path = folder / "run.json"
    return json_object(path.read_bytes(), path, "a whole record of a run, or another folder (--out)", OutputInUse)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``, whole or not at all."""
    with whole_file(folder / "run.json") as partial:
        partial.write_text(json.dumps(record, indent=1))


def recipe_record(comparison: Comparison) -> dict[str, Any]:
    """Return what says which recipe a run is of."""
    return {"title": comparison.title, "hash": comparison.hash, "hash_version": HASH_VERSION, "recipe": comparison.description}


def data_record(comparison: Comparison, store: Store, assignment: Assignment, process: Process, workers: int) -> dict[str, Any]:
    """Return what is known of a run as soon as its data are prepared: the recipe, the data and their sampling, margins and provenance."""
    return {
        **recipe_record(comparison),
        "data": {
            "kind": store.kind,
            "description": store.description,
            "fingerprint": store.fingerprint(),
            "sampling": acquisition_record(store, assignment.test),
            "left_out": {**store.skipped, **dict.fromkeys(comparison.data.leave_out, "left out by request")},
        },
        "margins": describe(comparison.margins),
        "headline_selection": comparison.headline,
        "workers": workers,
        **provenance(process.device, comparison.seeds, store.fingerprint()),
    }


def arm_records(comparison: Comparison, trained: Mapping[str, Mapping[int, Trained]], flights: Mapping[str, Preflight]) -> dict[str, Any]:
    """Return what is known of each arm after its trainings: what it is, what it cost, and which steps were selected."""
    records: dict[str, Any] = {name: {"kind": "baseline", "label": name, "seeds": {}} for name in comparison.baselines}
    for name, recipe in comparison.arms.items():
        seeds = {
            str(seed): {
                "updates": result.updates,
                "parameters": flights[name].parameters,
                "flops_per_update": flights[name].flops_per_update,
                "seconds": result.seconds,
                "stopped_early": result.stopped_early,
                "selected_step": {Selection.GAMMA: result.best_gamma_step, Selection.REFERENCE: result.best_hidden_step},
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


def _claim(folder: Path, comparison: Comparison, resume: bool) -> bool:
    """Write down which recipe's run the folder holds, and tell whether it is a new one."""
    path = folder / "run.json"
    trained = any(folder.glob("arms/*/*/checkpoints/*.safetensors"))
    if path.exists() and trained:
        known = read_record(folder)
        same = known.get("hash") == comparison.hash
        if not same and "hash_version" not in known:
            same = alike(known.get("recipe"), comparison.description)
        if not same and not _has_grown(known.get("recipe"), comparison.description):
            raise OutputInUse(
                folder,
                found=f"the run of another recipe ({known.get('title', '?')}, {known.get('hash')})",
                expected=f"an empty folder, or this recipe's ({comparison.hash}); choose another with --out",
            )
        if not resume and not (same and known.get("finished")):
            found = "an unfinished run of this recipe" if same else "a run of this recipe before it gained arms or seeds"
            raise OutputInUse(folder, found=found, expected="--resume to continue it, or another --out")
        if not same:
            write_record(folder, recipe_record(comparison))
        return False
    # A run that has trained nothing yet (its pre-flight failed, or its recipe was mended since) is begun again; a store it prepared is
    # kept where it fits.
    discard_partial_files(folder)
    if not path.exists() and _has_files(folder):
        raise OutputInUse(folder, found="files that are not a run of ssrecon", expected="an empty folder; choose another with --out")
    # Before anything is trained: the margins of non-inferiority are on record.
    write_record(folder, recipe_record(comparison))
    return True


def _has_files(folder: Path) -> bool:
    return any(item.name != LOCK for item in folder.iterdir())


def _has_grown(known: Any, now: Mapping[str, Any]) -> bool:
    """Tell whether a comparison is a recorded one with more arms or seeds, and the same in everything else."""
    now = json.loads(json.dumps(now))
    if not isinstance(known, dict) or known.keys() != now.keys() or "arms" not in known:
        return False
    same = all(alike(known[name], value) for name, value in now.items() if name not in ("title", "arms", "seeds"))
    kept = all(name in now["arms"] and alike(arm, now["arms"][name]) for name, arm in known["arms"].items())
    return same and kept and set(known["seeds"]) <= set(now["seeds"])
