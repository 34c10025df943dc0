"""Scores of reconstructions that lie in files, whoever made them, against references in files."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from ssrecon.archive.identifying import deidentified
from ssrecon.errors import BadInput
from ssrecon.evaluate import Row, tidy_row, write_metrics
from ssrecon.identity import safe_name
from ssrecon.metrics import score_volume
from ssrecon.progress import track
from ssrecon.scan import Header


def evaluate_folder(reconstructions: Path, references: Path, out: Path | None = None) -> str:
    """Score HDF5 files with `reconstruction` (fastMRI's layout) against files of the same name with `reconstruction_rss` (or `_esc`).

    The name is that of the reference, or the pseudonym that `reconstruct` gave it. Both images are cropped about their centres to the size
    they share. Gives a table of the means over volumes, and writes ``metrics.csv`` into `out` where one is given. Raises BadInput where a
    file has no counterpart or no images.
    """
    files = sorted(Path(reconstructions).rglob("*.h5"))
    if not files:
        raise BadInput(reconstructions, found="no .h5 file", expected="HDF5 files with `reconstruction`")
    named = {safe_name(path.relative_to(references).with_suffix("").as_posix()): path for path in Path(references).rglob("*.h5")}
    rows: list[Row] = []
    labels: Row = {"arm": "reconstruction", "seed": "", "selection": "none"}
    for file in track(files, "Scoring"):
        name = file.relative_to(reconstructions)
        images, _ = _read_images(file, ("reconstruction",))
        volume = safe_name(name.with_suffix("").as_posix())
        counterpart = named.get(volume, Path(references) / name)
        reference, subject = _read_images(counterpart, ("reconstruction_rss", "reconstruction_esc"))
        if len(images) != len(reference):
            raise BadInput(file, found=f"{len(images)} slices", expected=f"{len(reference)}, as in {counterpart}")
        header = deidentified(Header("", volume, subject or volume))
        size = tuple(min(a, b) for a, b in zip(images.shape[1:], reference.shape[1:], strict=True))
        for score in score_volume(_centre(images, size), _centre(reference, size)):
            scan_id = "" if score.slice is None else f"{volume}/slice-{score.slice:03d}"
            rows.append(tidy_row(labels, header, scan_id, score.metric, score.convention, score.value))
    if out is not None:
        write_metrics(Path(out) / "metrics.csv", rows)
    means: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if not row["scan"]:
            means.setdefault((str(row["metric"]), str(row["convention"])), []).append(float(row["value"]))
    lines = [f"{metric:8} {np.mean(values):10.5g}   {convention}" for (metric, convention), values in means.items()]
    return "\n".join([f"{len(files)} volumes, mean of the volumes' values", *lines])


def _read_images(path: Path, names: Sequence[str]) -> tuple[Float[np.ndarray, "n y x"], str]:
    try:
        with h5py.File(path) as file:
            for name in names:
                if name in file:
                    images = np.asarray(file[name][()], dtype=np.float32)
                    return images.reshape(-1, *images.shape[-2:]), str(file.attrs.get("patient_id", ""))
            raise BadInput(path, found=f"an HDF5 file with {', '.join(sorted(file)) or 'nothing'} at its top", expected=f"`{names[0]}`")
    except OSError as error:
        raise BadInput(path, found=f"no readable HDF5 file ({error})", expected=f"a file with `{names[0]}`") from error


def _centre(images: Float[np.ndarray, "n y x"], size: tuple[int, ...]) -> Float[np.ndarray, "n y x"]:
    first = [(n - m) // 2 for n, m in zip(images.shape[1:], size, strict=True)]
    return images[:, first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
