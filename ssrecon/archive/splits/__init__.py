"""Which scans train, which choose the checkpoint, and which are reported: by subject, never by slice.

In come the headers of an archive or a store, out comes an `Assignment` of scan ids. Read ``base.py`` first, then ``drawn.py``;
``strata.py`` gives each side its share of every protocol, contrast, field strength and acceleration.
"""

from ssrecon.archive.splits.base import Assignment, Sides, Split, Subject, SubjectSplit, spread
from ssrecon.archive.splits.drawn import BySubject, Fractions, KFold
from ssrecon.archive.splits.held_out import HeldOutGroup
from ssrecon.archive.splits.listed import ByList
from ssrecon.archive.splits.scan_specific import ScanSpecific

__all__ = [
    "Assignment",
    "ByList",
    "BySubject",
    "Fractions",
    "HeldOutGroup",
    "KFold",
    "ScanSpecific",
    "Sides",
    "Split",
    "Subject",
    "SubjectSplit",
    "spread",
]
