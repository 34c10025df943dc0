"""An audit in a terminal's width and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssrecon.core.files import whole_file
from ssrecon.inspect.audit import Audit
from ssrecon.inspect.look import VERDICTS, Looked

LISTED = 12
"""Scans or files named one by one before the rest are counted."""


@dataclass(frozen=True)
class Group:
    """Scans of one protocol that were sampled alike."""

    protocol: str
    contrast: str
    matrix: tuple[int, ...]
    coils: int
    pattern: str
    accelerations: tuple[float, float]
    calibration: tuple[int, ...]
    noise: str
    snr_db: tuple[float, float] | None
    scans: int
    subjects: int
    verdicts: Counter[str]


def by_protocol(scans: Sequence[Looked]) -> list[Group]:
    """Those that could be read, grouped."""
    groups: dict[tuple[Any, ...], list[Looked]] = {}
    for record in scans:
        if record.matrix:
            key = (record.protocol, record.contrast, record.matrix, record.coils, pattern(record), record.noise_source)
            groups.setdefault(key, []).append(record)
    return [_group(members) for _, members in sorted(groups.items(), key=lambda item: str(item[0]))]


def _group(members: Sequence[Looked]) -> Group:
    first = members[0]
    accelerations = [float(record.sampling["acceleration"]) for record in members]
    snrs = [record.snr_db for record in members if record.snr_db is not None]
    return Group(
        protocol=first.protocol,
        contrast=first.contrast,
        matrix=first.matrix,
        coils=first.coils,
        pattern=pattern(first),
        accelerations=(min(accelerations), max(accelerations)),
        calibration=min(tuple(record.sampling["calibration"]) for record in members),
        noise=first.noise_source,
        snr_db=(min(snrs), max(snrs)) if snrs else None,
        scans=len(members),
        subjects=len({record.subject for record in members}),
        verdicts=Counter(record.verdict for record in members),
    )


def pattern(record: Looked) -> str:
    """A pattern in words, with its steps."""
    step = record.sampling["step"]
    steps = " every " + " x ".join(f"{n:g}" for n in step[:2]) if step else ""
    return f"{record.sampling['pattern']}{steps}" + (f", shift {step[2]:g}" if len(step) > 2 else "")


def by_kind(scans: Sequence[Looked]) -> list[tuple[dict[str, Any], list[Looked]]]:
    """Each kind of finding with an example and its scans, the gravest first."""
    found: dict[str, tuple[dict[str, Any], list[Looked]]] = {}
    for record in scans:
        for finding in record.findings:
            found.setdefault(str(finding["kind"]), (dict(finding), []))[1].append(record)
    gravity = {"refuse": 0, "warn": 1, "note": 2}
    return sorted(found.values(), key=lambda item: (gravity[item[0]["severity"]], -len(item[1]), item[0]["kind"]))


def between(low: float, high: float, digits: int = 2) -> str:
    one, other = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return one if one == other else f"{one} to {other}"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def table(found: Audit) -> str:
    """What a terminal shows: protocols, what was found and how often, what could not be read."""
    rows = [("protocol", "matrix", "coils", "pattern", "R", "calib.", "SNR dB", "noise", "scans", *VERDICTS.values())]
    for group in by_protocol(found.scans):
        name = " ".join(part for part in (group.protocol, group.contrast) if part) or "(no name)"
        snr = between(*group.snr_db, 0) if group.snr_db else "?"
        counts = tuple(str(group.verdicts[verdict] or "-") for verdict in VERDICTS.values())
        rows.append(
            (name[:32], size(group.matrix), str(group.coils), group.pattern, between(*group.accelerations), size(group.calibration), snr,
             group.noise, str(group.scans), *counts)
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_findings(found), *_cohorts(found), *_refused(found), _verdict(found)])


def _findings(found: Audit) -> Iterator[str]:
    for finding, scans in by_kind(found.scans):
        if finding["severity"] != "note":
            named = ", ".join(record.scan for record in scans[:3]) + " ..." * (len(scans) > 3)
            yield f"{finding['severity']}: {finding['kind']} in {counted(len(scans), 'scan')} ({named})"
            yield f"    {finding['reason']}"
            yield f"    remedy: {finding['remedy']}"


def _cohorts(found: Audit) -> Iterator[str]:
    for cohort in found.cohorts:
        yield f"{size(cohort.matrix)}, {counted(cohort.scans, 'scan')}: " + " ".join(cohort.says)


def _refused(found: Audit) -> Iterator[str]:
    for name, reason in list(found.refused.items())[:LISTED]:
        yield f"not read: {name}: {reason}"
    if more := len(found.refused) - LISTED:
        yield f"not read: {more} files more" if more > 0 else ""


def _verdict(found: Audit) -> str:
    counts = ", ".join(f"{found.verdicts[verdict]} {verdict}" for verdict in VERDICTS.values())
    missing = f"; {found.missing} volumes not looked at yet" if found.missing else ""
    return f"{len(found.scans)} scans: {counts}; {len(found.refused)} files not read{missing}"


def write_json(found: Audit, path: Path) -> None:
    """Everything, for other programs: ``scans`` (as `Looked`, with ``verdict``), ``cohorts``, ``refused``."""
    content = {
        "verdicts": {verdict: found.verdicts[verdict] for verdict in VERDICTS.values()},
        "scans": [{**asdict(record), "verdict": record.verdict} for record in found.scans],
        "cohorts": [
            {
                "matrix": c.matrix,
                "scans": c.scans,
                "volumes": c.volumes,
                "never_acquired": c.never,
                "says": c.says,
                "frequency": c.frequency.tolist(),
            }
            for c in found.cohorts
        ],
        "refused": dict(found.refused),
        "volumes_missing": found.missing,
    }
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content) + "\n")
