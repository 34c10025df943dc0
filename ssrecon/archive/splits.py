"""Which scans train, which choose the checkpoint, and which are reported: by subject, never by slice."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssrecon.core.description import READ_FILE
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe, at_least
from ssrecon.core.scan import Header
from ssrecon.privacy.pseudonyms import safe_name, safe_subject
from ssrecon.sampling.describe import acceleration_classes

STRATA = ("protocol", "contrast", "field_strength", "acceleration")
"""Fields of the header in which the sides of a split should be alike."""
GROUPS = ("site", "scanner", "vendor", "field_strength", "protocol", "contrast")
"""Fields of the header by which whole groups may be held out."""


@dataclass(frozen=True)
class Assignment:
    """Scan ids by purpose. The three sets share no subject, but for scan-specific training, where they are the same scan."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Sides:
    """Subjects by purpose."""

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]


@dataclass(frozen=True)
class Subject:
    """All the scans of one person, which stay together."""

    name: str
    headers: tuple[Header, ...]

    @property
    def order(self) -> tuple[str, str]:
        """What subjects are sorted by before anything is drawn: the digest of their samples where there is one. Names of files, and
        pseudonyms, whose key is the user's own, would give another split of the same archive on another machine."""
        contents = [header.content for header in self.headers]
        return (min(contents), "") if all(contents) else ("", self.name)

    def values(self, field: str) -> tuple[str, ...]:
        """The different values of a field of the header among the scans."""
        return tuple(sorted({str(getattr(header, field)) for header in self.headers}))


