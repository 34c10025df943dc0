"""The record of what an inspection found in a scan, one for every test."""

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["note", "warn", "refuse"]


@dataclass(frozen=True)
class Finding:
    """A finding is one thing that a test found in one scan. `kind` is a fixed word for each test; reason and remedy are sentences."""

    kind: str
    severity: Severity
    """``note``: worth knowing; ``warn``: train, with a warning; ``refuse``: not for headline results, or not at all."""
    reason: str
    remedy: str
    measured: dict[str, float] = field(default_factory=dict)
    """The numbers the test was decided by, under their names."""
