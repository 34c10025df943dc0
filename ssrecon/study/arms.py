"""The trainings of a comparison's arms, in turn or side by side in processes of their own."""

import pickle
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import torch

from ssrecon.archive.splits import Assignment
from ssrecon.distributed import Process
from ssrecon.engines import each
from ssrecon.overrides import load_recipe, loaded_recipes
from ssrecon.recipe import Recipe
from ssrecon.store import Store
from ssrecon.train import Trained, Trainer


@dataclass(frozen=True)
class ArmTraining:
    """One arm with one seed: what a process needs to know to train it."""

    arm: str
    recipe: Recipe
    store: Path
    assignment: Assignment
    folder: Path
    process: Process
    threads: int | None = None
    """Of the CPU; None leaves them as they are."""

    def trainer(self) -> Trainer:
        return Trainer(self.recipe, Store(self.store), self.assignment, self.folder, self.process)

    def __reduce__(self) -> tuple[Any, ...]:
        # The user's recipe file may define classes: it has to be loaded before anything that has them is unpickled.
        return _unpacked, (loaded_recipes(), pickle.dumps(vars(self)))


def train_arms(trainings: Sequence[ArmTraining], workers: int = 1) -> Iterator[tuple[ArmTraining, Trained]]:
    """Each training with its end, in the order in which they end; what has begun is continued. `workers` are processes of this machine, a
    training each, which share the device.

    Raises what a training raises, and KeyboardInterrupt for Ctrl-C and SIGTERM; the others have written a checkpoint by then.
    """
    if workers <= 1 or len(trainings) <= 1:
        for training in trainings:
            yield training, train(training)
        return
    with each(train, trainings, workers) as ended, _all_told():
        for training, result in ended:
            if isinstance(result, BaseException):
                raise result
            yield training, result


def train(training: ArmTraining) -> Trained:
    if training.threads is not None:
        torch.set_num_threads(training.threads)
    return training.trainer().run(resume=True)


def _unpacked(recipes: Sequence[Path], fields: bytes) -> ArmTraining:
    for path in set(recipes) - set(loaded_recipes()):
        load_recipe(path)
    return ArmTraining(**pickle.loads(fields))


@contextmanager
def _all_told() -> Iterator[None]:
    """Whatever ends this process's work ends its workers' too: each finishes its step and writes a checkpoint."""

    def tell() -> None:
        for child in active_children():
            child.terminate()

    def stop(*_: object) -> None:
        tell()  # at once: where the exception arrives, the pool waits for its workers first
        raise KeyboardInterrupt("stopped; checkpoints were written, --resume continues")

    try:
        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are the caller's affair
        previous = {}
    try:
        yield
    except BaseException:
        tell()
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
