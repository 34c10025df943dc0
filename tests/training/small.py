"""A store of small scans and a recipe that trains on it in a second."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ssrecon.archive import Archive
from ssrecon.archive.splits import Assignment, BySubject
from ssrecon.core.scan import Prepared
from ssrecon.objectives import SSDU
from ssrecon.partition import Gamma, Uniform
from ssrecon.recipe.recipe import Recipe, Training
from ssrecon.store.data import Data
from ssrecon.store.store import Store
from ssrecon.store.volume_file import write_volume
from ssrecon.training.state import Trained
from ssrecon.training.trainer import Trainer
from tests.scans import SMALL_NETWORK, full_kspace, make_reference, make_scan


@dataclass(frozen=True)
class Nothing(Archive):
    """Stands where a recipe wants an archive: these tests make their store themselves."""

    name: str = "nothing"

    @classmethod
    def recognises(cls, path):
        return False

    @cached_property
    def headers(self):
        return ()

    def read(self, scan_id):
        raise NotImplementedError


def make_store(folder: Path, subjects: int = 5, references: bool = True, shapes=((24, 24), (24, 20))) -> Store:
    for subject in range(subjects):
        shape = shapes[subject % len(shapes)]
        scan = make_scan(shape, seed=subject, scan_id=f"subject{subject}/slice-000")
        reference = make_reference(scan, full_kspace(shape, 4, 1, 1, 0.01, subject)) if references else None
        write_volume(folder, [Prepared(scan, reference)], {"kind": "simulated"})
    return Store(folder)


RECIPE = Recipe(
    data=Data(Nothing(), split=BySubject(validation=1, test=1)),
    network=SMALL_NETWORK,
    objective=SSDU(Uniform(0.4)),
    training=Training(steps=12, learning_rate=1e-2, validate_every=4, batch_size=2),
    validation=Gamma(),
)


def assign(store: Store) -> Assignment:
    return RECIPE.data.split.assign(store.headers)


def recipe(**training) -> Recipe:
    return replace(RECIPE, training=replace(RECIPE.training, **training))


def run(this: Recipe, store: Store, folder: Path, **options) -> Trained:
    return Trainer(this, store, assign(store), folder).run(**options)


def forged(path: Path, change: Callable[[dict], object]) -> Path:
    """Change the record that a checkpoint has of itself, and return its path."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, "pt") as file:
        about, tensors = json.loads(file.metadata()["ssrecon"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(about)
    text = json.dumps(about).replace('"DEEP"', "[" * 50_000 + "]" * 50_000)
    save_file(tensors, path, {"ssrecon": text})
    return path
