"""A recipe's JSON becomes what a reader wants to know of it: what all arms share, and what they differ in."""

import re
from collections.abc import Mapping
from typing import Any

from ssrecon.study.acquisition import acquisition_text
from ssrecon.study.run_folder import RunFolder

NONE = "—"
IGNORED = ("title", "seed")
"""These fields of an arm's recipe are not shown: the seed is the comparison's, and the title says nothing."""


def flattened(description: Any, path: str = "") -> dict[str, str]:
    """Return the fields of a description as texts, by their dotted paths. The path of an object itself holds its class's short name."""
    if isinstance(description, Mapping):
        found = {}
        if "class" in description:
            found[path] = str(description["class"]).rpartition(".")[2]
        for key, value in description.items():
            if key != "class":
                found |= flattened(value, f"{path}.{key}" if path else str(key))
        return found
    if isinstance(description, (list, tuple)) and any(isinstance(item, Mapping) for item in description):
        return {key: text for i, item in enumerate(description) for key, text in flattened(item, f"{path}.{i}").items()}
    return {path: _value_text(description)}


def shared_and_different(run: RunFolder) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the fields that all arms have in common, and for each other field its value in each arm, empty where it has none."""
    recipe = run.section("recipe")
    arms = recipe.get("arms")
    arms = arms if isinstance(arms, Mapping) else {"": recipe}
    flats = {str(name): {k: v for k, v in flattened(fields).items() if k and k not in IGNORED} for name, fields in arms.items()}
    paths = list(dict.fromkeys(path for fields in flats.values() for path in fields))
    shared, different = {}, {}
    for path in paths:
        values = {name: fields.get(path, "") for name, fields in flats.items()}
        if len(set(values.values())) == 1:
            shared[path] = next(iter(values.values()))
        else:
            different[path] = values
    return shared, different


def summary(run: RunFolder) -> str:
    """Return sampling, network and updates in a line; it is empty for a run that says none of these.

    The sampling is that of the test scans as they were acquired; the acceleration that the recipe asked for stands behind it, as nominal.
    """
    shared, different = shared_and_different(run)
    parts = [acquired] if (acquired := acquisition_text(run.sampling)) else []
    if pattern := shared.get("data.pattern"):
        acceleration = shared.get("data.pattern.acceleration")
        drawn = f"undersampled retrospectively by {_class_in_words(pattern)}" + (f", nominal R = {acceleration}" if acceleration else "")
        parts.append(drawn if pattern != NONE else "sampled as acquired")
    if network := shared.get("network"):
        unrolls, denoiser = shared.get("network.unrolls"), shared.get("network.denoiser")
        inside = f" of {denoiser}" if denoiser else ""
        parts.append(f"{_class_in_words(network)} network" + (f", {unrolls} unrolls{inside}" if unrolls else inside))
    epochs, steps = shared.get("training.epochs"), shared.get("training.steps")
    if epochs not in (None, NONE):
        parts.append(f"{epochs} epochs for every network")
    elif steps and "training.epochs" not in different:
        parts.append(f"{steps} updates for every network")
    if rate := shared.get("training.learning_rate"):
        parts.append(f"Adam at {rate}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def _class_in_words(name: str) -> str:
    """Return the name of a class in words: ``RandomColumns`` as random columns."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _value_text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(_value_text(item) for item in value) + ")"
    return str(value)
