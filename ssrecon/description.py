"""Frozen descriptions to JSON and back. A dataclass is its own configuration: nothing is pickled, nothing is looked up by a string."""

import dataclasses
import hashlib
import importlib
import json
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ssrecon.errors import BadRecipe
from ssrecon.identity import safe_place

PLACES = ("source", "path")
"""Fields whose text value says where something lies and not what it is: a path does not change a result, the data's own fingerprint
does.
"""
FILES = ("start", "train", "validation", "test")
"""Fields whose text value is the path of a file that does change a result: a checkpoint, the lists of a split."""
MANNERS = ("title", "workers", "recompute", "keep_every")
"""Fields that change what a thing is called, how fast it is made or what is kept of it on the way, and nothing else."""


def describe(value: Any) -> Any:
    """JSON of a frozen description: a dataclass becomes ``{"class": "ssrecon.objectives.ssdu.SSDU", field: ...}``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        # A path can name a person, and descriptions are written into run folders and checkpoints.
        fields = {name: safe_place(item) if name in PLACES + FILES and isinstance(item, str) else item for name, item in fields.items()}
        return {"class": f"{kind.__module__}.{kind.__qualname__}", **fields}
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise BadRecipe("recipe", found=f"a value of type {type(value).__name__} ({value!r})", expected="numbers, text, tuples and dataclasses")


def digest(description: Any) -> str:
    """A short hash of a description, without what changes no result."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: kept(v) for k, v in value.items() if k not in MANNERS and not (k in PLACES and isinstance(v, str))}
        return [kept(item) for item in value] if isinstance(value, list) else value

    return hashlib.blake2b(json.dumps(kept(description), sort_keys=True).encode(), digest_size=8).hexdigest()


def rebuild(description: Any, where: str, trust: Collection[str] = ()) -> Any:
    """The object that `describe` described.

    Only classes inside ``ssrecon.`` and inside the modules named in `trust` are imported; they must be dataclasses. Raises BadRecipe,
    naming `where`, for foreign code, an unknown class or field, and a value of a wrong type.
    """
    if isinstance(description, list):
        return tuple(rebuild(item, where, trust) for item in description)
    if not isinstance(description, dict):
        return description
    if "class" not in description:
        return {key: rebuild(item, f"{where}.{key}", trust) for key, item in description.items()}
    module_name, _, name = str(description["class"]).rpartition(".")
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
    known = {f.name for f in dataclasses.fields(kind) if f.init}
    if unknown := set(description) - known - {"class"}:
        raise BadRecipe(where, found=f"unknown field {sorted(unknown)[0]!r} of {name}", expected="one of " + ", ".join(sorted(known)))
    values = {key: rebuild(item, f"{where}.{key}", trust) for key, item in description.items() if key != "class"}
    result = kind(**values)
    check_types(result, where)
    return result


def check_types(value: Any, where: str) -> None:
    """Hold the plain fields of a description against their annotations, depth first. Raises BadRecipe naming the dotted field."""
    hints = typing.get_type_hints(type(value))
    for f in dataclasses.fields(value):
        item, path = getattr(value, f.name), f"{where}.{f.name}"
        if not fits(item, hints.get(f.name, Any)):
            raise BadRecipe(path, found=f"{item!r} ({type(item).__name__})", expected=readable(hints[f.name]))
        for child in item.values() if isinstance(item, Mapping) else [item]:
            if dataclasses.is_dataclass(child) and not isinstance(child, type):
                check_types(child, path)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type."""
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
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def readable(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("ssrecon.", "")
