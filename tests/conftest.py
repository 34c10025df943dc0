"""Shared by all tests: small scans with everything known, and the folder of real measurements."""

import os
from pathlib import Path

import pytest
import torch

from tests.scans import make_scan

torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real measurements, which never are in the repository."""
    folder = os.environ.get("SSRECON_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SSRECON_TEST_DATA is not set to the folder of real measurements")
    return Path(folder)


@pytest.fixture
def scan():
    return make_scan()
