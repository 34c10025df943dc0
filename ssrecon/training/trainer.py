"""One training loop for every method: it never asks which objective it is running."""

import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssrecon.archive.splits import Assignment, spread
from ssrecon.core.description import HASH_VERSION, alike, describe
from ssrecon.core.distributed import Process
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, TrainingDiverged
from ssrecon.core.files import discard_partial_files
from ssrecon.core.progress import track
from ssrecon.core.provenance import data_fingerprint
from ssrecon.core.scan import CalibratedScan, Prepared
from ssrecon.objectives import Objective
from ssrecon.objectives.measurement import NOISE_FROM
from ssrecon.recipe.recipe import Recipe
from ssrecon.recipe.selection import Selection
from ssrecon.reconstruction.checkpoint import Checkpoint, load_optimizer, optimizer_tensors, read_checkpoint, save_checkpoint
from ssrecon.reconstruction.domain import TrainingDomain
from ssrecon.store.loader import Schedule, Step, collate, load
from ssrecon.store.store import Store
from ssrecon.training.history import History
from ssrecon.training.validation import Score, validate

CHECKPOINT_SECONDS = 60.0
"""Between validations, a checkpoint is written when this much time has passed since the last."""

DOMAIN_SCANS = 64
"""The training domain is read off at most so many scans, evenly spread."""


@dataclass(frozen=True)
class Trained:
    """Where a training left its checkpoints, and how it ended."""

    folder: Path
    updates: int
    seconds: float
    stopped_early: bool
    best_gamma: float
    best_gamma_step: int
    best_hidden: float | None
    best_hidden_step: int | None

    def checkpoint(self, selection: Selection) -> Path:
        """The checkpoint that a selection rule chose."""
        return self.folder / "checkpoints" / f"{selection}.safetensors"


@dataclass
class _State:
    """What a training has reached: goes into every checkpoint, so that a resumed run ends like an undisturbed one."""

    step: int = 0
    best_gamma: float = math.inf
    best_gamma_step: int = -1
    best_hidden: float = math.inf
    best_hidden_step: int = -1
    waited: int = 0
    losses: int = 0
    """Updates since the last validation, and the sum of their losses."""
    loss_sum: float = 0.0

    def note(self, loss: float) -> None:
        self.step, self.losses, self.loss_sum = self.step + 1, self.losses + 1, self.loss_sum + loss

    def mean_loss(self) -> float | None:
        """Of the updates since it was last asked for; None where there were none."""
        mean = self.loss_sum / self.losses if self.losses else None
        self.losses, self.loss_sum = 0, 0.0
        return mean

    def take(self, score: Score) -> tuple[bool, bool]:
        """Note a validation; whether it is the best so far by Gamma, and by reference."""
        by_gamma = score.gamma < self.best_gamma
        by_reference = score.hidden_nmse is not None and score.hidden_nmse < self.best_hidden
        self.waited = 0 if by_gamma else self.waited + 1
        if by_gamma:
            self.best_gamma, self.best_gamma_step = score.gamma, self.step
        if by_reference and score.hidden_nmse is not None:
            self.best_hidden, self.best_hidden_step = score.hidden_nmse, self.step
        return by_gamma, by_reference


