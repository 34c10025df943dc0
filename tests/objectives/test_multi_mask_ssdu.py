"""Multi-mask SSDU on one scan: the three-way split of zero-shot training."""

import torch

from ssrecon.core.draw import Draw
from ssrecon.partition import Gamma, Uniform
from tests.scans import make_scan


def test_three_way_split_of_zero_shot_training():
    """Gamma, Lambda and Theta of 35,200 samples as published: 7,036, 11,259 and 16,905, disjoint, and together all of Omega."""
    mask = torch.zeros(320, 368, dtype=torch.bool)
    mask[:, ::4] = True
    mask[:, 184 - 12 : 184 + 12] = True
    assert int(mask.sum()) == 35200
    scan = make_scan((320, 368), coils=1, mask=mask.expand(1, 1, 1, 320, 368))
    gamma = Gamma(fraction=0.2, lines=False, spare_calibration=False).hold_out(scan, Draw(0))
    part = Uniform(0.4).split(scan.on(~gamma), Draw(0))
    assert [int(m.sum()) for m in (gamma, part.lambda_, part.theta)] == [7036, 11259, 16905]
    assert torch.equal(gamma | part.lambda_ | part.theta, scan.mask)
    assert not (gamma & part.lambda_).any() and not (gamma & part.theta).any() and not (part.lambda_ & part.theta).any()
