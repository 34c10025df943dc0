"""Time `prepare` against its peers and its floor, and the training loader against the training that it feeds.

    python benchmarks/prepare.py [--volumes 3] [--slices 4] [--repeats 3]

1. ESPIRiT of the same slices (16 coils 320x320, 24x24 calibration lines, simulated) by ssrecon, BART and sigpy: seconds a slice and the
   agreement with sigpy's maps. Peers that are not installed are left out.
2. The whole of `prepare` (one process): read, whiten, ESPIRiT, scale, write; against a copy of what it writes, synced to the disk.
3. The loader: scans a second from the prepared store, against those that a training step eats (the network of `training_step.py`).

Everything in one run, in turns; simulated data.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import device_and_threads, median_seconds, write_result
from espirit import COILS, CROP, KERNEL, MATRIX, THRESHOLD, WIDTH, agreement, read_cfl, with_bart, with_sigpy, write_cfl
from training_step import SPEC, step_of

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator, espirit
from ssrecon.core import Process
from ssrecon.core.window import crop
from ssrecon.simulation import PhantomArchive, simulate
from ssrecon.store import Store, prepare
from ssrecon.store.loader import Step, load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=3)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder / "archive", PhantomArchive(subjects=options.volumes, slices=options.slices, matrix=MATRIX, coils=COILS))
        result = {
            "data": f"simulated: {options.volumes} volumes of {options.slices} slices, {COILS} coils {MATRIX[0]}x{MATRIX[1]}",
            "espirit": _time_espirit(folder, options.repeats),
            "prepare": _time_prepare(folder, options.repeats),
            "loader": _time_loader(folder / "store", options.repeats),
        }
    print(device_and_threads())
    write_result("prepare", result)


def _time_espirit(folder: Path, repeats: int) -> dict[str, Any]:
    archive = open_archive(folder / "archive")
    kept = [archive.read(ids[len(ids) // 2]).kspace for ids in archive.volumes().values()]
    kspaces = [kspace / kspace.abs().max() for kspace in kept]

    def ours() -> list[np.ndarray]:
        return [espirit(crop(kspace, (WIDTH, WIDTH)), MATRIX, 1, KERNEL, THRESHOLD, CROP)[0, 0].numpy() for kspace in kspaces]

    work: dict[str, Callable[[], Any]] = {"ssrecon": ours}
    maps = {"ssrecon": ours()}
    folders = [folder / f"slice{index}" for index in range(len(kspaces))]
    if shutil.which("bart"):
        for place, kspace in zip(folders, kspaces, strict=True):
            place.mkdir()
            write_cfl(place / "kspace", kspace[0, 0].numpy())
            with_bart(place)
        maps["BART"] = [read_cfl(place / "maps") for place in folders]
        work["BART"] = lambda: [with_bart(place) for place in folders]
    try:
        maps["sigpy"] = [with_sigpy(kspace[0, 0].numpy()) for kspace in kspaces]
        work["sigpy"] = lambda: [with_sigpy(kspace[0, 0].numpy()) for kspace in kspaces]
    except ImportError:
        pass
    times = {name: value / len(kspaces) for name, value in median_seconds(work, repeats).items()}
    found: dict[str, Any] = {
        "seconds_a_slice": times,
        "times_faster_than": {peer: value / times["ssrecon"] for peer, value in times.items() if peer != "ssrecon"},
    }
    if "sigpy" in maps:
        found["agreement_with_sigpy"] = {
            name: [agreement(one, other) for one, other in zip(own, maps["sigpy"], strict=True)]
            for name, own in maps.items()
            if name != "sigpy"
        }
    return found


def _time_prepare(folder: Path, repeats: int) -> dict[str, Any]:
    store = folder / "store"
    archive = open_archive(folder / "archive")

    def ours() -> None:
        shutil.rmtree(store, ignore_errors=True)
        prepare(archive, store, Calibrator())

    def copy() -> None:
        shutil.rmtree(folder / "copy", ignore_errors=True)
        (folder / "copy").mkdir()
        for path in store.glob("*.h5"):
            shutil.copyfile(path, folder / "copy" / path.name)
            with open(folder / "copy" / path.name, "rb") as file:
                os.fsync(file.fileno())

    times = median_seconds({"prepare": ours, "copy": copy}, repeats)
    slices = len(archive)
    written = sum(path.stat().st_size for path in store.glob("*.h5"))
    return {
        "seconds_a_slice": times["prepare"] / slices,
        "megabytes_written": written / 1e6,
        "megabytes_a_second": written / 1e6 / times["prepare"],
        "copy_megabytes_a_second": written / 1e6 / times["copy"],
        "times_the_copy": times["prepare"] / times["copy"],
    }


def _time_loader(folder: Path, repeats: int) -> dict[str, Any]:
    store = Store(folder)
    steps = [Step(number, 0, (header.scan_id,)) for number, header in enumerate(store.headers)]

    def read() -> None:
        for _ in load(store, steps, Process(), reference=False, workers=0):
            pass

    step = step_of(SPEC, store.load(store.headers[0].scan_id).scan, "cpu")
    times = median_seconds({"read": read, "step": step}, repeats)
    a_scan = times["read"] / len(steps)
    return {
        "scans_a_second_from_the_store": 1 / a_scan,
        "training_steps_a_second": 1 / times["step"],
        "times_as_fast_as_training_eats": times["step"] / a_scan,
        "workers": 0,
    }


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    main()
