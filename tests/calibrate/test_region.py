import pytest
import torch

from ssrecon.calibrate.region import frames_region, require
from ssrecon.core.errors import NoCalibration
from ssrecon.core.window import crop
from ssrecon.sampling.centre import centred_region, region_mask
from tests.scans import column_mask


@pytest.mark.parametrize("lines", [1, 7, 10, 24, 30])
@pytest.mark.parametrize("shape", [(64, 48), (65, 47)])
def test_lines_give_their_band_cropped_to_the_width(shape, lines):
    band = torch.zeros(shape, dtype=torch.bool)
    start = shape[0] // 2 - lines // 2
    band[start : start + lines] = True
    assert centred_region(band, 24) == (min(lines, 24), 24)


def test_largest_box_by_brute_force():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        mask = torch.rand(15, 14, generator=generator) < 0.9
        mask[5:10, 5:9] = True
        best = max(
            (h * w, min(h, w), h, w)
            for h in range(1, 13)
            for w in range(1, 13)
            if bool(crop(mask[None, None, None], (h, w)).all()) or h * w == 0
        )
        assert centred_region(mask, 12)[0] * centred_region(mask, 12)[1] == best[0]


def test_nothing_at_dc_is_no_region():
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[16, 16] = False
    assert min(centred_region(mask, 24)) == 0


def test_three_dimensions():
    mask = torch.zeros(20, 20, 20, dtype=torch.bool)
    mask[6:14, 5:15, 4:16] = True
    assert centred_region(mask, 24) == (8, 10, 12)


def test_region_mask_marks_what_crop_takes():
    kspace = torch.arange(11 * 8).reshape(1, 1, 1, 11, 8)
    inside = region_mask((11, 8), (5, 4))
    assert set(kspace[inside].tolist()) == set(crop(kspace, (5, 4)).flatten().tolist())
    assert bool(inside[0, 0, 0, 5, 4])


def test_frames_share_a_region_between_them_only_where_none_has_one():
    lattice = column_mask((64, 48), 4, 0, frames=4)
    assert frames_region(lattice, 24, 12) == ((24, 24), False)
    assert frames_region(column_mask((64, 48), 4, 24, frames=4), 24, 12) == ((24, 24), True)


def test_the_error_says_what_was_found_and_what_would_do():
    with pytest.raises(NoCalibration, match=r"case-7: found .*4 x 24.*at least 12 x 12.*separate calibration scan.*maps of your own"):
        require("case-7", (4, 24), (256, 256), 12)
    with pytest.raises(NoCalibration, match="nothing at the centre"):
        require("case-7", (0, 0), (256, 256), 12)
