"""A split that somebody has written down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssrecon.archive.list_file import read_list, spellings
from ssrecon.archive.splits.base import LIST, Sides, Subject, SubjectSplit
from ssrecon.core.description import READ_FILE
from ssrecon.core.errors import BadInput, BadRecipe


@dataclass(frozen=True)
class ByList(SubjectSplit):
    """Text files name who trains, validates and tests, one name a line; ``#`` begins a comment.

    A name is that of a volume (with or without the suffix of its file) or of a subject, as the file or the archive has it, or a pseudonym.

    Scans on no list are not used. Raises BadInput naming the list and the line for a name that is not in the archive, and BadRecipe where
    the lists put one subject on two sides.
    """

    train: str = field(default="train.lst", metadata=READ_FILE)
    validation: str = field(default="validation.lst", metadata=READ_FILE)
    test: str = field(default="test.lst", metadata=READ_FILE)

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        owners = {subject.name: subject.name for subject in subjects}
        owners |= {header.volume_id: subject.name for subject in subjects for header in subject.headers}
        sides = Sides(*(_subjects_on(Path(path), owners) for path in (self.train, self.validation, self.test)))
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if both := getattr(sides, one) & getattr(sides, other):
                found = f"subject {min(both)} in {getattr(self, one)} and in {getattr(self, other)}"
                raise BadRecipe("data.split", found=found, expected="all scans of a subject on one side")
        return sides


def _subjects_on(path: Path, owners: dict[str, str]) -> frozenset[str]:
    """Return the subjects that a list names; `owners` maps the names of an archive's subjects and volumes to subjects."""
    found = set()
    for number, name in read_list(path, LIST):
        known = [key for key in spellings(name) if key in owners]
        if not known:
            listed = ", ".join(sorted(owners)[:3])
            raise BadInput(f"{path}, line {number}", found=f"{name!r}, which is not in the archive", expected=f"one of {listed} ...")
        found.add(owners[known[0]])
    return frozenset(found)
