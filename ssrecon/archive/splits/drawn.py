"""Splits that draw their subjects: so many of them, fractions, folds."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssrecon.archive.splits.base import Sides, Subject, SubjectSplit, too_few
from ssrecon.archive.splits.strata import GROUPS, STRATA, by_stratum, draw_fraction, known_fields, train_and_validation
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe, at_least, below_one


@dataclass(frozen=True)
class BySubject(SubjectSplit):
    """So many subjects validate and so many are the test; the rest trains, or `train` subjects of it.

    The split is the same for any order of the files.
    """

    validation: int = 1
    test: int = 1
    train: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, validation=0, test=0, train=1)

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        names = [subject.name for subject in subjects]
        Draw(self.seed).generator("split").shuffle(names)
        needed = self.validation + self.test + (self.train or 1)
        if len(names) < needed:
            raise too_few(names, needed, self)
        rest = names[self.test + self.validation :]
        chosen = rest if self.train is None else rest[: self.train]
        return Sides(frozenset(chosen), frozenset(names[self.test : self.test + self.validation]), frozenset(names[: self.test]))


@dataclass(frozen=True)
class Fractions(SubjectSplit):
    """Fractions of the subjects validate and test, the rest trains; each side has its share of every stratum, to within one subject.

    A stratum is the subjects whose scans are of the same kinds in the fields `strata`. Each side is rounded to whole subjects, at least one
    where its fraction is not 0. Subjects are drawn systematically from the list sorted by stratum and shuffled inside it: Madow. On the
    theory of systematic sampling II. Ann Math Stat 20:333-354 (1949). doi:10.1214/aoms/1177729988
    """

    validation: float = 0.1
    test: float = 0.2
    strata: tuple[str, ...] = STRATA
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, validation=0, test=0)
        known_fields("strata", self.strata, STRATA + GROUPS, self)
        if self.validation + self.test >= 1:
            raise BadRecipe("Fractions", found=f"validation {self.validation:g} and test {self.test:g}", expected="a sum below 1")

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        listed = by_stratum(subjects, self.strata, self.seed)
        test = draw_fraction(listed, self.test, len(listed), self.seed, "test")
        left = [name for name in listed if name not in test]
        validation = draw_fraction(left, self.validation, len(listed), self.seed, "validation")
        train = frozenset(left) - validation
        if not train:
            raise too_few(listed, len(test) + len(validation) + 1, self)
        return Sides(train, validation, test)


@dataclass(frozen=True)
class KFold(SubjectSplit):
    """Cross-validation puts the subjects into `folds` parts of equal size (to within one), stratified as in `Fractions`; part `fold` tests.

    ``folds = None`` leaves one subject out: as many parts as subjects. Of the others the fraction `validation` (at least one subject)
    chooses the checkpoint. Every subject is a test subject in exactly one fold.
    """

    fold: int = 0
    folds: int | None = 5
    validation: float = 0.1
    strata: tuple[str, ...] = STRATA
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, fold=0, folds=2, validation=0)
        below_one(self, "validation")
        known_fields("strata", self.strata, STRATA + GROUPS, self)

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        listed = by_stratum(subjects, self.strata, self.seed)
        folds = len(listed) if self.folds is None else self.folds
        if len(listed) < max(folds, 3):
            raise too_few(listed, max(folds, 3), self)
        if self.fold >= folds:
            raise BadRecipe("data.split.fold", found=str(self.fold), expected=f"0 to {folds - 1}")
        test = frozenset(listed[self.fold :: folds])
        left = [name for name in listed if name not in test]
        return Sides(*train_and_validation(left, self.validation, self.seed), test)