def spread(ids: Sequence[str], most: int | None) -> tuple[str, ...]:
    """At most so many of them, evenly spread, so that not all come from one end of one volume."""
    if most is None or most >= len(ids):
        return tuple(ids)
    return tuple(ids[(2 * i + 1) * len(ids) // (2 * most)] for i in range(most))


class Split(ABC):
    """How an archive is divided."""

    @abstractmethod
    def assign(self, headers: Sequence[Header]) -> Assignment:
        """Scan ids by purpose. Raises BadRecipe where the archive cannot be divided so."""


class SubjectSplit(Split):
    """A split that sees subjects only: two scans of one person cannot be on two sides of it.

    A subject is what the archive calls one. Where a file does not say whose it is, each of its volumes is a subject of its own, and two
    files of one person may come apart: give such archives a list (`ByList`).
    """

    def assign(self, headers: Sequence[Header]) -> Assignment:
        scans: dict[str, list[Header]] = {}
        for header in headers:
            scans.setdefault(header.subject, []).append(header)
        subjects = sorted((Subject(name, tuple(own)) for name, own in scans.items()), key=lambda subject: subject.order)
        sides = self.divide(subjects)
        groups = (sides.train, sides.validation, sides.test)
        if twice := (sides.train & sides.validation) | (sides.train & sides.test) | (sides.validation & sides.test):
            raise BadRecipe("data.split", found=f"subject {min(twice)} on two sides", expected="all scans of a subject on one side")
        # In an order that does not depend on names either: of some of these sets every n-th scan is taken.
        ordered = sorted(headers, key=lambda header: header.draw_key)
        return Assignment(*(tuple(header.scan_id for header in ordered if header.subject in group) for group in groups))

    @abstractmethod
    def divide(self, subjects: Sequence[Subject]) -> Sides:
        """Subjects, which come in an order of their own whatever that of the files was, by purpose; none on two sides."""


@dataclass(frozen=True)
class BySubject(SubjectSplit):
    """`validation` and `test` subjects, the rest trains (or `train` subjects of it). The same for any order of the files."""

    validation: int = 1
    test: int = 1
    train: int | None = None
    seed: int = 0

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        names = [subject.name for subject in subjects]
        Draw(self.seed).generator("split").shuffle(names)
        needed = self.validation + self.test + (self.train or 1)
        if len(names) < needed:
            raise _too_few(names, needed, self)
        rest = names[self.test + self.validation :]
        chosen = rest if self.train is None else rest[: self.train]
        return Sides(frozenset(chosen), frozenset(names[self.test : self.test + self.validation]), frozenset(names[: self.test]))


@dataclass(frozen=True)
class Fractions(SubjectSplit):
    """Fractions of the subjects, the rest trains; each side has its share of every stratum, to within one subject.

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
        _known_fields("strata", self.strata, STRATA + GROUPS, self)
        if self.validation + self.test >= 1:
            raise BadRecipe("Fractions", found=f"validation {self.validation:g} and test {self.test:g}", expected="a sum below 1")

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        listed = _by_stratum(subjects, self.strata, self.seed)
        test = _systematic(listed, _count(self.test, len(listed)), self.seed, "test")
        left = [name for name in listed if name not in test]
        validation = _systematic(left, _count(self.validation, len(listed)), self.seed, "validation")
        train = frozenset(left) - validation
        if not train:
            raise _too_few(listed, len(test) + len(validation) + 1, self)
        return Sides(train, validation, test)


@dataclass(frozen=True)
class KFold(SubjectSplit):
    """Cross-validation: the subjects in `folds` parts of equal size (to within one), stratified as in `Fractions`; part `fold` is the test.

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
        _known_fields("strata", self.strata, STRATA + GROUPS, self)

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        listed = _by_stratum(subjects, self.strata, self.seed)
        folds = len(listed) if self.folds is None else self.folds
        if len(listed) < max(folds, 3):
            raise _too_few(listed, max(folds, 3), self)
        if self.fold >= folds:
            raise BadRecipe("data.split.fold", found=str(self.fold), expected=f"0 to {folds - 1}")
        test = frozenset(listed[self.fold :: folds])
        left = [name for name in listed if name not in test]
        validation = _systematic(left, _count(self.validation, len(left)), self.seed, "validation")
        return Sides(frozenset(left) - validation, validation, test)


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
        _known_fields("group", (self.group,), GROUPS, self)
        _known_fields("strata", self.strata, STRATA + GROUPS, self)

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        there = sorted({value for subject in subjects for value in subject.values(self.group)})
        if not self.test or (unknown := set(self.test) - set(there)):
            found = f"no {self.group} {', '.join(sorted(unknown))}" if self.test else f"no {self.group} to hold out"
            raise BadRecipe("data.split.test", found=found, expected="some of " + ", ".join(value or "(not said)" for value in there))
        test = frozenset(subject.name for subject in subjects if set(subject.values(self.group)) & set(self.test))
        listed = _by_stratum([subject for subject in subjects if subject.name not in test], self.strata, self.seed)
        if len(listed) < 2:
            raise _too_few(listed, 2, self)
        validation = _systematic(listed, _count(self.validation, len(listed)), self.seed, "validation")
        return Sides(frozenset(listed) - validation, validation, test)


@dataclass(frozen=True)
class ByList(SubjectSplit):
    """Text files with one name a line: of a volume (with or without the suffix of its file) or of a subject, as the file or the archive has
    it, or its pseudonym; ``#`` begins a comment.

    Scans on no list are not used. Raises BadInput naming the list and the line for a name that is not in the archive, and BadRecipe where
    the lists put one subject on two sides.
    """

    train: str = field(default="train.lst", metadata=READ_FILE)
    validation: str = field(default="validation.lst", metadata=READ_FILE)
    test: str = field(default="test.lst", metadata=READ_FILE)

    def divide(self, subjects: Sequence[Subject]) -> Sides:
        owners = {subject.name: subject.name for subject in subjects}
        owners |= {header.volume_id: subject.name for subject in subjects for header in subject.headers}
        sides = Sides(*(_listed(Path(path), owners) for path in (self.train, self.validation, self.test)))
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            if both := getattr(sides, one) & getattr(sides, other):
                found = f"subject {min(both)} in {getattr(self, one)} and in {getattr(self, other)}"
                raise BadRecipe("data.split", found=found, expected="all scans of a subject on one side")
        return sides


@dataclass(frozen=True)
class ScanSpecific(Split):
    """Zero-shot training: each of the sets is the one scan. `scan_id` may be left empty where the archive holds a single scan."""

    scan_id: str = ""

    def assign(self, headers: Sequence[Header]) -> Assignment:
        ids = [header.scan_id for header in headers]
        if not self.scan_id and len(ids) > 1:
            raise BadRecipe("data.split.scan_id", found=f"{len(ids)} scans in the archive", expected="the id of one, such as " + ids[0])
        chosen = self.scan_id or ids[0]
        if chosen not in ids:
            raise BadRecipe("data.split.scan_id", found=repr(chosen), expected="one of " + ", ".join(ids[:5]))
        return Assignment((chosen,), (chosen,), (chosen,))


def _by_stratum(subjects: Sequence[Subject], strata: tuple[str, ...], seed: int) -> list[str]:
    """Names stratum by stratum, subjects shuffled inside theirs. Strata come in the order of their first subjects and not of their values:
    these may be pseudonyms, which another key would sort otherwise."""
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


def _systematic(names: Sequence[str], count: int, seed: int, purpose: str) -> frozenset[str]:
    """`count` names at even distances from a random start: of any run of neighbours its share, to within one."""
    start = Draw(seed).generator(f"split {purpose}").random()
    return frozenset(names[int((i + start) * len(names) / count)] for i in range(count))


def _count(fraction: float, subjects: int) -> int:
    return max(round(fraction * subjects), 1) if fraction > 0 else 0


def _known_fields(what: str, fields: Sequence[str], known: Sequence[str], split: Split) -> None:
    if unknown := set(fields) - set(known):
        expected = "some of " + ", ".join(sorted(set(known)))
        raise BadRecipe(f"{type(split).__name__}.{what}", found=", ".join(sorted(unknown)), expected=expected)


def _too_few(names: Sequence[str], needed: int, split: Split) -> BadRecipe:
    return BadRecipe("data.split", found=f"{len(names)} subjects in the archive", expected=f"at least {needed} for {split}")


def _spellings(name: str) -> Iterator[str]:
    stem = Path(name).with_suffix("").as_posix()
    yield from (name, stem)
    # Only a name that is not known as it is needs the key.
    yield from (safe_name(name), safe_name(stem), safe_subject(name))


def _listed(path: Path, owners: dict[str, str]) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            path, found=f"no readable list ({error})", expected="a text file with the name of a volume or subject a line"
        ) from None
    found = set()
    for number, line in enumerate(lines, start=1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        known = [key for key in _spellings(name) if key in owners]
        if not known:
            listed = ", ".join(sorted(owners)[:3])
            raise BadInput(f"{path}, line {number}", found=f"{name!r}, which is not in the archive", expected=f"one of {listed} ...")
        found.add(owners[known[0]])
    return frozenset(found)
