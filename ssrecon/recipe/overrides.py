"""Recipes from files, and dotted overrides of their fields from the command line."""

import re
import sys
import typing
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import MISSING, fields, is_dataclass, replace
from enum import StrEnum
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isabstract
from io import StringIO
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from ssrecon.core.description import described_fields, fits, readable
from ssrecon.core.errors import BadRecipe, SsreconError
from ssrecon.recipe.recipe import Comparison, Recipe

Experiment = Recipe | Comparison
Option = tuple[tuple[str, ...], list[str]]
"""A dotted name, and the values given to it."""
LOADED = "__ssrecon_recipe__"
"""Marks the modules that recipes were loaded as."""


def load_recipe(path: Path | str) -> Experiment:
    """The `recipe` or `comparison` that a Python file builds. The file is run: it is the user's own code.

    It becomes a module of its own name, so that classes defined in it (an objective that is being tried out) can be described, and found
    again by ``--trust NAME``.
    """
    path = Path(path)
    if not path.is_file():
        raise BadRecipe(path, found="no such file", expected="a Python file that builds one `recipe` or `comparison`")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        module = _run(path)
    except SsreconError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise BadRecipe(path, found=f"{type(error).__name__}: {error}", expected="a Python file that builds a recipe") from error
    finally:
        sys.path.pop(0)
    built = [found for name in ("comparison", "recipe") if isinstance(found := getattr(module, name, None), (Recipe, Comparison))]
    if not built:
        raise BadRecipe(path, found="neither a Comparison named `comparison` nor a Recipe named `recipe`", expected="one of them")
    return built[0]


def loaded_recipes() -> list[Path]:
    """The files of the recipes that this process has loaded, in their order, for another process to load as well."""
    return [Path(str(module.__file__)) for module in list(sys.modules.values()) if _is_recipe(module)]


def _is_recipe(module: object) -> bool:
    # hasattr would be true of modules that answer to everything, and sys.modules may hold what is no module.
    return LOADED in getattr(module, "__dict__", ())


