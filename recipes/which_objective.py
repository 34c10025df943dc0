"""Which objective for which archive: every way of training without truth, one network, equal updates, on simulated heads.

One condition (random columns, R=4) as a recipe:

    ssrecon run recipes/which_objective.py --out runs/columns

The study, condition by condition, each a comparison in a folder of its own; what is finished is kept, and running it again goes on:

    python recipes/which_objective.py --out runs/which_objective --workers 2 [--conditions columns lattice] [--seeds 0 1]

It took 2 h 1 min on two cores of an AMD EPYC.
``--conditions columns_long`` is some of the objectives at four times the updates, for a GPU (``--device cuda --workers 5``), and
``--full`` is the full grid: every objective in every condition with a larger network, more updates and three seeds: for a GPU. Results are
simulated. `figures/which_objective.py` draws them, `figures/cross_losses.py` tells slow objectives from those that ask for something else.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from ssrecon import Calibrator, Comparison, Recipe
from ssrecon.archive import BySubject, ScanSpecific
from ssrecon.networks import LearnedCSM, NetworkSpec, ResNet, Unrolled, WithUncertainty
from ssrecon.objectives import (
    DDSS,
    ENSURE,
    JSSL,
    SPICER,
    SSDU,
    SURE,
    EquivariantImaging,
    Heteroscedastic,
    KWeighted,
    MultiMaskSSDU,
    MultiOperatorEI,
    MultiOperatorImaging,
    Noise2Noise,
    Noise2Recon,
    ParallelBranches,
    RobustEI,
    RobustSSDU,
    Supervised,
)
from ssrecon.objectives.distances import NormalizedL1L2
from ssrecon.partition import Gaussian, Lines, Uniform
from ssrecon.recipe import Training
from ssrecon.sampling import Equispaced, Pattern, PoissonDisc, RandomColumns
from ssrecon.simulation import MPRAGE, PhantomArchive
from ssrecon.store import Data

OBJECTIVES = {
    "supervised": Supervised(),
    "ssdu": SSDU(Gaussian(0.4)),
    "multi_mask_ssdu": MultiMaskSSDU(Uniform(0.4), masks=None),
    "ssdu_lines": MultiMaskSSDU(Lines(0.4), masks=None),
    "k_weighted": KWeighted(),
    "k_weighted_l1l2": KWeighted(distance=NormalizedL1L2()),
    "robust_ssdu": RobustSSDU(),
    "noise2recon": Noise2Recon(),
    "sure": SURE(),
    "ensure": ENSURE(),
    "ei": EquivariantImaging(),
    "robust_ei": RobustEI(),
    "moi": MultiOperatorImaging(),
    "mo_ei": MultiOperatorEI(),
    "parallel": ParallelBranches(),
    "ddss": DDSS(),
    "jssl": JSSL(Uniform(0.4), fraction=0.2),
    "heteroscedastic": Heteroscedastic(),
    "robust_mo_ei": MultiOperatorEI(robust=True),
    "spicer": SPICER(),
    "learned_csm": MultiMaskSSDU(Uniform(0.4), masks=None),
    "zero_shot": MultiMaskSSDU(Uniform(0.4), masks=25),
}
NETWORK = Unrolled(ResNet(blocks=3, channels=24, residual=True, init_std=0.1), unrolls=4, cg_iterations=5, mixed_precision=True)
"""At the published 0.05 this few channels start almost linear, and hundreds of updates pass before they learn."""
AROUND = {"heteroscedastic": WithUncertainty, "spicer": LearnedCSM, "learned_csm": LearnedCSM}
"""These networks are put around the study's one, for objectives that train more than an image."""


def around(name: str, network: NetworkSpec) -> NetworkSpec:
    """Return the study's network, or what an objective needs around it."""
    return AROUND[name](network) if name in AROUND else network


SEVERAL_MASKS = {name for name, objective in OBJECTIVES.items() if getattr(objective, "needs_several_masks", False)}
NOISE_KNOWN = {name for name, objective in OBJECTIVES.items() if objective.needs_noise_level}
LINES = {"ssdu_lines"}
CHOSEN = ("supervised", "multi_mask_ssdu", "k_weighted")


@dataclass(frozen=True)
class Condition:
    """A condition is an archive, and which objectives are tried on it (all that can be, in the full grid)."""

    says: str
    pattern: Pattern
    objectives: tuple[str, ...]
    noise: float = 0.05
    repetitions: int = 1
    seeds: tuple[int, ...] = (0,)
    steps: int = 500
    subjects: int = 34
    """Of so many subjects, 2 choose the checkpoint by Gamma and 8 are tested. With 1 there is a single scan, which is all there is."""
    calibrator: Calibrator = Calibrator()

    @property
    def possible(self) -> dict[str, object]:
        """Return what this archive can train: MOI and MO-EI need masks that differ, noise-aware methods noise, lines a readout."""
        impossible = {"zero_shot"} if self.subjects > 1 else set(OBJECTIVES) - {"zero_shot"}
        if isinstance(self.pattern, Equispaced) and self.pattern.offset is not None:
            impossible |= SEVERAL_MASKS
        if self.noise == 0:
            impossible |= NOISE_KNOWN
        if isinstance(self.pattern, PoissonDisc):
            impossible |= LINES
        possible = {name: objective for name, objective in OBJECTIVES.items() if name not in impossible}
        return {**possible, "noise2noise": Noise2Noise(average=False)} if self.repetitions > 1 else possible


