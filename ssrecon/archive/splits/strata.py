"""Subjects by the kinds of their scans, so that each side of a split has its share of every kind."""

from collections.abc import Sequence

from ssrecon.archive.splits.base import Split, Subject
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.sampling.describe import acceleration_classes

STRATA = ("protocol", "contrast", "field_strength", "acceleration")
"""Fields of the header in which the sides of a split should be alike."""
GROUPS = ("site", "scanner", "vendor", "field_strength", "protocol", "contrast")
"""Fields of the header by which whole groups may be held out."""


def by_stratum(subjects: Sequence[Subject], strata: tuple[str, ...], seed: int) -> list[str]:
    """Return names stratum by stratum, subjects shuffled inside theirs.

    Strata come in the order of their first subjects and not of their values: these may be pseudonyms, which another key would sort in
    another order.
    """
    # Scans of one protocol differ by a line or two: what is compared is the class of their accelerations in this archive.
    classes = acceleration_classes([header.acceleration for subject in subjects for header in subject.headers])

    def values(subject: Subject, field: str) -> tuple[str, ...]:
        if field != "acceleration":
            return subject.values(field)
        return tuple(sorted({classes[header.acceleration] for header in subject.headers}))

    groups: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for subject in subjects:
        groups.setdefault(tuple(values(subject, field) for field in strata), []).append(subject.name)
    draw = Draw(seed).generator("split")
    for names in groups.values():
        draw.shuffle(names)
    return [name for names in groups.values() for name in names]


def draw_fraction(names: Sequence[str], fraction: float, of: int, seed: int, purpose: str) -> frozenset[str]:
    """Draw a fraction of `of` names, rounded and at least one where it is not 0: of any run of neighbours its share, to within one.

    They stand at even distances from a random start.
    """
    count = max(round(fraction * of), 1) if fraction > 0 else 0
    start = Draw(seed).generator(f"split {purpose}").random()
    return frozenset(names[int((i + start) * len(names) / count)] for i in range(count))


def train_and_validation(names: Sequence[str], fraction: float, seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Return who trains and who validates of the subjects that do not test. Raises BadRecipe where nobody is left to train."""
    validation = draw_fraction(names, fraction, len(names), seed, "validation")
    if len(validation) == len(names):
        found = f"{fraction:g}, which is all {len(names)} subjects that do not test"
        raise BadRecipe("data.split.validation", found=found, expected="a smaller fraction, so that at least one subject trains")
    return frozenset(names) - validation, validation


def known_fields(what: str, fields: Sequence[str], known: Sequence[str], split: Split) -> None:
    """Raise `BadRecipe` where some fields of a split are none of the known ones."""
    if unknown := set(fields) - set(known):
        expected = "some of " + ", ".join(sorted(set(known)))
        raise BadRecipe(f"{type(split).__name__}.{what}", found=", ".join(sorted(unknown)), expected=expected)
