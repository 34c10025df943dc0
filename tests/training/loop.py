"""A training in a process of its own, for the tests that kill it or run it twice at once.

python -m tests.training.loop STORE OUT STEPS
"""

import os
import sys
from pathlib import Path

import torch

from ssrecon.core.distributed import process
from ssrecon.store.store import Store
from ssrecon.training.trainer import Trainer
from tests.training.small import assign, recipe

if __name__ == "__main__":
    torch.set_num_threads(1)
    store, out, steps = Store(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    slow = len(sys.argv) > 4
    if slow:
        # Long writes, so that a kill can fall inside one.
        import time

        write = Path.write_bytes

        def write_slowly(path, whole):
            if "safetensors" not in path.name:
                return write(path, whole)
            write(path, whole[: len(whole) // 2])
            (out / "writing").touch()
            time.sleep(0.1)
            (out / "writing").unlink(missing_ok=True)
            return write(path, whole)

        Path.write_bytes = write_slowly
    with process() as this:
        out.mkdir(parents=True, exist_ok=True)
        (out.parent / f"{out.name}-{this.rank}.pid").write_text(str(os.getpid()))
        Trainer(recipe(steps=steps, validate_every=1, batch_size=3, shared_batch=True), store, assign(store), out, this).run(resume=True)
