"""How the test scans of a run were sampled is recorded here for its ``run.json``, and put into words for its report."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ssrecon.core.wording import counted
from ssrecon.sampling.describe import acceleration_range
from ssrecon.store.store import Store


def acquisition_record(store: Store, scan_ids: Sequence[str]) -> dict[str, Any]:
    """Return how scans were sampled, in numbers and words that JSON can hold.

    ``scans`` is their number, ``patterns`` says how many of them have each pattern, ``acceleration`` is the least and the greatest
    effective acceleration (`SamplingDescription.acceleration`), and ``calibration`` lists the calibration regions that occur, the smallest
    first. A region of 0 means that the calibration was measured apart. For no scans the record is empty.
    """
    if not scan_ids:
        return {}
    found = [store.sampling(scan_id) for scan_id in scan_ids]
    accelerations = [sampling.acceleration for sampling in found]
    regions = sorted({sampling.calibration for sampling in found}, key=lambda region: (math.prod(region), region))
    return {
        "scans": len(found),
        "patterns": dict(Counter(sampling.words for sampling in found).most_common()),
        "acceleration": [min(accelerations), max(accelerations)],
        "calibration": [list(region) for region in regions],
    }


def acquisition_facts(record: Mapping[str, Any]) -> dict[str, str]:
    """Return a record in words, by what it is about. A run from before there was such a record has none, and there are no facts."""
    if not record:
        return {}
    patterns = dict(record["patterns"])
    shares = [name if len(patterns) == 1 else f"{name} ({number})" for name, number in patterns.items()]
    return {
        "pattern": ", ".join(shares),
        "effective acceleration": acceleration_range(record["acceleration"]),
        "calibration region": _regions_text([tuple(region) for region in record["calibration"]]),
    }


def acquisition_text(record: Mapping[str, Any]) -> str:
    """Return a record as one clause; it is empty where there is no record."""
    facts = acquisition_facts(record)
    if not facts:
        return ""
    described = f"effective acceleration {facts['effective acceleration']}, calibration region {facts['calibration region']}"
    return f"{counted(record['scans'], 'test scan')} of {facts['pattern']}, {described}"


def _regions_text(regions: Sequence[tuple[int, ...]]) -> str:
    inside = ["x".join(map(str, region)) for region in regions if all(region)]
    sizes = [inside[0] if len(inside) == 1 else f"{inside[0]} to {inside[-1]}"] if inside else []
    return " or ".join([*sizes, *(["measured apart"] if len(inside) < len(regions) else [])])
