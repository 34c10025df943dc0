"""Dotted overrides of a recipe's fields from the command line."""

import re
import typing
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import MISSING, fields, is_dataclass, replace
from enum import StrEnum
from importlib import import_module
from inspect import isabstract
from io import StringIO
from pkgutil import walk_packages
from typing import Any

from ssrecon.core.description import described_fields, fits, readable
from ssrecon.core.errors import BadRecipe
from ssrecon.recipe.recipe import Comparison, Recipe

Option = tuple[tuple[str, ...], list[str]]
"""This is a dotted name, and the values given to it."""


def override(experiment: Recipe | Comparison, arguments: Sequence[str]) -> Recipe | Comparison:
    """Return the same experiment with fields replaced by ``--dotted.name value``.

    In a Comparison a name that an arm has reaches every arm with it; one arm alone is reached by ``--arms.NAME.dotted.name``. Where a
    description stands, the name of a class of its kind stands for one with all its defaults: ``--objective SURE``,
    ``--objective.partitioner Lines``; fields of it may be changed in the same command. A class that has something ``inner`` is put around
    what stands there: ``--network WithUncertainty``.

    Raises BadRecipe for a field that does not exist and for a value of a wrong type.
    """
    options = _parse_options(arguments)
    if isinstance(experiment, Recipe):
        return _with_changes(experiment, options)
    if len(experiment.arms) > 1 and (given := [values for name, values in options if name == ("objective",)]):
        where = f"override --objective {' '.join(given[-1])}"
        raise BadRecipe(where, found=f"one objective for {len(experiment.arms)} arms", expected="--arms.NAME.objective: they differ in it")
    named = [name for name, _ in options]
    reached = {arm: [option for option in options if _reaches(recipe, option[0], named)] for arm, recipe in experiment.arms.items()}
    arms = {name: _with_changes(recipe, reached[name]) for name, recipe in experiment.arms.items()}
    if any(name == ("seed",) for name, _ in options):
        raise BadRecipe("override --seed", found="a seed for a comparison", expected="--seeds 0 1 2: every arm is trained once with each")
    own = [option for option in options if not any(option in some for some in reached.values())]
    return _with_changes(replace(experiment, arms=arms), own)


def _parse_options(arguments: Sequence[str]) -> list[Option]:
    options: list[Option] = []
    for argument in arguments:
        if re.match(r"--[A-Za-z]", argument):
            name, equals, value = argument[2:].partition("=")
            options.append((tuple(name.replace("-", "_").split(".")), [value] if equals else []))
        elif options:
            options[-1][1].append(argument)
        else:
            raise _no_such_field(argument)
    return options


def _named_parts(value: Any) -> dict[str, Any]:
    """Return what has a dotted name inside a description: the fields of a dataclass, or the entries of a mapping."""
    if isinstance(value, Mapping):
        return {str(key).replace("-", "_"): item for key, item in value.items()}
    return {f.name: getattr(value, f.name) for f in described_fields(value)} if is_dataclass(value) else {}


def _reaches(value: Any, name: tuple[str, ...], named: Sequence[tuple[str, ...]]) -> bool:
    """Tell whether a description has a field, or may have it once a class that is `named` above it has been put in."""
    parts, below = _named_parts(value), [other[1:] for other in named if other[0] == name[0]]
    return name[0] in parts and (len(name) == 1 or () in below or _reaches(parts[name[0]], name[1:], [other for other in below if other]))


def _with_changes(value: Any, options: Sequence[Option], above: tuple[str, ...] = ()) -> Any:
    """Make all the changes of one description at once, so that values which only fit together may come in any order."""
    parts, new = _named_parts(value), {}
    for name in dict.fromkeys(option[0][0] for option in options):
        inside = [(dotted[1:], values) for dotted, values in options if dotted[0] == name and len(dotted) > 1]
        given = [values for dotted, values in options if dotted == (name,)]
        if name not in parts:
            raise _no_such_field("--" + ".".join((*above, *next(dotted for dotted, _ in options if dotted[0] == name))))
        part = _parse_field(value, name, given[-1], "--" + ".".join((*above, name)), inside) if given else parts[name]
        new[name] = _with_changes(part, inside, (*above, name)) if inside else part
    if isinstance(value, Mapping):
        return {key: new.get(str(key).replace("-", "_"), item) for key, item in value.items()}
    return replace(value, **new)


