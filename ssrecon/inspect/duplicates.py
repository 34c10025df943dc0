"""The search for one measurement that is in the archive under two names."""

from collections.abc import Mapping

import numpy as np

from ssrecon.core.scan import Scan

NUMBERS = 64
SAME = 1e-3
"""Largest difference of two signatures, in nepers. Two measurements of one object differ by their noise, by about 1 at the edge."""


def signature(scan: Scan) -> tuple[float, ...]:
    """Return the logarithms of the power of 64 acquired samples spread over k-space and frames, summed over the coils, less their mean.

    They are the same for a copy, a scaled copy and one whose channels come in another order.
    """
    mask = (scan.mask & ~scan.padding)[0, :, 0]
    power = scan.kspace[0].abs().double().square().sum(dim=1)[mask].numpy()
    places = np.linspace(0, len(power) - 1, NUMBERS).round().astype(int)
    logs = np.log(np.maximum(power[places], np.finfo(float).tiny))
    return tuple(float(value) for value in logs - logs.mean())


def duplicates(signatures: Mapping[str, tuple[float, ...]]) -> dict[str, str]:
    """Return the scans that are copies of one before them, each with that one. All have one shape and come in the archive's order."""
    names = list(signatures)
    if len(names) < 2:
        return {}
    values = np.array([signatures[name] for name in names])
    # Sorted by one number, copies lie beside each other: no scan has to be compared with all.
    order = np.argsort(values[:, 0], kind="stable")
    found: dict[str, str] = {}
    for place, index in enumerate(order):
        for other in order[place + 1 :]:
            if values[other, 0] - values[index, 0] > SAME:
                break
            if float(np.abs(values[other] - values[index]).max()) <= SAME:
                first, second = sorted((int(index), int(other)))
                found.setdefault(names[second], names[first])
    return found
