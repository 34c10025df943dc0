"""Files to `Scan`: one format a file, or a folder where it takes several.

In comes a path, out comes an `Archive` whose headers are listed cheaply and whose scans are read one at a time. `open_archive` finds the
format from the content. Read ``base.py`` first, then a short format such as ``m4raw.py``; ``cartesian/`` is what MRD and twix share,
``splits/`` divides an archive by subject. `scan_from_arrays` makes one `Scan` from arrays in memory; `write_plain` and `write_fastmri`
write files that are read here.
"""

from ssrecon.archive.base import Archive
from ssrecon.archive.fastmri import write_fastmri
from ssrecon.archive.from_arrays import scan_from_arrays
from ssrecon.archive.open import open_archive
from ssrecon.archive.plain import write_plain
from ssrecon.archive.splits import Assignment, ByList, BySubject, Fractions, HeldOutGroup, KFold, ScanSpecific, Split

__all__ = [
    "Archive",
    "Assignment",
    "ByList",
    "BySubject",
    "Fractions",
    "HeldOutGroup",
    "KFold",
    "ScanSpecific",
    "Split",
    "open_archive",
    "scan_from_arrays",
    "write_fastmri",
    "write_plain",
]
