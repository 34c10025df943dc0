"""The names that scripts outside the package rely on, where they rely on them."""

import importlib

import pytest

import ssrecon

PUBLIC = {
    "ssrecon": "CalibratedScan Draw Recipe Comparison Data Store open_archive scan_from_arrays train run load_checkpoint",
    "ssrecon.core": "Network Estimate Header",
    "ssrecon.operators": "encoding sense",
    "ssrecon.algorithms": "conjugate_gradient",
    "ssrecon.archive": "Assignment Split",
    "ssrecon.calibrate": "Region espirit",
    "ssrecon.partition": "Uniform Gaussian Lines",
    "ssrecon.store": "Data ScanDataset ScansInMemory Schedule Store",
    "ssrecon.networks": "Unrolled ResNet",
    "ssrecon.networks.denoisers": "CNN ResNet",
    "ssrecon.objectives": "Supervised SSDU Objective Draws Loss Network",
    "ssrecon.objectives.distances": "Distance NormalizedL1L2 MeanSquare",
    "ssrecon.recipe": "Recipe Training Comparison Data",
    "ssrecon.training": "Trainer Trained train",
}


@pytest.mark.parametrize("place", PUBLIC)
def test_names_are_where_scripts_look_for_them(place):
    module = importlib.import_module(place)
    for name in PUBLIC[place].split():
        assert name in module.__all__ and getattr(module, name) is not None


def test_everything_that_is_exported_is_there():
    assert all(getattr(ssrecon, name) is not None for name in ssrecon.__all__) and sorted(ssrecon.__all__) == ssrecon.__all__


def test_a_name_has_one_meaning():
    """What is exported twice is one thing."""
    for place, name, other in (("recipe", "Data", "store"), ("objectives", "Network", "core")):
        one, same = (getattr(importlib.import_module(f"ssrecon.{room}"), name) for room in (place, other))
        assert one is same
