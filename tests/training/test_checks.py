"""What cannot train, or would idle, is said before anything runs."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from ssrecon.archive.splits import Assignment, BySubject
from ssrecon.core.distributed import Process
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import Prepared
from ssrecon.networks import LearnedCSM, NetworkSpec, Unrolled, WithUncertainty
from ssrecon.store.store import Store
from ssrecon.store.volume_file import write_volume
from ssrecon.training.checks import scans_an_update
from ssrecon.training.trainer import Trainer
from tests.scans import make_scan
from tests.training.small import RECIPE, assign, recipe


@dataclass(frozen=True)
class Cascade(NetworkSpec):
    """A user's own network of several others."""

    stages: Any

    def build(self, seed, example):
        raise NotImplementedError


def test_no_scan_to_validate_on_is_refused(store, tmp_path):
    split = BySubject(validation=0, test=1).assign(store.headers)
    with pytest.raises(BadRecipe, match="data.split: found no scan to validate on"):
        Trainer(RECIPE, store, split, tmp_path)
    with pytest.raises(BadRecipe, match="data.split: found no scan to train on"):
        Trainer(RECIPE, store, Assignment((), split.train, split.test), tmp_path)


def test_no_process_idles_unless_it_is_told_to(store, tmp_path):
    four = Process(rank=1, world=4)
    assert scans_an_update(recipe(batch_size=1).training, four) == 4
    assert scans_an_update(recipe(batch_size=8, shared_batch=True).training, four) == 8
    with pytest.raises(BadRecipe, match="training.batch_size: found 1 scans an update for 4 processes"):
        Trainer(recipe(batch_size=1, shared_batch=True), store, assign(store), tmp_path, four)


def test_native_3d_scans_are_refused_by_the_name_of_the_denoiser(tmp_path):
    for subject in range(3):
        scan = make_scan((8, 12, 10), seed=subject, scan_id=f"subject{subject}/slice-000", mask=torch.ones(1, 1, 1, 8, 12, 10).bool())
        write_volume(tmp_path / "store", [Prepared(scan)], {})
    store = Store(tmp_path / "store")
    nested = replace(RECIPE, network=WithUncertainty(LearnedCSM(RECIPE.network)))
    said = "network: found ResNet, which takes 2-D images, for subject./slice-000 in 3-D; expected .* hybrid slices"
    with pytest.raises(BadRecipe, match=said):
        Trainer(nested, store, BySubject(1, 1).assign(store.headers), tmp_path / "run")
    several = replace(RECIPE, network=Cascade((RECIPE.network,)))
    with pytest.raises(BadRecipe, match=said):
        Trainer(several, store, BySubject(1, 1).assign(store.headers), tmp_path / "run")


def test_learned_maps_need_a_backward_pass_that_knows_them_however_deep():
    implicit = Unrolled(implicit_backward=True)
    nested = [Cascade(stages) for stages in ((Unrolled(), implicit), [implicit], {"first": (implicit,)})]
    for inner in (implicit, WithUncertainty(implicit), *nested):
        with pytest.raises(BadRecipe, match="LearnedCSM.inner: found implicit_backward=True"):
            LearnedCSM(inner)
