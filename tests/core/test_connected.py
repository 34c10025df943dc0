"""Coils that are not connected leave a scan that needs no calibration too."""

import pytest
import torch

from ssrecon.archive import scan_from_arrays
from ssrecon.core.connected import heard_coils
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


def received(gain: float = 1.0, sees: float = 1.0, level: float = 0.05) -> torch.Tensor:
    """k-space of four coils, of which the last has another gain and sees so much of the object."""
    csm = smooth_csm(4, SHAPE)
    csm[:, :, 3] *= sees
    kspace = sense(torch.ones(1, 1, 1, *SHAPE, dtype=torch.bool), csm)(smooth_image(SHAPE))
    kspace = kspace + level * white(tuple(kspace.shape), 0).to(kspace)
    kspace[:, :, 3] *= gain
    return kspace


def heard(kspace: torch.Tensor, noise: torch.Tensor | None = None) -> list[bool]:
    acquired = torch.ones_like(kspace[:, :, :1], dtype=torch.bool)
    return heard_coils(kspace, acquired, noise)[0].tolist()


def noise_scan(gain: float = 1.0) -> torch.Tensor:
    noise = 0.05 * white((4, 4, 256), 1).to(torch.complex64)
    noise[:, 3] *= gain
    return noise


CONSTANT = torch.cat([received()[:, :, :3], torch.full((1, 1, 1, *SHAPE), 1e-3)], dim=2)


@pytest.mark.parametrize(
    "kspace, noise",
    [(received(1e-5, sees=0), None), (received(1e-5, sees=0), noise_scan()), (CONSTANT, None), (CONSTANT, noise_scan())],
)
def test_a_coil_far_below_its_noise_is_not_connected(kspace, noise):
    assert heard(kspace, noise) == [True, True, True, False]


@pytest.mark.parametrize(
    "kspace, noise",
    [
        (received(sees=0), None),  # nothing but noise
        (received(sees=0), noise_scan()),
        (received(sees=0, level=1e-3), None),  # the others have a typical sample far above the noise
        (received(1e-3), None),  # a receiver of low gain
        (received(1e-3, sees=0), noise_scan(1e-3)),
        (received(1e-3, level=0), None),  # no noise at all
        (received(), 1e6 * noise_scan()),  # a noise scan in other units
        (1e-20 * received(), None),
    ],
)
def test_a_weak_coil_is_kept(kspace, noise):
    assert heard(kspace, noise) == [True] * 4
