"""SSDU and supervised training on real anatomy and phase through simulated coils, R=4 random columns, 3 seeds. Results are semi-synthetic.

Needs a file of complex, coil-combined images: HDF5 with ``image`` (n, y, x). 10 train, 2 choose the checkpoint, 4 are reported.

    ssrecon run recipes/semi_synthetic.py --data.source.path complex_brains_t2.h5
"""

from dataclasses import replace

from ssrecon import Comparison, Recipe
from ssrecon.archive import BySubject
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import MultiMaskSSDU, Supervised
from ssrecon.partition import Uniform
from ssrecon.recipe import Training
from ssrecon.sampling import RandomColumns
from ssrecon.simulation import ComplexImages
from ssrecon.store import Data

ssdu = Recipe(
    data=Data(
        source=ComplexImages("complex_brains_t2.h5", coils=8, noise=0.02),
        pattern=RandomColumns(acceleration=4, calibration_lines=24),
        split=BySubject(train=10, validation=2, test=4),
    ),
    network=Unrolled(ResNet(blocks=4, channels=32, residual=True), unrolls=5, cg_iterations=6, warm_start=True, mixed_precision=True),
    objective=MultiMaskSSDU(partitioner=Uniform(loss_fraction=0.4), masks=None),
    training=Training(steps=450, learning_rate=4e-3, final_learning_rate=1e-5, clip_norm=1.0, validate_every=50),
)

comparison = Comparison(
    title="SSDU and supervised training, semi-synthetic T2 brains, R=4 random columns",
    arms={"ssdu": ssdu, "supervised": replace(ssdu, objective=Supervised())},
    seeds=(0, 1, 2),
)
