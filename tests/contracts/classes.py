"""Finding every concrete subclass in the package, so that a new file is tested without anyone registering it."""

import importlib
import inspect
import pkgutil
from types import ModuleType

from ssrecon.archive import Archive


def subclasses(package: str, base: type) -> list[type]:
    """All concrete subclasses of `base` defined in modules of `package`, sorted by name."""
    found = {}
    root = importlib.import_module(package)
    for info in pkgutil.walk_packages(root.__path__, package + "."):
        module = importlib.import_module(info.name)
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, base) and not inspect.isabstract(value) and value.__module__.startswith(package):
                found[value.__qualname__] = value
    return [found[name] for name in sorted(found)]


def archives() -> list[type]:
    """Every archive format, read or made."""
    return [kind for room in ("ssrecon.archive", "ssrecon.simulation") for kind in subclasses(room, Archive)]


def mirrored(module: str) -> ModuleType:
    """The test file that mirrors a module: that of `ssrecon.archive.mrd.ismrmrd` is `tests.archive.mrd.test_ismrmrd`."""
    _, *rooms, name = module.split(".")
    return importlib.import_module(".".join(["tests", *rooms, f"test_{name}"]))
