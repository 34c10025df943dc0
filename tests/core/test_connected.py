"""Coils that are not connected leave a scan that needs no calibration too."""

import pytest
import torch

from ssrecon.archive import scan_from_arrays
from ssrecon.core.scan import CalibratedScan
from ssrecon.metrics.residual import heldout_residual
from ssrecon.operators import encoding, sense
from tests.calibrate.raw import white
from tests.scans import smooth_csm, smooth_image

SHAPE = (48, 48)


@pytest.mark.parametrize("in_csm", [False, True])
def test_a_dead_coil_leaves_a_white_scan(in_csm):
    """The residual of a perfect prediction is 1. With the zeros of the dead coil in it, it was 3/4."""
    csm, image = smooth_csm(4, SHAPE), smooth_image(SHAPE)
    live = csm[:, :, :3] / torch.linalg.vector_norm(csm[:, :, :3], dim=2, keepdim=True)
    mask = torch.ones(1, 1, 1, *SHAPE, dtype=torch.bool)
    kspace = sense(mask, live)(image)
    kspace = kspace + 0.05 * white(tuple(kspace.shape), 0).to(kspace)
    dead = torch.zeros(1, 1, 1, *SHAPE)
    given = csm if in_csm else torch.cat([live, dead], dim=2)
    scan = CalibratedScan.white(scan_from_arrays(torch.cat([kspace, dead], dim=2)[0, 0], csm=given[0, 0]), 0.05)
    assert scan.kspace.shape[2] == scan.csm.shape[2] == 3
    found = heldout_residual(encoding(scan)(image), scan.kspace, scan.mask, scan.noise_std)
    assert float(found.mean()) == pytest.approx(1, abs=0.03)
