import pytest

from tests.archive.mrd import lines as mrd
from tests.archive.siemens.common import COILS, X, Y


@pytest.fixture
def full():
    """(coils, y, x)"""
    return mrd.complex_noise(COILS, Y, X)
