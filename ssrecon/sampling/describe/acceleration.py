"""Accelerations of several scans: which are of one class, and their range in words."""

from collections.abc import Iterable, Sequence

SAME_CLASS = 1.15
"""Accelerations of a protocol differ by less than this factor from one to the next; a step that is larger parts two classes."""


def acceleration_classes(values: Sequence[float | None]) -> dict[float | None, str]:
    """Return the class of each acceleration, named by its median. Within a class no step between neighbours exceeds `SAME_CLASS`.

    Classes have no fixed borders: scans of one protocol, whose draws differ by a line or two, are of one class wherever their values lie.
    """
    known = sorted({value for value in values if value is not None and value > 0})
    groups: list[list[float]] = []
    for value in known:
        if groups and value <= SAME_CLASS * groups[-1][-1]:
            groups[-1].append(value)
        else:
            groups.append([value])
    classes: dict[float | None, str] = {value: f"{group[len(group) // 2]:.2f}" for group in groups for value in group}
    return {value: classes.get(value, str(value)) for value in values}


def acceleration_range(values: Iterable[float]) -> str:
    """Return the least and the greatest of several accelerations, in words."""
    known = sorted(values)
    low, high = f"{known[0]:.2f}", f"{known[-1]:.2f}"
    return low if low == high else f"{low} to {high}"
