"""Sampling is described here, once, from masks alone. The verdict, the audit, splits, a network's training domain and the report ask here.

In comes a scan, or its mask; out comes a `SamplingDescription`: pattern, acceleration, calibration, partial Fourier, shutter, padding
(``mask.py``). In come the descriptions of all the scans of an archive, out come the same with their accelerations counted on what each
protocol ever acquired (``protocol.py``). Read ``description.py`` first; ``columns.py`` and ``points.py`` name patterns, ``support.py`` and
``ellipse.py`` tell what was encoded.
"""

from ssrecon.sampling.describe.acceleration import acceleration_classes, acceleration_range
from ssrecon.sampling.describe.description import FAMILIES, SamplingDescription, Support, read_description
from ssrecon.sampling.describe.ellipse import ellipse, is_elliptical
from ssrecon.sampling.describe.mask import describe_mask, describe_sampling, phase_encoded
from ssrecon.sampling.describe.protocol import ProtocolKey, common_support, on_protocol, protocol_key, union_of
from ssrecon.sampling.describe.support import encoded_support

__all__ = [
    "FAMILIES",
    "ProtocolKey",
    "SamplingDescription",
    "Support",
    "acceleration_classes",
    "acceleration_range",
    "common_support",
    "describe_mask",
    "describe_sampling",
    "ellipse",
    "encoded_support",
    "is_elliptical",
    "on_protocol",
    "phase_encoded",
    "protocol_key",
    "read_description",
    "union_of",
]
