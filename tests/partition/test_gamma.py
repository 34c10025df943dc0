"""Gamma: drawn once, exact, outside everything that must not see it."""

import math

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.partition import Gamma, Lines, Uniform
from tests.partition.scans import columns, many, masked, published_mask, scattered

PAPER = Gamma(fraction=0.2, lines=False, spare_calibration=False)


def with_calibration(mask: torch.Tensor, lines: int = 8, readout: int | None = None, scan_id: str = "v/0") -> CalibratedScan:
    region = torch.zeros_like(mask)
    half = (readout or mask.shape[-1]) // 2
    middle = [n // 2 for n in mask.shape]
    region[middle[0] - lines // 2 : middle[0] + lines // 2, middle[1] - half : middle[1] + half] = True
    return masked(mask | region, scan_id, calibration=region)


def test_the_papers_three_way_split():
    """ZS-SSL's own sizes for 35200 samples: 7036 for validation, and of the rest 11259 for the loss and 16905 for the network."""
    scan = masked(published_mask())
    gamma = PAPER.hold_out(scan, Draw(0))
    part = Uniform(0.4).split(scan.on(~gamma), Draw(0))
    assert (int(gamma.sum()), int(part.lambda_.sum()), int(part.theta.sum())) == (7036, 11259, 16905)
    assert torch.equal(gamma.int() + part.lambda_.int() + part.theta.int(), scan.mask.int())
    assert not gamma[0, 0, 0, 182:186, 158:162].any()


def test_lines_where_lines_were_acquired():
    scan = with_calibration(columns(64, 20, 2, centre=12), lines=12, readout=8)
    gamma = Gamma(0.2).hold_out(scan, Draw(0))[0, 0, 0]
    free = scan.mask[0, 0, 0].any(-1) & ~scan.calibration[0, 0, 0].any(-1)
    assert torch.equal(gamma.any(-1), gamma.all(-1))
    assert int(gamma.any(-1).sum()) == math.floor(0.2 * int(free.sum()))
    assert not (gamma & scan.calibration[0, 0, 0]).any()
    # What is left still is lines, so that a split by lines may follow.
    Lines(0.4).split(scan.on(~gamma.expand(scan.mask.shape)), Draw(0))


@pytest.mark.parametrize("readout", [True, False])
def test_points_where_points_were_acquired(readout):
    """Scattered points; and a lattice of a hybrid slice, whose columns are no lines of a readout."""
    mask = scattered((40, 36)) if readout else columns(40, 36, centre=10)
    scan = with_calibration(mask, lines=10, readout=10)
    if not readout:
        scan = masked(scan.mask[0, 0, 0], readout=False, calibration=scan.calibration[0, 0, 0])
    gamma = Gamma(0.2).hold_out(scan, Draw(0))
    free = scan.mask & ~scan.calibration
    assert int(gamma.sum()) == math.floor(0.2 * int(free.sum()))
    assert not (gamma & ~free).any()


def test_neither_padding_nor_an_external_calibration_matter():
    mask = columns(40, 12)
    scan = masked(mask)
    padded = scan.padding.clone()
    padded[..., :6, :] = True
    for one in (scan, type(scan)(**{**vars(scan), "padding": padded})):
        gamma = Gamma(0.3).hold_out(one, Draw(0))
        assert not (gamma & one.padding).any() and not (gamma & ~one.mask).any()
        free = (one.mask & ~one.padding)[0, 0, 0].any(-1).clone()
        free[18:22] = False
        assert int(gamma[0, 0, 0].any(-1).sum()) == math.floor(0.3 * int(free.sum()))


def test_is_drawn_once():
    scan = with_calibration(scattered((32, 32)))
    first = Gamma().hold_out(scan, Draw(4, 0))
    assert torch.equal(first, Gamma().hold_out(scan, Draw(4, 99)))
    assert not torch.equal(first, Gamma().hold_out(scan, Draw(5, 0)))
    assert not torch.equal(first, Uniform(0.2).split(scan, Draw(4, 0)).lambda_)


def test_is_the_same_in_any_batch():
    scans = [with_calibration(columns(36, 20, acceleration), scan_id=f"v/{acceleration}") for acceleration in (2, 3)]
    scans.append(with_calibration(scattered((36, 20)), scan_id="v/9"))
    together = Gamma().hold_out(CalibratedScan.batch(scans), Draw(0))
    for place, scan in enumerate(scans):
        assert torch.equal(together[place], Gamma().hold_out(scan, Draw(0))[0])


def test_every_frame_gives_its_share():
    frames = torch.stack([columns(48, 10, 3).roll(shift, 0) | columns(48, 10, 3) for shift in (0, 1)])[:, None]
    gamma = Gamma(0.25).hold_out(masked(frames), Draw(0))
    for frame in range(2):
        free = frames[frame, 0].any(-1).clone()
        free[22:26] = False
        assert int(gamma[0, frame, 0].any(-1).sum()) == math.floor(0.25 * int(free.sum()))


def test_is_uniform():
    mask = scattered((12, 12))
    gamma = Gamma(0.2).hold_out(many(masked(mask), [f"s{i}" for i in range(3000)]), Draw(0))[:, 0, 0].double().mean(0).numpy()
    free = mask.numpy().copy()
    free[4:8, 4:8] = False
    share = math.floor(0.2 * free.sum()) / free.sum()
    assert np.abs(gamma[free] - share).max() < 4.5 * math.sqrt(share * (1 - share) / 3000)


def test_at_least_one_line():
    """Two lines outside the calibration region: floor(.2 x 2) would be none."""
    mask = torch.zeros(32, 8, dtype=torch.bool)
    mask[[3, 29]] = True
    gamma = Gamma(0.2).hold_out(with_calibration(mask, lines=10), Draw(0))
    assert int(gamma[0, 0, 0].any(-1).sum()) == 1


def test_says_when_there_is_nothing_to_hold_out():
    with pytest.raises(BadInput, match=r"v/0: found 0 lines outside the calibration region .* expected enough to hold some out"):
        Gamma().hold_out(with_calibration(torch.zeros(32, 8, dtype=torch.bool), lines=10), Draw(0))
    with pytest.raises(BadInput, match="v/0: found a mask that varies along the readout"):
        Gamma(lines=True).hold_out(masked(scattered((20, 20))), Draw(0))
    single = torch.zeros(16, 16, dtype=torch.bool)
    single[2, 2] = True
    with pytest.raises(BadInput, match="of 1 acquired samples"):
        PAPER.hold_out(masked(single), Draw(0))
    with pytest.raises(BadRecipe, match="Gamma.fraction"):
        Gamma(fraction=1.0)
