"""Files to `Scan`, one format a file; `open_archive` finds the format from the content."""

from ssrecon.archive.base import Archive, open_archive

__all__ = ["Archive", "open_archive"]
