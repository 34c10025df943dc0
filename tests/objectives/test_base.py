"""What is drawn is had by its name, anywhere; and what an objective's parts have to tell, the objective tells."""

import pickle
from dataclasses import dataclass

import pytest
import torch

from ssrecon.objectives import SSDU, Draws, EquivariantImaging, KWeighted, Objective, QuarterTurns
from tests.objectives.recorded import archive


def test_draws_are_had_by_name_after_a_journey():
    """To another device, in tuples too, and to another process; numbers stay as they are."""
    drawn = Draws(noise=torch.ones(2), moves=((torch.zeros(1),),), own=3)
    for there in (drawn.to("meta"), pickle.loads(pickle.dumps(drawn)).to("meta")):
        assert there.noise.device.type == there.moves[0][0].device.type == "meta" and there.own == 3
    assert drawn.noise.device.type == "cpu"
    with pytest.raises(AttributeError, match="part"):
        _ = drawn.part


@dataclass(frozen=True)
class Around(Objective):
    """An objective of somebody's own, around others."""

    inner: Objective = EquivariantImaging(QuarterTurns())
    other: Objective = SSDU()

    def draws(self, scan, draw):
        return self.inner.draws(scan, draw)

    def loss(self, network, scan, reference, draws):
        return self.inner.loss(network, scan, reference, draws)


def test_remarks_are_those_of_the_parts():
    assert SSDU().remarks() == KWeighted().remarks() == ()
    assert Around().remarks() == (QuarterTurns.leaves_unseen,)
    one = KWeighted().fitted(archive()[:1])
    assert Around(other=one).remarks() == (QuarterTurns.leaves_unseen, *one.remarks()) and one.remarks()
