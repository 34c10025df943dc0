"""ESPIRiT against sigpy's, on real brains and on simulated coils, on sigpy's own support."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.calibrate import espirit
from ssrecon.core.window import crop
from tests.calibrate.raw import white
from tests.scans import full_kspace

sigpy_mri = pytest.importorskip("sigpy.mri")


def compare(kspace: np.ndarray, width: int = 24, **options) -> None:
    """`kspace` is (coils, y, x)."""
    kspace = kspace / np.abs(kspace).max()
    oracle, eigenvalue = sigpy_mri.app.EspiritCalib(kspace, calib_width=width, show_pbar=False, output_eigenvalue=True, **options).run()
    region = crop(torch.from_numpy(kspace)[None, None], (width, width))
    ours = espirit(region, kspace.shape[1:])[0, 0].numpy()
    support = np.linalg.norm(oracle, axis=0) > 0
    norms = np.linalg.norm(ours, axis=0) * np.linalg.norm(oracle, axis=0)
    correlation = (np.abs((ours.conj() * oracle).sum(axis=0)) / np.maximum(norms, 1e-12))[support]
    assert support.mean() > 0.2
    assert np.median(correlation) > 0.999
    assert np.percentile(correlation, 1) > 0.99
    clear = np.abs(np.squeeze(eigenvalue) - 0.95) > 1e-3
    assert (support == (np.linalg.norm(ours, axis=0) > 0))[clear].mean() > 0.999


@pytest.mark.parametrize("name", ["brain_d", "brain_f"])
def test_real_brains(test_data, name):
    with h5py.File(test_data / "brain" / f"{name}.h5") as file:
        kspace = file["kspace"][0].swapaxes(-1, -2)
    compare(np.ascontiguousarray(kspace))


@pytest.mark.parametrize(("shape", "coils", "level"), [((64, 64), 6, 0.005), ((60, 45), 4, 0.02), ((96, 96), 16, 0.02)])
def test_simulated_coils(shape, coils, level):
    kspace = full_kspace(shape, coils, 1, 1, 0, 0) + level * white((1, 1, coils, *shape), 1)
    compare(kspace[0, 0].to(torch.complex64).numpy())
