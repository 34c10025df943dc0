"""Kill a `prepare` at random moments, run it again until it ends, and compare the bytes with an undisturbed one.

    python -m tests.store.killing --kills 10 --workers 2

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

from ssrecon.simulation import PhantomArchive, simulate
from ssrecon.store.catalogue import records
from ssrecon.store.store import Store
from tests.store.test_prepare import bits


def killed(archive: Path, out: Path, workers: int, kills: int, delay: float = 0.0, seed: int = 0) -> dict[str, object]:
    """Prepare `archive` under `out`, undisturbed and killed up to `delay` seconds after a volume was done; how it went."""
    _call(archive, out / "undisturbed", workers).wait()
    volumes = len(list((out / "undisturbed").glob("*.h5")))
    rng = random.Random(seed)
    interrupted, partial = 0, 0
    for kill in range(kills):
        # Each call gets on by about a kill's share of the work, and is killed a random moment later.
        running = _call(archive, out / "killed", workers)
        while running.poll() is None and len(list((out / "killed").glob("*.h5"))) <= kill * volumes // (kills + 1):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, delay))
        if running.poll() is None:
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
        "nothing left over": [path.name for path in (out / "killed").glob(".*")] == [".catalogue.sqlite"],
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
        for name, value in killed(archive, Path(folder), options.workers, options.kills, delay=0.3).items():
            print(f"{name}: {value}")
