"""fastMRI's files: knee and brain (``fastmri.py``), prostate (``prostate.py``), and a writer of the former's layout (``writer.py``).

In comes a path, out comes an `Archive`; the writer takes k-space and what its header is to say.
"""
