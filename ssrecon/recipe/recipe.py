"""Recipes: frozen descriptions of a training and of a comparison of trainings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ssrecon.baselines import Baseline, CGSense, L1Wavelet, ZeroFilled
from ssrecon.baselines.tuning import Axis
from ssrecon.core.description import NO_RESULT, READ_FILE, check_types, describe, digest
from ssrecon.core.errors import BadRecipe, at_least
from ssrecon.networks import NetworkSpec, Unrolled
from ssrecon.objectives import SSDU, Objective
from ssrecon.partition import Gamma
from ssrecon.privacy.pseudonyms import safe_place
from ssrecon.recipe.selection import TRAINED, Selection
from ssrecon.store.data import Data


class Described:
    """What a recipe and a comparison have in common: they can be written down, and have a hash."""

    @cached_property
    def hash(self) -> str:
        """This is the hash of what changes a result: the device, the output folder and where files lie do not."""
        return digest(self)

    @property
    def description(self) -> dict[str, Any]:
        """This is the JSON of which `ssrecon.core.description.rebuild` makes the same object.

        Others may read it: paths in it lose their names.
        """
        return describe(self, safe_place)


@dataclass(frozen=True)
class Training:
    """This says how the loop runs. It is the same for every objective."""

    steps: int = 1000
    """The number of updates of the weights: arms are compared at equal numbers of them."""
    epochs: int | None = None
    """The number of passes over the training scans, in place of `steps`."""
    batch_size: int = 1
    """The scans of an update: of each process of ``torchrun``, so that none is idle, or of all together with `shared_batch`."""
    shared_batch: bool = False
    """Whether `batch_size` counts the scans of all processes together: then a training is the same on any number of them."""
    learning_rate: float = 5e-4
    """Adam's learning rate."""
    final_learning_rate: float | None = None
    """The rate at the last step, to which a cosine leads from `learning_rate`. None keeps the rate constant, as published."""
    clip_norm: float | None = None
    """The upper bound of the gradient's norm. None does not clip, as published."""
    validate_every: int = 100
    """The number of updates between two validations."""
    patience: int | None = None
    """The training stops when this many validations in a row have not improved the best Gamma score. None runs all steps."""
    validation_scans: int | None = None
    """The most validation scans that are taken, evenly spread. None takes all."""
    keep_every: int | None = field(default=None, metadata=NO_RESULT)
    """The number of updates between two checkpoints of the weights that are kept for good. None keeps the best and the last alone."""
    frozen: tuple[str, ...] = ()
    """Names of parameters that are not trained, or shell-style patterns of them such as ``denoisers.0.*``; those of an
    objective's own module begin with ``auxiliary/``. With `start` they make stages.
    """
    start: str | None = field(default=None, metadata=READ_FILE)
    """The checkpoint that the training starts from: fine-tuning, transfer to one scan, and stages, where it is of a part of the network:
    of that inside `WithUncertainty` or `LearnedCSM`, or of fewer unrolls that are not shared. The pre-flight says what is not in it."""
    workers: int = field(default=0, metadata=NO_RESULT)
    """The number of processes that read ahead."""

    def __post_init__(self) -> None:
        check_types(self, "training")
        at_least(self, steps=1, epochs=1, batch_size=1, validate_every=1, patience=1, validation_scans=1, keep_every=1, workers=0)
        at_least(self, learning_rate=0, final_learning_rate=0)
        for name in ("learning_rate", "final_learning_rate", "clip_norm"):
            if (value := getattr(self, name)) is not None and not math.isfinite(value):
                raise BadRecipe(f"Training.{name}", found=repr(value), expected="a finite number")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise BadRecipe("Training.clip_norm", found=repr(self.clip_norm), expected="a positive number, or None not to clip")

    def updates(self, an_epoch: int) -> int:
        """Return how many updates there will be, with so many in an epoch."""
        return self.steps if self.epochs is None else self.epochs * an_epoch


@dataclass(frozen=True)
class Recipe(Described):
    """A recipe is one training: on what data, of what network, by what objective. Its hash covers what changes a result."""

    data: Data
    network: NetworkSpec = Unrolled()
    objective: Objective = SSDU()
    training: Training = Training()
    validation: Gamma = Gamma()
    seed: int = 0
    """The seed of the initial weights, the order of the scans and the partitions."""
    title: str = field(default="", metadata=NO_RESULT)

    def __post_init__(self) -> None:
        check_types(self, "recipe")


@dataclass(frozen=True)
class BaselineArm:
    """This is a baseline and the values that its fields are tried at: on the validation scans, by reference where there is one, else by
    Gamma.
    """

    baseline: Baseline
    grid: Mapping[str, Axis] = field(default_factory=dict)


def classical() -> dict[str, BaselineArm]:
    """Return zero-filling, CG-SENSE and L1-wavelet compressed sensing; the latter two are tuned over what they are sensitive to."""
    unregularised = Axis((0.0, 0.001, 0.003, 0.01, 0.03), lowest=0.0)
    return {
        "zero_filled": BaselineArm(ZeroFilled()),
        "cg_sense": BaselineArm(CGSense(), {"regularisation": unregularised, "iterations": Axis((5, 10, 20, 40), lowest=1)}),
        "l1_wavelet": BaselineArm(L1Wavelet(), {"regularisation": Axis((0.001, 0.002, 0.004, 0.008, 0.016), lowest=0.0)}),
    }


@dataclass(frozen=True)
class Margins:
    """This says what counts as not inferior to supervised training; it is written down before the run."""

    psnr: float = 0.5
    """In dB."""
    ssim: float = 0.01


@dataclass(frozen=True)
class Comparison(Described):
    """A comparison has arms side by side on the same scans, made from one recipe by `dataclasses.replace`, so that they differ in nothing
    else.

    Every arm is trained once a seed (the seed replaces the recipe's own). All arms share data, splits and the number of updates unless a
    recipe says otherwise; the report shows where they differ.
    """

    title: str = field(metadata=NO_RESULT)
    arms: Mapping[str, Recipe]
    baselines: Mapping[str, BaselineArm] = field(default_factory=classical)
    seeds: tuple[int, ...] = (0,)
    margins: Margins = Margins()
    headline: Selection = Selection.GAMMA
    """The selection rule of the headline, or its name in a recipe: ``gamma`` (without truth) or ``reference``."""
    figure_scans: int = 3
    """The number of test scans whose images are kept for the figures."""

    def __post_init__(self) -> None:
        check_types(self, "comparison")
        if not self.arms:
            raise BadRecipe("comparison.arms", found="no arm", expected="at least one: it says which data")
        if not self.seeds:
            raise BadRecipe("comparison.seeds", found="no seed", expected="at least one")
        at_least(self, figure_scans=0)
        if len({digest(recipe.data) for recipe in self.arms.values()}) > 1:
            raise BadRecipe(
                "comparison.arms", found="arms with different data", expected="one archive, pattern, calibration and split for all"
            )
        if self.headline not in TRAINED:
            raise BadRecipe("comparison.headline", found=repr(str(self.headline)), expected=" or ".join(map(repr, map(str, TRAINED))))

    @property
    def data(self) -> Data:
        return next(iter(self.arms.values())).data
