"""Nothing is alleged of clean scans: a part of ``benchmarks/false_alarms.py``, which looks at 300."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    """The benchmark's own scans."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("false_alarms", BENCHMARKS / "false_alarms.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["false_alarms"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("false_alarms", None)
        sys.modules.pop("common", None)


@pytest.mark.parametrize("first", [0, 60])
def test_nothing_is_alleged_of_clean_scans(script, first):
    cases = [script.clean_scan(0, number) for number in range(first, first + 12)]
    assert {case.about: found for case in cases if (found := script.findings_of(case.scan))} == {}


def test_they_are_what_they_are_said_to_be(script):
    cases = [script.clean_scan(0, number) for number in range(15)]
    assert {case.scan.kspace.ndim - 3 for case in cases} == {2, 3}
    assert len({case.scan.kspace.shape[2] for case in cases}) > 3
    again = script.clean_scan(0, 7).scan
    assert bool((again.kspace == cases[7].scan.kspace).all())
