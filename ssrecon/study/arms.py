"""The arms of a comparison are trained here, in turn or side by side in processes of their own."""

import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from ssrecon.archive.splits import Assignment
from ssrecon.core.distributed import Process
from ssrecon.core.errors import SsreconError
from ssrecon.core.folder_lock import folder_lock
from ssrecon.recipe import load_recipe
from ssrecon.recipe.load import loaded_recipes
from ssrecon.recipe.recipe import Recipe
from ssrecon.store.store import Store
from ssrecon.training.state import Trained
from ssrecon.training.trainer import Trainer

PATIENCE = 600.0
"""Once it has been told to stop, a worker has this many seconds for the step in hand and its checkpoint."""


@dataclass(frozen=True)
class ArmTraining:
    """This is all that a process needs to know to train one arm with one seed."""

    arm: str
    recipe: Recipe
    store: Path
    assignment: Assignment
    folder: Path
    process: Process

    @property
    def name(self) -> str:
        """This is what messages call it."""
        return f"{self.arm}, seed {self.recipe.seed}"

    def trainer(self) -> Trainer:
        """Return the trainer. It is made where it trains: neither networks nor optimizers travel between processes."""
        return Trainer(self.recipe, Store(self.store), self.assignment, self.folder, self.process)

    def run(self) -> Trained:
        """Train, from the last checkpoint where there is one.

        Raises OutputInUse where another process trains into the same folder, such as a worker of a run that was killed, which ends with
        the step in hand.
        """
        with folder_lock(self.folder) if self.process.first else nullcontext():
            return self.trainer().run(resume=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # The user's recipe file may define classes: it has to be loaded before anything that has them is unpickled.
        return _unpickled_training, (loaded_recipes(), pickle.dumps(vars(self)))


def train_arms(trainings: Sequence[ArmTraining], workers: int = 1) -> Generator[tuple[ArmTraining, Trained | BaseException], None, None]:
    """Run trainings and yield each with its result, in the order in which they end. A training that had begun before is continued.

    `workers` are processes of this machine. Each runs one training at a time, and they share the device and this process's threads.

    A training that fails ends with its error, and so does one that was interrupted (KeyboardInterrupt) or whose process was lost
    (SsreconError). However this generator is left (closed, or by Ctrl-C or SIGTERM), every training in hand has finished its step and
    written a checkpoint by then; should this process be killed, the others do the same and end.
    """
    workers = min(workers, len(trainings))
    if workers <= 1:
        for training in trainings:
            try:
                yield training, training.run()
            except (Exception, KeyboardInterrupt) as error:
                yield training, error
        return
    waiting, slots = deque(trainings), [_Worker.start(max(1, torch.get_num_threads() // workers)) for _ in range(workers)]
    with _workers_stopped_at_the_end(slots):
        while waiting or any(slot.training for slot in slots):
            for slot in slots:
                if slot.training is None and waiting:
                    slot.give(waiting.popleft())
            busy = {slot.results: slot for slot in slots if slot.training}
            for results in wait(list(busy)):
                yield busy[results].take()  # type: ignore[index]


@dataclass
class _Worker:
    """A worker is a process with pipes of its own. No lock is shared, so that the end of one worker does not block the others."""

    process: BaseProcess
    trainings: Connection
    results: Connection
    training: ArmTraining | None = field(default=None)

    @staticmethod
    def start(threads: int) -> "_Worker":
        # Spawned, not forked: a forked child of a process whose torch has started threads can wait for ever.
        context = get_context("spawn")
        (worker_receives, trainings), (results, worker_sends) = context.Pipe(duplex=False), context.Pipe(duplex=False)
        process = context.Process(target=_train_what_is_sent, args=(worker_receives, worker_sends, threads))
        process.start()
        for end in (worker_receives, worker_sends):  # Of the child alone from here on: what it holds last, its death closes.
            end.close()
        return _Worker(process, trainings, results)

    def give(self, training: ArmTraining) -> None:
        self.training = training
        with suppress(BrokenPipeError):  # of a process that is dead, which is what `take` will find
            self.trainings.send(training)

    def take(self) -> tuple[ArmTraining, Trained | BaseException]:
        training, self.training = self.training, None
        assert training is not None
        try:
            return training, self.results.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode or 0
            why = f"signal {-code}" + (", which is what a machine out of memory sends" if code == -signal.SIGKILL else "")
            text = f"its process was lost ({why if code < 0 else f'exit code {code}'}); the last checkpoint is good, --resume continues"
            return training, SsreconError(text)


def _train_what_is_sent(trainings: Connection, results: Connection, threads: int) -> None:
    """Run one training after another in this worker, until there are no more or it was told to stop."""
    # Ctrl-C reaches the whole group; it is the first process that says what is to be done. A training listens for itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    while True:
        try:
            training = trainings.recv()
        except (EOFError, OSError):
            return
        except Exception as error:  # the user's own recipe file is loaded here
            results.send(error)
            continue
        result: Trained | BaseException
        try:
            result = training.run()
        except (Exception, KeyboardInterrupt) as error:
            if not isinstance(error, (SsreconError, KeyboardInterrupt)):
                error.add_note(traceback.format_exc())  # of this process; the error alone travels
            result = error
        try:
            results.send(result)
        except BrokenPipeError:  # nobody is there any more
            return
        if isinstance(result, KeyboardInterrupt):
            return


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _workers_stopped_at_the_end(slots: Sequence[_Worker]) -> Iterator[None]:
    """Stop the workers however the block ends: each finishes its step and writes a checkpoint."""

    def terminate_workers(*_: object) -> None:
        for slot in slots:
            slot.process.terminate()

    def stop_this_process(*_: object) -> None:
        terminate_workers()
        raise KeyboardInterrupt("stopped; checkpoints were written, --resume continues")

    try:
        previous = {number: signal.signal(number, stop_this_process) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are the caller's affair
        previous = {}
    try:
        yield
    except BaseException:
        terminate_workers()
        raise
    finally:
        for number in previous:  # A second Ctrl-C is no reason to leave before the checkpoints are there.
            signal.signal(number, terminate_workers)
        for slot in slots:
            slot.trainings.close()
        for slot in slots:
            slot.process.join(PATIENCE)
            slot.results.close()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _unpickled_training(recipes: Sequence[Path], fields: bytes) -> ArmTraining:
    known = set(loaded_recipes())
    for path in recipes:
        if path not in known:
            load_recipe(path)
    return ArmTraining(**pickle.loads(fields))
