"""Progress bars are drawn on a terminal, and nowhere else."""

import sys
from collections.abc import Iterable
from multiprocessing import parent_process
from typing import Any


def track(iterable: Iterable[Any] | None, description: str, **options: Any) -> Any:
    """Return a tqdm bar over `iterable` on stderr; with None, a bar that is moved by hand with ``update``.

    Nothing is shown where stderr is no terminal, nor by a worker, whose bars would be drawn over one another.
    """
    from tqdm import tqdm

    silent = parent_process() is not None or not sys.stderr.isatty()
    return tqdm(iterable, desc=description, disable=silent, file=sys.stderr, dynamic_ncols=True, leave=False, **options)
