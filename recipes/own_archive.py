"""Train on your own undersampled archive, without truth, and compare with classical reconstruction.

    ssrecon prepare ARCHIVE STORE
    ssrecon run recipes/own_archive.py --data.source STORE --out runs/mine

Needs at least three subjects: one validates (by Gamma), one is reported, the rest train. Another way to train is another `objective` line
(docs/which_objective.md), here or on the command line: ``--objective SURE``.
"""

from ssrecon import Comparison, Recipe, networks, objectives, partition
from ssrecon.archive import BySubject
from ssrecon.recipe import Training
from ssrecon.store import Data

unrolled = networks.Unrolled(
    networks.ResNet(blocks=5, channels=64, residual=True), unrolls=8, cg_iterations=8, warm_start=True, mixed_precision=True
)

recipe = Recipe(
    data=Data(source="STORE", split=BySubject(validation=1, test=1)),
    network=unrolled,
    objective=objectives.MultiMaskSSDU(partition.Uniform(loss_fraction=0.4), masks=None),
    training=Training(steps=10_000, learning_rate=1e-3, final_learning_rate=1e-5, clip_norm=1.0, validate_every=500, patience=8),
)

comparison = Comparison(title="Trained without truth on my own archive", arms={"network": recipe})
