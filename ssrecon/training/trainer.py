"""One training loop for every method: it never asks which objective it is running."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
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
from ssrecon.core.example import Example
from ssrecon.core.files import discard_partial_files
from ssrecon.core.progress import track
from ssrecon.core.provenance import data_fingerprint
from ssrecon.core.scan import CalibratedScan, Prepared
from ssrecon.objectives import Loss
from ssrecon.recipe.recipe import Recipe
from ssrecon.recipe.selection import Selection
from ssrecon.reconstruction.checkpoint import Checkpoint, load_optimizer, optimizer_tensors, read_checkpoint, save_checkpoint
from ssrecon.reconstruction.domain import TrainingDomain
from ssrecon.store.dataset import ScanDataset
from ssrecon.store.loader import Schedule, Step, collate, load
from ssrecon.training.checks import check_finite, check_recipe, frozen, scans_an_update
from ssrecon.training.history import History
from ssrecon.training.signals import stop_on_signals
from ssrecon.training.state import State, Trained, last_checkpoint, selected_checkpoint, step_checkpoint
from ssrecon.training.validation import validate

CHECKPOINT_SECONDS = 60.0
"""Between validations, a checkpoint is written when this much time has passed since the last."""

DOMAIN_SCANS = 64
"""The training domain is read off at most so many scans, evenly spread."""


class Trainer:
    """This is a training of one recipe: construct it, then `run`."""

    def __init__(self, recipe: Recipe, store: ScanDataset, assignment: Assignment, folder: Path, process: Process | None = None):
        self.recipe, self.store, self.assignment, self.folder = recipe, store, assignment, Path(folder)
        self.process = process or Process()
        wants, takes = recipe.objective.needs_reference, recipe.objective.takes_reference
        check_recipe(recipe, store, assignment, self.process)
        example = store.load(assignment.train[0]).scan
        self.network = recipe.network.build(recipe.seed, example).to(self.process.device)
        auxiliary = recipe.objective.auxiliary(recipe.seed, example)
        self.auxiliary = auxiliary if auxiliary is None else auxiliary.to(self.process.device)
        self.parameters = dict(self.network.named_parameters())
        if self.auxiliary is not None:
            self.parameters |= {f"auxiliary/{name}": parameter for name, parameter in self.auxiliary.named_parameters()}
        for name in frozen(recipe.training.frozen, self.parameters):
            self.parameters.pop(name).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=recipe.training.learning_rate)
        self.state = State()
        self.draw = Draw(recipe.seed)
        # Gamma belongs to the data: arms and seeds are judged, and chosen, on the same samples.
        self.gamma_draw = Draw(recipe.data.seed)
        self.objective = recipe.objective.fitted(self._training_scans())
        self.references = wants or takes
        size = scans_an_update(recipe.training, self.process)
        self.schedule = Schedule.of(store, assignment.train, size, recipe.seed, self.references)
        self.updates = recipe.training.updates(len(self.schedule.epoch(0)))
        every = -(-len(assignment.train) // DOMAIN_SCANS)
        self.domain = TrainingDomain.of(store.load(scan_id).scan for scan_id in assignment.train[::every])
        # With a checkpoint goes what it was trained on and how: where it came from, how its scans were calibrated.
        self.about: dict[str, Any] = {"recipe": recipe.description, "hash": recipe.hash, "hash_version": HASH_VERSION}
        self.about["domain"] = describe(self.domain)
        self.about["example"] = describe(Example.of(example))
        self.about["calibrator"] = store.calibrator or describe(recipe.data.calibrator)
        self.begun_anew: list[str] = []  # tensors of the network that the checkpoint it starts from does not have
        if recipe.training.start is not None:
            start = read_checkpoint(recipe.training.start)
            self.begun_anew = start.start_of(self.network)
            if self.auxiliary is not None and start.weights("auxiliary"):
                start.load_into(self.auxiliary, "auxiliary")
            self.about["start"] = data_fingerprint([recipe.training.start])

    # -- the loop ---------------------------------------------------------------------------------------------------------------------

    def run(self, resume: bool = False) -> Trained:
        """Train to the last step, the stop by Gamma, or an interrupt, after which `resume` continues to the same end."""
        training, last = self.recipe.training, last_checkpoint(self.folder)
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
        with bar, stop_on_signals() as stop:
            if history is not None and not resumed:
                self._validate(validation, history, 0, started)
            for step, scans in load(self.store, steps, self.process, self.references, training.workers):
                # A signal may reach one process alone; patience is known to the first, which validates.
                stopped, patient = self.process.any(bool(stop), self._patience_is_over())
                if stopped or patient:
                    break
                self.state.note_update(self.update(step, self.without_gamma(scans)))
                bar.update()
                if training.keep_every and self.state.step % training.keep_every == 0 and self.process.first:
                    self._save(step_checkpoint(self.folder, self.state.step), weights_only=True)
                if self.state.step % training.validate_every == 0 or self.state.step == self.updates:
                    if history is not None:
                        self._validate(validation, history, step.epoch, started)
                        saved = time.monotonic()
                elif self.process.first and time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._save(last_checkpoint(self.folder))
                    saved = time.monotonic()
            # Still within: a second signal is no reason to leave a checkpoint half-written.
            if stopped or self.process.any(bool(stop))[0]:
                if self.process.first:
                    self._save(last_checkpoint(self.folder))
                raise KeyboardInterrupt(f"stopped at step {self.state.step}; a checkpoint was written, --resume continues")
        return self._result(time.monotonic() - started)

    def update(self, step: Step, scans: Sequence[Prepared]) -> float:
        """Make one update of the weights from this process's share of a global batch, and return its mean loss over the whole batch.

        Raises TrainingDiverged, before the weights are touched, where a loss or the gradient is not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step.number)
        self._set_training_mode()
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.process.device)
        if scans:
            loss = self.loss(scans, self.draw.at(step.epoch))
            check_finite(step, [scan_id for prepared in scans for scan_id in prepared.scan.ids], {"loss": loss.per_scan, **loss.terms})
            total = loss.per_scan.sum() / len(step.ids)
            total.backward()
        self.process.sum_gradients(self.parameters.values())
        total = total.detach().clone()
        self.process.sum_(total)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.training.clip_norm or math.inf)
        if not torch.isfinite(norm):
            raise TrainingDiverged(
                f"step {step.number}, scans {', '.join(step.ids)}: the gradient is not finite; the last checkpoint is good"
            )
        self.optimizer.step()
        return float(total)

    def loss(self, scans: Sequence[Prepared], draw: Draw) -> Loss:
        """Return the loss of some scans of one shape, as one batch. All that is random is drawn before anything goes to the device."""
        batch, reference = collate(scans)
        draws = self.objective.draws(batch, draw).to(self.process.device)
        batch = batch.to(self.process.device)
        reference = None if reference is None else reference.to(self.process.device)
        beside: dict[str, Any] = {} if self.auxiliary is None else {"auxiliary": self.auxiliary}
        return self.objective.loss(self.network, batch, reference, draws, **beside)

    # -- its parts --------------------------------------------------------------------------------------------------------------------

    def _set_training_mode(self) -> None:
        """Modules with a parameter that is trained learn; of a frozen module not even the running means move."""
        trained = {id(parameter) for parameter in self.parameters.values()}
        for module in (self.network, *([] if self.auxiliary is None else [self.auxiliary])):
            module.train()
            for inner in module.modules():
                own = list(inner.parameters())
                if own and not any(id(parameter) in trained for parameter in own):
                    inner.eval()

    def _patience_is_over(self) -> bool:
        patience = self.recipe.training.patience
        return patience is not None and self.state.waited >= patience

    def _learning_rate(self, step: int) -> float:
        training = self.recipe.training
        if training.final_learning_rate is None:
            return training.learning_rate
        fraction = 0.5 * (1 + math.cos(math.pi * step / self.updates))
        return training.final_learning_rate + fraction * (training.learning_rate - training.final_learning_rate)

    def _training_scans(self) -> Iterator[CalibratedScan]:
        """Yield the scans as they are trained on, read one by one."""
        return (self.without_gamma([self.store.load(scan_id)])[0].scan for scan_id in self.assignment.train)

    def _validation_scans(self) -> list[Prepared]:
        ids = spread(self.assignment.validation, self.recipe.training.validation_scans)
        return [self.store.load(scan_id, reference=True) for scan_id in ids]

    def without_gamma(self, scans: Sequence[Prepared]) -> list[Prepared]:
        """Return the scans without the Gamma of those that are validated on as well.

        In scan-specific training a scan gives its Gamma up, so that nothing of it is ever trained on.
        """
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
        try:
            score = validate(self.network, self.objective, scans, hold_out, self.draw, self.process.device)
        except TrainingDiverged as error:
            raise TrainingDiverged(f"step {self.state.step}: {error}") from None
        by_gamma, by_reference = self.state.note_validation(score)
        if by_gamma:
            self._save(selected_checkpoint(self.folder, Selection.GAMMA), weights_only=True)
        if by_reference:
            self._save(selected_checkpoint(self.folder, Selection.REFERENCE), weights_only=True)
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
                "gamma_floor": score.gamma_floor,
            }
        )
        self._save(last_checkpoint(self.folder))

    def _save(self, path: Path, weights_only: bool = False) -> None:
        tensors = {f"network/{key}": value for key, value in self.network.state_dict().items()}
        if self.auxiliary is not None:
            tensors |= {f"auxiliary/{key}": value for key, value in self.auxiliary.state_dict().items()}
        if not weights_only:
            tensors |= optimizer_tensors(self.parameters, self.optimizer)
        state = {key: value for key, value in asdict(self.state).items() if not (isinstance(value, float) and math.isinf(value))}
        save_checkpoint(path, tensors, {**self.about, "state": state})

    def _restore(self, checkpoint: Checkpoint) -> None:
        same = checkpoint.about.get("hash") == self.recipe.hash
        if not same and "hash_version" not in checkpoint.about:
            same = alike(checkpoint.entry("recipe"), self.recipe.description)
        if not same:
            raise BadInput(checkpoint.path, found="a checkpoint of another recipe", expected="this recipe's, or another output folder")
        if checkpoint.about.get("start") != self.about.get("start"):
            found = f"a training that started from other weights than {self.recipe.training.start} holds now"
            raise BadInput(checkpoint.path, found=found, expected="the same file, or another output folder")
        checkpoint.load_into(self.network)
        if self.auxiliary is not None:
            checkpoint.load_into(self.auxiliary, "auxiliary")
        load_optimizer(checkpoint, self.parameters, self.optimizer)
        self.state = State.read(checkpoint.entry("state"), checkpoint.path)

    def _result(self, seconds: float) -> Trained:
        state = self.state
        hidden = None if math.isinf(state.best_hidden) else state.best_hidden
        early = state.step < self.updates
        hidden_step = None if hidden is None else state.best_hidden_step
        return Trained(self.folder, state.step, seconds, early, state.best_gamma, state.best_gamma_step, hidden, hidden_step)
