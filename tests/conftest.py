"""Shared by all tests: small scans with everything known, and the folder of real measurements."""

import os
from pathlib import Path

import h5py
import pytest
import torch

from tests.scans import make_scan

torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session", autouse=True)
def _key(tmp_path_factory):
    """Pseudonyms of tests are made with a key of their own, never with the user's."""
    file = tmp_path_factory.mktemp("key") / "key"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSRECON_KEY_FILE", str(file))
        yield


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real measurements, which never are in the repository."""
    folder = os.environ.get("SSRECON_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SSRECON_TEST_DATA is not set to the folder of real measurements")
    return Path(folder)


@pytest.fixture
def kspace_reads(monkeypatch):
    """The places of k-space that are read from HDF5 files, one read after another; each decompresses the chunks that hold them."""
    places, original = [], h5py.Dataset.__getitem__

    def spy(self, index, *rest):
        if self.name == "/kspace":
            places.append(index)
        return original(self, index, *rest)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    return places


@pytest.fixture
def scan():
    return make_scan()
