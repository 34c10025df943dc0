"""An audit in a terminal's width and as JSON."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

from ssrecon.core.files import whole_file
from ssrecon.core.wording import counted
from ssrecon.inspect.audit import Audit
from ssrecon.inspect.scan_report import GRAVITY, VERDICTS, ScanReport, description_of, group_key

LISTED = 12
"""Scans or files named one by one before the rest are counted."""


@dataclass(frozen=True)
class Group:
    """A group is the scans of one protocol that were sampled in the same way."""

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
    picture: str
    """The picture of one of the scans, a PNG in base64; empty where none has one."""


def groups_by_protocol(scans: Sequence[ScanReport]) -> list[Group]:
    """Return the scans that could be read, grouped."""
    groups: dict[tuple[Any, ...], list[ScanReport]] = {}
    for record in scans:
        if record.matrix:
            groups.setdefault(group_key(record), []).append(record)
    return [_group_of(members) for _, members in sorted(groups.items(), key=lambda item: str(item[0]))]


def _group_of(members: Sequence[ScanReport]) -> Group:
    first = members[0]
    accelerations = [float(record.sampling["acceleration"]) for record in members]
    snrs = [record.snr_db for record in members if record.snr_db is not None]
    return Group(
        protocol=first.protocol,
        contrast=first.contrast,
        matrix=first.matrix,
        coils=first.coils,
        pattern=Counter(map(pattern_words, members)).most_common(1)[0][0],
        accelerations=(min(accelerations), max(accelerations)),
        calibration=min(tuple(record.sampling["calibration"]) for record in members),
        noise=first.noise_source,
        snr_db=(min(snrs), max(snrs)) if snrs else None,
        scans=len(members),
        subjects=len({record.subject for record in members}),
        verdicts=Counter(record.verdict for record in members),
        picture=next((record.picture for record in members if record.picture), ""),
    )


def pattern_words(record: ScanReport) -> str:
    """Return a pattern with its steps, in words."""
    return description_of(record).words


@dataclass(frozen=True)
class FindingKind:
    """A kind of finding comes with the scans that have it, each with its own words and numbers."""

    kind: str
    severity: str
    remedy: str
    scans: tuple[ScanReport, ...]
    findings: tuple[Mapping[str, Any], ...]
    """The finding of each of the scans."""

    @property
    def reason(self) -> str:
        """This is the reason of the first scan, as an example."""
        return str(self.findings[0]["reason"])

    @property
    def picture(self) -> str:
        """This is the picture of the first scan that has one."""
        return next((record.picture for record in self.scans if record.picture), "")


def findings_by_kind(scans: Sequence[ScanReport]) -> list[FindingKind]:
    """Return each kind of finding with its scans, the gravest first."""
    found: dict[str, list[tuple[ScanReport, Mapping[str, Any]]]] = {}
    for record in scans:
        for finding in record.findings:
            found.setdefault(str(finding["kind"]), []).append((record, finding))
    kinds = []
    for kind, pairs in found.items():
        records, findings = zip(*pairs, strict=True)
        severity = max((str(finding["severity"]) for finding in findings), key=GRAVITY.index)
        kinds.append(FindingKind(kind, severity, str(findings[0]["remedy"]), records, findings))
    return sorted(kinds, key=lambda one: (-GRAVITY.index(one.severity), -len(one.scans), one.kind))


def scans_by_note(scans: Sequence[ScanReport]) -> dict[tuple[str, str], list[str]]:
    """Return what readers noted: each note with the scans that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for record in scans:
        for key, text in record.notes.items():
            found.setdefault((key, text), []).append(record.scan)
    return found


