"""What a file may tell of people: pseudonyms for it, and where it hides in text, in HDF5 and in names of files.

In come headers and files as they are; out come headers without identity (`deidentified`) and the places that bear it (`identity_of`). Read
``identifying.py`` first.
"""

from ssrecon.privacy.identifying import deidentified, identity_of

__all__ = [
    "deidentified",
    "identity_of",
]
