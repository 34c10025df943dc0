"""JSSL: supervised where there is a reference, SSDU where there is none."""

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives import (
    JSSL,
    MultiMaskSSDU,
    Supervised,
)
from tests.scans import EXAMPLE, SMALL_NETWORK, full_kspace, loss_of, make_reference, make_scan


def test_jssl_is_supervised_where_there_is_a_reference_and_ssdu_where_not():
    network, scans = SMALL_NETWORK.build(0, EXAMPLE), [make_scan(seed=s, scan_id=f"s{s}/slice-000") for s in range(2)]
    references = [make_reference(scan, full_kspace((32, 32), 4, 1, 1, 0.01, s)) for s, scan in enumerate(scans)]
    ssdu = MultiMaskSSDU(JSSL().partitioner, masks=None)
    for scan, reference in zip(scans, references, strict=True):
        torch.testing.assert_close(
            loss_of(JSSL(), network, scan, reference, Draw(0)).mean, loss_of(Supervised(), network, scan, reference, Draw(0)).mean
        )
        assert torch.equal(loss_of(JSSL(), network, scan, None, Draw(0)).mean, loss_of(ssdu, network, scan, None, Draw(0)).mean)
    half = JSSL(fraction=0.5).fitted(scans)
    assert sum(half.uses(scan.headers[0].subject) for scan in scans) == 1
    mixed = loss_of(half, network, CalibratedScan.batch(scans), CalibratedScan.batch(references), Draw(0)).per_scan
    for value, scan, reference in zip(mixed, scans, references, strict=True):
        torch.testing.assert_close(value, loss_of(half, network, scan, reference, Draw(0)).mean, rtol=1e-4, atol=1e-5)
    assert half.remarks() == ("references of 1 of 2 subjects may be used",) and JSSL().fitted(scans) == JSSL()
    with pytest.raises(BadRecipe, match="no subjects to take a fraction of"):
        loss_of(JSSL(fraction=0.5), network, scans[0], references[0], Draw(0))
