"""CG-SENSE and L1-wavelet against sigpy's applications on a real brain, random columns at R=4."""

import warnings
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from ssrecon.baselines import CGSense, L1Wavelet
from ssrecon.core.scan import CalibratedScan, Header
from ssrecon.operators import encoding
from ssrecon.operators.wavelet import Wavelet, deepest_level


@pytest.fixture(scope="module")
def sigpy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("sigpy.mri")


@pytest.fixture
def brain(test_data, sigpy):
    """brain_d with sigpy's own ESPIRiT maps, so that nothing but the solver differs; 99th percentile of the image is 1."""
    with h5py.File(test_data / "brain" / "brain_d.h5") as file:
        kspace = np.ascontiguousarray(np.swapaxes(file["kspace"][0], -1, -2)).astype(np.complex64)
    lines = kspace.shape[1]
    chosen = np.zeros(lines, bool)
    chosen[lines // 2 - 12 : lines // 2 + 12] = True
    chosen[np.random.default_rng(0).choice(np.flatnonzero(~chosen), lines // 4 - 24, replace=False)] = True
    mask = np.broadcast_to(chosen[:, None], kspace.shape[1:]).copy()
    csm = sigpy.app.EspiritCalib(kspace * mask, calib_width=24, crop=0.5, show_pbar=False).run()
    tensors = [torch.from_numpy(a)[None, None] for a in (kspace, mask[None], csm)]
    scan = CalibratedScan(
        headers=(Header("brain_d", "brain_d", "d"),),
        kspace=tensors[0],
        mask=torch.ones_like(tensors[1]),
        padding=torch.zeros_like(tensors[1]),
        csm=tensors[2],
        calibration=torch.zeros_like(tensors[1]),
        scale=torch.ones(1),
    )
    scale = torch.quantile(encoding(scan).adjoint(scan.kspace).abs(), 0.99)
    scan = CalibratedScan(**{**vars(scan), "kspace": scan.kspace / scale}).on(tensors[1])
    arrays = SimpleNamespace(y=scan.kspace[0, 0].numpy(), csm=csm, weights=mask.astype(np.float32))
    return scan, arrays


def nmse(ours, theirs):
    return float((ours - theirs).abs().square().sum() / theirs.abs().square().sum())


def test_l1_wavelet_reaches_sigpys_objective_and_image(brain, sigpy):
    scan, arrays = brain
    E, W = encoding(scan), Wavelet(tuple(scan.kspace.shape[3:]), deepest_level(tuple(scan.kspace.shape[3:])))
    lam = 0.005

    def objective(x):
        return float(0.5 * (E(x) - scan.kspace).abs().square().sum() + lam * W(x).abs().sum())

    ours = L1Wavelet(lam, 100, cycle_spinning=False)(scan).image
    app = sigpy.app.L1WaveletRecon(arrays.y, arrays.csm, lam, weights=arrays.weights, max_iter=100, show_pbar=False)
    theirs = torch.from_numpy(np.asarray(app.run()))[None, None, None]
    assert objective(ours) == pytest.approx(objective(theirs), rel=0.01)
    assert objective(ours) < 0.9 * objective(E.adjoint(scan.kspace))
    assert nmse(ours, theirs) < 1e-3


@pytest.mark.parametrize(("regularisation", "iterations"), [(0.0, 10), (0.01, 30)])
def test_cg_sense_is_sigpys(brain, sigpy, regularisation, iterations):
    scan, arrays = brain
    ours = CGSense(regularisation, iterations)(scan).image
    app = sigpy.app.SenseRecon(arrays.y, arrays.csm, regularisation, weights=arrays.weights, max_iter=iterations, show_pbar=False)
    theirs = torch.from_numpy(np.asarray(app.run()))[None, None, None]
    assert nmse(ours, theirs) < 1e-4
