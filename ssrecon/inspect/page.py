"""An audit as one HTML page, with nothing outside it."""

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from ssrecon.core.files import whole_file
from ssrecon.core.wording import counted
from ssrecon.inspect.audit import Audit
from ssrecon.inspect.cohort import Cohort
from ssrecon.inspect.scan_report import VERDICTS, ScanReport
from ssrecon.inspect.summary import (
    FindingKind,
    findings_by_kind,
    groups_by_protocol,
    numbers,
    pattern_words,
    range_text,
    scans_by_note,
    size_text,
)

WORDS = {"refuse": "refused", "warn": "warned of", "note": "noted"}
NAMED = 8


def write_page(found: Audit, path: Path) -> Path:
    """Write the page. It shows ids as the archive gives them: pseudonyms, where names could name someone."""
    template = Template(files("ssrecon.inspect").joinpath("audit_template.html").read_text(encoding="utf-8"))
    counts = "".join(_key_figure(str(found.verdicts[verdict]), verdict, kind) for kind, verdict in VERDICTS.items())
    page = template.substitute(
        css=files("ssrecon.inspect").joinpath("audit.css").read_text(encoding="utf-8"),
        keys=_key_figure(str(len(found.scans)), "scans", "")
        + counts
        + _key_figure(str(len(found.refused)), "files not read", "refuse" if found.refused else ""),
        missing=f"<p class=warn>{found.missing} volumes were not looked at yet: run the remaining shards.</p>" if found.missing else "",
        protocols=_protocol_table(found.scans),
        cohorts="".join(map(_cohort_figure, found.cohorts)) or "<p>No scan may train.</p>",
        findings="".join(_finding_sections(found.scans)) or "<p>Nothing.</p>",
        refused=_notes_section(found.scans) + _left_out_section(found) + _refused_section(found),
        scans=_scan_table(found.scans),
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _key_figure(value: str, caption: str, kind: str) -> str:
    return f'<div class="key {kind}"><b>{value}</b><span>{escape(caption)}</span></div>'


def _table_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _protocol_table(scans: Sequence[ScanReport]) -> str:
    rows: list[list[str]] = []
    for group in groups_by_protocol(scans):
        counts = [
            f'<span class="chip {kind}">{group.verdicts[verdict]} {verdict}</span>'
            for kind, verdict in VERDICTS.items()
            if group.verdicts[verdict]
        ]
        rows.append(
            [
                _picture_tag(group.picture, group.protocol or "a scan of this protocol"),
                escape(group.protocol or "(no name)"),
                escape(group.contrast),
                size_text(group.matrix),
                str(group.coils),
                escape(group.pattern),
                range_text(*group.accelerations),
                size_text(group.calibration),
                range_text(*group.snr_db, 0) if group.snr_db else "",
                escape(group.noise),
                str(group.subjects),
                " ".join(counts),
            ]
        )
    noise = ("SNR (dB)", "noise level from")
    head = ("", "protocol", "contrast", "matrix", "coils", "pattern", "R", "calibration", *noise, "subjects", "scans")
    return _table_html(head, rows)


def _cohort_figure(cohort: Cohort) -> str:
    says = "".join(f"<li>{escape(text)}</li>" for text in cohort.says)
    title = f"{size_text(cohort.matrix)}: {counted(cohort.scans, 'scan')} of {counted(cohort.volumes, 'volume')}"
    kind = "line" if cohort.frequency.ndim == 1 else "point"
    name = f"how often each {'line' if kind == 'line' else 'location'} was acquired"
    if bool((cohort.frequency == 1).all()):
        return f'<p class="cohort"><b>{escape(title)}</b>: everything was acquired in every scan.</p>'
    return (
        f'<figure class="cohort {kind}"><img alt="{escape(name)}" src="data:image/png;base64,{_frequency_picture(cohort.frequency)}">'
        f"<figcaption><b>{escape(title)}</b>: {name}: never is red, rarely dark, always white.<ul>{says}</ul>"
        "</figcaption></figure>"
    )


def _picture_tag(png: str, alt: str) -> str:
    return f'<img class="scan" alt="{escape(alt)}" src="data:image/png;base64,{png}">' if png else ""


def _frequency_picture(frequency: np.ndarray) -> str:
    from matplotlib import colormaps
    from matplotlib.image import imsave

    values = np.sqrt(frequency[None].repeat(24, axis=0) if frequency.ndim == 1 else frequency)
    colours = colormaps["gray"](0.12 + 0.88 * values)
    colours[values == 0] = (0.72, 0.18, 0.14, 1.0)
    buffer = io.BytesIO()
    imsave(buffer, colours, format="png", metadata={"Software": ""})
    return base64.b64encode(buffer.getvalue()).decode()


def _finding_sections(scans: Sequence[ScanReport]) -> Iterator[str]:
    for one in findings_by_kind(scans):
        yield (
            f'<section class="finding {one.severity}">{_picture_tag(one.picture, one.kind)}<div>'
            f"<h3>{escape(one.kind.replace('_', ' '))}"
            f'<span class="chip {one.severity}">{counted(len(one.scans), "scan")} {WORDS[one.severity]}</span></h3>'
            f"<p>{escape(one.reason)}.</p><p><b>Remedy:</b> {escape(one.remedy)}.</p>{_scans_of_kind(one)}</div></section>"
        )


def _scans_of_kind(one: FindingKind) -> str:
    """Return the scans of a kind of finding, each with its numbers, and with its own words where these differ; few of them are unfolded."""
    same = len({str(finding["reason"]) for finding in one.findings}) == 1
    if same and not any(map(numbers, one.findings)):
        named = ", ".join(escape(record.scan) for record in one.scans[:NAMED])
        return f"<p class=ids>{named}{f' and {len(one.scans) - NAMED} more' if one.scans[NAMED:] else ''}</p>"
    rows = [
        [escape(record.scan), escape(numbers(finding)), *([] if same else [escape(str(finding["reason"]))])]
        for record, finding in zip(one.scans, one.findings, strict=True)
    ]
    table = _table_html(("scan", "measured", *(() if same else ("what was found",))), rows)
    return table if len(rows) <= NAMED else f"<details><summary>Show the {len(rows)} scans</summary>{table}</details>"


def _notes_section(scans: Sequence[ScanReport]) -> str:
    found = scans_by_note(scans)
    if not found:
        return ""
    rows = [
        [escape(key), escape(text), str(len(ids)), ", ".join(map(escape, ids[:3])) + (" ..." if ids[3:] else "")]
        for (key, text), ids in found.items()
    ]
    return "<h2>What the readers noted</h2>" + _table_html(("about", "note", "scans", "such as"), rows)


def _left_out_section(found: Audit) -> str:
    if not found.left_out:
        return ""
    named = ", ".join(map(escape, found.left_out[:NAMED])) + (" ..." if found.left_out[NAMED:] else "")
    return f"<h2>Left out</h2><p>{counted(len(found.left_out), 'scan')}, by {escape(', '.join(found.leave_out))}: {named}</p>"


def _refused_section(found: Audit) -> str:
    if not found.refused:
        return ""
    not_read = [[escape(name), escape(reason)] for name, reason in found.refused.items()]
    return "<h2>Files that were not read</h2>" + _table_html(("file", "reason"), not_read)


def _coils_text(record: ScanReport) -> str:
    return f"{record.coils} ({record.connected} connected)" if record.connected < record.coils else str(record.coils or "")


def _scan_table(scans: Sequence[ScanReport]) -> str:
    rows: list[list[str]] = []
    for record in scans:
        kind = next(kind for kind, verdict in VERDICTS.items() if verdict == record.verdict)
        what = ", ".join(str(finding["kind"]).replace("_", " ") for finding in record.findings if finding["severity"] != "note")
        rows.append(
            [
                escape(record.scan),
                f'<span class="chip {kind}">{record.verdict}</span>',
                size_text(record.matrix),
                _coils_text(record),
                escape(pattern_words(record)) if record.sampling else "",
                f"{record.sampling['acceleration']:.2f}" if record.sampling else "",
                size_text(record.sampling["calibration"]) if record.sampling else "",
                f"{record.snr_db:.1f}" if record.snr_db is not None else "",
                escape(what),
            ]
        )
    head = ("scan", "verdict", "matrix", "coils", "pattern", "R", "calibration", "SNR (dB)", "because of")
    return _table_html(head, rows)
