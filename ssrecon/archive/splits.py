"""Which scans train, which choose the checkpoint, and which are reported: by subject, never by slice."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ssrecon.draw import Draw
from ssrecon.errors import BadRecipe
from ssrecon.scan import Header


@dataclass(frozen=True)
class Assignment:
    """Scan ids by purpose. The three sets share no subject, but for scan-specific training, where they are the same scan."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def spread(ids: Sequence[str], most: int | None) -> tuple[str, ...]:
    """At most so many of them, evenly spread, so that not all come from one end of one volume."""
    if most is None or most >= len(ids):
        return tuple(ids)
    return tuple(ids[(2 * i + 1) * len(ids) // (2 * most)] for i in range(most))


class Split(ABC):
    """How an archive is divided."""

    @abstractmethod
    def assign(self, headers: Sequence[Header]) -> Assignment: ...


@dataclass(frozen=True)
class BySubject(Split):
    """`validation` and `test` subjects, the rest trains (or `train` subjects of it). The same for any order of the files."""

    validation: int = 1
    test: int = 1
    train: int | None = None
    seed: int = 0

    def assign(self, headers: Sequence[Header]) -> Assignment:
        subjects = sorted({header.subject for header in headers})
        Draw(self.seed).generator("split").shuffle(subjects)
        needed = self.validation + self.test + (self.train or 1)
        if len(subjects) < needed:
            raise BadRecipe("data.split", found=f"{len(subjects)} subjects in the archive", expected=f"at least {needed} for {self}")
        test = set(subjects[: self.test])
        validation = set(subjects[self.test : self.test + self.validation])
        rest = subjects[self.test + self.validation :]
        train = set(rest if self.train is None else rest[: self.train])
        return Assignment(*(tuple(h.scan_id for h in headers if h.subject in group) for group in (train, validation, test)))


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
