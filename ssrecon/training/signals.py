"""Ctrl-C and SIGTERM, while a step is in hand."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """Yield a list that Ctrl-C and SIGTERM put their number into, while the block runs.

    So the step in hand finishes, and the checkpoint is one of a whole step.
    """
    caught: list[int] = []
    try:
        previous = {number: signal.signal(number, lambda number, _: caught.append(number)) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: signals are the caller's affair
        previous = {}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
