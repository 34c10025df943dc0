"""SSDU beside its supervised twin and classical reconstruction, on simulated heads: small enough for two CPU cores, in minutes.

make demo
ssrecon run recipes/quickstart.py --out runs/quickstart
"""

from dataclasses import replace

from ssrecon import Comparison, Recipe
from ssrecon.archive import BySubject
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import MultiMaskSSDU, Supervised
from ssrecon.partition import Uniform
from ssrecon.recipe import Training
from ssrecon.sampling import RandomColumns
from ssrecon.simulation import MPRAGE, PhantomArchive
from ssrecon.store import Data

ssdu = Recipe(
    data=Data(
        source=PhantomArchive(subjects=36, slices=3, matrix=(96, 96), coils=8, contrasts=(MPRAGE(),)),
        pattern=RandomColumns(acceleration=4, calibration_lines=12),
        split=BySubject(validation=1, test=6),
    ),
    network=Unrolled(ResNet(blocks=4, channels=32, residual=True), unrolls=5, cg_iterations=6, warm_start=True, mixed_precision=True),
    objective=MultiMaskSSDU(partitioner=Uniform(loss_fraction=0.4), masks=None),
    training=Training(steps=700, learning_rate=4e-3, final_learning_rate=1e-5, clip_norm=1.0, validate_every=100),
)

comparison = Comparison(
    title="SSDU and supervised training on simulated heads, R=4 random columns",
    arms={"ssdu": ssdu, "supervised": replace(ssdu, objective=Supervised())},
)
