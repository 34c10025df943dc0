"""fastMRI's files: knee and brain (``fastmri.py``), prostate (``prostate.py``), and a writer of the former's layout (``writer.py``).

In comes a path, out comes an `Archive`; the writer takes k-space and what its header is to say. ``volume.py`` and ``about.py`` read what a
file says besides samples.
"""

from ssrecon.archive.fastmri.fastmri import FastMRI
from ssrecon.archive.fastmri.prostate import FastMRIProstate
from ssrecon.archive.fastmri.writer import write_fastmri

__all__ = [
    "FastMRI",
    "FastMRIProstate",
    "write_fastmri",
]