def _parse_field(owner: Any, name: str, values: list[str], shown: str, inside: Sequence[Option]) -> Any:
    """Return the values as the type of a field of `owner`; `inside` are the options for the fields of that field."""
    hint = Any if isinstance(owner, Mapping) else typing.get_type_hints(type(owner))[name]
    return _parse(hint, _named_parts(owner)[name], values, shown, inside)


def _parse(hint: Any, present: Any, values: list[str], shown: str, inside: Sequence[Option] = ()) -> Any:
    import tyro

    options = set(typing.get_args(hint))
    if not values and bool in {hint, *options}:
        return True
    where = f"override {shown} {' '.join(values)}".strip()
    if not "".join(values):
        raise BadRecipe(where, found="no value", expected="a " + readable(hint))
    if values == ["None"] and type(None) in options:
        return None
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if len(values) != 1 or not fits(values[0], hint):
            raise BadRecipe(where, found=f"a value that does not fit ({' '.join(values)})", expected=readable(hint))
        return hint(values[0])
    if str in options and typing.get_origin(hint) is not tuple:
        hint = str  # a path in place of an archive
    elif choices := _classes_that_fit(hint):
        if len(values) == 1 and values[0] in choices:
            return _with_defaults(choices[values[0]], present, inside, shown)
        expected = ", ".join([*sorted(choices), *(f"{shown}.{part}" for part in _named_parts(present))])
        raise BadRecipe(where, found="no class of this kind", expected=f"one of {expected}")
    printed = StringIO()
    try:
        with redirect_stderr(printed), redirect_stdout(printed):
            return tyro.cli(hint, args=values, prog=shown)
    except SystemExit as error:
        raise BadRecipe(where, found=f"a value that does not fit ({' '.join(values)})", expected="a " + readable(hint)) from error


def _with_defaults(kind: type, present: Any, inside: Sequence[Option], shown: str) -> Any:
    """Make a description with its defaults, around what is `present` where it can be. What has no default is taken from its options."""
    hints = typing.get_type_hints(kind)
    chosen = {"inner": present} if "inner" in hints and fits(present, hints["inner"]) else {}
    for f in fields(kind):
        if f.init and f.default is MISSING and f.default_factory is MISSING and f.name not in chosen:
            given, needed = [values for name, values in inside if name == (f.name,)], f"{shown}.{f.name}"
            if not given:
                raise BadRecipe(f"override {shown} {kind.__name__}", found=f"no {f.name}, which has no default", expected=needed)
            chosen[f.name] = _parse(hints[f.name], None, given[-1], needed)
    return kind(**chosen)


def _classes_that_fit(hint: Any) -> dict[str, type]:
    """Return the descriptions that fit a type, by name. All of its room is walked, so that a new file is found wherever it lies in it."""
    found: dict[str, type] = {}
    for kind in (hint, *typing.get_args(hint)):
        if isinstance(kind, type) and kind.__module__.startswith("ssrecon."):
            room = import_module(".".join(kind.__module__.split(".")[:2]))
            for info in walk_packages(room.__path__, f"{room.__name__}."):
                defined = [value for value in vars(import_module(info.name)).values() if getattr(value, "__module__", "") == info.name]
                classes = [value for value in defined if isinstance(value, type) and issubclass(value, kind)]
                found |= {value.__name__: value for value in classes if is_dataclass(value) and not isabstract(value)}
    return found


def _no_such_field(name: str) -> BadRecipe:
    return BadRecipe("override " + name, found="no such field", expected="a dotted field of the recipe; --show prints them all")
