"""Archives whose scans are put together from Cartesian lines: the same steps read an MRD file and a twix file."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from ssrecon.archive.base import Archive, unknown_scan
from ssrecon.archive.cartesian.volumes import CartesianLines
from ssrecon.core.scan import Header, Scan


class ArchiveOfLines(Archive):
    """A format of this kind sorts its lines into volumes (`volumes_of_lines`); everything else is the same for all of them."""

    @property
    @abstractmethod
    def volumes_of_lines(self) -> Sequence[CartesianLines]:
        """These are the measurements of the file, each with its lines sorted by what they are for. Raises `BadInput` naming the file."""

    @property
    def headers(self) -> tuple[Header, ...]:
        return tuple(header for volume in self.volumes_of_lines for header in volume.headers)

    def read(self, scan_id: str) -> Scan:
        volume, header = self._find(scan_id)
        return volume.scan(header)

    def partitions(self, scan_id: str) -> Iterator[tuple[int, Scan]]:
        volume, header = self._find(scan_id)
        return volume.partitions(header)

    def not_transformable(self, scan_id: str) -> str:
        volume, header = self._find(scan_id)
        return volume.not_transformable(header)

    def _find(self, scan_id: str) -> tuple[CartesianLines, Header]:
        for volume in self.volumes_of_lines:
            for header in volume.headers:
                if header.scan_id == scan_id:
                    return volume, header
        raise unknown_scan(self.path, scan_id, tuple(header.scan_id for header in self.headers))
