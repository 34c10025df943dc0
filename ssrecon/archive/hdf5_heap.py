"""Tables of compound records with lists of varying length (ISMRMRD's lines and their samples), taken from the bytes of the file.

Damage to such lists can send HDF5's library round for ever, and it reads every list of a record of which one other member is wanted.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ssrecon.core.errors import BadInput

REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
COLLECTION, OBJECT = struct.Struct("<4sB3xQ"), struct.Struct("<HH4xQ")
WHOLE = "an undamaged HDF5 file"


def check_heap(path: Path, data: h5py.Dataset) -> None:
    """Raise `BadInput` where a list of a table of compound records, or a text, is not where its record says, with the length that it says.

    The records are read as bytes, and of the collections that they name only the headers of the objects. The library takes an object of no
    length among the free space for one more, again and again. Not checked: a table in compressed chunks.

    HDF5 File Format Specification version 3.0, III.E: global heap.
    """
    kind = data.id.get_type()
    lists = [(0, 1)] if isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str() else []
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        members = [(n, kind.get_member_type(n)) for n in range(kind.get_nmembers())]
        vary = [(n, member) for n, member in members if isinstance(member, h5py.h5t.TypeVlenID)]
        lists = [(kind.get_member_offset(n), member.get_super().get_size()) for n, member in vary]
    plist = data.id.get_create_plist()
    if not lists or plist.get_nfilters() or plist.get_layout() == h5py.h5d.COMPACT:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for records in _records(data, view, kind.get_size(), path):
            for offset, size in lists:
                found = np.frombuffer(records[:, offset : offset + REFERENCE.itemsize].tobytes(), REFERENCE)
                found = found[found["length"] > 0]
                for address in np.unique(found["address"]):
                    here = found[found["address"] == address]
                    # Addresses count from behind a user block; those of records come counted from the file's own beginning.
                    held = _object_sizes(view, int(address) + data.file.userblock_size, path)
                    if any(held.get(int(one["number"]), -1) < int(one["length"]) * size for one in here):
                        raise BadInput(path, found=f"lists of samples that are not at {address}, where it says they are", expected=WHOLE)


def read_member(path: Path, data: h5py.Dataset, name: str) -> np.ndarray:
    """Read one member of all records, as ``data.fields(name)[:]``, but of the file no more than the records.

    HDF5 2.0 reads the lists too, and keeps them in memory, where nothing but ``name`` was asked for.

    Tables in compressed chunks, those not wholly written and members that hold lists themselves are left to HDF5.
    """
    kind, plist = data.id.get_type(), data.id.get_create_plist()
    plain = data.ndim == 1 and plist.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) and not plist.get_nfilters()
    member = data.dtype.fields[name][0]
    if not plain or plist.get_external_count() or member.hasobject:
        return np.asarray(data.fields(name)[:])
    offset = kind.get_member_offset(kind.get_member_index(name.encode()))
    firsts = [first for first, _, _ in _pieces(data)]
    found, written = np.empty(data.shape, member), np.zeros(data.shape, bool)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for first, records in zip(firsts, _records(data, view, kind.get_size(), path), strict=True):
            # The last chunk may be longer than what is left of the table.
            own = records[: max(0, len(found) - first), offset : offset + member.itemsize]
            found[first : first + len(own)] = np.ascontiguousarray(own).view(member)[:, 0]
            written[first : first + len(own)] = True
    return found if written.all() else np.asarray(data.fields(name)[:])


def _pieces(data: h5py.Dataset) -> list[tuple[int, int, int]]:
    """Return the pieces in which the file holds a table: the first record of each, where its bytes lie, and how many they are."""
    if data.chunks is None:
        return [(0, data.id.get_offset() or 0, data.id.get_storage_size())]
    # Asked for one by one, each is found by counting from the first.
    chunks: list[tuple[int, int, int]] = []
    data.id.chunk_iter(lambda chunk: chunks.append((chunk.chunk_offset[0], chunk.byte_offset, chunk.size)))
    return chunks


def _records(data: h5py.Dataset, view: mmap.mmap, size: int, path: Path) -> Iterator[np.ndarray]:
    """Yield the records as bytes ``(records, size)``, in the pieces in which the file holds them."""
    for _, start, length in _pieces(data):
        if start + length > len(view) or length % size:
            raise BadInput(path, found=f"{length} bytes of records at {start}, in a file of {len(view)}", expected=WHOLE)
        yield np.frombuffer(view[start : start + length], np.uint8).reshape(-1, size)


def _object_sizes(view: mmap.mmap, address: int, path: Path) -> dict[int, int]:
    """Return the objects of the collection at `address`: their numbers and sizes in bytes."""
    found: dict[int, int] = {}
    signature, length = b"", 0
    if address + COLLECTION.size <= len(view):
        signature, _, length = COLLECTION.unpack_from(view, address)
    if signature != b"GCOL" or not COLLECTION.size <= length <= len(view) - address:
        raise BadInput(path, found=f"no collection of samples at {address}", expected=WHOLE)
    place, end = address + COLLECTION.size, address + length
    while place + OBJECT.size <= end:
        number, _, size = OBJECT.unpack_from(view, place)
        step = OBJECT.size + size + -size % 8 if number else size
        if step < OBJECT.size or place + step > end:
            raise BadInput(path, found=f"an object of {size} bytes in the collection of samples at {address}", expected=WHOLE)
        if number:
            found[number] = size
        place += step
    return found
