"""Cases 29 and 29b, what estimators make of them: a dead coil, an empty slice, values of 1e-6, NaN where nothing was acquired."""

import numpy as np
import pytest
import torch

from ssrecon.calibrate import Calibrator, estimated_covariance
from ssrecon.core.scan import Header, Scan
from ssrecon.inspect.data_crimes import DATA_CRIMES
from ssrecon.inspect.duplicates import signature
from tests.cases.common import columns, scan


def volume(dead: int | None = None, empty: int | None = None, nan: bool = False, sigma: float = 0.02) -> list[Scan]:
    """Three slices as fastMRI's file of the case holds them, turned to our axes (lines, readout)."""
    acquired = columns(60, 2.5, 20, 0)
    scans = []
    for index in range(3):
        kspace = scan(5, 64, 60, index, sigma=sigma, scale=1e-6)[0] * acquired
        if dead is not None:
            kspace[dead] = 0
        if index == empty:
            kspace[:] = 0
        if nan:
            kspace[:, :, ~acquired] = np.nan
        mask = torch.from_numpy(acquired)[:, None].expand(1, 1, 1, 60, 64).clone()
        name = f"v/slice-{index:03d}"
        turned = torch.from_numpy(np.ascontiguousarray(kspace.swapaxes(1, 2)).astype(np.complex64))[None, None]
        scans.append(Scan(Header(name, "v", "v", slice=index), turned, mask, torch.zeros_like(mask)))
    return scans


def level(item, clean: Scan, matrix: torch.Tensor) -> float:
    """The noise of the acquired samples over what is said to be its level."""
    scan = item.scan
    perfect = torch.einsum("oc,bfcyx->bfoyx", matrix / scan.scale, torch.where(clean.mask, clean.kspace, 0))
    power = torch.where(scan.mask, scan.kspace - perfect, 0).abs().square().sum() / scan.mask.sum() / scan.kspace.shape[2]
    return float((power / scan.noise_std.square()).sqrt())


@pytest.mark.parametrize("given", [{}, {"dead": 2}, {"nan": True}, {"dead": 0, "empty": 0}])
def test_the_noise_level_is_that_of_the_coils_that_hear(given):
    scans = volume(**given)
    fitted = Calibrator().fit(scans)
    items, clean = list(fitted.each(scans)), volume(**given, sigma=0)
    coils = 4 if "dead" in given else 5
    for index, item in enumerate(items):
        assert item.scan.kspace.shape[2] == item.scan.csm.shape[2] == coils
        for array in (item.scan.kspace, item.scan.csm):
            assert bool(torch.isfinite(torch.view_as_real(array)).all())
        if index != given.get("empty"):
            assert float(item.scan.csm.abs().max()) > 0.1
            assert item.scan.noise_std is not None
            assert level(item, clean[index], fitted.matrix) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("coils", [1, 4, 8, 15])
def test_zeros_end_in_no_error(coils):
    nothing = torch.zeros(1, coils, 24, 24, dtype=torch.complex64)
    assert estimated_covariance(nothing) is None
    mask = torch.ones(1, 1, 1, 64, 64, dtype=torch.bool)
    empty = Scan(Header("a", "a", "a"), torch.zeros(1, 1, coils, 64, 64, dtype=torch.complex64), mask, ~mask)
    for detect in DATA_CRIMES:
        detect(empty)
    assert len(signature(empty)) == 64
    if coils > 1:
        noise = torch.randn(1, coils, 24, 24, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
        smooth = noise + 200 * torch.exp(-((torch.arange(24.0) - 12) ** 2)[:, None] - (torch.arange(24.0) - 12) ** 2)
        smooth[:, -1] = 0
        covariance = estimated_covariance(smooth)
        assert covariance is not None and float(covariance[-1].abs().max()) == 0
        assert float(covariance.diagonal().real[:-1].mean()) == pytest.approx(1, rel=0.2)
