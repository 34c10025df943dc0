"""Frozen descriptions to JSON and back. A dataclass is its own configuration: nothing is pickled, nothing is looked up by a string."""

import dataclasses
import importlib
import json
import types
import typing
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ssrecon.core.errors import BadRecipe
from ssrecon.core.files import content_digest

PLACE = {"place": True}
"""Metadata of a field that says where data lie and not what they are: their own fingerprint is kept beside every result."""
READ_FILE = {"file": True}
"""Metadata of a field that names a file, or several in a tuple or mapping, whose content changes the result: a checkpoint, a list."""
NO_RESULT = {"result": False}
"""Metadata of a field that changes what a thing is called, how fast it is made or what is kept of it on the way, and nothing else."""

FROM_DATA = {"result": False, "described": False}
"""Metadata of a field that a training fills in from its data: no description, hash or override has it. It is not compared, either."""

RENAMED = {
    "ssrecon.archive.phantom": "ssrecon.simulation",
    "ssrecon.archive.complex_images": "ssrecon.simulation",
    "ssrecon.domain": "ssrecon.reconstruction",
    "ssrecon.draw": "ssrecon.core",
    "ssrecon.recipe.Data": "ssrecon.store.Data",
    "ssrecon.undersampling": "ssrecon.sampling",
}
"""Where the classes of earlier versions are today, by the beginning of the name that was written."""


def public_name(kind: type) -> str:
    """Return the name under which a class is exported by its room, ``ssrecon.objectives.SSDU``; a class from elsewhere has its module's."""
    package, *inner = kind.__module__.split(".")
    place = f"ssrecon.{inner[0]}" if package == "ssrecon" and inner else kind.__module__
    return f"{place}.{kind.__qualname__}"


def current_name(written: str) -> str:
    """Return the public name of a class that this version, or an earlier one with the file's name as well, has written down."""
    for old, new in RENAMED.items():
        if written == old or written.startswith(f"{old}."):
            written = new + written[len(old) :]
    package, *inner = written.split(".")
    return f"ssrecon.{inner[0]}.{inner[-1]}" if package == "ssrecon" and len(inner) > 2 else written


def describe(value: Any, place: Callable[[str], str] = str) -> Any:
    """Return the JSON of a frozen description: a dataclass becomes ``{"class": "ssrecon.objectives.SSDU", field: ...}``.

    `place` is what becomes of paths (fields marked `PLACE` or `READ_FILE`), for descriptions that others may read.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {"class": public_name(type(value))}
        for f in described_fields(value):
            item = getattr(value, f.name)
            is_place = "place" in f.metadata or "file" in f.metadata
            found[f.name] = _each_path(item, place, lambda other: describe(other, place)) if is_place else describe(item, place)
        return found
    if isinstance(value, Mapping):
        return {str(key): describe(item, place) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item, place) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, StrEnum):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise BadRecipe("recipe", found=f"a value of type {type(value).__name__} ({value!r})", expected="numbers, text, tuples and dataclasses")


def _each_path(value: Any, of_path: Callable[[str], str], of_other: Callable[[Any], Any]) -> Any:
    """Return what becomes of the field of a path, or of several in a tuple, list or mapping; and of a description, such as an archive."""
    if isinstance(value, (str, Path)):
        return of_path(str(value))
    if isinstance(value, Mapping):
        return {str(key): _each_path(item, of_path, of_other) for key, item in value.items()}
    return [_each_path(item, of_path, of_other) for item in value] if isinstance(value, (list, tuple)) else of_other(value)


def described_fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of a dataclass, or of an object of one, that make up its description."""
    return tuple(f for f in dataclasses.fields(value) if f.init and f.metadata.get("described", True))


def digest(value: Any) -> str:
    """Return a short hash of what changes a result: the fields that are not marked otherwise, and the content of files that are read."""
    return blake2b(json.dumps(_hashed(value), sort_keys=True).encode(), digest_size=8).hexdigest()


def _hashed(value: Any) -> Any:
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        if isinstance(value, Mapping):
            return {str(key): _hashed(item) for key, item in value.items()}
        return [_hashed(item) for item in value] if isinstance(value, (list, tuple)) else describe(value)
    found = {"class": public_name(type(value))}
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if not f.init or not f.metadata.get("result", True) or ("place" in f.metadata and isinstance(item, (str, Path))):
            continue
        found[f.name] = _each_path(item, _content, _hashed) if "file" in f.metadata else _hashed(item)
    return found


def _content(path: str) -> str:
    return content_digest(path) or "no such file"


HASH_VERSION = 2
"""Of `digest`; a record without one was written by ssrecon before it had rooms, and is compared by its description."""


def alike(one: Any, other: Any) -> bool:
    """Tell whether two descriptions, either of which an earlier version may have written, are of the same thing.

    Classes are compared by today's names, fields that one of them does not know by their defaults, and the fields that `digest` leaves
    out are not compared.
    """
    return bool(_comparable(one) == _comparable(other))


