"""The shapes of a scan are kept, so that a network can be built again without one."""

from dataclasses import dataclass

import torch

from ssrecon.core.encoding import Encoding, WholeLines
from ssrecon.core.errors import BadRecipe, at_least
from ssrecon.core.scan import CalibratedScan, Header
from ssrecon.core.window import crop


@dataclass(frozen=True)
class Example:
    """What a network's size may depend on in the training scans. Checkpoints keep it as JSON."""

    matrix: tuple[int, ...]
    coils: int
    frames: int = 1
    maps: int = 1
    calibration: tuple[int, ...] = ()
    """The sides of the calibration region about DC; empty where it was measured apart."""
    encoding: Encoding = WholeLines()

    def __post_init__(self) -> None:
        at_least(self, coils=1, frames=1, maps=1)
        if not self.matrix or min(self.matrix) < 1:
            raise BadRecipe("Example.matrix", found=f"{self.matrix}", expected="sizes of 1 or more")
        if self.calibration and not (len(self.calibration) == len(self.matrix) and all(map(_is_within, self.calibration, self.matrix))):
            raise BadRecipe("Example.calibration", found=f"{self.calibration}", expected=f"sides within the matrix {self.matrix}")

    @staticmethod
    def of(scan: CalibratedScan) -> "Example":
        """Return the shapes of the first scan of a batch."""
        frames, coils, maps, *matrix = scan.shape
        places = scan.calibration[0, 0, 0].nonzero()
        sides = tuple((places.amax(0) + 1 - places.amin(0)).tolist()) if len(places) else ()
        return Example(tuple(matrix), coils, frames, maps, sides, scan.headers[0].encoding)

    def scan(self) -> CalibratedScan:
        """Return a scan of these shapes in which nothing was acquired but the zeros of its calibration region."""
        region = torch.zeros(1, 1, 1, *self.matrix, dtype=torch.bool)
        if self.calibration:
            crop(region, self.calibration)[...] = True
        mask = region.expand(-1, self.frames, -1, *self.matrix).clone()
        return CalibratedScan(
            headers=(Header("example", "example", "example", encoding=self.encoding),),
            kspace=torch.zeros(1, self.frames, self.coils, *self.matrix, dtype=torch.complex64),
            mask=mask,
            padding=torch.zeros_like(mask),
            csm=torch.zeros(1, self.maps, self.coils, *self.matrix, dtype=torch.complex64),
            calibration=region,
            scale=torch.ones(1),
        )


def _is_within(side: int, size: int) -> bool:
    return 1 <= side <= size
