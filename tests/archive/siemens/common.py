"""What the tests of twix files share: sizes, files of one measurement, and the way a refusal is checked."""

import struct

import pytest

from ssrecon.archive.siemens.siemens import Siemens
from ssrecon.core.errors import BadInput
from tests.archive.siemens import twix

COILS, Y, X = 3, 16, 20
VB_LARGE = b"\0" * 10000
"""VB is told by the length of its protocol, which never is below this."""


def write_2d(path, kspace, rows=range(Y), flags=None, told=None, **options):
    return twix.write(path, (twix.protocol((1, Y, X), **(told or {})), twix.lines(kspace, rows, flags, **options)))


def large(protocol: bytes) -> bytes:
    size, count = struct.unpack_from("<II", protocol)
    return struct.pack("<II", size + len(VB_LARGE), count) + protocol[8:] + VB_LARGE


def assert_refused(path, found: str, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        list(Siemens(path))
    assert str(path) in caught.value.where and found in caught.value.found and expected in caught.value.expected


REFERENCE, BOTH = ("PATREFSCAN",), ("PATREFSCAN", "PATREFANDIMASCAN")
ADJUSTMENT = {"tSequenceFileName": '"%AdjustSeq%\\AdjCoilSensSeq"'}
