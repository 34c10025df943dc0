"""Measure how many updates a second 1, 2, 4 ... trainings at a time make together on one device (`ssrecon run --workers`).

The network and scans of `recipes/which_objective.py`, objective multi-mask SSDU; on the CPU each training has its share of the threads.

    python benchmarks/side_by_side.py [--device cuda] [--workers 1 2 4] [--seconds 10] [--full]
"""

import argparse
import sys
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from common import write_result

from ssrecon.archive import BySubject
from ssrecon.core import Process
from ssrecon.recipe import load_recipe
from ssrecon.store import Store
from ssrecon.store.prepare import prepare_data
from ssrecon.training import Trainer

START_TIMEOUT = 120.0
"""A process has this many seconds to start."""
STUDY = Path(__file__).parents[1] / "recipes" / "which_objective.py"


def recipe_of(full: bool):
    load_recipe(STUDY)
    arm = sys.modules["which_objective"].comparison_of("columns", full).arms["multi_mask_ssdu"]
    data = replace(arm.data, source=replace(arm.data.source, subjects=4), split=BySubject(validation=1, test=1))
    return replace(arm, data=data)


def train(folder: Path, place: str, device: str, threads: int, full: bool, duration: float, barrier: Any, counts: Any) -> None:
    torch.set_num_threads(threads)
    recipe, store = recipe_of(full), Store(folder)
    process = Process(device=torch.device(device))
    trainer = Trainer(recipe, store, recipe.data.split.assign(store.headers), folder.parent / place, process)
    steps = list(trainer.schedule.steps(0, 100_000))
    scans = [[store.load(scan_id) for scan_id in step.ids] for step in steps[:4]]
    for step, batch in zip(steps[:4], scans, strict=True):
        trainer.update(step, batch)
    barrier.wait(START_TIMEOUT)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < duration:
        trainer.update(steps[done % 4], scans[done % 4])
        done += 1
    counts.put(done / (time.perf_counter() - started))


def updates_per_second(folder: Path, workers: int, device: str, full: bool, duration: float) -> float:
    """Return how many updates a second so many trainings make between them."""
    context = get_context("spawn")
    barrier, counts = context.Barrier(workers), context.Queue()
    threads = max(1, torch.get_num_threads() // workers)
    arguments = [(folder, f"training-{i}", device, threads, full, duration, barrier, counts) for i in range(workers)]
    processes = [context.Process(target=train, args=each) for each in arguments]
    for process in processes:
        process.start()
    try:
        # Where one dies, the others and this process give up as well.
        return sum(counts.get(timeout=START_TIMEOUT + duration) for _ in processes)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--full", action="store_true", help="the study's full grid: 192x192, 8 unrolls, 8 residual blocks of 64 channels")
    options = parser.parse_args()
    recipe = recipe_of(options.full)
    with TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        prepare_data(recipe.data, store, lambda text: None)
        rates = {n: updates_per_second(store, n, options.device, options.full, options.seconds) for n in options.workers}
    first = rates[options.workers[0]]
    result = {
        "matrix": list(recipe.data.source.matrix),
        "updates_per_second": {str(n): rate for n, rate in rates.items()},
        f"over_{options.workers[0]}": {str(n): rate / first for n, rate in rates.items()},
    }
    write_result("side_by_side_full" if options.full else "side_by_side", result, options.device)


if __name__ == "__main__":
    main()