def _comparable(description: Any) -> Any:
    if isinstance(description, list):
        return [_comparable(item) for item in description]
    if not isinstance(description, dict):
        return description
    found = {key: _comparable(item) for key, item in description.items()}
    if "class" in found:
        found["class"] = current_name(str(found["class"]))
        for f in _fields_of(found["class"]):
            if not f.metadata.get("result", True) or ("place" in f.metadata and isinstance(found.get(f.name), str)):
                found.pop(f.name, None)
            elif f.name not in found and f.default is not dataclasses.MISSING:
                found[f.name] = _comparable(describe(f.default))
    return found


def _fields_of(name: str) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of one of our own classes. A class from elsewhere is not imported for this and has none."""
    place, _, kind = name.rpartition(".")
    if not place.startswith("ssrecon."):
        return ()
    try:
        found = getattr(importlib.import_module(place), kind, None)
    except ImportError:
        return ()
    return tuple(f for f in dataclasses.fields(found) if f.init) if isinstance(found, type) and dataclasses.is_dataclass(found) else ()


def rebuild(description: Any, where: str, trust: Collection[str] = ()) -> Any:
    """Return the object that `describe` described.

    Only classes that a room of ``ssrecon`` exports, and those of the modules named in `trust`, are imported; they must be dataclasses.
    Raises BadRecipe, naming `where`, for foreign code, an unknown class or field, and a value of a wrong type.
    """
    if isinstance(description, list):
        return tuple(rebuild(item, where, trust) for item in description)
    if not isinstance(description, dict):
        return description
    if "class" not in description:
        return {key: rebuild(item, f"{where}.{key}", trust) for key, item in description.items()}
    module_name, _, name = current_name(str(description["class"])).rpartition(".")
    if not (module_name.split(".")[0] == "ssrecon" or module_name in trust):
        raise BadRecipe(
            where, found=f"the class {description['class']} from outside ssrecon", expected=f"--trust {module_name} to import it"
        )
    try:
        kind = getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        own = module_name in trust
        expected = f"PYTHONPATH to name the folder that {module_name} lies in" if own else "a class of this version of ssrecon"
        raise BadRecipe(where, found=f"{description['class']}, which cannot be imported ({error})", expected=expected) from error
    except AttributeError as error:
        raise BadRecipe(where, found=f"the unknown class {description['class']}", expected="a class of this version of ssrecon") from error
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise BadRecipe(where, found=f"{description['class']}, which is no dataclass", expected="a frozen description")
    known = {f.name for f in described_fields(kind)}
    if unknown := set(description) - known - {"class"}:
        raise BadRecipe(where, found=f"unknown field {sorted(unknown)[0]!r} of {name}", expected="one of " + ", ".join(sorted(known)))
    values = {key: rebuild(item, f"{where}.{key}", trust) for key, item in description.items() if key != "class"}
    required = {f.name for f in dataclasses.fields(kind) if f.init and f.default is f.default_factory is dataclasses.MISSING}
    if missing := sorted(required - set(values)):
        raise BadRecipe(where, found=f"{name} without its {missing[0]}", expected="a whole description, as ssrecon writes it")
    _check_fields(kind, values, where)  # before the object is made: it counts on the types of its fields
    return kind(**values)


def check_types(value: Any, where: str) -> None:
    """Hold the plain fields of a description against their annotations, depth first. Raises BadRecipe naming the dotted field."""
    values = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    _check_fields(type(value), values, where)
    for name, item in values.items():
        for child in item.values() if isinstance(item, Mapping) else [item]:
            if dataclasses.is_dataclass(child) and not isinstance(child, type):
                check_types(child, f"{where}.{name}")


def _check_fields(kind: type, values: Mapping[str, Any], where: str) -> None:
    hints = typing.get_type_hints(kind)
    for name, item in values.items():
        if not fits(item, hints.get(name, Any)):
            raise BadRecipe(f"{where}.{name}", found=f"{item!r} ({type(item).__name__})", expected=readable(hints[name]))


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of an annotated type. A text stands for the member of an enumeration of texts that has it as its value."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in typing.get_args(hint))
    if origin is tuple:
        options = typing.get_args(hint)
        if not isinstance(value, (tuple, list)):
            return False
        if len(options) == 2 and options[1] is Ellipsis:
            return all(fits(item, options[0]) for item in value)
        return len(value) == len(options) and all(fits(item, option) for item, option in zip(value, options, strict=True))
    if origin is not None:
        return isinstance(value, origin)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return isinstance(value, str) and value in set(hint)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def readable(hint: Any) -> str:
    """Return an annotated type in words, of an enumeration of texts its values."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(map(repr, map(str, hint)))
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("ssrecon.", "")