class Trainer:
    """A training of one recipe: construct it, then `run`."""

    def __init__(self, recipe: Recipe, store: Store, assignment: Assignment, folder: Path, process: Process | None = None):
        self.recipe, self.store, self.assignment, self.folder = recipe, store, assignment, Path(folder)
        self.process = process or Process()
        wants, takes = recipe.objective.needs_reference, recipe.objective.takes_reference
        _check_trainable(recipe.objective, store, assignment.train)
        self.network = recipe.network.build(recipe.seed).to(self.process.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=recipe.training.learning_rate)
        self.state = _State()
        self.draw = Draw(recipe.seed)
        # Gamma belongs to the data: arms and seeds are judged, and chosen, on the same samples.
        self.gamma_draw = Draw(recipe.data.seed)
        self.objective = recipe.objective.fitted(self._training_scans())
        self.references = wants or takes
        self.schedule = Schedule.of(store, assignment.train, recipe.training.batch_size, recipe.seed, self.references)
        self.updates = recipe.training.updates(len(self.schedule.epoch(0)))
        every = -(-len(assignment.train) // DOMAIN_SCANS)
        self.domain = TrainingDomain.of(store.load(scan_id).scan for scan_id in assignment.train[::every])
        # With a checkpoint goes what it was trained on and how: where it came from, how its scans were calibrated.
        self.about: dict[str, Any] = {"recipe": recipe.description, "hash": recipe.hash, "hash_version": HASH_VERSION}
        self.about["domain"] = describe(self.domain)
        self.about["calibrator"] = store.calibrator or describe(recipe.data.calibrator)
        if recipe.training.start is not None:
            read_checkpoint(recipe.training.start).load_into(self.network)
            self.about["start"] = data_fingerprint([recipe.training.start])

    # -- the loop ---------------------------------------------------------------------------------------------------------------------

    def run(self, resume: bool = False) -> Trained:
        """Train to the last step, the stop by Gamma, or an interrupt, after which `resume` continues to the same end."""
        training, last = self.recipe.training, self.folder / "checkpoints" / "last.safetensors"
        resumed = resume and last.exists()
        if resumed:
            self._restore(read_checkpoint(last))
        if self.process.first:
            discard_partial_files(last.parent)
        history = History.resume(self.folder / "history.csv", self.state.step) if self.process.first else None
        validation = self._validation_scans() if self.process.first else []
        started = time.monotonic() - (history.seconds if history else 0.0)
        saved = time.monotonic()
        steps = list(self.schedule.steps(self.state.step, self.updates))
        bar = track(None, self.folder.parent.name or "training", total=self.updates, initial=self.state.step, unit="step")
        stopped = False
        with bar, _stop_on_signals() as stop:
            if history is not None and not resumed:
                self._validate(validation, history, 0, started)
            for step, scans in load(self.store, steps, self.process, self.references, training.workers):
                # A signal may reach one process alone; patience is known to the first, which validates.
                stopped, patient = self.process.any(bool(stop), self._has_waited())
                if stopped or patient:
                    break
                self.state.note(self.update(step, self.without_gamma(scans)))
                bar.update()
                if training.keep_every and self.state.step % training.keep_every == 0 and self.process.first:
                    self._save(f"step-{self.state.step:06d}", weights_only=True)
                if self.state.step % training.validate_every == 0 or self.state.step == self.updates:
                    if history is not None:
                        self._validate(validation, history, step.epoch, started)
                        saved = time.monotonic()
                elif self.process.first and time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._save("last")
                    saved = time.monotonic()
            # Still within: a second signal is no reason to leave a checkpoint half-written.
            if stopped or self.process.any(bool(stop))[0]:
                if self.process.first:
                    self._save("last")
                raise KeyboardInterrupt(f"stopped at step {self.state.step}; a checkpoint was written, --resume continues")
        return self._result(time.monotonic() - started)

    def update(self, step: Step, scans: Sequence[Prepared]) -> float:
        """One update of the weights from this process's share of a global batch; its mean loss over the whole batch.

        Raises TrainingDiverged, before the weights are touched, where a loss or the gradient is not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step.number)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.process.device)
        if scans:
            batch, reference = collate(scans)
            batch = batch.to(self.process.device)
            reference = reference.to(self.process.device) if reference is not None else None
            loss = self.objective.loss(self.network, batch, reference, self.draw.at(step.epoch))
            _check_finite(step, batch.ids, {"loss": loss.per_scan, **loss.terms})
            total = loss.per_scan.sum() / len(step.ids)
            total.backward()
        self.process.sum_gradients(self.network)
        total = total.detach().clone()
        self.process.sum_(total)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.training.clip_norm or math.inf)
        if not torch.isfinite(norm):
            raise TrainingDiverged(
                f"step {step.number}, scans {', '.join(step.ids)}: the gradient is not finite; the last checkpoint is good"
            )
        self.optimizer.step()
        return float(total)

    # -- its parts --------------------------------------------------------------------------------------------------------------------

    def _has_waited(self) -> bool:
        patience = self.recipe.training.patience
        return patience is not None and self.state.waited >= patience

    def _learning_rate(self, step: int) -> float:
        training = self.recipe.training
        if training.final_learning_rate is None:
            return training.learning_rate
        fraction = 0.5 * (1 + math.cos(math.pi * step / self.updates))
        return training.final_learning_rate + fraction * (training.learning_rate - training.final_learning_rate)

    def _training_scans(self) -> Iterator[CalibratedScan]:
        """As they are trained on, read one by one."""
        return (self.without_gamma([self.store.load(scan_id)])[0].scan for scan_id in self.assignment.train)

    def _validation_scans(self) -> list[Prepared]:
        ids = spread(self.assignment.validation, self.recipe.training.validation_scans)
        return [self.store.load(scan_id, reference=True) for scan_id in ids]

    def without_gamma(self, scans: Sequence[Prepared]) -> list[Prepared]:
        """A scan that is validated on as well (scan-specific training) gives its Gamma up, so that nothing of it is ever trained on."""
        both = set(self.assignment.validation)
        kept = []
        for prepared in scans:
            if both.intersection(prepared.scan.ids):
                gamma = self.recipe.validation.hold_out(prepared.scan, self.gamma_draw)
                reference = None if prepared.reference is None else prepared.reference.on(~gamma)
                prepared = replace(prepared, scan=prepared.scan.on(~gamma), reference=reference)
            kept.append(prepared)
        return kept

    def _validate(self, scans: Sequence[Prepared], history: History, epoch: int, started: float) -> None:
        self.network.eval()
        hold_out = partial(self.recipe.validation.hold_out, draw=self.gamma_draw)
        score = validate(self.network, self.objective, scans, hold_out, self.draw, self.process.device)
        if not math.isfinite(score.gamma):
            raise TrainingDiverged(f"step {self.state.step}: the Gamma score is not finite; the last checkpoint is good")
        by_gamma, by_reference = self.state.take(score)
        if by_gamma:
            self._save("gamma", weights_only=True)
        if by_reference:
            self._save("reference", weights_only=True)
        mu = getattr(self.network, "mu", None)
        history.append(
            {
                "step": self.state.step,
                "epoch": epoch,
                "loss": self.state.mean_loss(),
                "gamma": score.gamma,
                "hidden_nmse": score.hidden_nmse,
                "learning_rate": self._learning_rate(max(self.state.step - 1, 0)),
                "mu": mu.item() if isinstance(mu, Tensor) else None,
                "seconds": time.monotonic() - started,
            }
        )
        self._save("last")

    def _save(self, name: str, weights_only: bool = False) -> None:
        tensors = {f"network/{key}": value for key, value in self.network.state_dict().items()}
        if not weights_only:
            tensors |= optimizer_tensors(self.network, self.optimizer)
        state = {key: value for key, value in asdict(self.state).items() if not (isinstance(value, float) and math.isinf(value))}
        save_checkpoint(self.folder / "checkpoints" / f"{name}.safetensors", tensors, {**self.about, "state": state})

    def _restore(self, checkpoint: Checkpoint) -> None:
        same = checkpoint.about.get("hash") == self.recipe.hash
        if not same and "hash_version" not in checkpoint.about:
            same = alike(checkpoint.said("recipe"), self.recipe.description)
        if not same:
            raise BadInput(checkpoint.path, found="a checkpoint of another recipe", expected="this recipe's, or another output folder")
        if checkpoint.about.get("start") != self.about.get("start"):
            found = f"a training that started from other weights than {self.recipe.training.start} holds now"
            raise BadInput(checkpoint.path, found=found, expected="the same file, or another output folder")
        checkpoint.load_into(self.network)
        load_optimizer(checkpoint, self.network, self.optimizer)
        self.state = _State(**checkpoint.said("state"))

    def _result(self, seconds: float) -> Trained:
        state = self.state
        hidden = None if math.isinf(state.best_hidden) else state.best_hidden
        early = state.step < self.updates
        hidden_step = None if hidden is None else state.best_hidden_step
        return Trained(self.folder, state.step, seconds, early, state.best_gamma, state.best_gamma_step, hidden, hidden_step)


def _check_trainable(objective: Objective, store: Store, scan_ids: Sequence[str]) -> None:
    """Before anything is trained: raises BadInput, naming a scan, where training scans lack what the objective cannot do without."""
    name, count = type(objective).__name__, len(scan_ids)
    bare = [scan_id for scan_id in scan_ids if not store.has_reference(scan_id)]
    if (objective.needs_reference and bare) or (objective.takes_reference and len(bare) == count):
        wanted = "references" if objective.needs_reference else "a few references"
        raise BadInput(
            bare[0],
            found=f"no fully sampled reference in {len(bare)} of {count} training scans",
            expected=f"{wanted}, which {name} trains on: what `data.pattern` undersamples of fully sampled scans becomes one",
        )
    silent = [scan_id for scan_id in scan_ids if not store.noise_known(scan_id)]
    if objective.needs_noise_level and silent:
        raise BadInput(silent[0], found=f"an unknown noise level in {len(silent)} of {count} training scans", expected=NOISE_FROM)


def _check_finite(step: Step, ids: Sequence[str], terms: dict[str, Tensor]) -> None:
    for name, values in terms.items():
        finite = torch.isfinite(values)
        if not finite.all():
            scan = ids[int((~finite).nonzero()[0, 0])]
            raise TrainingDiverged(f"step {step.number}, scan {scan}: the term {name!r} is not finite; the last checkpoint is good")


@contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM let the step in hand finish, so that the checkpoint is one of a whole step."""
    caught: list[int] = []
    try:
        previous = {number: signal.signal(number, lambda number, _: caught.append(number)) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are the caller's affair
        previous = {}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
