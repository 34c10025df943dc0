"""Scans of one protocol: what tells two protocols apart, and what the scans of one encoded between them."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from ssrecon.sampling.describe.description import SamplingDescription, Support

Key = TypeVar("Key", bound=Hashable)
ProtocolKey = tuple[str, str, tuple[int, ...]]
"""The names of a protocol and of a contrast, and the matrix of k-space."""


class HasProtocol(Protocol):
    """A header, or a record that repeats what a header says."""

    @property
    def protocol(self) -> str: ...
    @property
    def contrast(self) -> str: ...


def protocol_key(header: HasProtocol, matrix: Sequence[int]) -> ProtocolKey:
    """Return what tells two protocols apart. Scans whose keys are equal share their encoded support.

    Accelerations are counted on that support in the verdict, the audit, a store (and so in splits) and a training domain.
    """
    return header.protocol, header.contrast, tuple(matrix)


def on_protocol(found: Mapping[Key, SamplingDescription], protocol: Mapping[Key, Hashable]) -> dict[Key, SamplingDescription]:
    """Return the descriptions of scans on the union of the locations that their protocols ever acquired.

    `found` and `protocol` have the same keys, one for each scan; the values of `protocol` are those of `protocol_key`. What one random
    draw left out at the end of an axis, another has acquired.
    """
    members: dict[Hashable, list[SamplingDescription]] = {}
    for key, one in found.items():
        members.setdefault(protocol[key], []).append(one)
    supports = {name: common_support(scans) for name, scans in members.items()}
    return {key: one.on(supports[protocol[key]], len(members[protocol[key]])) for key, one in found.items()}


def common_support(scans: Iterable[SamplingDescription]) -> Support:
    """Return the smallest box around all that the scans of one protocol acquired, and what lies beyond where none of them excludes it.

    One scan that was too dense to have left an end out by chance (partial Fourier) excludes what no scan acquired beyond that end.
    """
    kept = [one for one in scans if one.acquired]
    if not kept:
        return ()
    box = []
    for axis in range(len(kept[0].support)):
        low = min(min(one.extent[axis][0] for one in kept), max(one.support[axis][0] for one in kept))
        high = max(max(one.extent[axis][1] for one in kept), min(one.support[axis][1] for one in kept))
        box.append((low, high))
    return tuple(box)


def union_of(supports: Iterable[Support]) -> Support:
    """Return the smallest box around several; empty where there are none."""
    return tuple((min(low for low, _ in axis), max(high for _, high in axis)) for axis in zip(*supports, strict=True))
