"""Scans without a signal: a split looks at masks and names only."""

from dataclasses import replace

import numpy as np
import torch

from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.core.scan import CalibratedScan, Header


def masked(mask: torch.Tensor, scan_id: str = "v/0", readout: bool = True, calibration: torch.Tensor | None = None) -> CalibratedScan:
    """One scan of a mask (*k) or (frames, 1, *k)."""
    mask = mask[None, None, None] if mask.ndim < 4 else mask[None]
    k = mask.shape[3:]
    return CalibratedScan(
        headers=(Header(scan_id, scan_id.split("/")[0], subject="s", encoding=WholeLines() if readout else GridPoints()),),
        kspace=torch.zeros(1, mask.shape[1], 1, *k, dtype=torch.complex64),
        mask=mask,
        padding=torch.zeros_like(mask),
        csm=torch.ones(1, 1, 1, *k, dtype=torch.complex64),
        calibration=torch.zeros(1, 1, 1, *k, dtype=torch.bool) if calibration is None else calibration[None, None, None],
        scale=torch.ones(1),
    )


def many(scan: CalibratedScan, ids: list[str]) -> CalibratedScan:
    """One batch of the same acquisition under many names, without copies."""
    wide = {name: getattr(scan, name).expand(len(ids), *getattr(scan, name).shape[1:]) for name in ("kspace", "mask", "padding", "csm")}
    return replace(
        scan,
        headers=tuple(replace(scan.headers[0], scan_id=name) for name in ids),
        calibration=scan.calibration.expand(len(ids), *scan.calibration.shape[1:]),
        scale=scan.scale.expand(len(ids)),
        **wide,
    )


def published_mask() -> torch.Tensor:
    """SSDU's own case, phase encoding first: every fourth of 368 columns and 24 centred ones, 320 samples of readout each."""
    mask = torch.zeros(368, 320, dtype=torch.bool)
    mask[::4] = True
    mask[184 - 12 : 184 + 12] = True
    return mask


def scattered(shape: tuple[int, ...], density: float = 0.5, seed: int = 1) -> torch.Tensor:
    """Random points."""
    return torch.from_numpy(np.random.default_rng(seed).random(shape) < density)


def columns(lines: int, readout: int, acceleration: int = 3, centre: int = 6) -> torch.Tensor:
    mask = torch.zeros(lines, readout, dtype=torch.bool)
    mask[::acceleration] = True
    mask[lines // 2 - centre // 2 : lines // 2 + centre // 2] = True
    return mask
