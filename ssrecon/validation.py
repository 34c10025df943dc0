"""Validation without truth: how well a network predicts acquired samples that nothing has seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssrecon.draw import Draw
from ssrecon.objectives.base import Network, Objective
from ssrecon.operators import encoding
from ssrecon.partition import gamma_score
from ssrecon.scan import CalibratedScan, Prepared


@dataclass(frozen=True)
class Score:
    """One validation: means over the scans."""

    gamma: float
    """Held-out residual in units of the noise variance (its floor is 1), or relative to the data where the noise is unknown."""
    hidden_nmse: float | None
    """NMSE against the reference, where every validation scan has one: for reports, and for the selection rule that is allowed to see
    it.
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

    The score of an unchanged network is bit-identical, because Gamma and every other draw are fixed for the whole training.
    """
    fixed = draw.at(0)
    scores, errors = [], []
    for prepared in scans:
        scan = prepared.scan.to(device)
        value, estimate = gamma_score(lambda s: objective.reconstruct(network, s, fixed), scan, hold_out(scan))
        scores.append(value.double().mean().item())
        if prepared.reference is not None:
            reference = prepared.reference.to(device)
            truth = torch.linalg.vector_norm(encoding(reference).adjoint(reference.kspace), dim=2)
            errors.append(((estimate.magnitude - truth).double().square().sum() / truth.double().square().sum()).item())
    hidden = sum(errors) / len(errors) if len(errors) == len(scans) else None
    return Score(sum(scores) / len(scores), hidden)
