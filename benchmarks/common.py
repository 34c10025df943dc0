"""The benchmarks share this: the device's name, medians of interleaved runs, results as dated JSON."""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ssrecon.core.provenance import device_name

RESULTS = Path(__file__).parent / "results"


def device_and_threads(device: str | torch.device = "cpu") -> str:
    """Return the GPU's name, or the processor's with the number of threads."""
    name = device_name(device)
    return f"{name}, {torch.get_num_threads()} threads" if torch.device(device).type == "cpu" else name


def synchronize(device: str | torch.device) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def median_seconds(functions: Mapping[str, Callable[[], Any]], repeats: int = 9, device: str | torch.device = "cpu") -> dict[str, float]:
    """Return the median seconds of each function.

    They are run in turn, A B C A B C ..., so that a drift of the machine's speed meets all of them alike.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            synchronize(device)
            started = time.perf_counter()
            function()
            synchronize(device)
            times[name].append(time.perf_counter() - started)
    return {name: sorted(values)[len(values) // 2] for name, values in times.items()}


def peak_memory(device: str | torch.device = "cpu") -> int:
    """Return the most bytes that this process has held so far (of a GPU: has allocated since the last reset)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def write_result(name: str, result: Mapping[str, Any], device: str | torch.device = "cpu") -> Path:
    """Write ``benchmarks/results/NAME-DEVICE.json`` with device, date and versions, and print it."""
    record = {"device": device_and_threads(device), "date": date.today().isoformat(), "torch": torch.__version__, **result}
    text = json.dumps(record, indent=1)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    kind = "".join(c if c.isalnum() else "-" for c in device_and_threads(device).lower()).strip("-")
    path = RESULTS / f"{name}-{kind}.json"
    path.write_text(text + "\n")
    return path
