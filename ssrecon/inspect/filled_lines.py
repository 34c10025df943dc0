"""The detector of lines that a parallel-imaging reconstruction filled in."""

import math

import torch
from torch import Tensor

from ssrecon.core.scan import Scan
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.profiles import acquired_frame, noise_modes

PREDICTED = 0.02
"""Power left of lines after their best prediction from their neighbours. Noise cannot be predicted: what was acquired leaves about all of
it where noise rules, and filled lines leave the rounding."""
BETTER = 0.05
"""The same over what is left by prediction from another lattice: of raw scans, at any SNR, .37 to 1; of filled ones 1e-12."""
UNEVEN, SIGMAS = 0.375, 8.0
"""By how much lattice lines hold more power of noise-like coil combinations than filled lines beside them, in nepers, and how
significantly."""
LONGEST_PERIOD = 6


def parallel_imaging_filled(scan: Scan) -> Finding | None:
    """Find lines said to be acquired that a reconstruction filled in: GRAPPA, SPIRiT or SENSE on a lattice of every R-th line.

    Two tests look at lattices of 2 to `LONGEST_PERIOD` and each of their offsets, outside the middle (1/4, 1/3 or 1/2). (1) Lines off the
    lattice are predicted by linear combinations of the four nearest lattice lines over seven readout samples and all coils (fitted on one
    half of the readout, tried on the other): a remainder below `PREDICTED` of the power is no measurement, as noise cannot be predicted.
    (2) Noise-like coil combinations have more power on lattice lines than beside them, by `UNEVEN` and `SIGMAS` standard errors. Scans
    without a readout, with a single coil, or in three dimensions are not looked at.

    Griswold et al. GRAPPA. Magn Reson Med 47:1202-1210 (2002). doi:10.1002/mrm.10171
    """
    kspace, mask = acquired_frame(scan)
    if mask.ndim != 2 or not scan.header.encoding.has_readout or len(kspace) < 2:
        return None
    if not bool(mask.any(dim=-1).all()):
        lines = mask.any(dim=-1).nonzero().flatten()
        kspace, mask = kspace[:, lines[0] : lines[-1] + 1], mask[lines[0] : lines[-1] + 1]
        if not bool(mask.any(dim=-1).all()):
            return None  # lines are missing: nobody filled them in
    return _filled_by_prediction(kspace) or _filled_by_uneven_noise(noise_modes(kspace, mask))


def _filled_by_prediction(kspace: Tensor) -> Finding | None:
    for period in range(2, LONGEST_PERIOD + 1):
        # Calibration lines in the middle may have been put back as they were acquired: how many, nobody knows.
        for left in (
            side
            for part in (8, 6, 4)
            for side in zip(*(_unpredicted_fractions(kspace, period, offset, part) for offset in range(period)), strict=True)
        ):
            # Signal alone is predicted well from any lines, and the better the higher its SNR: filled lines are those that are
            # predicted from one lattice and not, by the same number of lines at the same distances, from the others.
            remainders = sorted(remainder for remainder in left if remainder is not None)
            if len(remainders) > 1 and remainders[0] < PREDICTED and remainders[0] < BETTER * remainders[-1]:
                return Finding(
                    "grappa_filled",
                    "refuse",
                    f"lines between every {period}th are linear combinations of these, to {remainders[0]:.0e} of their power: filled in",
                    "take the raw data, or give a mask of the acquired lines",
                    {"remainder": remainders[0], "contrast": remainders[0] / remainders[-1], "period": float(period)},
                )
    return None


def _unpredicted_fractions(kspace: Tensor, period: int, offset: int, part: int) -> tuple[float | None, float | None]:
    """Return what is left of the lines just behind a lattice's after their prediction, over their power, on either side of k-space.

    Reconstructions may fill the sides by weights of their own. Only lines farther from the centre than one `part` of the matrix count.
    """
    n = kspace.shape[1]
    targets = [y + 1 for y in range(offset, n, period) if y - period >= 0 and y + 2 * period < n and abs(y + 1 - n // 2) > n // part]
    low, high = ([y for y in targets if y < n // 2], [y for y in targets if y > n // 2])
    return _unpredicted_fraction(kspace, low, period), _unpredicted_fraction(kspace, high, period)


def _unpredicted_fraction(kspace: Tensor, targets: list[int], period: int) -> float | None:
    """Return what is left of some lines after their prediction, over their power; None where they are too few to tell."""
    samples = kspace.shape[2]
    width, half = min(7, samples // 4), samples // 2
    if len(targets) < 3 or width < 3:
        return None
    sources = torch.cat([kspace[:, [y - 1 + step * period for y in targets]] for step in (-1, 0, 1, 2)])
    rows = sources.unfold(-1, width, 1).permute(1, 2, 0, 3).flatten(2)  # (lines, places, 4 coils x width)
    wanted = kspace[:, targets][..., width // 2 : width // 2 + rows.shape[1]].permute(1, 2, 0)
    # Fitted on one half of the readout and tried on the other. Unknowns have to be few beside the equations, or nothing can be said.
    fit, seen = rows[:, : half - width].flatten(0, 1), wanted[:, : half - width].flatten(0, 1)
    if len(fit) < 1.5 * fit.shape[1]:
        return None
    unseen = wanted[:, half:].flatten(0, 1)
    if not bool((fit != 0).any()) or not bool((unseen != 0).any()):
        return None  # zeros are predicted by anything
    gram = fit.mH @ fit
    ridge = 1e-12 * gram.diagonal().real.mean() * torch.eye(len(gram)).to(gram)
    weights = torch.linalg.solve(gram + ridge, fit.mH @ seen)
    left = (unseen - rows[:, half:].flatten(0, 1) @ weights).abs().square().sum()
    return float(left / unseen.abs().square().sum())


def _filled_by_uneven_noise(modes: Tensor) -> Finding | None:
    n = modes.shape[1]
    power = modes.abs().square().median(dim=-1).values.mean(dim=0)
    if n < 48 or not bool((power > 0).all()):
        return None
    log = power.log()
    against = torch.full_like(log, math.nan)
    against[1:-1] = log[1:-1] - (log[:-2] + log[2:]) / 2
    outside = (torch.arange(n) - n // 2).abs() > n // 8
    for period in range(2, LONGEST_PERIOD + 1):
        for offset in range(period):
            on = outside & (torch.arange(n) % period == offset) & against.isfinite()
            off = outside & ~on & against.isfinite()
            if int(on.sum()) < 8:
                continue
            difference = float(against[on].mean() - against[off].mean())
            error = math.sqrt(float(against[on].var()) / int(on.sum()) + float(against[off].var()) / int(off.sum()))
            if difference > UNEVEN and difference > SIGMAS * error:
                return Finding(
                    "grappa_filled",
                    "refuse",
                    f"every {period}th line holds {math.exp(difference):.2f} times the noise of the lines between: these were filled in",
                    "take the raw data, or give a mask of the acquired lines",
                    {"noise_ratio": math.exp(difference), "period": float(period)},
                )
    return None
