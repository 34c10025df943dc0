"""SSDU's own choices, one at a time: loss fraction, Gaussian against uniform selection, number of masks, fixed against redrawn.

    ssrecon run recipes/ssdu_ablation.py --out runs/ssdu_ablation

Equispaced R=4 as in the papers (doi:10.1002/mrm.28378, doi:10.1002/nbm.4798), on simulated heads: the same sweeps, this project's data,
equal updates. `figures/ssdu_ablation.py` draws it.
"""

from dataclasses import replace

from which_objective import NETWORK

from ssrecon import Comparison, Recipe
from ssrecon.archive import BySubject
from ssrecon.objectives import SSDU, MultiMaskSSDU, Supervised
from ssrecon.partition import Gaussian, Uniform
from ssrecon.recipe import Training
from ssrecon.sampling import Equispaced
from ssrecon.simulation import MPRAGE, PhantomArchive
from ssrecon.store import Data

base = Recipe(
    data=Data(
        source=PhantomArchive(subjects=34, slices=2, matrix=(96, 96), coils=8, contrasts=(MPRAGE(),), noise=0.05),
        pattern=Equispaced(acceleration=4, calibration_lines=12, overall=False),
        split=BySubject(validation=2, test=8),
    ),
    network=NETWORK,
    training=Training(steps=400, learning_rate=4e-3, final_learning_rate=1e-5, clip_norm=1.0, validate_every=100),
)
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
MASKS = (1, 2, 4, 8, None)

objectives = {
    "supervised": Supervised(),
    **{f"gaussian_{round(100 * fraction)}": SSDU(Gaussian(fraction)) for fraction in FRACTIONS},
    **{f"uniform_{round(100 * fraction)}": SSDU(Uniform(fraction)) for fraction in FRACTIONS},
    **{f"masks_{'redrawn' if masks is None else masks}": MultiMaskSSDU(Uniform(0.4), masks=masks) for masks in MASKS[1:]},
}
"""``masks_1`` is ``uniform_40``, bit for bit."""

comparison = Comparison(
    title="SSDU: loss fraction, selection and masks; simulated heads, equispaced R=4",
    arms={name: replace(base, objective=objective) for name, objective in objectives.items()},
)
