"""Train on your own undersampled archive, without truth, and compare with classical reconstruction.

    ssrecon prepare ARCHIVE STORE
    ssrecon run recipes/own_archive.py --data.source STORE --out runs/mine

Needs at least three subjects: one validates (by Gamma), one is reported, the rest train.
"""

from ssrecon import Comparison, Recipe
from ssrecon.archive.splits import BySubject
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import MultiMaskSSDU
from ssrecon.partition import Uniform
from ssrecon.recipe import Data, Training

ssdu = Recipe(
    data=Data(source="STORE", split=BySubject(validation=1, test=1)),
    network=Unrolled(ResNet(blocks=5, channels=64, residual=True), unrolls=8, cg_iterations=8, mixed_precision=True),
    objective=MultiMaskSSDU(partitioner=Uniform(loss_fraction=0.4), masks=None),
    training=Training(steps=10_000, learning_rate=1e-3, final_learning_rate=1e-5, clip_norm=1.0, validate_every=500, patience=8),
)

comparison = Comparison(title="Trained without truth on my own archive", arms={"ssdu": ssdu})