def _is_of(module: ModuleType, path: Path) -> bool:
    """Whether another recipe has imported this file already."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path.resolve()


def _run(path: Path) -> ModuleType:
    name = path.stem
    namesake = sys.modules.get(name)
    if namesake is not None and not _is_recipe(namesake) and not _is_of(namesake, path):
        raise BadRecipe(path, found=f"the name of the module {name!r}", expected="another name for the file")
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadRecipe(path, found="no Python file", expected="a file that ends in .py")
    module = module_from_spec(spec)
    setattr(module, LOADED, True)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name)  # what was not loaded is loaded by no other process either
        raise
    return module


def override(experiment: Experiment, arguments: Sequence[str]) -> Experiment:
    """The same experiment with fields replaced by ``--dotted.name value``. In a Comparison a name that an arm has reaches every arm with
    it; one arm alone is reached by ``--arms.NAME.dotted.name``. Where a description stands, the name of a class of its kind stands for one
    with all its defaults: ``--objective SURE``, ``--objective.partitioner Lines``; fields of it may be changed in the same command. A class
    that has something ``inner`` is put around what stands there: ``--network WithUncertainty``.

    Raises BadRecipe for a field that does not exist and for a value of a wrong type.
    """
    options = _options(arguments)
    if isinstance(experiment, Recipe):
        return _changed(experiment, options)
    if len(experiment.arms) > 1 and (given := [values for name, values in options if name == ("objective",)]):
        where = f"override --objective {' '.join(given[-1])}"
        raise BadRecipe(where, found=f"one objective for {len(experiment.arms)} arms", expected="--arms.NAME.objective: they differ in it")
    named = [name for name, _ in options]
    reached = {arm: [option for option in options if _reaches(recipe, option[0], named)] for arm, recipe in experiment.arms.items()}
    arms = {name: _changed(recipe, reached[name]) for name, recipe in experiment.arms.items()}
    if any(name == ("seed",) for name, _ in options):
        raise BadRecipe("override --seed", found="a seed for a comparison", expected="--seeds 0 1 2: every arm is trained once with each")
    own = [option for option in options if not any(option in some for some in reached.values())]
    return _changed(replace(experiment, arms=arms), own)


def _options(arguments: Sequence[str]) -> list[Option]:
    options: list[Option] = []
    for argument in arguments:
        if re.match(r"--[A-Za-z]", argument):
            name, equals, value = argument[2:].partition("=")
            options.append((tuple(name.replace("-", "_").split(".")), [value] if equals else []))
        elif options:
            options[-1][1].append(argument)
        else:
            raise _unknown(argument)
    return options


def _parts(value: Any) -> dict[str, Any]:
    """What has a dotted name inside a description: fields of a dataclass, entries of a mapping."""
    if isinstance(value, Mapping):
        return {str(key).replace("-", "_"): item for key, item in value.items()}
    return {f.name: getattr(value, f.name) for f in described_fields(value)} if is_dataclass(value) else {}


def _reaches(value: Any, name: tuple[str, ...], named: Sequence[tuple[str, ...]]) -> bool:
    """Whether a description has a field, or may have it once a class that is `named` above it has been put in."""
    parts, below = _parts(value), [other[1:] for other in named if other[0] == name[0]]
    return name[0] in parts and (len(name) == 1 or () in below or _reaches(parts[name[0]], name[1:], [other for other in below if other]))


def _changed(value: Any, options: Sequence[Option], above: tuple[str, ...] = ()) -> Any:
    """All the changes of one description at once, so that values which only fit together may come in any order."""
    parts, new = _parts(value), {}
    for name in dict.fromkeys(option[0][0] for option in options):
        inside = [(dotted[1:], values) for dotted, values in options if dotted[0] == name and len(dotted) > 1]
        given = [values for dotted, values in options if dotted == (name,)]
        if name not in parts:
            raise _unknown("--" + ".".join((*above, *next(dotted for dotted, _ in options if dotted[0] == name))))
        part = _value(value, name, given[-1], "--" + ".".join((*above, name)), inside) if given else parts[name]
        new[name] = _changed(part, inside, (*above, name)) if inside else part
    if isinstance(value, Mapping):
        return {key: new.get(str(key).replace("-", "_"), item) for key, item in value.items()}
    return replace(value, **new)


def _value(owner: Any, name: str, values: list[str], shown: str, inside: Sequence[Option]) -> Any:
    """The values as the type of a field of `owner`; `inside` are the options for fields of it."""
    hint = Any if isinstance(owner, Mapping) else typing.get_type_hints(type(owner))[name]
    return _parsed(hint, _parts(owner)[name], values, shown, inside)


def _parsed(hint: Any, present: Any, values: list[str], shown: str, inside: Sequence[Option] = ()) -> Any:
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
    elif choices := _choices(hint):
        if len(values) == 1 and values[0] in choices:
            return _made(choices[values[0]], present, inside, shown)
        expected = ", ".join([*sorted(choices), *(f"{shown}.{part}" for part in _parts(present))])
        raise BadRecipe(where, found="no class of this kind", expected=f"one of {expected}")
    said = StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            return tyro.cli(hint, args=values, prog=shown)
    except SystemExit as error:
        raise BadRecipe(where, found=f"a value that does not fit ({' '.join(values)})", expected="a " + readable(hint)) from error


def _made(kind: type, present: Any, inside: Sequence[Option], shown: str) -> Any:
    """A description with its defaults, around what is `present` where it can be; what has no default is taken from the options for it."""
    hints = typing.get_type_hints(kind)
    chosen = {"inner": present} if "inner" in hints and fits(present, hints["inner"]) else {}
    for f in fields(kind):
        if f.init and f.default is MISSING and f.default_factory is MISSING and f.name not in chosen:
            given, needed = [values for name, values in inside if name == (f.name,)], f"{shown}.{f.name}"
            if not given:
                raise BadRecipe(f"override {shown} {kind.__name__}", found=f"no {f.name}, which has no default", expected=needed)
            chosen[f.name] = _parsed(hints[f.name], None, given[-1], needed)
    return kind(**chosen)


def _choices(hint: Any) -> dict[str, type]:
    """The descriptions that fit a type, by name: those of its kind in the modules beside the one that defines it."""
    found: dict[str, type] = {}
    for kind in (hint, *typing.get_args(hint)):
        if isinstance(kind, type) and kind.__module__.startswith("ssrecon."):
            package = import_module(kind.__module__.rpartition(".")[0])
            beside = [f"{package.__name__}.{module.name}" for module in iter_modules(package.__path__) if package.__name__ != "ssrecon"]
            for place in {kind.__module__, *beside}:
                own = [value for value in vars(import_module(place)).values() if isinstance(value, type) and value.__module__ == place]
                found |= {
                    value.__name__: value for value in own if issubclass(value, kind) and is_dataclass(value) and not isabstract(value)
                }
    return found


def _unknown(name: str) -> BadRecipe:
    return BadRecipe("override " + name, found="no such field", expected="a dotted field of the recipe; --show prints them all")
