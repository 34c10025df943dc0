"""A checkpoint is rebuilt to a trained network that is ready to reconstruct."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ssrecon.calibrate import Calibrator
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.example import Example
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.objectives import Objective
from ssrecon.recipe.recipe import Recipe
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.reconstruction.domain import TrainingDomain

EARLIER = Example(matrix=(1, 1), coils=1)
"""For checkpoints from before networks were built after an example: their size depended on none."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A loaded network is a trained network and the objective whose rule it reconstructs by."""

    network: nn.Module
    objective: Objective
    recipe: Recipe
    domain: TrainingDomain
    calibrator: Calibrator
    """As the training scans were calibrated."""
    draw: Draw

    @torch.inference_mode()
    def __call__(self, scan: CalibratedScan) -> Estimate:
        """Return the image by the objective's own rule, without a gradient."""
        draws = self.objective.test_draws(scan, self.draw).to(scan.kspace.device)
        estimate: Estimate = self.objective.reconstruct(self.network, scan, draws)
        return estimate


def load_checkpoint(path: Path | str, device: str | torch.device = "cpu", trust: Collection[str] = ()) -> LoadedNetwork:
    """Return a trained network in evaluation mode, rebuilt from its recipe's names, with its weights.

    Raises BadInput where the file is no checkpoint of ours, BadRecipe where it needs classes from outside ssrecon that `trust` does not
    name.
    """
    checkpoint = read_checkpoint(path)
    recipe = checkpoint.rebuilt("recipe", Recipe, trust)
    domain, calibrator = checkpoint.rebuilt("domain", TrainingDomain, trust), checkpoint.rebuilt("calibrator", Calibrator, trust)
    example = checkpoint.rebuilt("example", Example) if "example" in checkpoint.about else EARLIER
    try:
        scan = example.scan()
    except RuntimeError as error:
        found = f"a scan of {example.matrix} for which there is no memory ({error})"
        raise BadInput(f"{checkpoint.path}: example.matrix", found=found, expected="the matrix of a scan") from error
    network = recipe.network.build(recipe.seed, scan)
    checkpoint.load_into(network)
    return LoadedNetwork(network.to(device).eval(), recipe.objective, recipe, domain, calibrator, Draw(recipe.seed))
