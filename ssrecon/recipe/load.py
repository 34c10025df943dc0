"""Recipes from Python files."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from ssrecon.core.errors import BadRecipe, SsreconError
from ssrecon.recipe.recipe import Comparison, Recipe

LOADED = "__ssrecon_recipe__"
"""This attribute marks the modules that recipes were loaded as."""


def load_recipe(path: Path | str) -> Recipe | Comparison:
    """Return the `recipe` or `comparison` that a Python file builds. The file is run: it is the user's own code.

    It becomes a module of its own name, so that classes defined in it (an objective that is being tried out) can be described, and found
    again by ``--trust NAME``. Raises BadRecipe, naming the file, for whatever goes wrong in it.
    """
    path = Path(path)
    if not path.is_file():
        raise BadRecipe(path, found="no such file", expected="a Python file that builds one `recipe` or `comparison`")
    sys.path.insert(0, str(path.resolve().parent))
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing is written beside a recipe by looking at it
    try:
        module = _import_file(path)
    except SsreconError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise BadRecipe(path, found=f"{type(error).__name__}: {error}", expected="a Python file that builds a recipe") from error
    finally:
        sys.path.pop(0)
        sys.dont_write_bytecode = writes_bytecode
    built = [found for name in ("comparison", "recipe") if isinstance(found := getattr(module, name, None), (Recipe, Comparison))]
    if not built:
        raise BadRecipe(path, found="neither a Comparison named `comparison` nor a Recipe named `recipe`", expected="one of them")
    return built[0]


def loaded_recipes() -> list[Path]:
    """Return the files of the recipes that this process has loaded, in their order, for another process to load as well."""
    return [Path(str(module.__file__)) for module in list(sys.modules.values()) if _is_recipe(module)]


def _is_recipe(module: object) -> bool:
    # hasattr would be true of modules that answer to everything, and sys.modules may hold what is no module.
    return LOADED in getattr(module, "__dict__", ())


def _was_imported_from(path: Path, module: ModuleType) -> bool:
    """Tell whether a module is of this file, because another recipe has imported it already."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == path.resolve()


def _import_file(path: Path) -> ModuleType:
    name = path.stem
    namesake = sys.modules.get(name)
    if namesake is not None and not _is_recipe(namesake) and not _was_imported_from(path, namesake):
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
