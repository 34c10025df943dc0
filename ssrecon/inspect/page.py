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
from ssrecon.inspect.audit import Audit
from ssrecon.inspect.cohort import Cohort
from ssrecon.inspect.look import VERDICTS, Looked
from ssrecon.inspect.summary import between, by_kind, by_protocol, counted, pattern, size

WORDS = {"refuse": "refused", "warn": "warned of", "note": "noted"}
NAMED = 8


def write_page(found: Audit, path: Path) -> Path:
    """Write the page. It shows ids as the archive gives them: pseudonyms, where names could name someone."""
    template = Template(files("ssrecon.inspect").joinpath("audit_template.html").read_text(encoding="utf-8"))
    counts = "".join(_key(str(found.verdicts[verdict]), verdict, kind) for kind, verdict in VERDICTS.items())
    page = template.substitute(
        css=files("ssrecon.inspect").joinpath("audit.css").read_text(encoding="utf-8"),
        keys=_key(str(len(found.scans)), "scans", "")
        + counts
        + _key(str(len(found.refused)), "files not read", "refuse" if found.refused else ""),
        missing=f"<p class=warn>{found.missing} volumes were not looked at yet: run the remaining shards.</p>" if found.missing else "",
        protocols=_protocols(found.scans),
        cohorts="".join(map(_cohort, found.cohorts)) or "<p>No scan may train.</p>",
        findings="".join(_findings(found.scans)) or "<p>Nothing.</p>",
        refused=_refused(found),
        scans=_scans(found.scans),
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _key(value: str, caption: str, kind: str) -> str:
    return f'<div class="key {kind}"><b>{value}</b><span>{escape(caption)}</span></div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _protocols(scans: Sequence[Looked]) -> str:
    rows: list[list[str]] = []
    for group in by_protocol(scans):
        counts = [
            f'<span class="chip {kind}">{group.verdicts[verdict]} {verdict}</span>'
            for kind, verdict in VERDICTS.items()
            if group.verdicts[verdict]
        ]
        rows.append(
            [
                escape(group.protocol or "(no name)"),
                escape(group.contrast),
                size(group.matrix),
                str(group.coils),
                escape(group.pattern),
                between(*group.accelerations),
                size(group.calibration),
                between(*group.snr_db, 0) if group.snr_db else "",
                escape(group.noise),
                str(group.subjects),
                " ".join(counts),
            ]
        )
    head = ("protocol", "contrast", "matrix", "coils", "pattern", "R", "calibration", "SNR (dB)", "noise level from", "subjects", "scans")
    return _table(head, rows)


def _cohort(cohort: Cohort) -> str:
    says = "".join(f"<li>{escape(text)}</li>" for text in cohort.says)
    title = f"{size(cohort.matrix)}: {counted(cohort.scans, 'scan')} of {counted(cohort.volumes, 'volume')}"
    kind = "line" if cohort.frequency.ndim == 1 else "point"
    name = f"how often each {'line' if kind == 'line' else 'location'} was acquired"
    return (
        f'<figure class="cohort {kind}"><img alt="{escape(name)}" src="data:image/png;base64,{_picture(cohort.frequency)}">'
        f"<figcaption><b>{escape(title)}</b>: {name}: never is red, rarely dark, always white.<ul>{says}</ul>"
        "</figcaption></figure>"
    )


def _picture(frequency: np.ndarray) -> str:
    from matplotlib import colormaps
    from matplotlib.image import imsave

    values = np.sqrt(frequency[None].repeat(24, axis=0) if frequency.ndim == 1 else frequency)
    colours = colormaps["gray"](0.12 + 0.88 * values)
    colours[values == 0] = (0.72, 0.18, 0.14, 1.0)
    buffer = io.BytesIO()
    imsave(buffer, colours, format="png", metadata={"Software": ""})
    return base64.b64encode(buffer.getvalue()).decode()


def _findings(scans: Sequence[Looked]) -> Iterator[str]:
    for finding, members in by_kind(scans):
        named = ", ".join(escape(record.scan) for record in members[:NAMED])
        more = f" and {len(members) - NAMED} more" if members[NAMED:] else ""
        severity = str(finding["severity"])
        yield (
            f'<section class="finding {severity}"><h3>{escape(str(finding["kind"]).replace("_", " "))}'
            f'<span class="chip {severity}">{counted(len(members), "scan")} {WORDS[severity]}</span></h3>'
            f"<p>{escape(str(finding['reason']))}.</p><p><b>Remedy:</b> {escape(str(finding['remedy']))}.</p>"
            f"<p class=ids>{named}{more}</p></section>"
        )


def _refused(found: Audit) -> str:
    if not found.refused:
        return ""
    not_read = [[escape(name), escape(reason)] for name, reason in found.refused.items()]
    return "<h2>Files that were not read</h2>" + _table(("file", "reason"), not_read)


def _scans(scans: Sequence[Looked]) -> str:
    rows: list[list[str]] = []
    for record in scans:
        kind = next(kind for kind, verdict in VERDICTS.items() if verdict == record.verdict)
        what = ", ".join(str(finding["kind"]).replace("_", " ") for finding in record.findings if finding["severity"] != "note")
        rows.append(
            [
                escape(record.scan),
                f'<span class="chip {kind}">{record.verdict}</span>',
                size(record.matrix),
                str(record.coils or ""),
                escape(pattern(record)) if record.sampling else "",
                f"{record.sampling['acceleration']:.2f}" if record.sampling else "",
                size(record.sampling["calibration"]) if record.sampling else "",
                f"{record.snr_db:.1f}" if record.snr_db is not None else "",
                escape(what),
            ]
        )
    head = ("scan", "verdict", "matrix", "coils", "pattern", "R", "calibration", "SNR (dB)", "because of")
    return _table(head, rows)
