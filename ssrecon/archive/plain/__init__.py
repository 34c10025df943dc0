"""The plain HDF5 layout for everybody else: ``docs/plain_hdf5.md`` describes it.

In comes an HDF5 file whose datasets name their own axes, out come `Scan` records, and back. ``plain.py`` is the format, ``axes.py`` checks
the datasets, ``about.py`` reads and writes what is known besides samples, ``writer.py`` writes the layout.
"""

from ssrecon.archive.plain.plain import Plain
from ssrecon.archive.plain.writer import write_plain

__all__ = [
    "Plain",
    "write_plain",
]
