"""The order in which scans are trained on, and reading ahead of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset

from ssrecon.core.distributed import Process
from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Prepared
from ssrecon.store.dataset import ScanDataset


@dataclass(frozen=True)
class Step:
    """A step is one update: a global batch, and the pass over the data that it belongs to."""

    number: int
    epoch: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Schedule:
    """The sequence of updates is a pure function of the scans, the batch size and the seed, so that a training resumes anywhere.

    A pass goes through all scans once, in batches of scans of one kind (matrix, coils, maps, noise level known or not), shuffled; the last
    batch of a kind may be incomplete.
    """

    kinds: tuple[tuple[str, tuple[int, ...]], ...]
    batch_size: int
    seed: int

    @staticmethod
    def of(store: ScanDataset, ids: Sequence[str], batch_size: int, seed: int, references: bool = False) -> "Schedule":
        """Return the schedule of some scans of a store. With `references`, scans with one and scans without are of two kinds."""

        def kind(scan_id: str) -> tuple[int, ...]:
            return (*store.shape(scan_id), store.noise_known(scan_id), references and store.has_reference(scan_id))

        # By what draws are keyed by: names of measured files, and pseudonyms, would shuffle the same scans otherwise elsewhere.
        keys = {header.scan_id: (header.scan_key, header.scan_id) for header in store.headers}
        return Schedule(tuple((scan_id, kind(scan_id)) for scan_id in sorted(ids, key=lambda scan_id: keys[scan_id])), batch_size, seed)

    def epoch(self, number: int) -> list[tuple[str, ...]]:
        draw = Draw(self.seed, number).generator("order")
        batches = []
        for kind in sorted({kind for _, kind in self.kinds}):
            ids = [scan_id for scan_id, own in self.kinds if own == kind]
            draw.shuffle(ids)
            batches += [tuple(ids[i : i + self.batch_size]) for i in range(0, len(ids), self.batch_size)]
        return [batches[i] for i in draw.permutation(len(batches))]

    def steps(self, first: int, last: int) -> Iterator[Step]:
        length = len(self.epoch(0))
        batches: list[tuple[str, ...]] = []
        for number in range(first, last):
            epoch, index = divmod(number, length)
            if not batches or index == 0:
                batches = self.epoch(epoch)
            yield Step(number, epoch, batches[index])


class _StepsOfScans(Dataset):
    def __init__(self, store: ScanDataset, shares: list[Sequence[str]], reference: bool):
        self.store, self.shares, self.reference = store, shares, reference

    def __len__(self) -> int:
        return len(self.shares)

    def __getitem__(self, index: int) -> list[Prepared]:
        return [self.store.load(scan_id, reference=self.reference) for scan_id in self.shares[index]]


def load(
    store: ScanDataset, steps: Sequence[Step], process: Process, reference: bool, workers: int
) -> Iterator[tuple[Step, list[Prepared]]]:
    """Yield every step with this process's share of its scans. References are read only where they are asked for."""
    reads = _StepsOfScans(store, [process.share(step.ids) for step in steps], reference)
    # Spawned, not forked: a forked child of a process whose torch has started threads can wait for ever.
    ahead: dict[str, Any] = {"num_workers": workers, "prefetch_factor": 4, "multiprocessing_context": "spawn"} if workers else {}
    loader = DataLoader(reads, batch_size=None, **ahead)
    yield from zip(steps, loader, strict=True)


def collate(scans: Sequence[Prepared]) -> tuple[CalibratedScan, CalibratedScan | None]:
    """Return scans of one shape as one batch, with their references where all have one."""
    references = [prepared.reference for prepared in scans if prepared.reference is not None]
    batch = CalibratedScan.batch([prepared.scan for prepared in scans])
    return batch, CalibratedScan.batch(references) if len(references) == len(scans) else None
