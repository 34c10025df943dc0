import json
import math
from dataclasses import dataclass

import pytest
import torch

from ssrecon.baselines import Axis, Baseline, CGSense, HeldOutResidual, reference_nmse, tune
from ssrecon.baselines.tuning import EdgeWarning
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Prepared
from ssrecon.partition.gamma import Gamma
from tests.scans import column_mask, full_kspace, make_reference, make_scan


@dataclass(frozen=True)
class Knobs(Baseline):
    strength: float = 1.0
    rounds: int = 1

    def reconstruct(self, scan):
        raise NotImplementedError


def valley(strength, rounds):
    """A score with its minimum at the given place, on a logarithmic scale."""
    return lambda b, scan: 1 + math.log(b.strength / strength) ** 2 + math.log(b.rounds / rounds) ** 2


@pytest.fixture
def prepared():
    scan = make_scan(noise_std=0.05)
    return Prepared(scan, make_reference(scan, full_kspace((32, 32), 4, 1, 1, 0.05, 0)))


def grid():
    return {"strength": Axis((0.1, 1.0, 10.0)), "rounds": Axis((2, 4, 8), lowest=1)}


def test_an_optimum_inside_needs_no_extension(prepared):
    tuned = tune(Knobs(), grid(), [prepared], valley(1.2, 4))
    assert (tuned.baseline, tuned.edges, tuned.extensions) == (Knobs(1.0, 4), (), 0)
    assert len(tuned.trials) == 9


@pytest.mark.parametrize(("place", "found"), [((800.0, 4), (1000.0, 4)), ((0.0011, 4), (0.001, 4)), ((1.0, 30), (1.0, 32))])
def test_the_grid_grows_until_the_optimum_is_inside(prepared, place, found):
    tuned = tune(Knobs(), grid(), [prepared], valley(*place))
    assert (tuned.baseline.strength, tuned.baseline.rounds) == (pytest.approx(found[0]), found[1])
    assert tuned.edges == () and tuned.extensions > 0
    assert isinstance(tuned.baseline.rounds, int)


def test_an_optimum_that_stays_on_the_edge_is_flagged(prepared):
    with pytest.warns(EdgeWarning, match="strength.*edge after 2 extensions"):
        tuned = tune(Knobs(), grid(), [prepared], lambda b, scan: 1 / b.strength + valley(b.strength, 4)(b, scan), max_extensions=2)
    assert tuned.edges == ("strength",)


def test_the_end_of_what_makes_sense_is_no_edge(prepared):
    axes = {"strength": Axis((0.0, 0.1, 1.0), lowest=0.0)}
    tuned = tune(Knobs(), axes, [prepared], lambda b, scan: 1 + b.strength)
    assert (tuned.baseline.strength, tuned.edges, tuned.extensions) == (0.0, (), 0)


def test_a_plateau_is_no_edge(prepared):
    """A converged solver gains next to nothing from more iterations, for ever."""
    tuned = tune(Knobs(), {"rounds": Axis((5, 10, 20, 40))}, [prepared], lambda b, scan: 1 + math.exp(-b.rounds))
    assert (tuned.baseline.rounds, tuned.extensions) == (20, 0)


def test_scores_that_are_not_finite_never_win(prepared):
    tuned = tune(Knobs(), grid(), [prepared], lambda b, scan: math.nan if b.rounds == 4 else valley(1.0, 4)(b, scan))
    assert tuned.baseline.rounds != 4
    with pytest.raises(BadInput, match="finite score"):
        tune(Knobs(), grid(), [prepared], lambda b, scan: math.nan)


def test_unknown_fields_and_no_scans_are_refused(prepared):
    with pytest.raises(BadInput, match="'strenght'"):
        tune(Knobs(), {"strenght": Axis((1.0, 2.0))}, [prepared], valley(1, 1))
    with pytest.raises(BadInput, match="0 scans"):
        tune(Knobs(), grid(), [], valley(1, 1))


def test_the_record_is_json_and_the_table_marks_the_choice(prepared):
    tuned = tune(Knobs(), grid(), [prepared, prepared], valley(1.2, 4))
    record = json.loads(json.dumps(tuned.record()))
    assert record["chosen"] == {"strength": 1.0, "rounds": 4}
    assert len(record["grid"]) == 9 and len(record["grid"][0]["per_scan"]) == 2
    marked = [line for line in tuned.table().splitlines() if line.endswith("<")]
    assert len(marked) == 1 and marked[0].split()[:2] == ["1", "4"]


def test_cg_sense_is_tuned_by_reference_over_regularisation_and_iterations(prepared):
    axes = {"regularisation": Axis((0.0, 1e-3, 1e-2, 1e-1), lowest=0.0), "iterations": Axis((2, 4, 8, 16), lowest=1)}
    tuned = tune(CGSense(), axes, [prepared], reference_nmse)
    assert tuned.edges == ()
    best = min(reference_nmse(CGSense(**trial.values), prepared) for trial in tuned.trials)
    assert tuned.score == pytest.approx(best, rel=2e-3)
    assert tuned.score < reference_nmse(CGSense(0.0, 50), prepared)


def test_gamma_scores_without_a_reference(prepared):
    score = HeldOutResidual(Gamma(), Draw(0))
    scan = make_scan(noise_std=0.002, mask=column_mask((32, 32), 2, 8))
    prepared = Prepared(scan, make_reference(scan, full_kspace((32, 32), 4, 1, 1, 0.002, 0)))
    blind = Prepared(scan)
    value = score(CGSense(0.01, 10), blind)
    assert value == score(CGSense(0.01, 10), prepared) >= 0.5
    assert score(CGSense(0.01, 1), blind) > value
    with pytest.raises(BadInput, match="no reference"):
        reference_nmse(CGSense(), blind)


def test_gamma_never_reaches_the_baseline(prepared):
    seen = []

    @dataclass(frozen=True)
    class Spy(Baseline):
        def reconstruct(self, scan):
            seen.append(scan)
            return CGSense().reconstruct(scan)

    gamma = Gamma().hold_out(prepared.scan, Draw(0))
    HeldOutResidual(Gamma(), Draw(0))(Spy(), prepared)
    assert gamma.any() and not (seen[0].mask & gamma).any() and not torch.where(gamma, seen[0].kspace, 0).any()
