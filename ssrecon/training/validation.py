"""Validation without truth: how well a network predicts acquired samples that nothing has seen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import TrainingDiverged
from ssrecon.core.scan import CalibratedScan, Estimate, Network, Prepared
from ssrecon.metrics.nmse import nmse
from ssrecon.objectives import Objective
from ssrecon.operators import coil_combined
from ssrecon.partition import gamma_score


@dataclass(frozen=True)
class Score:
    """This is one validation: means over the scans."""

    gamma: float
    """This is the held-out residual in units of the noise variance (its floor is 1), or relative to the data where the noise of any scan
    is unknown.
    """
    gamma_floor: float | None
    """This is what the noise alone gives: 1 in units of its variance, None for a relative residual."""
    hidden_nmse: float | None
    """This is the NMSE against the reference, where every validation scan has one: for reports, and for the selection rule that is
    allowed to see it.
    """


@torch.no_grad()
def validate(
    network: Network,
    objective: Objective,
    scans: Sequence[Prepared],
    hold_out: Callable[[CalibratedScan], Tensor],
    draw: Draw,
    device: torch.device,
) -> Score:
    """Score a network on what `hold_out` keeps from it.

    Raises TrainingDiverged, naming the scan, where the score of one is not finite.

    The score of an unchanged network is bit-identical, because Gamma and every other draw are fixed for the whole training.
    """
    fixed = draw.at(0)
    # One unit for all: a mean of noise units and relative residuals would be a mean of nothing.
    known = all(prepared.scan.noise_std is not None for prepared in scans)
    scores, errors, empty = [], [], 0
    for prepared in scans:
        scan = prepared.scan.to(device) if known else replace(prepared.scan.to(device), noise_std=None)
        value, estimate = gamma_score(partial(_reconstruct_by_the_objective, network, objective, fixed), scan, hold_out(scan))
        scores.append(value.double().mean().item())
        if not math.isfinite(scores[-1]):
            raise TrainingDiverged(f"scan {', '.join(scan.ids)}: the Gamma score is not finite; the last checkpoint is good")
        if prepared.reference is not None:
            reference = Estimate(coil_combined(prepared.reference.to(device))).magnitude
            if bool(reference.any()):
                errors.append(nmse(estimate.magnitude, reference))
            else:
                empty += 1  # a slice outside the object: there is nothing to be wrong relative to
    hidden = sum(errors) / len(errors) if errors and len(errors) + empty == len(scans) else None
    return Score(sum(scores) / len(scores), 1.0 if known else None, hidden)


def _reconstruct_by_the_objective(network: Network, objective: Objective, draw: Draw, scan: CalibratedScan) -> Estimate:
    return objective.reconstruct(network, scan, objective.test_draws(scan, draw).to(scan.kspace.device))
