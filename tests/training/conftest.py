"""The store that most tests of training read."""

import pytest

from tests.training.small import make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))
