"""The split of zero-shot training: one scan for everything."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssrecon.archive.splits.base import Assignment, Split
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import Header


@dataclass(frozen=True)
class ScanSpecific(Split):
    """In zero-shot training each of the sets is the one scan. `scan_id` may be left empty where the archive holds a single scan."""

    scan_id: str = ""

    def assign(self, headers: Sequence[Header]) -> Assignment:
        ids = [header.scan_id for header in headers]
        if not self.scan_id and len(ids) > 1:
            raise BadRecipe("data.split.scan_id", found=f"{len(ids)} scans in the archive", expected="the id of one, such as " + ids[0])
        chosen = self.scan_id or ids[0]
        if chosen not in ids:
            raise BadRecipe("data.split.scan_id", found=repr(chosen), expected="one of " + ", ".join(ids[:5]))
        return Assignment((chosen,), (chosen,), (chosen,))
