"""Is it the objective or its optimisation? The loss of every objective of a run at other objectives' networks, as a table in Markdown.

python figures/cross_losses.py RUN_FOLDER [--networks supervised multi_mask_ssdu] [--scans 16]

Each loss is the mean over scans that were trained on, and over two draws, at the network that Gamma chose. Where another objective's
network has a lower loss than the one trained on it, more updates or another learning rate would help; where it has a higher one although
its images are better, the objective asks for something else than the best image. Needs the run's store.
"""

import argparse
import sys
from pathlib import Path

import torch

from ssrecon import Comparison, Draw
from ssrecon.core import BadInput, Prepared
from ssrecon.core.description import rebuild
from ssrecon.core.scan import Network
from ssrecon.objectives import Objective
from ssrecon.reconstruction import load_checkpoint
from ssrecon.store import Store
from ssrecon.study.redraw import printed
from ssrecon.study.run_folder import RunFolder, arm_label

EPOCHS = (1, 2)
"""Partitions, transforms and noise are drawn for these epochs."""


@torch.no_grad()
def mean_loss(objective: Objective, network: Network, scans: list[Prepared]) -> float:
    values = []
    for prepared in scans:
        reference = prepared.reference if objective.needs_reference or objective.takes_reference else None
        draws = [objective.draws(prepared.scan, Draw(0, epoch)) for epoch in EPOCHS]
        values += [objective.loss(network, prepared.scan, reference, drawn).per_scan for drawn in draws]
    return float(torch.cat(values).mean())


def table(folder: Path, networks: list[str], count: int) -> list[str]:
    """Return the lines of the table. Raises BadInput where a network or the store is not there."""
    run = RunFolder.open(folder)
    if not run.section("recipe"):
        raise BadInput(folder, found="no recipe in run.json", expected="the folder of a run")
    comparison: Comparison = rebuild(dict(run.section("recipe")), f"{folder}/run.json")
    models = {}
    for name in comparison.arms:
        if path := next(iter(sorted(folder.glob(f"arms/{name}/seed-*/checkpoints/gamma.safetensors"))), None):
            # The network alone: a loss knows nothing of an objective's rule at test time.
            models[name] = load_checkpoint(path).network
    if missing := sorted(set(networks) - set(models)):
        raise BadInput(folder, found=f"no trained {', '.join(missing)}", expected="--networks of " + ", ".join(models))
    store = Store(folder / "store")
    train = comparison.data.split.assign(comparison.data.chosen(store.headers)).train
    scans = [store.load(scan_id, reference=True) for scan_id in train[:count]]
    lines = ["| loss | own network | " + " | ".join(map(arm_label, networks)) + " |", "|---|---|" + "---|" * len(networks)]
    for name, model in models.items():
        objective = comparison.arms[name].objective.fitted(store.load(scan_id).scan for scan_id in train)
        losses = [mean_loss(objective, of, scans) for of in (model, *(models[network] for network in networks))]
        lines.append(f"| {arm_label(name)} | " + " | ".join(f"{loss:.4g}" for loss in losses) + " |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=["supervised", "multi_mask_ssdu"])
    parser.add_argument("--scans", type=int, default=16)
    options = parser.parse_args()
    return printed(lambda: "\n".join(table(options.run_folder, options.networks, options.scans)))


if __name__ == "__main__":
    sys.exit(main())
