"""Archives whose format can read a part of a 3-D scan: the same step reads a whole scan and one of its pieces."""

from abc import abstractmethod
from collections.abc import Iterator

from ssrecon.archive.base import Archive
from ssrecon.archive.pieces import in_pieces
from ssrecon.core.scan import Header, Scan

WHOLE = slice(None)


class PartitionedArchive(Archive):
    """A format of this kind reads what lies at some places of a scan's first axis (`part_of`), best in certain `steps`."""

    @abstractmethod
    def part_of(self, header: Header, at: slice) -> Scan:
        """Read the part of a scan that lies `at` places along its first encoded axis; all of it for `WHOLE`."""

    @property
    @abstractmethod
    def steps(self) -> list[slice]:
        """These are the pieces of a 3-D scan; a scan of two dimensions is one piece."""

    def read(self, scan_id: str) -> Scan:
        return self.part_of(self.listed(scan_id), WHOLE)

    def partitions(self, scan_id: str) -> Iterator[tuple[int, Scan]]:
        header = self.listed(scan_id)
        return in_pieces(lambda at: self.part_of(header, at), self.steps, self.path, scan_id)
