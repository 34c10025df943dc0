"""A split that holds out whole groups: a site, a scanner, a vendor."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssrecon.archive.splits.base import Sides, Subject, SubjectSplit, too_few
from ssrecon.archive.splits.strata import GROUPS, STRATA, by_stratum, known_fields, train_and_validation
from ssrecon.core.errors import BadRecipe, at_least, below_one


@dataclass(frozen=True)
class HeldOutGroup(SubjectSplit):
    """Whole groups are the test (another site, scanner, vendor, field strength): does what was trained here hold there?

    A subject with a scan in a held-out group and another elsewhere is a test subject. Of the others `validation` chooses the checkpoint.
    """

    group: str = "site"
    test: tuple[str, ...] = ()
    validation: float = 0.1
    strata: tuple[str, ...] = STRATA
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, validation=0)
        below_one(self, "validation")
        known_fields("group", (self.group,), GROUPS, self)
        known_fields("strata", self.strata, STRATA + GROUPS, self)

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        there = sorted({value for subject in subjects for value in subject.values(self.group)})
        if not self.test or (unknown := set(self.test) - set(there)):
            found = f"no {self.group} {', '.join(sorted(unknown))}" if self.test else f"no {self.group} to hold out"
            raise BadRecipe("data.split.test", found=found, expected="some of " + ", ".join(value or "(not said)" for value in there))
        test = frozenset(subject.name for subject in subjects if set(subject.values(self.group)) & set(self.test))
        listed = by_stratum([subject for subject in subjects if subject.name not in test], self.strata, self.seed)
        if len(listed) < 2:
            raise too_few(listed, 2, self)
        return Sides(*train_and_validation(listed, self.validation, self.seed), test)
