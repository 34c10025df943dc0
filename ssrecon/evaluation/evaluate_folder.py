"""Scores of reconstructions in files, whoever made them, against references in files."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import unreadable
from ssrecon.core.progress import track
from ssrecon.core.scan import Header
from ssrecon.core.window import crop
from ssrecon.core.wording import counted
from ssrecon.evaluation.rows import Row, tidy_row, write_metrics
from ssrecon.metrics.volume import score_volume
from ssrecon.privacy.identifying import deidentified
from ssrecon.privacy.pseudonyms import safe_name
from ssrecon.recipe.selection import Selection


def evaluate_folder(reconstructions: Path, references: Path, out: Path | None = None) -> str:
    """Score HDF5 files with `reconstruction` (fastMRI's layout) against files of the same name with `reconstruction_rss` (or `_esc`).

    The name is that of the reference, or the pseudonym that `reconstruct` gave it. Both images are cropped about pixel ``N // 2`` to the
    size they share. Returns a table of the means over subjects (of each, over its volumes), and writes ``metrics.csv`` into `out` where one
    is given. Raises BadInput where a file has no counterpart or no images.
    """
    files = sorted(Path(reconstructions).rglob("*.h5"))
    if not files:
        raise BadInput(reconstructions, found="no .h5 file", expected="HDF5 files with `reconstruction`")
    named = {safe_name(path.relative_to(references).with_suffix("").as_posix()): path for path in Path(references).rglob("*.h5")}
    rows: list[Row] = []
    scored: set[Path] = set()
    labels: Row = {"arm": "reconstruction", "seed": "", "selection": Selection.NONE}
    for file in track(files, "Scoring"):
        name = file.relative_to(reconstructions)
        images, _ = _read_images(file, ("reconstruction",))
        volume = safe_name(name.with_suffix("").as_posix())
        counterpart = named.get(volume, Path(references) / name)
        scored.add(counterpart)
        reference, subject = _read_images(counterpart, ("reconstruction_rss", "reconstruction_esc"))
        if images.shape[:2] != reference.shape[:2]:
            found, expected = (f"{counted(n, 'slice')} of {counted(m, 'frame')}" for n, m in (images.shape[:2], reference.shape[:2]))
            raise BadInput(file, found=found, expected=f"{expected}, as in {counterpart}")
        frames = images.shape[1]
        images, reference = (values.reshape(-1, *values.shape[2:]) for values in (images, reference))
        header = deidentified(Header("", volume, subject or volume))
        size = tuple(min(a, b) for a, b in zip(images.shape[1:], reference.shape[1:], strict=True))
        try:
            scores = list(score_volume(crop(images, size), crop(reference, size)))
        except ValueError as error:
            raise BadInput(file, found=f"images that cannot be scored: {error}", expected=f"finite images like {counterpart}'s") from error
        for score in scores:
            scan_id = "" if score.slice is None else f"{volume}/slice-{score.slice // frames:03d}"
            scan_id += f"/frame-{score.slice % frames:03d}" if score.slice is not None and frames > 1 else ""
            rows.append(tidy_row(labels, header, scan_id, score.metric, score.convention, score.value))
    if out is not None:
        write_metrics(Path(out) / "metrics.csv", rows)
    # The subject is the unit: one of many volumes counts no more than one of few.
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if not row["scan"]:
            subjects = values.setdefault((str(row["metric"]), str(row["convention"])), {})
            subjects.setdefault(str(row["subject"]), []).append(float(row["value"]))
    means = {key: [float(np.mean(volumes)) for volumes in subjects.values()] for key, subjects in values.items()}
    lines = [f"{metric:8} {np.mean(found):10.5g}   {convention}" for (metric, convention), found in means.items()]
    people = len({row["subject"] for row in rows})
    left = sorted(set(named.values()) - scored)
    if left:
        names = ", ".join(path.name for path in left[:5]) + " ..." * (len(left) > 5)
        lines.append(f"{counted(len(left), 'reference')} without a reconstruction: {names}")
    return "\n".join([f"{counted(len(files), 'volume')} of {counted(people, 'subject')}, mean of the subjects' means", *lines])


def _read_images(path: Path, names: Sequence[str]) -> tuple[Float[np.ndarray, "slices frames y x"], str]:
    try:
        with h5py.File(path) as file:
            for name in names:
                if name in file:
                    images = np.asarray(file[name][()], dtype=np.float32)
                    if images.ndim not in (2, 3, 4):
                        raise BadInput(path, found=f"`{name}` of shape {images.shape}", expected="(slices, y, x) or (slices, frames, y, x)")
                    images = images if images.ndim == 4 else images.reshape(-1, 1, *images.shape[-2:])
                    return images, str(file.attrs.get("patient_id", ""))
            raise BadInput(path, found=f"an HDF5 file with {', '.join(sorted(file)) or 'nothing'} at its top", expected=f"`{names[0]}`")
    except OSError as error:
        raise unreadable(path, error, f"a file with `{names[0]}`") from error
