"""An implemented method is never overridden, in objectives and in networks."""

import importlib
import inspect
import pkgutil

import pytest
from torch import nn

from ssrecon.objectives import Objective

OPTIONAL = {"fitted", "test_draws", "reconstruct", "auxiliary"}
"""The methods of `Objective` that have a default, which a method of its own kind may replace."""


def classes(room: str) -> list[type]:
    """Every class that a room defines, abstract or not."""
    found = []
    for info in pkgutil.walk_packages(importlib.import_module(room).__path__, room + "."):
        module = importlib.import_module(info.name)
        found += [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == info.name]
    return found


def is_implemented(member: object) -> bool:
    function = member.fget if isinstance(member, property) else member
    return inspect.isfunction(function) and not getattr(function, "__isabstractmethod__", False)


def overridden(kind: type) -> list[str]:
    """The methods and properties of a class that one of its own ancestors in ssrecon has implemented already."""
    ancestors = [base for base in kind.__mro__[1:] if base.__module__.startswith("ssrecon.")]
    names = [name for name, member in vars(kind).items() if not name.startswith("__") and is_implemented(member)]
    return [name for name in names for base in ancestors if name in vars(base) and is_implemented(vars(base)[name])]


@pytest.mark.parametrize("kind", [*classes("ssrecon.objectives"), *classes("ssrecon.networks")], ids=lambda kind: kind.__name__)
def test_no_implemented_method_is_overridden(kind):
    allowed = OPTIONAL if issubclass(kind, Objective) else set()
    assert set(overridden(kind)) <= allowed


def test_an_override_would_be_found():
    class Above(nn.Module):
        def name(self):
            return 1

    Above.__module__ = "ssrecon.networks.above"

    class Below(Above):
        def name(self):
            return 2

    assert overridden(Below) == ["name"] and overridden(Above) == []
