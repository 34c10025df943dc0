"""Patterns are told by their masks alone: this package's own, BART's and sigpy's."""

import itertools
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.core.window import window
from ssrecon.sampling import Equispaced, PoissonDisc, RandomColumns, VariableDensity, on_protocol, protocol_key, undersample
from ssrecon.sampling.centre import centred_region
from ssrecon.sampling.describe import FAMILIES, acceleration_classes, is_elliptical
from ssrecon.sampling.describe import describe_sampling as sampling
from tests.calibrate.raw import raw_scan
from tests.scans import column_mask, make_scan


def scan_of(mask, readout=True):
    """A scan with a mask (z, y) of points or (y,) of lines."""
    mask = torch.as_tensor(np.asarray(mask), dtype=torch.bool)
    mask = mask[:, None].expand(-1, 32) if mask.ndim == 1 else mask
    mask = mask[None, None, None]
    header = Header("v/0", "v", "s", encoding=WholeLines() if readout else GridPoints())
    return Scan(header, torch.zeros(1, 1, 1, *mask.shape[3:], dtype=torch.complex64), mask, torch.zeros_like(mask))


def columns(pattern, seed, n=128):
    full = scan_of(torch.ones(n))
    return sampling(undersample(full, pattern, Draw(seed)))


@pytest.mark.parametrize("seed", range(8))
def test_random_columns(seed):
    found = columns(RandomColumns(4, 16), seed, 256)
    assert found.pattern in ("random columns", "variable-density columns") and found.missing_side == ("", "")
    assert found.calibration[0] >= 16


@pytest.mark.parametrize("step", [2, 3, 4, 6])
def test_lattices(step):
    found = columns(Equispaced(step, 16, overall=False), 0, 256)
    assert (found.pattern, found.step) == ("lattice", (float(step),))
    for offset in range(step):
        assert columns(Equispaced(step, 16, overall=False, offset=offset), 0, 256).offset == (float(offset),)


def test_full_and_padding():
    found = sampling(scan_of(torch.ones(64)))
    assert (found.pattern, found.acceleration, found.partial_fourier, found.padding) == ("full", 1.0, (1.0, 1.0), (0.0, 0.0))
    mask = torch.zeros(64, dtype=torch.bool)
    mask[8:56] = True
    found = sampling(scan_of(mask))
    assert found.pattern == "full" and found.padding[0] == pytest.approx(16 / 64) and found.acceleration == 1.0


@pytest.mark.parametrize("lattice", [1, 2])
@pytest.mark.parametrize("side", ["low", "high"])
def test_partial_fourier_names_its_side(lattice, side):
    mask = torch.zeros(128, dtype=torch.bool)
    mask[::lattice] = True
    mask[52:76] = True
    if side == "low":
        mask[:32] = False
    else:
        mask[96:] = False
    found = sampling(scan_of(mask))
    assert found.missing_side == (side, "") and found.partial_fourier[0] == pytest.approx(0.75, abs=0.02)


def test_chance_is_not_partial_fourier():
    """Of 300 random masks none is taken for it."""
    masks = [undersample(scan_of(torch.ones(96)), RandomColumns(3, 16), Draw(seed)) for seed in range(300)]
    assert not any(any(sampling(mask).missing_side) for mask in masks)


def points(pattern, seed=0, shape=(96, 96)):
    return sampling(undersample(scan_of(torch.ones(shape), readout=False), pattern, Draw(seed)))


@pytest.mark.parametrize("seed", range(4))
def test_points(seed):
    assert points(PoissonDisc(6, 16), seed).pattern == "Poisson disc"
    assert points(VariableDensity(6, 16), seed).pattern == "variable density"


def test_uniform_points():
    drawn = torch.rand(128, 128, generator=torch.Generator().manual_seed(0)) < 0.2
    drawn[56:72, 56:72] = True
    assert sampling(scan_of(drawn, readout=False)).pattern == "random points"


