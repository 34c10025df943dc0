"""What the readers of raw lines share: MRD files, Siemens twix, and in part fastMRI.

In come acquisition headers with the names of the ISMRMRD standard, a `FileHeader` and a way to read samples; out come `Scan` records. Read
``header.py`` first (what a file says of itself), then ``sorting.py`` (what each line is for), ``fitting.py`` (lines against the matrix of
the header), ``volumes.py`` (lines to k-space), ``orientation.py`` (where a slice lies) and ``archive.py`` (an archive of such volumes).
``oversampling.py`` removes the oversampling of readouts.
"""