def numbers(finding: Mapping[str, Any]) -> str:
    """Return the numbers that a finding was decided by, for one scan, as text."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in dict(finding.get("measured") or {}).items())


def range_text(low: float, high: float, digits: int = 2) -> str:
    least, greatest = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return least if least == greatest else f"{least} to {greatest}"


def size_text(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def table(found: Audit) -> str:
    """Return what a terminal shows: protocols, what was found and how often, what could not be read."""
    rows = [("protocol", "matrix", "coils", "pattern", "R", "calib.", "SNR dB", "noise", "scans", *VERDICTS.values())]
    for group in groups_by_protocol(found.scans):
        name = " ".join(part for part in (group.protocol, group.contrast) if part) or "(no name)"
        snr = range_text(*group.snr_db, 0) if group.snr_db else "?"
        counts = tuple(str(group.verdicts[verdict] or "-") for verdict in VERDICTS.values())
        rows.append(
            (name[:32], size_text(group.matrix), str(group.coils), group.pattern, range_text(*group.accelerations),
             size_text(group.calibration), snr, group.noise, str(group.scans), *counts)
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    below = (*_finding_lines(found), *_note_lines(found), *_cohort_lines(found), *_left_out_line(found), *_refused_lines(found))
    return "\n".join([*lines, "", *below, _verdict_line(found)])


def _finding_lines(found: Audit) -> Iterator[str]:
    for one in findings_by_kind(found.scans):
        if one.severity != "note":
            first = list(zip(one.scans, one.findings, strict=True))[:3]
            named = [f"{record.scan}{f': {measured}' if (measured := numbers(finding)) else ''}" for record, finding in first]
            yield f"{one.severity}: {one.kind} in {counted(len(one.scans), 'scan')} ({', '.join(named)}{' ...' * (len(one.scans) > 3)})"
            yield f"    {one.reason}"
            yield f"    remedy: {one.remedy}"


def _note_lines(found: Audit) -> Iterator[str]:
    for (key, text), scans in list(scans_by_note(found.scans).items())[:LISTED]:
        yield f"noted in {counted(len(scans), 'scan')} ({scans[0]}{' ...' * (len(scans) > 1)}): {key}: {text}"
    if more := max(0, len(scans_by_note(found.scans)) - LISTED):
        yield f"and {counted(more, 'note')} more, in the page and the JSON"


def _left_out_line(found: Audit) -> Iterator[str]:
    if found.left_out:
        yield f"left out: {counted(len(found.left_out), 'scan')} ({', '.join(found.leave_out)})"


def _cohort_lines(found: Audit) -> Iterator[str]:
    for cohort in found.cohorts:
        yield f"{size_text(cohort.matrix)}, {counted(cohort.scans, 'scan')}: " + " ".join(cohort.says)


def _refused_lines(found: Audit) -> Iterator[str]:
    for name, reason in list(found.refused.items())[:LISTED]:
        yield f"not read: {name}: {reason}"
    if more := len(found.refused) - LISTED:
        yield f"not read: {more} files more" if more > 0 else ""


def _verdict_line(found: Audit) -> str:
    counts = ", ".join(f"{found.verdicts[verdict]} {verdict}" for verdict in VERDICTS.values())
    missing = f"; {found.missing} volumes not looked at yet" if found.missing else ""
    return f"{len(found.scans)} scans: {counts}; {len(found.refused)} files not read{missing}"


def write_refused(found: Audit, path: Path) -> None:
    """Write the ids of the scans that are refused, one a line behind the kinds of their findings: a list for ``--leave-out``."""
    lines = ["# Scans that the audit refuses, with the reasons. ssrecon prepare and run take this file: --leave-out " + path.name]
    for record in found.scans:
        if record.verdict == VERDICTS["refuse"]:
            kinds = sorted({str(finding["kind"]) for finding in record.findings if finding["severity"] == "refuse"})
            lines += [f"# {', '.join(kinds)}", escape(record.scan)]
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(found: Audit, path: Path) -> None:
    """Write everything for other programs: ``scans`` (as `ScanReport`, with ``verdict``), ``cohorts``, ``refused``."""
    content = {
        "verdicts": {verdict: found.verdicts[verdict] for verdict in VERDICTS.values()},
        "scans": [{**asdict(replace(record, picture="")), "verdict": record.verdict} for record in found.scans],
        "left_out": {"patterns": found.leave_out, "scans": found.left_out},
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
