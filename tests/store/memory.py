"""How much memory `prepare` (or `audit`) takes for a large 3-D scan.

    python -m tests.store.memory --layout ismrmrd --matrix 128 160 256 --coils 12 [--audit]

A simulated scan is written in another process, prepared in this one, and the process's private memory looked at every 5 ms (Linux). Pages
of files that are mapped are not counted: the system takes them back when it wants to.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.plain import write_plain
from ssrecon.calibrate import Calibrator
from ssrecon.core.scan import Header, Scan
from ssrecon.inspect.audit import audit
from ssrecon.store.prepare import prepare
from tests.archive.mrd import lines as mrd
from tests.scans import full_kspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layout", choices=("ismrmrd", "plain", "bart"), default="ismrmrd")
    parser.add_argument("--matrix", type=int, nargs=3, default=(128, 160, 256), metavar=("Z", "Y", "X"))
    parser.add_argument("--coils", type=int, default=12)
    parser.add_argument("--audit", action="store_true", help="audited, not prepared")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        _write(options.write, options.layout, tuple(options.matrix), options.coils)
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / ("scan1.cfl" if options.layout == "bart" else "scan1.h5")
        subprocess.run([sys.executable, "-m", "tests.store.memory", *sys.argv[1:], "--write", str(path)], check=True)
        torch.fft.fft(torch.randn(8, 8))  # Libraries that load themselves at first use belong to the base.
        base = highest = _private()
        done = False

        def watch() -> None:
            nonlocal highest
            while not done:
                highest = max(highest, _private())
                time.sleep(0.005)

        watcher, start = threading.Thread(target=watch), time.monotonic()
        watcher.start()
        out = Path(name) / "out"
        made = audit(open_archive(path), out).scans if options.audit else prepare(open_archive(path), out, Calibrator()).headers
        done = True
        watcher.join()
        print(f"{options.layout}: {len(made)} scans of a volume of {8e-6 * np.prod(options.matrix) * options.coils:.0f} MB")
        print(f"base {base:.0f} MB, peak {highest:.0f} MB, added {highest - base:.0f} MB; {time.monotonic() - start:.0f} s")


def _write(path: Path, layout: str, matrix: tuple[int, int, int], coils: int) -> None:
    kspace = full_kspace(matrix, coils, 1, 1, 0.01, 0)
    z, y, x = matrix
    if layout == "plain":
        mask = torch.ones(1, 1, 1, z, y, x, dtype=torch.bool)
        header = Header("scan1/slice-000", "scan1", "subject1", encoded_matrix=matrix, recon_matrix=matrix)
        write_plain(path, [Scan(header, kspace, mask, torch.zeros_like(mask))])
        return
    if layout == "bart":
        path.with_suffix(".hdr").write_text(f"# Dimensions\n{x} {y} {z} {coils} {' '.join('1' * 12)}\n")
        kspace[0, 0].numpy().tofile(path)  # its first index runs fastest
        return
    places = np.stack(np.meshgrid(range(z), range(y), indexing="ij"), -1).reshape(-1, 2)
    head = mrd.heads(z * y, coils, x, kspace_encode_step_1=places[:, 1], kspace_encode_step_2=places[:, 0])
    lines = np.ascontiguousarray(np.moveaxis(kspace[0, 0].numpy(), 0, 2).reshape(z * y, coils, x))
    mrd.write(path, mrd.header_xml(matrix), (head, lines))


def _private() -> float:
    """Megabytes of this process that are in no file."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1.024e-3


if __name__ == "__main__":
    main()