@pytest.mark.parametrize("rows, along, shift", [(2, 2, 0), (1, 4, 2), (1, 3, 1), (2, 3, 0)])
def test_lattices_of_points(rows, along, shift):
    mask = torch.zeros(96, 96, dtype=torch.bool)
    for index, z in enumerate(range(0, 96, rows)):
        mask[z, (index * shift) % along :: along] = True
    mask[40:56, 40:56] = True
    found = sampling(scan_of(mask, readout=False))
    assert found.pattern == ("CAIPI" if shift else "2-D lattice")
    assert found.step[:2] == (rows, along) and found.acceleration > 0.8 * rows * along
    assert found.offset == (0, 0)
    moved = mask.roll((1, 1), dims=(0, 1))
    moved[40:56, 40:56] = True
    assert sampling(scan_of(moved, readout=False)).offset == (1 % rows, 1 if rows > 1 else (1 - shift) % along)


def test_elliptical_shutter():
    grid = torch.stack(torch.meshgrid(torch.arange(96) - 47.5, torch.arange(96) - 47.5, indexing="ij"))
    disc = grid.square().sum(dim=0).sqrt() <= 48
    drawn = (torch.rand(96, 96, generator=torch.Generator().manual_seed(0)) < 0.3) & disc
    drawn[40:56, 40:56] = True
    found = sampling(scan_of(drawn, readout=False))
    assert found.elliptical and is_elliptical(drawn)
    # R counts the ellipse and not the corners.
    assert found.acceleration == pytest.approx(float(disc.sum()) / float(drawn.sum()), rel=0.03)
    assert not points(VariableDensity(6, 16)).elliptical


