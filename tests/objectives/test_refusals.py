"""Settings and scans that an objective refuses, by name."""

import math

import pytest

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.networks import LearnedCSM, WithUncertainty
from ssrecon.objectives import (
    DDSS,
    SPICER,
    SURE,
    EquivariantImaging,
    MultiOperatorEI,
    MultiOperatorImaging,
    Noise2Noise,
    Noise2Recon,
    Objective,
    ParallelBranches,
    RobustEI,
)
from ssrecon.objectives.transforms import QuarterTurns, Shifts
from tests.contracts.classes import subclasses
from tests.objectives.recorded import archive
from tests.scans import EXAMPLE, SMALL_NETWORK, loss_of, make_scan


def test_noise_aware_methods_refuse_scans_of_unknown_noise():
    """Those that say so, and where it is a setting that decides, only then."""
    silent = make_scan(noise_std=0.0)
    aware = [kind() for kind in subclasses("ssrecon.objectives", Objective) if kind().needs_noise_level]
    assert {SURE, Noise2Recon} <= {type(objective) for objective in aware} and not Noise2Recon(weight=0.0).needs_noise_level
    for objective in (*aware, MultiOperatorEI(robust=True)):
        with pytest.raises(BadInput, match="phantom/slice-000: found an unknown noise level"):
            loss_of(objective.fitted(archive()), SMALL_NETWORK.build(0, EXAMPLE), silent, None, Draw(0))


def test_what_cannot_work_is_refused():
    assert EquivariantImaging(QuarterTurns()).remarks() == RobustEI(QuarterTurns()).remarks() == (QuarterTurns.leaves_unseen,)
    assert EquivariantImaging().remarks() == ()
    for kind in (EquivariantImaging, RobustEI, MultiOperatorEI):
        with pytest.raises(BadRecipe, match=rf"{kind.__name__}.transform: found Shifts, which commute with Cartesian sampling"):
            kind(transform=Shifts())
    for kind in (MultiOperatorImaging, MultiOperatorEI):
        with pytest.raises(BadRecipe, match="one sampling mask in all scans of 32x32"):
            kind().fitted(make_scan(scan_id=f"v{i}/slice-000") for i in range(3))
    with pytest.raises(BadInput, match="a single frame"):
        loss_of(Noise2Noise(), SMALL_NETWORK.build(0, EXAMPLE), make_scan(), None, Draw(0))


@pytest.mark.parametrize(
    "make",
    [
        lambda bad: EquivariantImaging(weight=bad),
        lambda bad: RobustEI(weight=bad),
        lambda bad: MultiOperatorImaging(weight=bad),
        lambda bad: MultiOperatorEI(weight=bad),
        lambda bad: Noise2Recon(weight=bad),
        lambda bad: ParallelBranches(agreement=bad),
        lambda bad: SPICER(smoothness=bad),
        lambda bad: DDSS(appearance=bad),
        lambda bad: DDSS(gradient=bad),
    ],
)
def test_weights_are_finite_and_not_negative(make):
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(BadRecipe, match="expected 0 or more"):
            make(bad)


def test_numbers_that_make_no_sense_are_named():
    for kind in (EquivariantImaging, RobustEI):
        with pytest.raises(BadRecipe, match="transforms: found 0; expected 1 or more"):
            kind(transforms=0)
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(BadRecipe, match="WithUncertainty.initial"):
            WithUncertainty(initial=bad)
    for bad in ({"gain": math.nan}, {"width": math.inf}, {"gain": 0.0}):
        with pytest.raises(BadRecipe, match="LearnedCSM"):
            LearnedCSM(**bad)
