"""What fastMRI's files say besides samples: their ISMRMRD header, and numbers among their attributes."""

import math
import re
from pathlib import Path

import h5py
import numpy as np

from ssrecon.archive.hdf5_heap import check_heap
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import element


def header_text(file: h5py.File, path: Path) -> object:
    """Return what a file has for an ISMRMRD header; None where it has none. Raises `BadInput` where it is damaged, or no dataset."""
    text = file.get("ismrmrd_header")
    if isinstance(text, h5py.Dataset):
        check_heap(path, text)
        return element(text[()]) if text.size == 1 else text[()]
    if text is not None:
        raise BadInput(path, found="an ismrmrd_header that is no text", expected="an ISMRMRD header")
    return None


def is_m4raw(file: h5py.File) -> bool:
    """Tell whether a file of fastMRI's layout is of M4Raw (`ssrecon.archive.m4raw`).

    Its header lists the repetitions, or it has four coils and .3 T; fastMRI has 1.5 T and 3 T.
    """
    kspace = file.get("kspace")
    if not isinstance(kspace, h5py.Dataset) or kspace.ndim != 4:
        return False
    try:
        header = header_text(file, Path(file.filename))
    except BadInput:
        return False  # FastMRI says so when it reads it
    if not isinstance(header, str):
        return False
    if "repetitionInformation" in header or "repetitionLabel" in header:
        return True
    told = re.search(r"systemFieldStrength_T>\s*([\d.]+)\s*<", header)
    return kspace.shape[1] == 4 and told is not None and 0.2 < float(told.group(1)) < 0.4


def positive_or_none(value: object) -> float | None:
    """Return a number that an attribute may be, where it is finite and positive; None for anything else."""
    number = float(value) if isinstance(value, (int, float, np.integer, np.floating)) else math.nan
    return number if math.isfinite(number) and number > 0 else None