def ellipse_of(shape, middle, side=None):
    """Locations of an ellipse that touches the ends of a matrix, as scanners draw it: about DC or about the middle of the matrix."""
    centre = [n // 2 if middle == "DC" else (n - 1) / 2 for n in shape]
    axes = [(torch.arange(n) - c) / (n / 2) for n, c in zip(shape, centre, strict=True)]
    mask = sum(grid**2 for grid in torch.meshgrid(*axes, indexing="ij")) <= 1
    if side == "low":
        mask[: shape[0] // 4] = False
    elif side == "high":
        mask[-(shape[0] // 4) :] = False
    return mask


@pytest.mark.parametrize("middle", ["DC", "matrix"])
@pytest.mark.parametrize("side", [None, "low", "high"])
@pytest.mark.parametrize("shape", [(64, 64), (61, 48), (48, 16)])
def test_a_whole_ellipse_is_full(shape, side, middle):
    """As many 3-D scans acquire, with partial Fourier or without."""
    mask = ellipse_of(shape, middle, side)
    found = sampling(scan_of(mask, readout=False))
    assert found.pattern == found.family == "full" and found.acceleration == 1.0 and found.is_full and found.elliptical
    assert found.missing_side == (side or "", "")
    volume = mask[..., None].expand(*shape, 8)  # the same with a readout
    assert sampling(scan_of(volume)).is_full and sampling(scan_of(volume)).acceleration == 1.0


def test_an_ellipse_with_a_hole_is_not_full():
    mask = ellipse_of((64, 64), "DC")
    for z, y in ((20, 30), (3, 32), (32, 61)):
        holed = mask.clone()
        holed[z, y] = False
        found = sampling(scan_of(holed, readout=False))
        assert found.pattern != "full" and not found.is_full and found.elliptical


def test_a_quadrant_left_out_is_no_shutter():
    mask = torch.ones(64, 64, dtype=torch.bool)
    mask[:32, :32] = False
    assert not sampling(scan_of(mask, readout=False)).is_full


@pytest.mark.parametrize("middle", ["DC", "matrix"])
def test_a_whole_ellipse_is_a_reference(middle):
    """What `describe_sampling` calls full is what `undersample` takes for a reference."""
    shape = (48, 40)
    full = scan_of(ellipse_of(shape, middle), readout=False)
    full = replace(full, kspace=torch.where(full.mask, torch.ones(1, 1, 1, *shape, dtype=torch.complex64), 0))
    scan = undersample(full, PoissonDisc(4, 8), Draw(0), only_full=True)
    assert torch.equal(scan.reference, full.kspace) and torch.equal(scan.reference_mask, full.mask)
    assert bool((scan.mask & ~full.mask).any()) is False and int(scan.mask.sum()) < 0.5 * int(full.mask.sum())


def test_points_along_a_readout_are_not_full():
    """A header may call them whole lines: every line then holds a sample, and much is missing."""
    drawn = torch.rand(32, 32, generator=torch.Generator().manual_seed(0)) < 0.5
    assert not sampling(scan_of(drawn)).is_full and undersample(scan_of(drawn), RandomColumns(2, 4), Draw(0)).reference is None


def test_frames_that_differ_are_not_full():
    mask = torch.zeros(1, 2, 1, 32, 32, dtype=torch.bool)
    mask[:, 0] = True
    mask[:, 1, :, ::2] = True
    scan = replace(scan_of(torch.ones(32)), kspace=torch.zeros(1, 2, 1, 32, 32, dtype=torch.complex64), mask=mask, padding=~mask & False)
    assert sampling(scan).pattern == "full" and not sampling(scan).is_full


def test_a_calibration_apart_has_a_matrix_of_its_own():
    scan = scan_of(torch.arange(32) % 2 == 0)
    lines = torch.ones(1, 1, 1, 12, 10, dtype=torch.bool)
    found = sampling(replace(scan, calibration=Calibration(torch.ones(1, 1, 1, 12, 10, dtype=torch.complex64), lines)))
    assert found.calibration == (12, 10) and found.calibration_source == "measured apart"


def test_a_prepared_scan_is_described_as_its_raw_one():
    """It keeps nothing of a calibration that was measured apart but that it was."""
    scan = make_scan(mask=column_mask((32, 32), 2, 8))
    found = sampling(scan)
    assert found == sampling(scan_of(scan.mask[0, 0, 0, :, 0])) and found.calibration_source == "in the scan"
    apart = sampling(replace(scan, calibration=torch.zeros_like(scan.calibration)))
    assert apart == replace(found, calibration=(0, 0), calibration_source="measured apart")


def test_radial_on_a_grid():
    mask = torch.zeros(128, 128, dtype=torch.bool)
    for angle in np.arange(24) * np.pi / 24:
        along = np.arange(-64, 64, 0.5)
        z, y = (np.clip(np.round(64 + along * f(angle)), 0, 127).astype(int) for f in (np.sin, np.cos))
        mask[z, y] = True
    assert sampling(scan_of(mask, readout=False)).pattern == "radial"


def test_frames_of_a_moving_lattice():
    mask = torch.zeros(1, 4, 1, 64, 32, dtype=torch.bool)
    for frame in range(4):
        mask[:, frame, :, frame::4] = True
    base = scan_of(torch.ones(64))
    scan = replace(base, kspace=torch.zeros(1, 4, 1, 64, 32, dtype=torch.complex64), mask=mask, padding=torch.zeros_like(mask))
    found = sampling(scan)
    assert found.frames_differ and found.acceleration == pytest.approx(4.0) and found.pattern == "lattice"


def test_separate_calibration_is_named():
    scan = raw_scan(0, (48, 40), 4)
    assert sampling(scan).calibration_source == "in the scan"


@pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not installed")
def test_barts_poisson_disc(tmp_path):
    command = ["bart", "poisson", "-Y", "128", "-Z", "128", "-y", "2", "-z", "2", "-C", "20", "-e", str(tmp_path / "mask")]
    subprocess.run(command, check=True, capture_output=True)
    mask = np.abs(np.fromfile(tmp_path / "mask.cfl", dtype=np.complex64).reshape(128, 128)) > 0
    found = sampling(scan_of(mask, readout=False))
    assert found.pattern == "Poisson disc" and found.elliptical


def test_sigpys_poisson_disc():
    import sigpy.mri

    mask = np.abs(sigpy.mri.poisson((128, 128), 6, calib=(20, 20), seed=0)) > 0
    found = sampling(scan_of(mask, readout=False))
    assert found.pattern == "Poisson disc" and found.calibration[0] >= 20


def drawn(pattern, n, count=12):
    """Descriptions of scans of one protocol, each with a mask of its own."""
    full = scan_of(torch.ones(n))
    scans = [replace(full, header=replace(full.header, volume_id=f"v{index}")) for index in range(count)]
    return {index: sampling(undersample(scan, pattern, Draw(0))) for index, scan in enumerate(scans)}


def test_an_equispaced_pattern_has_one_name():
    """R=4 of 320 in all, 24 lines of calibration: every 5.26 outside them, and not irregular."""
    for found in drawn(Equispaced(4, 24), 320).values():
        assert found.pattern == "lattice" and found.family == "equispaced lines"
        assert found.step[0] == pytest.approx(5.27, abs=0.02) and found.acceleration == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize("acceleration, lines, n", [(8, 8, 96), (8, 4, 96), (4, 24, 320)])
def test_random_columns_of_a_protocol_are_of_one_acceleration(acceleration, lines, n):
    """On the extent of each scan alone, R=8 of 96 was 1.25 to 7.92."""
    alone = drawn(RandomColumns(acceleration, lines), n)
    together = on_protocol(alone, dict.fromkeys(alone, "protocol"))
    values = {found.acceleration for found in together.values()}
    assert len(values) == 1 and values.pop() == pytest.approx(acceleration, rel=0.02)
    assert {found.scans for found in together.values()} == {12} and alone[0].scans == 1
    assert len(set(acceleration_classes([found.acceleration for found in together.values()]).values())) == 1


def test_partial_fourier_is_no_part_of_the_support():
    """What no scan of a protocol acquired counts neither as acquired nor as left out by the acceleration."""
    alone = {}
    for seed in range(8):
        mask = torch.rand(128, generator=torch.Generator().manual_seed(seed)) < 0.4
        mask[52:76] = True
        mask[:32] = False
        alone[seed] = sampling(scan_of(mask))
    together = on_protocol(alone, dict.fromkeys(alone, "protocol"))
    lines = {found.support[0] for found in together.values()}
    assert len(lines) == 1 and lines.pop() == (min(found.extent[0][0] for found in alone.values()), 128)


def test_protocols_do_not_share_a_support():
    few = torch.zeros(64)
    few[16:48] = 1
    alone = {0: sampling(scan_of(torch.ones(64))), 1: sampling(scan_of(few))}
    together = on_protocol(alone, {0: "large", 1: "small"})
    assert [found.acceleration for found in together.values()] == [1.0, 1.0]
    assert on_protocol(alone, dict.fromkeys(alone, "one"))[1].acceleration == 2.0


def test_what_tells_two_protocols_apart():
    one = Header("v/0", "v", "s", protocol="p", contrast="T1")
    assert protocol_key(one, [64, 32]) == protocol_key(replace(one, scan_id="w/0", volume_id="w", subject="t", vendor="x"), (64, 32))
    others = (replace(one, protocol="q"), (64, 32)), (replace(one, contrast="T2"), (64, 32)), (one, (64, 64))
    assert len({protocol_key(one, (64, 32)), *(protocol_key(header, matrix) for header, matrix in others)}) == 4


def test_classes_of_accelerations_have_no_fixed_borders():
    classes = acceleration_classes([3.7, 3.76, 3.8, 4.1, 8.0, None])
    assert classes[3.7] == classes[3.76] == classes[3.8] == classes[4.1] != classes[8.0] and classes[None] == "None"


@pytest.mark.parametrize("shape", [(9, 12), (10, 7), (6, 5, 8)])
def test_the_centred_region_is_the_largest_box_about_dc(shape):
    """Against trying every box."""
    for seed in range(6):
        mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.93
        boxes = [sides for sides in itertools.product(*(range(1, n + 1) for n in shape)) if bool(mask[window(shape, sides)].all())]
        best = max(((np.prod(sides), min(sides)) for sides in boxes), default=(0, 0))
        found = centred_region(mask)
        assert (np.prod(found), min(found)) == best and (not boxes or bool(mask[window(shape, found)].all()))


def test_lines_across_the_last_axis_are_lines():
    mask = torch.zeros(64, 48, dtype=torch.bool)
    mask[[1, 5, 8, 15, 20, *range(24, 40), 47, 58, 63]] = True
    assert sampling(scan_of(mask, readout=False)).family == "irregular lines"


@pytest.mark.parametrize("shape", [(1, 9), (2, 3), (4, 6), (64, 5)])
def test_small_matrices_have_a_name(shape):
    for seed in range(4):
        points = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
        assert sampling(scan_of(points, readout=False)).pattern in FAMILIES
