"""Seeded damage to the files of an archive: of their bytes, of the numbers in their text, and of what an HDF5 file is made of."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ssrecon.archive.siemens.twix_file import is_twix, measurements

HDF5 = b"\x89HDF\r\n\x1a\n"
ABSURD = (0, 1, 2, 3, -1, -7, 255, 65535, 2**31 - 1, 2**31, 2**40, 2**63, 10**30, 1e-30, 1e300, 0.5, float("nan"), float("inf"))
WORDS = ("", "x", "cartesian", "true", "0x10", "-", "a" * 300, "\ufffd")
NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
TEXT = re.compile(rb"[\t\n\r\x20-\x7e]{24,}")
LONGEST_SPAN = 2048


def mutate(folder: Path, seed: int) -> tuple[str, int]:
    """Damage one file of a folder. Returns what was done, and how many bytes were overwritten; 0 where that can be no
    sample: the end was cut off, or only what the file says of its samples was changed."""
    draw = np.random.default_rng(seed)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    path = files[int(draw.integers(len(files)))]
    kinds: list[Callable[[Path, np.random.Generator], tuple[str, int]]] = [truncate, flip, overwrite, shift, number_in_text]
    if path.read_bytes()[:8] == HDF5:
        kinds = [truncate, flip, overwrite, early_bytes, hdf5_dataset, hdf5_attribute, hdf5_text, hdf5_record, hdf5_values]
    else:
        kinds += [early_bytes, line_header]
    kind = kinds[int(draw.integers(len(kinds)))]
    what, size = kind(path, draw)
    return f"{path.name}: {kind.__name__}: {what}", size


# Bytes


def truncate(path, draw):
    data = path.read_bytes()
    kept = int(draw.integers(len(data))) if draw.random() < 0.7 else len(data) - int(draw.integers(1, 64))
    path.write_bytes(data[: max(0, kept)])
    return f"to {kept} of {len(data)} bytes", 0


def flip(path, draw):
    return _set_bytes(path, draw, lambda data: draw.integers(len(data), size=int(draw.integers(1, 6))))


def early_bytes(path, draw):
    """Where most formats say what follows."""
    return _set_bytes(path, draw, lambda data: draw.integers(min(len(data), 4096), size=int(draw.integers(1, 4))))


def _set_bytes(path, draw, where):
    data = bytearray(path.read_bytes())
    places = where(data)
    for at in places:
        data[at] = int(draw.choice([0, 255, int(draw.integers(256)), data[at] ^ (1 << int(draw.integers(8)))]))
    path.write_bytes(bytes(data))
    return f"bytes {sorted(map(int, places))}", len(places)


def overwrite(path, draw):
    data = bytearray(path.read_bytes())
    size = int(draw.integers(1, LONGEST_SPAN))
    at = int(draw.integers(len(data)))
    size = min(size, len(data) - at)
    data[at : at + size] = (bytes(size), b"\xff" * size, draw.bytes(size))[int(draw.integers(3))]
    path.write_bytes(bytes(data))
    return f"{size} bytes from {at}", size


def shift(path, draw):
    """Some bytes taken out or put in: everything behind them moves."""
    data, size = path.read_bytes(), int(draw.integers(1, 200))
    at = int(draw.integers(len(data)))
    path.write_bytes(data[:at] + data[at + size :] if draw.random() < 0.5 else data[:at] + draw.bytes(size) + data[at:])
    return f"{size} bytes at {at}", size


def number_in_text(path, draw):
    data = path.read_bytes()
    found = [(run.start() + hit.start(), hit.group()) for run in TEXT.finditer(data) for hit in NUMBER.finditer(run.group())]
    if not found:
        return flip(path, draw)
    at, old = found[int(draw.integers(len(found)))]
    new = _number_text(old, draw)
    if draw.random() < 0.5:
        new = new[: len(old)].ljust(len(old))  # nothing behind it moves
    path.write_bytes(data[:at] + new + data[at + len(old) :])
    return f"{old!r} at {at} is {new!r}", 0


def _number_text(old: bytes, draw) -> bytes:
    near = (float(old) + float(draw.integers(-3, 4)), float(old) * 2, float(old) / 2, -float(old))
    value = [*ABSURD, *near][int(draw.integers(len(ABSURD) + len(near)))]
    if draw.random() < 0.1:
        return WORDS[int(draw.integers(len(WORDS)))].encode()
    return (str(int(value)) if float(value).is_integer() and abs(value) < 1e31 else str(value)).encode()


def line_header(path, draw):
    """A whole number of 2 to 8 bytes: of a line's header, where the file has such (Siemens), else anywhere."""
    data = bytearray(path.read_bytes())
    width = int(draw.choice([2, 4, 8]))
    at = int(draw.integers(max(1, len(data) - width)))
    if is_twix(path):
        positions = np.concatenate([one.positions for one in measurements(path)])
        at = int(positions[int(draw.integers(len(positions)))]) + 2 * int(draw.integers(96 + 16))
    at = min(at, len(data) - width)
    value = int(draw.choice([0, 1, 2, 3, 7, 255, 2**15 - 1, 2**16 - 1])) if draw.random() < 0.7 else int(draw.integers(2**62))
    data[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    path.write_bytes(bytes(data))
    return f"{width} bytes at {at} are {value}", width


# What an HDF5 file is made of


def _items(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return sorted(found, key=lambda item: item.name)


def hdf5_dataset(path, draw):
    with h5py.File(path, "r+") as file:
        items = _items(file)
        item = items[int(draw.integers(len(items)))]
        name, kind = item.name, str(draw.choice(["remove", "rename", "group", "dtype", "shape", "absurd", "empty", "scalar"]))
        data = item[()] if item.dtype.names is None or "head" not in item.dtype.names else None
        attrs = dict(item.attrs)
        if kind == "rename":
            file.move(name, f"{name}_old")
            return f"{name} renamed", 0
        if data is None and kind in ("dtype", "shape"):
            kind = "remove"
        if kind in ("dtype", "shape") and not isinstance(data, np.ndarray):
            kind = "scalar"
        del file[name]
        if kind == "remove":
            return f"{name} removed", 0
        if kind == "group":
            file.create_group(name)
        elif kind == "dtype":
            file[name] = _of_another_type(data, draw)
        elif kind == "shape":
            file[name] = _of_another_shape(data, draw)
        elif kind == "absurd":
            base = getattr(data, "dtype", np.dtype("c8"))
            shape = (2**20,) * min(2, max(1, getattr(data, "ndim", 1))) + tuple(getattr(data, "shape", ())[2:])
            base = base if base.kind in "biufcV" and not base.hasobject else np.dtype("c8")
            file.create_dataset(name, shape=shape, dtype=base, chunks=(1,) * len(shape))
        elif kind == "empty":
            file[name] = h5py.Empty("f4")
        else:
            file[name] = float(draw.choice([0.0, -1.0, np.nan]))
        for key, value in attrs.items():
            file[name].attrs[key] = value
        return f"{name}: {kind}: {file[name]}", 0


def _of_another_type(data, draw):
    kinds = ("f4", "i2", "u1", "c16", "?", "S8", "c8", "i8")
    with np.errstate(all="ignore"):
        flat = data if data.dtype.names is None else data[data.dtype.names[0]]
        if flat.dtype.kind == "O":
            return np.zeros(flat.shape, "i4")
        wanted = np.dtype(str(draw.choice(kinds)))
        return (flat.real if flat.dtype.kind == "c" and wanted.kind != "c" else flat).astype(wanted)


def _of_another_shape(data, draw):
    if data.ndim == 0:
        return data[None, None]
    axis = int(draw.integers(data.ndim))
    cut = int(draw.integers(0, data.shape[axis] + 1))
    changed = (
        lambda: np.moveaxis(data, 0, -1),
        lambda: data.swapaxes(axis, -1),
        lambda: data.take(range(cut), axis=axis),
        lambda: data.take(0, axis=axis),
        lambda: data[None],
        lambda: data[..., None],
        lambda: data.reshape(-1),
        lambda: np.concatenate([data, data[..., :1]], axis=-1),
    )
    return np.ascontiguousarray(changed[int(draw.integers(len(changed)))]())


def hdf5_attribute(path, draw):
    with h5py.File(path, "r+") as file:
        owners = [owner for owner in (file, *_items(file)) if len(owner.attrs)]
        if not owners:
            file.attrs["max"] = "many"
            return "max is 'many'", 0
        owner = owners[int(draw.integers(len(owners)))]
        name = sorted(owner.attrs)[int(draw.integers(len(owner.attrs)))]
        old = owner.attrs[name]
        del owner.attrs[name]
        if draw.random() < 0.2:
            return f"{owner.name} {name} removed", 0
        values = (*(float(n) for n in ABSURD), *WORDS, b"\xff\xfe", np.zeros(0), np.full(7, 3), np.array(["a", "b"], "S"), h5py.Empty("f4"))
        value = values[int(draw.integers(len(values)))]
        owner.attrs[name] = value
        return f"{owner.name} {name} {old!r} is {value!r}"[:200], 0


def hdf5_text(path, draw):
    """A number or a piece of a text: of an XML header, for instance."""
    with h5py.File(path, "r+") as file:
        texts = [item for item in _items(file) if item.dtype.kind in "OS" and item.dtype.names is None]
        if not texts:
            return "", 0
        item = texts[int(draw.integers(len(texts)))]
        name, value = item.name, np.asarray(item[()], dtype=object)
        text = value.ravel()[0]
        text = text if isinstance(text, bytes) else str(text).encode()
        found = list(NUMBER.finditer(text))
        if draw.random() < 0.2 or not found:
            at = int(draw.integers(max(1, len(text))))
            new = text[:at] + (b"", draw.bytes(3).replace(b"\0", b"<"), text[at + 40 :])[int(draw.integers(3))]
            what = f"cut or broken at {at}"
        else:
            hit = found[int(draw.integers(len(found)))]
            number = _number_text(hit.group(), draw)
            new = text[: hit.start()] + number + text[hit.end() :]
            what = f"...{text[max(0, hit.start() - 24) : hit.start()]!r} {hit.group()!r} is {number!r}"
        del file[name]
        file[name] = np.array([new], dtype=h5py.string_dtype()) if value.shape else new
        return f"{name}: {what}", 0


def hdf5_record(path, draw):
    """A number in the header of one or of every acquisition; only ISMRMRD has them."""
    with h5py.File(path, "r+") as file:
        records = [item for item in _items(file) if item.dtype.names is not None and "head" in item.dtype.names]
        if not records:
            return _values(file, draw)
        item = records[0]
        data = item[()]
        places = slice(None) if draw.random() < 0.5 else int(draw.integers(len(data)))
        head = data["head"]
        names = [name for name in head.dtype.names if head.dtype[name].kind in "iuf"] + list(head.dtype["idx"].names)
        name = names[int(draw.integers(len(names)))]
        field = head[name] if name in head.dtype.names else head["idx"][name]
        value = ABSURD[int(draw.integers(len(ABSURD)))]
        if field.dtype.kind in "iu":
            limits = np.iinfo(field.dtype)
            value = int(min(max(value, limits.min), limits.max)) if math.isfinite(value) else limits.max
        field[places] = value
        item[...] = data
        return f"{item.name} {name} of {places} is {value}", 0


def hdf5_values(path, draw):
    with h5py.File(path, "r+") as file:
        return _values(file, draw)


def _values(file, draw):
    """Some numbers of a dataset that are not finite, or far too large or zero."""
    items = [item for item in _items(file) if item.dtype.kind in "fcbui" and item.size]
    if not items:
        return "", 0
    item = items[int(draw.integers(len(items)))]
    data = np.array(item[()])
    places = draw.integers(data.size, size=int(draw.integers(1, 4)))
    value = float(draw.choice([np.nan, np.inf, 1e30, 0.0, 1.0]))
    with np.errstate(all="ignore"):
        data.reshape(-1)[places] = value if data.dtype.kind in "fc" or np.isfinite(value) and value < 2 else 0
    item[...] = data
    return f"{item.name}: {len(places)} values are {value}", 8 * len(places)
