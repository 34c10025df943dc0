"""The shapes of a scan are kept, so that a network can be built again without one."""

from dataclasses import dataclass

import torch

from ssrecon.core.encoding import Encoding, WholeLines
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
