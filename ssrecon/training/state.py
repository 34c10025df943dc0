"""What a training has reached, and where it left its checkpoints."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ssrecon.core.errors import BadInput
from ssrecon.recipe.selection import Selection
from ssrecon.training.validation import Score


@dataclass(frozen=True)
class Trained:
    """This says where a training left its checkpoints, and how it ended."""

    folder: Path
    updates: int
    seconds: float
    stopped_early: bool
    best_gamma: float
    best_gamma_step: int
    best_hidden: float | None
    best_hidden_step: int | None

    def checkpoint(self, selection: Selection) -> Path:
        """Return the checkpoint that a selection rule chose."""
        return selected_checkpoint(self.folder, selection)

    @property
    def last(self) -> Path:
        """This is the checkpoint of the last step."""
        return last_checkpoint(self.folder)


def selected_checkpoint(folder: Path, selection: Selection) -> Path:
    """Return where a training in `folder` keeps the weights that a selection rule chooses."""
    return folder / "checkpoints" / f"{selection}.safetensors"


def last_checkpoint(folder: Path) -> Path:
    """Return where a training in `folder` keeps what it resumes from."""
    return folder / "checkpoints" / "last.safetensors"


def step_checkpoint(folder: Path, step: int) -> Path:
    """Return where a training in `folder` keeps the weights of one step (`Training.keep_every`)."""
    return folder / "checkpoints" / f"step-{step:06d}.safetensors"


@dataclass
class State:
    """This is what a training has reached. It goes into every checkpoint, so that a resumed run ends like an undisturbed one."""

    step: int = 0
    best_gamma: float = math.inf
    best_gamma_step: int = -1
    best_hidden: float = math.inf
    best_hidden_step: int = -1
    waited: int = 0
    losses: int = 0
    """Updates since `mean_loss` was last asked for; `loss_sum` is the sum of their losses."""
    loss_sum: float = 0.0

    @staticmethod
    def read(written: Any, path: Path) -> "State":
        """Return the state that a checkpoint has. Raises BadInput, naming the file, for anything else."""
        known = {f.name for f in fields(State)}
        if not isinstance(written, dict) or set(written) - known or not all(isinstance(value, (int, float)) for value in written.values()):
            found = f"a state of a training that is {written!r}"[:200]
            raise BadInput(path, found=found, expected="numbers for " + ", ".join(sorted(known)))
        return State(**written)

    def note_update(self, loss: float) -> None:
        self.step, self.losses, self.loss_sum = self.step + 1, self.losses + 1, self.loss_sum + loss

    def mean_loss(self) -> float | None:
        """Return the mean loss of the updates since it was last asked for; None where there were none."""
        mean = self.loss_sum / self.losses if self.losses else None
        self.losses, self.loss_sum = 0, 0.0
        return mean

    def note_validation(self, score: Score) -> tuple[bool, bool]:
        """Note a validation, and tell whether it is the best so far by Gamma, and by reference."""
        by_gamma = score.gamma < self.best_gamma
        by_reference = score.hidden_nmse is not None and score.hidden_nmse < self.best_hidden
        self.waited = 0 if by_gamma else self.waited + 1
        if by_gamma:
            self.best_gamma, self.best_gamma_step = score.gamma, self.step
        if by_reference and score.hidden_nmse is not None:
            self.best_hidden, self.best_hidden_step = score.hidden_nmse, self.step
        return by_gamma, by_reference
