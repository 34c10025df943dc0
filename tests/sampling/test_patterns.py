"""Counts, densities, the kept centre, and what undersampling does to a scan."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header, Scan
from ssrecon.sampling import Equispaced, Pattern, PoissonDisc, RandomColumns, VariableDensity, undersample
from tests.archive.mrd.lines import complex_noise
from tests.contracts.classes import subclasses

COLUMNS = [Equispaced(4, 12), Equispaced(4, 12, overall=False), RandomColumns(4, 12)]
POINTS = [VariableDensity(6, 12), PoissonDisc(6, 12), PoissonDisc(6, 12, variable=False), PoissonDisc(6, 12, crop_corners=True)]


def generator(seed: int = 0) -> np.random.Generator:
    return Draw(seed).generator("undersampling", "v")


def make(shape=(64, 48), readout=True, padding=None, frames=1, scan_id="v/slice-000") -> Scan:
    padding = torch.zeros(1, frames, 1, *shape, dtype=torch.bool) if padding is None else padding
    kspace = torch.where(padding, 0, torch.from_numpy(complex_noise(1, frames, 3, *shape)))
    header = Header(scan_id, "v", "v", encoding=WholeLines() if readout else GridPoints())
    return Scan(header, kspace, ~padding, padding, truth=2 * kspace)


def test_every_pattern_is_tested_here():
    assert {type(p) for p in [*COLUMNS, *POINTS]} == set(subclasses("ssrecon.sampling", Pattern))


@pytest.mark.parametrize("pattern", COLUMNS, ids=str)
def test_columns_are_whole_and_keep_the_centre(pattern):
    mask = pattern.sample((64, 48), generator())
    assert mask.shape == (64, 48) and mask.dtype == torch.bool
    assert torch.equal(mask, mask[:, :1].expand(64, 48))
    assert mask[32 - 6 : 32 + 6].all()
    volume = pattern.sample((10, 64, 48), generator())
    assert torch.equal(volume, mask.expand(10, 64, 48))
    hybrid = pattern.sample((48, 64), generator(), readout=False)
    assert torch.equal(hybrid, mask.mT)


@pytest.mark.parametrize("pattern", [*COLUMNS, *POINTS], ids=str)
def test_same_draw_same_mask_and_other_draw_other_mask(pattern):
    first, again, other = (pattern.sample((64, 60), generator(seed), readout=False) for seed in (0, 0, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("n", "acceleration", "lines"), [(368, 4, 24), (320, 8, 13), (64, 3, 8), (65, 2.5, 7), (218, 6, 18)])
def test_random_columns_are_counted_exactly(n, acceleration, lines):
    for seed in range(5):
        assert int(RandomColumns(acceleration, lines).sample((n, 4), generator(seed))[:, 0].sum()) == round(n / acceleration)


@pytest.mark.parametrize(("n", "acceleration", "lines"), [(368, 4, 24), (320, 8, 13), (256, 3, 8), (372, 6, 18)])
def test_equispaced_is_equispaced_and_near_its_count(n, acceleration, lines):
    for seed in range(5):
        columns = Equispaced(acceleration, lines).sample((n, 4), generator(seed))[:, 0]
        assert abs(int(columns.sum()) - n / acceleration) <= 2
        outside = columns.clone()
        outside[n // 2 - lines // 2 - 1 : n // 2 + lines // 2 + 1] = False
        for side in (outside[: n // 2], outside[n // 2 :]):
            steps = side.nonzero().flatten().diff()
            assert int(steps.max() - steps.min()) <= 1


def test_equispaced_as_ssdu_published_it():
    """Every fourth column with 24 calibration lines of 368 on top."""
    columns = Equispaced(4, 24, offset=0, overall=False).sample((368, 4), generator())[:, 0]
    assert columns[::4].all() and columns[172:196].all()
    assert int(columns.sum()) == 92 + 18


def test_equispaced_offsets_sample_every_column_equally():
    total = sum(Equispaced(4, 0, overall=False).sample((64, 2), generator(seed))[:, 0].float() for seed in range(400)) / 400
    assert float((total - 0.25).abs().max()) < 0.1


@pytest.mark.parametrize("pattern", POINTS, ids=str)
@pytest.mark.parametrize("shape", [(96, 80), (81, 100)])
def test_points_are_counted_exactly_and_keep_the_centre(pattern, shape):
    mask = pattern.sample(shape, generator(), readout=False)
    assert int(mask.sum()) == round(mask.numel() / 6)
    centre = tuple(slice(n // 2 - 6, n // 2 + 6) for n in shape)
    assert mask[centre].all()
    volume = pattern.sample((*shape, 5), generator(), readout=True)
    assert torch.equal(volume, mask[..., None].expand(*shape, 5))


def test_variable_density_follows_its_law():
    """Few enough points that drawing without replacement is nearly independent: frequencies go as (1 - r)^order."""
    shape, order = (64, 64), 3.0
    pattern = VariableDensity(64, calibration=0, order=order)
    counts = sum(pattern.sample(shape, generator(seed), readout=False).numpy().astype(float) for seed in range(600))
    grid = np.hypot(*np.meshgrid(*[(np.arange(64) - 32) / 32] * 2)) / np.sqrt(2)
    law = np.maximum(1 - grid, 1e-6) ** order
    law *= counts.sum() / law.sum()
    for low in (0.2, 0.4, 0.6):
        ring = (grid >= low) & (grid < low + 0.2)
        assert counts[ring].sum() == pytest.approx(law[ring].sum(), rel=0.08)


def neighbours(mask: torch.Tensor) -> float:
    """How many of the points outside the centre have a point right beside them."""
    outer = mask.clone()
    outer[tuple(slice(n // 2 - 20, n // 2 + 20) for n in mask.shape)] = False
    beside = (outer[1:] & outer[:-1]).sum() + (outer[:, 1:] & outer[:, :-1]).sum()
    return float(beside) / float(outer.sum())


def test_poisson_disc_keeps_its_distance():
    shape = (128, 112)
    uniform = PoissonDisc(8, 12, variable=False).sample(shape, generator(), readout=False)
    points = uniform.nonzero().double()
    far = ((points[:, 0] - 64).abs() > 9) | ((points[:, 1] - 56).abs() > 9)
    distances = torch.cdist(points[far], points[far]) + 1e9 * torch.eye(int(far.sum()), dtype=torch.float64)
    # A mean distance of sqrt(8) = 2.83; the least, for discs that differ by a quarter in their growth, is about 1 + .75 x 1.4.
    assert float(distances.min()) >= 2
    assert neighbours(uniform) == 0
    variable = PoissonDisc(8, 12).sample(shape, generator(), readout=False)
    random = VariableDensity(8, 12).sample(shape, generator(), readout=False)
    assert neighbours(variable) < 0.05 < 0.2 < neighbours(random)


def test_variable_poisson_disc_is_denser_in_the_middle():
    mask = PoissonDisc(8, 0).sample((128, 128), generator(), readout=False).float()
    assert mask[48:80, 48:80].mean() > 2 * mask[:32, :32].mean()


def test_cropped_corners_are_empty():
    mask = PoissonDisc(6, 12, crop_corners=True).sample((96, 80), generator(), readout=False)
    assert not mask[:8, :8].any() and not mask[-8:, -8:].any()


@pytest.mark.parametrize("pattern", POINTS, ids=str)
def test_points_along_a_readout_are_refused_unless_told(pattern):
    with pytest.raises(BadInput, match="no scanner skips single points") as error:
        pattern.sample((64, 48), generator())
    assert "retrospective_2d=True" in error.value.expected
    told = type(pattern)(6, 12, retrospective_2d=True)
    scan = undersample(make(), told, Draw(0))
    assert int(scan.mask.sum()) == round(64 * 48 / 6)
    assert scan.header.encoding == GridPoints()  # what is left was not acquired line by line


@pytest.mark.parametrize("pattern", [Equispaced(8, 24), RandomColumns(8, 24), VariableDensity(20, 24), PoissonDisc(20, 24)], ids=str)
def test_too_much_calibration_is_an_error(pattern):
    with pytest.raises(BadInput, match=r"24 for calibration|576 for calibration"):
        pattern.sample((64, 64), generator(), readout=False)
    with pytest.raises(BadInput, match="at least 1"):
        type(pattern)(0.5, 4).sample((64, 64), generator(), readout=False)


def test_undersample_keeps_what_it_must():
    full = make()
    scan = undersample(full, RandomColumns(4, 8), Draw(3))
    assert int(scan.mask[..., 0].sum()) == 16
    torch.testing.assert_close(scan.kspace, torch.where(scan.mask, full.kspace, 0), rtol=0, atol=0)
    assert scan.reference is full.kspace and scan.truth is full.truth
    assert scan.header is full.header


def test_one_mask_a_volume_or_one_a_slice():
    first, second = make(scan_id="v/slice-000"), make(scan_id="v/slice-001")
    pattern = RandomColumns(4, 8)
    assert torch.equal(undersample(first, pattern, Draw(0)).mask, undersample(second, pattern, Draw(0)).mask)
    per_slice = [undersample(scan, pattern, Draw(0), per_slice=True).mask for scan in (first, second)]
    assert not torch.equal(*per_slice)
    assert not torch.equal(undersample(first, pattern, Draw(1)).mask, undersample(first, pattern, Draw(0)).mask)


def test_acceleration_is_that_of_the_encoded_support():
    """A quarter of the matrix is zero-padding: it is neither sampled nor counted."""
    padding = torch.zeros(1, 1, 1, 64, 48, dtype=torch.bool)
    padding[..., :8, :] = padding[..., 56:, :] = True
    scan = undersample(make(padding=padding), RandomColumns(4, 8), Draw(0))
    assert int(scan.mask[..., 0].sum()) == 12
    assert not (scan.mask & padding).any() and torch.equal(scan.padding, padding)
    assert scan.mask[..., 28:36, :].all()


@pytest.mark.parametrize(("low", "high"), [(3, 0), (0, 5), (7, 6)])
def test_lopsided_padding(low, high):
    """Partial Fourier: the calibration lines stay around DC."""
    padding = torch.zeros(1, 1, 1, 65, 4, dtype=torch.bool)
    padding[..., :low, :] = True
    padding[..., 65 - high :, :] = True
    scan = undersample(make((65, 4), padding=padding), RandomColumns(4, 8), Draw(0))
    assert scan.mask[..., 28:36, :].all() and not (scan.mask & padding).any()


def test_what_was_undersampled_before_is_no_reference():
    scan = undersample(undersample(make(), Equispaced(2, 8, offset=0, overall=False), Draw(0)), RandomColumns(2, 8), Draw(1))
    assert scan.reference is not None  # of the first
    prospective = make()
    mask = prospective.mask.clone()
    mask[..., 1:20:2, :] = False
    prospective = Scan(prospective.header, torch.where(mask, prospective.kspace, 0), mask, prospective.padding)
    again = undersample(prospective, RandomColumns(2, 8), Draw(1))
    assert again.reference is None
    assert not (again.mask & ~mask).any()


def test_what_was_undersampled_before_may_be_left_as_it_is():
    """Where a few references are among undersampled scans, only they are undersampled."""
    full = make((32, 32))
    once = undersample(full, RandomColumns(2, 8), Draw(0))
    assert undersample(replace(once, reference=None), RandomColumns(4, 8), Draw(1), only_full=True).mask.equal(once.mask)
    assert undersample(full, RandomColumns(2, 8), Draw(0), only_full=True).mask.equal(once.mask)


def test_a_reference_with_partial_fourier_is_known_where_it_was_acquired():
    full = make()
    mask = full.mask.clone()
    mask[..., :9, :] = False
    full = Scan(full.header, torch.where(mask, full.kspace, 0), mask, full.padding)
    scan = undersample(full, RandomColumns(2, 8), Draw(0))
    assert torch.equal(scan.reference_mask, mask)
    assert torch.equal(undersample(scan, RandomColumns(4, 8), Draw(1)).reference_mask, mask)


def test_frames_share_the_mask():
    scan = undersample(make(frames=3), RandomColumns(4, 8), Draw(0))
    assert torch.equal(scan.mask[:, 0], scan.mask[:, 2])


def test_poisoned_samples_that_are_left_out_leave_no_trace():
    full = make()
    kept = undersample(full, RandomColumns(4, 8), Draw(0))
    full.kspace[~kept.mask.expand_as(full.kspace)] = float("nan")
    assert torch.equal(undersample(full, RandomColumns(4, 8), Draw(0)).kspace, kept.kspace)
