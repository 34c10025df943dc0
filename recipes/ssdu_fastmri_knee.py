"""SSDU as published, and its supervised twin, for your own copy of fastMRI's multi-coil knees (coronal PD, no fat suppression).

R=4 equispaced with 24 calibration lines on top, 10 unrolls, ResNet of 15 blocks of 64 channels, 10 CG iterations, loss fraction .4,
Gaussian selection, one fixed split a slice, Adam 5e-4 without schedule, 100 epochs of all slices of 10 subjects.

    ssrecon run recipes/ssdu_fastmri_knee.py --data.source PATH/multicoil_train --device cuda

Of the folder only coronal PD without fat suppression is taken (`acquisition` CORPD_FBK): 22 volumes are enough, and preparing the whole
training set takes hours and its room on the disk once more.

Differences from the paper: sensitivity maps are this package's ESPIRiT, k-space is scaled by the calibration image instead of its
maximum, and the checkpoint is chosen by Gamma instead of taken at the last epoch (the last one is kept as well).

Yaman et al. Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
"""

from dataclasses import replace

from ssrecon import Comparison, Recipe
from ssrecon.archive import BySubject
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU, Supervised
from ssrecon.partition import Gaussian
from ssrecon.recipe import Training
from ssrecon.sampling import Equispaced
from ssrecon.store import Data

ssdu = Recipe(
    data=Data(
        source="multicoil_train",
        pattern=Equispaced(acceleration=4, calibration_lines=24, offset=0, overall=False),
        contrasts=("CORPD_FBK",),
        split=BySubject(train=10, validation=2, test=10),
    ),
    network=Unrolled(ResNet(blocks=15, channels=64), unrolls=10, cg_iterations=10, padding_is_known=True),
    objective=SSDU(partitioner=Gaussian(loss_fraction=0.4)),
    training=Training(epochs=100, learning_rate=5e-4, validate_every=300, validation_scans=20),
)

comparison = Comparison(
    title="SSDU as published, fastMRI coronal PD knees, R=4 equispaced",
    arms={"ssdu": ssdu, "supervised": replace(ssdu, objective=Supervised())},
)
