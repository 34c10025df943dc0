"""3-D scans in pieces along their first axis, for formats that can read less than a whole one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Scan

LARGEST = 2**26
"""Bytes of a piece that is thicker than a partition because the file's chunks are."""


def samples_nothing(path: Path, scan_id: str) -> BadInput:
    """Return the error for a mask without a sample."""
    return BadInput(path, found=f"a mask that samples nothing of {scan_id}", expected="at least one acquired sample")


def steps(count: int, chunk: int, size: int) -> list[slice]:
    """Divide `count` partitions of `size` bytes into pieces.

    A piece is one partition, or as many as a `chunk` of the file holds, which is read whole anyway, up to `LARGEST` bytes.
    """
    thick = max(1, min(chunk, LARGEST // max(1, size)))
    return [slice(start, min(start + thick, count)) for start in range(0, count, thick)]


def in_pieces(read: Callable[[slice], Scan], places: Sequence[slice], path: Path, scan_id: str) -> Iterator[tuple[int, Scan]]:
    """Yield the pieces that `read` gives, each with its place (see `Archive.partitions`).

    Raises `BadInput` as a whole scan would, though with the counts of the piece, and after the last one where nothing was acquired in any.
    """
    empty: dict[str, bool] = {}
    for place in places:
        piece = read(place)
        # The calibration first, as `read` does.
        parts = {f"{scan_id} (calibration)": piece.calibration.mask} if piece.calibration is not None else {}
        for name, mask in {**parts, scan_id: piece.mask}.items():
            empty[name] = empty.get(name, True) and not bool(mask.any())
        yield place.start, piece
    for name in (name for name, nothing in empty.items() if nothing):
        raise samples_nothing(path, name)


def masks(scan: Scan) -> dict[str, Tensor]:
    """Return what has to be the same all along the readout where that is transformed, by names for a message."""
    apart = {"calibration points": scan.calibration.mask} if scan.calibration is not None else {}
    return {"points": scan.mask, "padding": scan.padding, **apart}


def uneven(pieces: Iterable[Mapping[str, Tensor]]) -> str:
    """Say which masks (last axis the readout) of any piece change along the readout; the text is empty where none does."""
    found: dict[str, bool] = {}
    for piece in pieces:
        for name, mask in piece.items():
            found[name] = found.get(name, False) or not bool((mask == mask[..., :1]).all())
    names = [name for name, changes in found.items() if changes]
    return f"{' and '.join(names)} that are not the same all along the readout" if names else ""
