"""What an output folder holds already: volumes that are kept, what a killed process left, volumes of another store."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssrecon.core.description import alike
from ssrecon.core.errors import OutputInUse
from ssrecon.core.files import whole_file
from ssrecon.store.catalogue import records
from ssrecon.store.volume_file import read_provenance
from ssrecon.store.volume_job import VolumeToPrepare


def not_yet_prepared(out: Path, jobs: Sequence[VolumeToPrepare]) -> list[VolumeToPrepare]:
    """Return the volumes that are still to be made. Raises OutputInUse where the folder holds anything else: nothing is written over."""
    if out.exists() and not out.is_dir():
        raise OutputInUse(out, found="a file", expected="a folder, or a path where one can be made")
    expected = {job.path.name: job for job in jobs}
    listed = {record.file: record for record in records(out).values()} if out.exists() else {}
    done = set()
    for path in sorted(out.glob("*.h5")) if out.exists() else []:
        known, job = read_provenance(path, listed.get(path.name)), expected.get(path.name)
        if known is None:
            raise OutputInUse(path, found="a file that is no prepared volume, or a damaged one", expected="another folder, or its removal")
        if job is None:
            raise OutputInUse(path, found=f"a volume of other data ({known.get('volume')})", expected="an empty folder")
        if not _is_made_alike(known, job.provenance()):
            raise OutputInUse(
                path, found="a volume made from other data or with other settings", expected="an empty folder, or the same ones"
            )
        done.add(path.name)
    return [job for name, job in expected.items() if name not in done]


def _is_made_alike(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether two records of how a volume was made say the same. Earlier versions wrote classes by file and hashed them otherwise."""
    if known.get("fingerprint") == now["fingerprint"]:
        return True
    how = (now.keys() | known.keys()) - {"fingerprint", "calibration", "unfit"}
    return alike({key: known.get(key) for key in how}, {key: now.get(key) for key in how})


def remove_partial_files(out: Path, names: set[str]) -> None:
    """Remove what a killed process left of volumes that are this call's to make; other shards may be writing theirs."""
    for partial in out.glob(".*.partial"):
        if partial.name[1:].rsplit(".", 2)[0] in names:
            partial.unlink(missing_ok=True)


def link_volumes(source: Path, out: Path) -> None:
    """Link the volumes of a store into a folder; copy them where links are impossible. Raises OutputInUse where it holds others."""
    out.mkdir(parents=True, exist_ok=True)
    for target in sorted(out.glob("*.h5")):
        # An interrupted call left a part of this very store; anything else is another archive's, and would be mixed into the run.
        known, expected = read_provenance(target), read_provenance(source / target.name)
        if known is None or known != expected:
            raise OutputInUse(target, found="a volume of another store", expected=f"the volumes of {source}; choose another output folder")
    for path in sorted(source.glob("*.h5")):
        target = out / path.name
        if target.exists():
            continue
        try:
            os.link(path, target)
        except OSError:
            with whole_file(target) as partial:
                shutil.copyfile(path, partial)
