"""Transfer: a network trained on a population is adapted to one scan, by that scan's own samples alone.

    ssrecon run recipes/own_archive.py --data.source STORE --out runs/population
    ssrecon run recipes/transfer.py --data.source SCAN.h5 --out runs/adapted \\
        --training.start runs/population/arms/network/seed-0/checkpoints/gamma.safetensors

The scan's Omega is divided in three (Theta, Lambda, and Gamma, which nothing is trained on). Gamma is scored before the first update, so
that the checkpoint it chooses, ``gamma.safetensors``, is never worse by it than the population's network: where adaptation only makes Gamma
worse the start is rolled back to, and `patience` validations without a better score end the training. The network here must be the
population's.

Yaman et al. Zero-shot self-supervised learning for MRI reconstruction. ICLR 2022 (ZS-SSL-TL). arXiv:2102.07737
"""

from ssrecon import Recipe
from ssrecon.archive import ScanSpecific
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import MultiMaskSSDU
from ssrecon.partition import Uniform
from ssrecon.recipe import Training
from ssrecon.store import Data

recipe = Recipe(
    data=Data(source="SCAN.h5", split=ScanSpecific()),
    network=Unrolled(ResNet(blocks=5, channels=64, residual=True), unrolls=8, cg_iterations=8, warm_start=True, mixed_precision=True),
    objective=MultiMaskSSDU(partitioner=Uniform(loss_fraction=0.4), masks=25),
    training=Training(steps=200, learning_rate=5e-4, final_learning_rate=1e-5, clip_norm=1.0, validate_every=10, patience=6),
    title="Transfer to one scan",
)
