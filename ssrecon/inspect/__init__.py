"""This room audits an archive: what is in it, whether it may train, why not, and what would help.

In comes an archive, out comes an `Audit`, a page, a JSON and a table. Read ``audit.py`` first, then ``look.py`` for what is looked at in
one scan, and ``scan_report.py`` for what is kept of it.
"""

from ssrecon.inspect.audit import Audit, audit

__all__ = [
    "Audit",
    "audit",
]