EVERY = tuple(name for name in OBJECTIVES if name not in {"zero_shot", "robust_mo_ei"})
COLUMNS = RandomColumns(acceleration=4, calibration_lines=12)
LATTICE = Equispaced(acceleration=4, calibration_lines=12, offset=0, overall=False)
OFFSETS = replace(LATTICE, offset=None)
"""It has one offset a volume, which is what MOI and MO-EI need of a lattice."""
POISSON = PoissonDisc(acceleration=8, calibration=16, retrospective_2d=True)
NOISY = ("supervised", "ssdu", "multi_mask_ssdu", "k_weighted", *sorted(NOISE_KNOWN))
CONDITIONS = {
    "columns": Condition("random columns R=4", COLUMNS, EVERY, seeds=(0, 1)),
    "lattice": Condition("equispaced R=4, one offset", LATTICE, tuple(name for name in EVERY if name not in SEVERAL_MASKS), seeds=(0, 1)),
    "offsets": Condition("equispaced R=4, offsets drawn", OFFSETS, ("supervised", "multi_mask_ssdu", "moi", "mo_ei"), seeds=(0, 1)),
    "noisy": Condition("random columns R=4, high noise", COLUMNS, NOISY, noise=0.2),
    "noiseless": Condition("random columns R=4, no noise", COLUMNS, (*CHOSEN, "mo_ei"), noise=0.0),
    "poisson": Condition("2-D Poisson disc R=8", POISSON, (*CHOSEN, "ssdu", "robust_ssdu")),
    "repetitions": Condition(
        "random columns R=4, three repetitions, high noise", COLUMNS, ("multi_mask_ssdu", "noise2noise"), 0.2, repetitions=3
    ),
    "columns_long": Condition("random columns R=4, 2000 updates", COLUMNS, (*CHOSEN, "ssdu", "mo_ei"), steps=2000),
    "few_lines": Condition(
        "random columns R=4, eight calibration lines",
        RandomColumns(acceleration=4, calibration_lines=8),
        ("supervised", "multi_mask_ssdu", "learned_csm"),
        # Of eight lines the default crop keeps a sixth of the frame, which is a third of the head.
        calibrator=Calibrator(smallest=8, crop=0.5),
    ),
    "few": Condition(
        "random columns R=4, four subjects to train on", COLUMNS, ("supervised", "multi_mask_ssdu", "jssl", "ei"), subjects=14
    ),
    "one": Condition("random columns R=4, one scan", COLUMNS, ("zero_shot",), seeds=(0, 1, 2), subjects=1),
}


def comparison_of(name: str, full: bool = False, seeds: tuple[int, ...] = ()) -> Comparison:
    """Return one condition of the study, with its own seeds unless others are given."""
    condition = CONDITIONS[name]
    alone = condition.subjects == 1
    matrix, subjects = ((192, 192), 120 if condition.subjects == 34 else condition.subjects) if full else ((96, 96), condition.subjects)
    source = PhantomArchive(subjects, 1 if alone else 2, matrix, 8, (MPRAGE(),), condition.noise, repetitions=condition.repetitions)
    if full:
        network = Unrolled(ResNet(blocks=8, channels=64, residual=True), unrolls=8, cg_iterations=8, mixed_precision=True)
    else:
        network = NETWORK
    split = ScanSpecific() if alone else BySubject(validation=2, test=8)
    base = Recipe(
        data=Data(source=source, pattern=condition.pattern, calibrator=condition.calibrator, split=split),
        network=network,
        training=Training(
            steps=10 * condition.steps if full else condition.steps,
            learning_rate=1e-3 if full else 4e-3,
            final_learning_rate=1e-5,
            clip_norm=1.0,
            validate_every=500 if full else condition.steps // 4,
        ),
    )
    names = tuple(condition.possible) if full else condition.objectives
    arms = {arm: replace(base, objective=condition.possible[arm], network=around(arm, network)) for arm in names}
    return Comparison(title=f"Which objective: {condition.says}", arms=arms, seeds=seeds or ((0, 1, 2) if full else condition.seeds))


LONG = {"columns_long"}
"""These conditions are not of the two hours: they are for a GPU."""
comparison = comparison_of("columns")


def main() -> None:
    from ssrecon.core import process
    from ssrecon.study import run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/which_objective"))
    parser.add_argument("--conditions", nargs="+", choices=list(CONDITIONS), help="default: all, but for the long one without --full")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], help="in place of the conditions' own")
    parser.add_argument("--full", action="store_true", help="the full grid, for a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time, each in a process of its own")
    options = parser.parse_args()
    for name in options.conditions or [name for name in CONDITIONS if options.full or name not in LONG]:
        with process(options.device) as this:
            chosen = comparison_of(name, options.full, tuple(options.seeds))
            report = run(chosen, options.out / name, this, resume=True, say=print, workers=options.workers)
        print(f"\n{name}: {report}", flush=True)


if __name__ == "__main__":
    main()
