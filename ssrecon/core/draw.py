"""Every random choice is a pure function of (seed, epoch, purpose, scan), so that it can be made again."""

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np


@dataclass(frozen=True)
class Draw:
    """The randomness of one pass over the data.

    NumPy's counter-based Philox generator is keyed by blake2b of ``(seed, epoch, purpose, scan key)`` and always drawn on the CPU: numbers
    are the same for any device, rank, worker count, batch and order, and under any name of a file (`Header.scan_key`). There is no global
    random state.

    Salmon et al. Parallel random numbers: as easy as 1, 2, 3. SC'11. doi:10.1145/2063384.2063405
    """

    seed: int
    epoch: int = 0

    def generator(self, purpose: str, scan_key: str = "") -> np.random.Generator:
        """Return an independent generator for one purpose ("partition", "gamma", ...) and one scan, or volume, by its key."""
        # Lengths go in front so that no two tuples of strings can be written the same way.
        text = f"{self.seed}|{self.epoch}|{len(purpose)}:{purpose}|{len(scan_key)}:{scan_key}"
        key = int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little")
        return np.random.Generator(np.random.Philox(key=key))

    def at(self, epoch: int) -> "Draw":
        """Return the same seed at another pass; what ``draw.at(0)`` draws stays fixed for a whole training."""
        return replace(self, epoch=epoch)
