"""Progress bars: on a terminal only, silent elsewhere."""

import sys
from collections.abc import Iterable
from typing import Any


def track(iterable: Iterable[Any] | None, description: str, **options: Any) -> Any:
    """A tqdm bar over `iterable` on stderr; with None, a bar to be moved by hand with ``update``. Nothing is shown where stderr is no
    terminal.
    """
    from tqdm import tqdm

    return tqdm(iterable, desc=description, disable=not sys.stderr.isatty(), file=sys.stderr, dynamic_ncols=True, leave=False, **options)
