"""Freed memory goes back to the system while a volume is read slice by slice."""

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache

TRIM = 16
"""Scans between two returns of freed memory to the system."""


def returning_memory(items: Iterable[str]) -> Iterator[str]:
    """Yield the items, and give freed memory back to the system after every TRIM of them.

    HDF5's small blocks lie between the slices that were freed, and glibc keeps what it cannot join: in trials a volume of 503 MB took 440
    to 580 MB, and takes 140 to 160 MB this way. Systems without glibc do nothing here.
    """
    for number, item in enumerate(items):
        if number % TRIM == TRIM - 1 and (trim := _malloc_trim()) is not None:
            trim(0)
        yield item


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
