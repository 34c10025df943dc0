"""The volume that several tests of calibration look at."""

import pytest

from ssrecon.core.scan import Scan
from tests.calibrate.raw import raw_scan


@pytest.fixture(scope="module")
def volume() -> list[Scan]:
    return [raw_scan(index) for index in range(3)]
