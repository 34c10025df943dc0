"""What became of each volume of a store: done, or not and why. An index in SQLite; the files themselves are the truth.

A volume's file is moved into place whole, and only then is the catalogue told; what a kill loses of it is read from the files again.
Processes that write into one store at once (the tasks of a SLURM array) have a catalogue each, as SQLite's locks cannot be trusted on
network file systems.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

NAME, EARLIER = ".catalogue", "catalogue"
"""How the files' names begin: hidden among the volumes, and what it was before."""
TABLE = """CREATE TABLE IF NOT EXISTS volumes (
    volume TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER NOT NULL,
    changed INTEGER NOT NULL, seconds REAL NOT NULL, described TEXT NOT NULL)"""


@dataclass(frozen=True)
class Record:
    """A record is of one volume, or of one file that could not be read."""

    volume: str
    state: str
    """``done``, ``failed`` (a volume that could not be prepared) or ``refused`` (a file that holds no volume)."""
    reason: str = ""
    file: str = ""
    """Its name in the store."""
    bytes: int = 0
    changed: int = 0
    """Size and time of change (ns) of the file that `described` was read from."""
    seconds: float = 0.0
    described: str = ""
    """The JSON of the file, so that a store of many volumes opens without opening each."""


class Catalogue:
    """A catalogue belongs to one writer. Every change is a transaction of its own, which is on the disk when the call returns."""

    def __init__(self, folder: Path, shard: tuple[int, int] | None = None):
        part = f"-{shard[0]}-of-{shard[1]}" if shard else ""
        self.path = Path(folder) / f"{NAME}{part}.sqlite"
        earlier = Path(folder) / f"{EARLIER}{part}.sqlite"
        if earlier.exists() and not self.path.exists():
            earlier.rename(self.path)

    def put(self, *records: Record) -> None:
        """Add records, in place of those of the same volumes."""
        with self._transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [tuple(vars(r).values()) for r in records]
            )

    def forget_failures(self) -> None:
        """Remove what failed, before another attempt: what fails again is put again."""
        with self._transaction() as database:
            database.execute("DELETE FROM volumes WHERE state != 'done'")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(_open_database(self.path)) as database, database:
                yield database
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise OSError(f"{self.path}: {error}") from error
            # Damaged: an index can be made again, and is, volume by volume.
            self.path.unlink(missing_ok=True)
            with closing(_open_database(self.path)) as database, database:
                yield database


def records(folder: Path) -> dict[str, Record]:
    """Return the records of all catalogues of a store, by volume.

    A volume that one of them calls done is done, whatever another says of it. A damaged catalogue counts as none.
    """
    found: dict[str, Record] = {}
    for path in sorted(path for name in (EARLIER, NAME) for path in Path(folder).glob(f"{name}*.sqlite")):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                rows = [Record(*row) for row in database.execute("SELECT * FROM volumes ORDER BY volume")]
        except sqlite3.DatabaseError:
            continue
        found |= {row.volume: row for row in rows if row.state == "done" or found.get(row.volume, row).state != "done"}
    return found


def _open_database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=60)
    # Names of files that could not be read are in it: what is deleted is to be gone.
    database.execute("PRAGMA secure_delete=ON")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(TABLE)
    return database
