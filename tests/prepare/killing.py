"""Kill a `prepare` at random moments, run it again until it ends, and compare the bytes with an undisturbed one.

    python -m tests.prepare.killing --kills 10 --workers 2

Kills are SIGKILLs of the whole process group (workers included), each at a random moment after a call has begun to write.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ssrecon.archive.phantom import PhantomArchive
from ssrecon.catalogue import records
from ssrecon.simulate import simulate
from ssrecon.store import Store
from tests.prepare.test_prepare import bits


def killed(archive: Path, out: Path, workers: int, kills: int, seed: int = 0) -> dict[str, object]:
    """Prepare `archive` under `out`, undisturbed and killed; how it went."""
    start = time.monotonic()
    running = _call(archive, out / "undisturbed", workers)
    while running.poll() is None and not list((out / "undisturbed").glob("*.h5")):
        time.sleep(0.005)
    began = time.monotonic() - start
    running.wait()
    took = time.monotonic() - start
    rng = random.Random(seed)
    # Each call gets on by about a kill's share of the work, so that there is work left for the last kill.
    moments = [began + (took - began) / kills * rng.uniform(0, 1.5) for _ in range(kills)]
    interrupted, partial = 0, 0
    for moment in moments:
        running = _call(archive, out / "killed", workers)
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            interrupted += 1
            partial += len(list((out / "killed").glob(".*.partial")))
            for path in (out / "killed").glob("*.h5"):
                assert (out / "undisturbed" / path.name).read_bytes() == path.read_bytes(), f"{path.name} is not whole"
    assert _call(archive, out / "killed", workers).wait() == 0
    one, other = Store(out / "undisturbed"), Store(out / "killed")
    states = {name: record.state for name, record in records(out / "killed").items()}
    return {
        "kills": interrupted,
        "half-written files left by kills": partial,
        "volumes": len(states),
        "same bytes": bits(out / "undisturbed") == bits(out / "killed") and one.fingerprint() == other.fingerprint(),
        "all in the catalogue": set(states.values()) == {"done"} and len(states) == len(bits(out / "undisturbed")),
        "nothing left over": not list((out / "killed").glob(".*")),
    }


def _call(archive: Path, out: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "ssrecon.cli", "prepare", str(archive), str(out), "--maps", "1", "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--subjects", type=int, default=24)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        simulate(archive, PhantomArchive(subjects=options.subjects, slices=2, matrix=(128, 128), coils=8))
        for name, value in killed(archive, Path(folder), options.workers, options.kills).items():
            print(f"{name}: {value}")
