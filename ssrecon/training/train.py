"""Training one recipe by itself, without the folder of a whole run."""

from contextlib import nullcontext
from pathlib import Path

from ssrecon.archive.splits import Assignment
from ssrecon.core.distributed import Process
from ssrecon.core.folder_lock import folder_lock
from ssrecon.recipe.recipe import Recipe
from ssrecon.store.dataset import ScanDataset
from ssrecon.training.state import Trained
from ssrecon.training.trainer import Trainer


def train(
    recipe: Recipe,
    scans: ScanDataset,
    folder: Path | str,
    *,
    assignment: Assignment | None = None,
    process: Process | None = None,
    resume: bool = False,
) -> Trained:
    """Train a recipe on calibrated scans: a `Store`, `ScansInMemory`, or a dataset of your own.

    `folder` gets ``history.csv`` and ``checkpoints/``; `ssrecon.load_checkpoint` reads what `Trained.checkpoint` names.
    Scans are taken as they are: of ``recipe.data`` only the split, the choice of scans and the seed of Gamma are used, and its source is
    not opened. `assignment` says who trains and who validates; without one, the recipe's own split does. `resume` goes on from the last
    checkpoint. For arms side by side, baselines and a report, use `ssrecon.run`.

    Raises BadRecipe or BadInput where the recipe cannot be trained on these scans, TrainingDiverged where a loss is not finite, and
    OutputInUse where another process trains into the folder.
    """
    this, folder = process or Process(), Path(folder)
    if assignment is None:
        assignment = recipe.data.split.assign(recipe.data.chosen(scans.headers))
    with folder_lock(folder) if this.first else nullcontext():
        return Trainer(recipe, scans, assignment, folder, this).run(resume=resume)
