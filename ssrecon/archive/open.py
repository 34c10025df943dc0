"""Opening a file or folder, whatever format it is in."""

from pathlib import Path

from ssrecon.archive.base import Archive
from ssrecon.archive.deidentified import Deidentified
from ssrecon.archive.folder import Folder
from ssrecon.archive.formats import formats_of, known_layouts
from ssrecon.core.errors import BadInput


def open_archive(path: Path | str, require_deidentified: bool = False) -> Archive:
    """Open a file or a folder in whichever format its content is. Headers and scans that come out of it have lost their names.

    With `require_deidentified` a file that still bears identity (`Archive.identity`) is refused; in a folder it is among the skipped.
    Raises `BadInput` where there is nothing, nothing readable, or nothing in a known layout.
    """
    path = Path(path)
    if not path.exists():
        raise BadInput(path, found="no such file or folder", expected=known_layouts())
    if not path.is_dir():
        return Deidentified.of_file(path, require_deidentified)
    whole = [] if require_deidentified else formats_of(path)
    archive = Deidentified(whole[0](path)) if whole else Folder(path, require_deidentified)  # type: ignore[call-arg]
    _ = archive.headers  # an empty or unreadable archive is an error now, not at the first scan
    return archive
