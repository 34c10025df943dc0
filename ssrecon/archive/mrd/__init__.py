"""ISMRMRD (MRD) files: ``ismrmrd.py`` is the format, ``header.py`` reads its XML header, which fastMRI's files have too.

In comes an HDF5 file of acquisitions, each with a header of its own; what is done with them is in `ssrecon.archive.cartesian`.
"""
