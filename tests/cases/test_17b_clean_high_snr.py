"""Case 17b: clean, fully sampled raw scans of high SNR (phantoms, surface coils) were refused as filled in by GRAPPA."""

import numpy as np
import pytest
import torch

from ssrecon.core.scan import Header, Scan
from ssrecon.inspect.look import look
from tests.cases.common import fft, maps, noise, obj, scan


def alleged(kspace, noise_scan=None):
    """The kinds of finding that a fully sampled scan is refused for, or that say that it was filled in; `kspace` is (coil, *k)."""
    mask = torch.ones(1, 1, 1, *kspace.shape[1:], dtype=torch.bool)
    readouts = None if noise_scan is None else torch.from_numpy(noise_scan).to(torch.complex64)[None]
    looked = look(Scan(Header("a", "a", "a"), torch.from_numpy(kspace)[None, None], mask, ~mask, noise=readouts))
    return {finding["kind"] for finding in looked.findings if finding["severity"] == "refuse" or finding["kind"] == "grappa_filled"}


@pytest.mark.parametrize("coils", [4, 8, 16])
@pytest.mark.parametrize("sigma", [0.004, 0.0025, 0.0005])
def test_nothing_is_alleged(coils, sigma):
    kspace, _, _ = scan(coils, 120, 128, 3, sigma)
    assert alleged(kspace) == set()


@pytest.mark.parametrize("sigma", [0.004, 0.0005])
def test_nothing_is_alleged_in_three_dimensions(sigma):
    """Slices of one object that changes along z, through coils that do too."""
    z = np.arange(24) - 12
    slices = [obj(48, 64, 3) * np.exp(-((depth / 9) ** 4)) for depth in z]
    csm = [maps(8, 48, 64) * np.exp(0.05j * depth * np.arange(8))[:, None, None] for depth in z]
    image = np.stack([one * through for one, through in zip(slices, csm, strict=True)], axis=1)
    kspace = (fft(image, (1, 2, 3)) + sigma * noise(image.shape, 1)).astype(np.complex64)
    assert alleged(kspace, sigma * noise((8, 512), 2)) == set()  # a noise scan, as to estimate the noise in 3-D takes minutes
