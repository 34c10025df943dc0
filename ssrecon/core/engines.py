"""Work is done in turn, by processes of this machine, or by a Dask cluster. What is done does not depend on who does it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import blake2b
from multiprocessing import get_context
from typing import TypeVar

from ssrecon.core.errors import BadInput, BadRecipe

Job = TypeVar("Job")
Result = TypeVar("Result")
ATTEMPTS = 3
"""After so many workers of a cluster were lost with one job in hand, the job is to blame."""


@contextmanager
def each(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int = 1, dask: str | None = None
) -> Iterator[Iterator[tuple[Job, Result | BaseException]]]:
    """Give an iterator of each job with what `function` made of it, in the order in which they end.

    `workers` are processes of this machine; `dask` is the address of a scheduler, whose workers have to see the same files under the same
    paths. A job whose worker is lost is given to another one; where it takes every worker with it, its result is the error. Raises BadInput
    where no scheduler answers or `distributed` is not installed.
    """
    if dask is not None:
        with _cluster(dask) as client:
            yield _on_cluster(client, function, jobs)
        return
    if workers <= 1 or len(jobs) <= 1:
        yield ((job, function(job)) for job in jobs)
        return
    yield _in_processes(function, deque(jobs), workers)


def shard_of(items: Sequence[Job], shard: tuple[int, int] | None, name: Callable[[Job], str] = str) -> list[Job]:
    """Return the items that fall to the i-th of n shards (counted from 1) by a hash of their names.

    Shards are disjoint and together hold all items. To which one an item belongs does not depend on what comes or goes beside it.
    """
    if shard is None:
        return list(items)
    part, parts = shard
    if not 1 <= part <= parts:
        raise BadRecipe("shard", found=f"{part}/{parts}", expected="1/N to N/N")
    return [item for item in items if int.from_bytes(blake2b(name(item).encode(), digest_size=8).digest(), "little") % parts == part - 1]


def parse_shard(text: str) -> tuple[int, int]:
    """Return ``2/8`` as (2, 8). Raises BadRecipe for anything else."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise BadRecipe("--shard", found=repr(text), expected="I/N, such as 1/8 to 8/8 (in a SLURM array: $SLURM_ARRAY_TASK_ID/8)")
    return int(part), int(parts)


@contextmanager
def _cluster(address: str):  # type: ignore[no-untyped-def]
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInput("--dask", found=f"no Dask here ({error})", expected="pip install 'ssrecon[dask]'") from error
    try:
        client = Client(address, timeout="20s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise BadInput(f"--dask {address}", found=f"no scheduler that answers ({error})", expected="tcp://HOST:8786") from error
    with client:
        yield client


def _in_processes(function: Callable[[Job], Result], waiting: deque[Job], workers: int) -> Iterator[tuple[Job, Result | BaseException]]:
    """Give each worker one job at a time.

    Where a process is lost (out of memory), jobs in hand are tried again, each in its own process.
    """
    while waiting:
        lost: list[Job] = []
        with _pool(min(workers, len(waiting))) as pool:
            running: dict[Future[Result], Job] = {}
            while (waiting or running) and not lost:
                while waiting and len(running) < workers:
                    job = waiting.popleft()
                    running[pool.submit(function, job)] = job
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job, error = running.pop(future), future.exception()
                    if isinstance(error, BrokenProcessPool):
                        lost.append(job)
                    else:
                        yield job, error or future.result()
            lost += running.values()
        for job in lost:
            with _pool(1) as alone:
                again = alone.submit(function, job)
                yield job, again.exception() or again.result()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: a forked child of a process whose torch has started threads can wait for ever.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(client, function: Callable[[Job], Result], jobs: Sequence[Job]):  # type: ignore[no-untyped-def]
    from distributed import as_completed as completed

    futures = {client.submit(function, job, pure=False, retries=ATTEMPTS): job for job in jobs}
    for future in completed(list(futures), loop=client.loop):
        job = futures.pop(future)
        yield job, future.exception() or future.result()
        future.release()
