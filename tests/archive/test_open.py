"""Finding the format, and the first verdict."""

from dataclasses import replace

import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.fastmri import FastMRI
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.mrd.ismrmrd import ISMRMRD
from ssrecon.calibrate import Calibrator
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Calibration, Header, Scan
from tests.archive.fastmri import test_fastmri
from tests.archive.mrd import test_ismrmrd
from tests.archive.mrd.lines import complex_noise


def test_format_is_found_by_content_not_by_name(tmp_path):
    test_fastmri.example(tmp_path).rename(tmp_path / "one.mrd")
    test_ismrmrd.example(tmp_path).rename(tmp_path / "two.fastmri")
    assert isinstance(open_archive(tmp_path / "one.mrd").reader, FastMRI)
    assert isinstance(open_archive(str(tmp_path / "two.fastmri")).reader, ISMRMRD)


def test_describe_joins_like_scans_and_separates_unlike_ones(tmp_path):
    path = write_fastmri(tmp_path / "v.h5", complex_noise(3, 4, 32, 32))
    text = open_archive(path).describe()
    assert "v (3 scans): 32x32, 4 coils, full, R=1.00" in text and len(text.splitlines()) == 2
    kspace = torch.from_numpy(complex_noise(3, 4, 32, 32))
    kspace[1, :, ::2] = 0
    lines = open_archive(write_fastmri(tmp_path / "w.h5", kspace)).describe().splitlines()
    assert len(lines) == 3 and "may not train" in lines[2] and "v" not in lines[0].split(":")[0][-5:]


def test_describe_says_which_scan_cannot_be_read(tmp_path):
    kspace = torch.from_numpy(complex_noise(2, 4, 32, 32))
    kspace[1, 0, 3, 3] = float("nan")
    text = open_archive(write_fastmri(tmp_path / "v.h5", kspace)).describe()
    assert "v/slice-001: cannot be read: found 1 acquired samples" in text


def make(mask: torch.Tensor, readout: bool = True, **parts) -> Scan:
    """A scan of noise with this (ky, kx) mask."""
    mask = mask[None, None, None]
    kspace = torch.where(mask, torch.from_numpy(complex_noise(1, 1, 4, *mask.shape[3:])), 0)
    header = Header("v/slice-000", "v", "v", encoding=WholeLines() if readout else GridPoints())
    return Scan(header, kspace, mask, parts.pop("padding", torch.zeros_like(mask)), **parts)


def columns(places: list[int], n: int = 64) -> torch.Tensor:
    mask = torch.zeros(n, 48, dtype=torch.bool)
    mask[places] = True
    return mask


def test_verdict_of_a_lattice_with_calibration_lines():
    found = verdict(make(columns([*range(1, 64, 4), *range(26, 38)])))
    assert found.may_train and found.reasons == ()
    assert found.pattern == "lattice every 4"
    assert found.calibration == (12, 48)  # lines 26 to 37: what the calibrator takes
    assert found.acceleration == pytest.approx(64 / 25)  # a lattice reaches to the end of its last step
    assert found.noise == "unknown"  # 18 lines tell it, fewer do not
    assert verdict(make(columns([*range(1, 64, 4), *range(22, 42)]))).noise == "can be estimated"


def test_verdict_of_random_columns_and_points():
    places = sorted({1, 4, 5, 9, 16, 18, 22, 41, 43, 50, 55, 56, 63, *range(24, 40)})
    assert verdict(make(columns(places))).pattern == "random columns"
    points = torch.rand(64, 48, generator=torch.Generator().manual_seed(0)) < 0.3
    points[24:40, 16:32] = True
    found = verdict(make(points, readout=False))
    assert found.pattern == "random points" and found.may_train
    assert found.calibration == (16, 16)


def test_columns_of_a_hybrid_slice_are_columns():
    found = verdict(make(columns(sorted({1, 5, 8, 15, 20, *range(24, 40), 47, 58, 63})), readout=False))
    assert found.pattern == "random columns"


def test_padding_does_not_count_as_acceleration():
    full = columns(list(range(8, 56)))
    found = verdict(make(full, padding=~full[None, None, None]))
    assert found.pattern == "full" and found.acceleration == 1


def test_without_calibration_it_may_not_train():
    bare = make(columns(list(range(0, 64, 4))))
    found = verdict(bare)
    assert not found.may_train and "a fully sampled centre" in str(found)
    assert found.noise == "unknown"
    apart = Calibration(bare.kspace, columns(list(range(20, 44)))[None, None, None])
    assert verdict(replace(bare, calibration=apart)).may_train
    assert verdict(replace(bare, calibration=apart)).calibration == (24, 48)
    assert verdict(replace(bare, csm=torch.ones(1, 1, 4, 64, 48, dtype=torch.complex64))).may_train
    assert verdict(replace(bare, noise=torch.ones(1, 4, 8, dtype=torch.complex64))).noise == "noise scan"


def test_the_verdict_is_the_calibrators():
    """What one calibrator accepts another refuses, and the verdict says so beforehand."""
    scan = make(columns([*range(0, 64, 4), *range(27, 37)]))
    assert not verdict(scan).may_train and "at least 12 x 12" in verdict(scan).reasons[0]
    assert verdict(scan, Calibrator(smallest=10)).may_train


def test_nothing_there(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        open_archive(tmp_path / "missing")
