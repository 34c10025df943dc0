"""Damage the files of every format and read them: ``python -m tests.fuzz --count 1000 [--format NAME ...] [--json FILE]``.

Each mutation is read in a process of its own, with a limit of time and of memory; a crash, a hang or an appetite for gigabytes is an
outcome like another. Ends with status 1 where one was wrong. The 50 first mutations of each format are among the tests.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import torch

from ssrecon.archive import Archive
from tests.archive.judged import OUTCOMES, WRONG, Whole, judge
from tests.archive.mutations import mutate
from tests.contracts.classes import archives, mirrored

SECONDS, BYTES = 60, 1 << 30
"""What one mutation may take, beyond what the process has when it begins."""


def formats() -> dict[str, type[Archive]]:
    return {kind.__module__.rpartition(".")[2]: kind for kind in archives() if kind.layout}


def example(name: str, folder: Path) -> Path:
    return mirrored(formats()[name].__module__).example(folder)


def damaged(path: Path, seed: int, folder: Path) -> tuple[Path, str, int]:
    """A copy of an archive in `folder`, damaged."""
    shutil.copytree(path.parent, folder, dirs_exist_ok=True)
    what, touched = mutate(folder, seed)
    return folder / path.name, what, touched


def apart(path: Path, whole: Whole, touched: int) -> tuple[str, str]:
    """The outcome of one mutation, read in a process that may die of it."""
    inlet, outlet = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: torch has threads. The child reads and ends, and starts none.
        child = os.fork()
    if child == 0:
        os.close(inlet)
        # The parent's threads are not in the child: work that is divided among them would wait for ever.
        torch.set_num_threads(1)
        try:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, size + BYTES))
            warnings.simplefilter("error")
            found = judge(path, whole, touched)
        except BaseException as error:  # noqa: B036 - whatever it is, it is no BadInput
            where = traceback.extract_tb(error.__traceback__)[-1]
            found = WRONG, f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {error}"
        os.write(outlet, json.dumps(found)[:60000].encode())
        os._exit(0)
    os.close(outlet)
    deadline = time.monotonic() + SECONDS
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(inlet)
            return WRONG, f"a hang: not done within {SECONDS} s"
        time.sleep(0.002)
    with os.fdopen(inlet, "rb") as pipe:
        text = pipe.read()
    return tuple(json.loads(text)) if text else (WRONG, f"a crash (status {ended[1]})")


def fuzz(name: str, seeds: range) -> tuple[Counter, list[str]]:
    """How often each outcome was met, and a line for each that was wrong."""
    counts, wrong = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder, "original")
        original.mkdir()
        path = example(name, original)
        whole = Whole.read(path)
        for seed in seeds:
            place = Path(folder, "damaged")
            copy, what, touched = damaged(path, seed, place)
            outcome, reason = apart(copy, whole, touched)
            counts[outcome] += 1
            if outcome == WRONG:
                wrong.append(f"{name} {seed}: {what}: {reason}"[:400])
                print(wrong[-1], flush=True)
            shutil.rmtree(place)
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--format", action="append", choices=sorted(formats()))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print("format".ljust(18), "mutations", *OUTCOMES, sep="  ")
    table, failures = {}, []
    for name in chosen.format or sorted(formats()):
        counts, wrong = fuzz(name, range(chosen.first, chosen.first + chosen.count))
        table[name] = {outcome: counts[outcome] for outcome in OUTCOMES}
        failures += wrong
        cells = [str(counts[outcome]).rjust(len(outcome)) for outcome in OUTCOMES]
        print(name.ljust(18), str(counts.total()).rjust(9), *cells, sep="  ", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({"table": table, "wrong": failures}, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
