"""Time ESPIRiT of 16 coils 320x320 from 24x24 calibration samples: ssrecon, sigpy and BART on the same seeded data.

    python benchmarks/espirit.py [--device cuda] [--repeats 3]

Peers that are not installed are left out. BART is a program of its own: its time is that of the process, with its files in memory where
the machine has /dev/shm. All three use kernels of 6, one map set and a threshold of .02 on the singular values; the correlation over coils,
per pixel, is against sigpy's maps on sigpy's support.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import device_and_threads, median_seconds, synchronize, write_result

from ssrecon.calibrate import espirit, mix_coils, noise_covariance, whitening
from ssrecon.core.window import crop
from ssrecon.simulation import PhantomArchive

MATRIX, COILS, WIDTH = (320, 320), 16, 24
KERNEL, THRESHOLD, CROP = 6, 0.02, 0.95
BART_THRESHOLD = THRESHOLD**2
"""BART applies its threshold to the eigenvalues of the Gram matrix, the squares of the singular values."""


def problem() -> torch.Tensor:
    """Return the whitened k-space of a slice of the phantom."""
    archive = PhantomArchive(subjects=1, slices=2, matrix=MATRIX, coils=COILS, seed=0)
    scan = archive.read(archive.headers[0].scan_id)
    assert scan.noise is not None
    return mix_coils(whitening(noise_covariance(scan.noise, scan.noise_bandwidth_ratio)).matrix, scan.kspace)


def with_sigpy(kspace: np.ndarray) -> np.ndarray:
    import sigpy.mri

    app = sigpy.mri.app.EspiritCalib(kspace, calib_width=WIDTH, thresh=THRESHOLD, kernel_width=KERNEL, crop=CROP, show_pbar=False)
    return np.asarray(app.run())


def write_cfl(path: Path, array: np.ndarray) -> None:
    """Write `array` (coils, y, x) as BART's x, y, z, coil."""
    data = np.asfortranarray(array.transpose(2, 1, 0)[:, :, None, :].astype(np.complex64))
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, data.shape)) + "\n")
    data.ravel(order="F").tofile(path.with_suffix(".cfl"))


def read_cfl(path: Path) -> np.ndarray:
    shape = [int(n) for n in path.with_suffix(".hdr").read_text().splitlines()[1].split()][:4]
    data = np.fromfile(path.with_suffix(".cfl"), dtype=np.complex64).reshape(shape, order="F")
    return data[:, :, 0].transpose(2, 1, 0)


def with_bart(folder: Path) -> None:
    options = ["-m", "1", "-r", str(WIDTH), "-k", str(KERNEL), "-t", str(BART_THRESHOLD), "-c", str(CROP)]
    subprocess.run(["bart", "ecalib", *options, str(folder / "kspace"), str(folder / "maps")], check=True, capture_output=True)


def agreement(maps: np.ndarray, oracle: np.ndarray) -> dict[str, float]:
    """Return |correlation| over the coils, per pixel where neither is zero, and how much of the oracle's support is covered."""
    norms = [np.linalg.norm(m, axis=0) for m in (maps, oracle)]
    both = (norms[0] > 0) & (norms[1] > 0)
    correlation = np.abs((maps.conj() * oracle).sum(axis=0))[both] / (norms[0] * norms[1])[both]
    return {
        "median_correlation": float(np.median(correlation)),
        "first_percentile_correlation": float(np.percentile(correlation, 1)),
        "support_covered": float(both.sum() / (norms[1] > 0).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    kspace = problem()
    full = kspace[0, 0].numpy()
    region = crop(kspace, (WIDTH, WIDTH)).to(options.device)

    def ours(maps: int = 1) -> torch.Tensor:
        return espirit(region, MATRIX, maps, KERNEL, THRESHOLD, CROP)

    work: dict[str, Callable[[], Any]] = {"ssrecon": ours, "ssrecon, two map sets": lambda: ours(2)}
    maps = {"ssrecon": ours()[0, 0].cpu().numpy()}
    peers = options.device == "cpu"
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        if peers and shutil.which("bart"):
            write_cfl(folder / "kspace", full)
            work["BART"] = lambda: with_bart(folder)
            with_bart(folder)
            maps["BART"] = read_cfl(folder / "maps")
        if find_spec("sigpy"):
            maps["sigpy"] = with_sigpy(full)
            if peers:
                work["sigpy"] = lambda: with_sigpy(full)
        times = median_seconds(work, options.repeats, options.device)
    synchronize(options.device)
    result: dict[str, Any] = {
        "work": f"ESPIRiT, {COILS} coils {MATRIX[0]}x{MATRIX[1]}, {WIDTH}x{WIDTH} calibration, kernel {KERNEL}, threshold {THRESHOLD}",
        "seconds": times,
        "times_faster_than": {peer: times[peer] / times["ssrecon"] for peer in ("BART", "sigpy") if peer in times},
    }
    if "sigpy" in maps:
        result["agreement_with_sigpy"] = {name: agreement(m, maps["sigpy"]) for name, m in maps.items() if name != "sigpy"}
    print(device_and_threads(options.device))
    write_result("espirit", result, options.device)


if __name__ == "__main__":
    main()
