"""What a split is: it divides an archive by subject, and says which scans train, validate and test."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, final

from ssrecon.archive.list_file import read_list
from ssrecon.core.description import READ_FILE
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import Header

SIDES = ("train", "validation", "test")
LIST = "a text file with the name of a volume or subject a line"


@dataclass(frozen=True)
class Assignment:
    """An assignment gives scan ids by purpose.

    The three sets share no subject, but for scan-specific training, where they are the same scan.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Sides:
    """The sides of a split are its subjects by purpose."""

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]


@dataclass(frozen=True)
class Subject:
    """A subject is one person with all the scans of this person, which stay together."""

    name: str
    headers: tuple[Header, ...]

    @property
    def order(self) -> tuple[str, str]:
        """Subjects are sorted by this before anything is drawn: the digest of their samples where there is one.

        Names of files, and pseudonyms, whose key is the user's own, would give another split of the same archive on another machine.
        """
        contents = [header.content for header in self.headers]
        return (min(contents), "") if all(contents) else ("", self.name)

    def values(self, field: str) -> tuple[str, ...]:
        """Return the different values of a field of the header among the scans."""
        return tuple(sorted({str(getattr(header, field)) for header in self.headers}))


def spread(ids: Sequence[str], most: int | None) -> tuple[str, ...]:
    """Return at most so many of the ids, evenly spread, so that not all come from one end of one volume."""
    if most is None or most >= len(ids):
        return tuple(ids)
    return tuple(ids[(2 * i + 1) * len(ids) // (2 * most)] for i in range(most))


class Split(ABC):
    """A split says how an archive is divided."""

    @abstractmethod
    def assign(self, headers: Sequence[Header]) -> Assignment:
        """Return scan ids by purpose. Raises BadRecipe where the archive cannot be divided so."""

    @final
    def empty_sides(self) -> tuple[str, ...]:
        """Return the sides that have no scan in any archive: their fields are 0, or name a file that lists nobody."""
        declared: tuple[Field[Any], ...] = fields(self) if is_dataclass(self) else ()
        return tuple(f.name for f in declared if f.name in SIDES and _leaves_nobody(getattr(self, f.name), f.metadata == READ_FILE))


def _leaves_nobody(value: Any, is_file: bool) -> bool:
    return not read_list(Path(value), LIST) if is_file else bool(value == 0)


class SubjectSplit(Split):
    """This split sees subjects only: two scans of one person cannot be on two sides of it.

    A subject is what the archive calls one. Where a file does not say whose it is, each of its volumes is a subject of its own, and two
    files of one person may come apart: give such archives a list (`ByList`).
    """

    def assign(self, headers: Sequence[Header]) -> Assignment:
        scans: dict[str, list[Header]] = {}
        for header in headers:
            scans.setdefault(header.subject, []).append(header)
        subjects = sorted((Subject(name, tuple(theirs)) for name, theirs in scans.items()), key=lambda subject: subject.order)
        sides = self.divide(subjects)
        groups = (sides.train, sides.validation, sides.test)
        if twice := (sides.train & sides.validation) | (sides.train & sides.test) | (sides.validation & sides.test):
            raise BadRecipe("data.split", found=f"subject {min(twice)} on two sides", expected="all scans of a subject on one side")
        # In an order that does not depend on names either: of some of these sets every n-th scan is taken.
        ordered = sorted(headers, key=lambda header: header.draw_key)
        return Assignment(*(tuple(header.scan_id for header in ordered if header.subject in group) for group in groups))

    @abstractmethod
    def divide(self, subjects: Sequence[Subject]) -> Sides:
        """Return the subjects by purpose, none on two sides. They come in an order of their own, whatever that of the files was."""


def too_few(names: Sequence[str], needed: int, split: Split) -> BadRecipe:
    """Return the error for an archive of fewer subjects than a split needs."""
    return BadRecipe("data.split", found=f"{len(names)} subjects in the archive", expected=f"at least {needed} for {split}")
