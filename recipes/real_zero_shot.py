"""Scan-specific training (ZS-SSL) on single scans: no other scan, and no truth, is seen.

As a recipe, on one scan as it was acquired:

    ssrecon run recipes/real_zero_shot.py --data.source SCAN.h5

As a script, the study of the README on a folder with the brains a (undersampled, no truth), d and f (fully sampled, undersampled here):

    python recipes/real_zero_shot.py FOLDER [--out runs/real_zero_shot] [--steps 400]

The checkpoint and the stop are chosen by Gamma alone; baselines are tuned by reference where there is one (to their advantage).
Yaman et al. Zero-shot self-supervised learning for MRI reconstruction. ICLR 2022. arXiv:2102.07737
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from ssrecon import Comparison, Recipe
from ssrecon.archive import ScanSpecific
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import MultiMaskSSDU
from ssrecon.partition import Uniform
from ssrecon.recipe import Training
from ssrecon.sampling import PoissonDisc, RandomColumns
from ssrecon.store import Data

zero_shot = Recipe(
    data=Data(source="brain_a_poisson.h5", split=ScanSpecific()),
    network=Unrolled(ResNet(blocks=4, channels=32, residual=True), unrolls=5, cg_iterations=6, warm_start=True, mixed_precision=True),
    objective=MultiMaskSSDU(partitioner=Uniform(loss_fraction=0.4), masks=25),
    training=Training(steps=400, learning_rate=4e-3, final_learning_rate=1e-5, clip_norm=1.0, validate_every=25, patience=8),
)
comparison = Comparison(title="Zero-shot on one scan", arms={"zero_shot": zero_shot})

STUDY = {
    "brain_d-r4": ("brain_d.h5", RandomColumns(acceleration=4, calibration_lines=24)),
    "brain_d-poisson8": ("brain_d.h5", PoissonDisc(acceleration=8, calibration=24, retrospective_2d=True)),
    "brain_f-r4": ("brain_f.h5", RandomColumns(acceleration=4, calibration_lines=24)),
    "brain_f-poisson8": ("brain_f.h5", PoissonDisc(acceleration=8, calibration=24, retrospective_2d=True)),
    "brain_a": ("brain_a_poisson.h5", None),
}


def study(folder: Path, out: Path, steps: int, names: list[str], mask_seed: int) -> None:
    """Run every case and print one table."""
    from ssrecon.core import process
    from ssrecon.study import run

    for name in names:
        file, pattern = STUDY[name]
        data = replace(zero_shot.data, source=str(folder / file), pattern=pattern, seed=mask_seed)
        training = replace(zero_shot.training, steps=steps)
        case = replace(comparison, title=f"Zero-shot, {name}", arms={"zero_shot": replace(zero_shot, data=data, training=training)})
        with process() as this:
            run(case, out / name, this, resume=True, say=print)
    for name in names:
        print(f"\n{name}")
        with open(out / name / "metrics.csv", newline="") as file:
            for row in csv.DictReader(file):
                if row["scan"] == "" and row["metric"] in ("nmse", "psnr", "ssim") and row["convention"] == "fastmri":
                    print(f"  {row['arm']:12} {row['selection']:10} {row['metric']:5} {float(row['value']):.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/real_zero_shot"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--cases", nargs="+", choices=list(STUDY), default=list(STUDY))
    parser.add_argument("--mask-seed", type=int, default=0)
    options = parser.parse_args()
    study(options.folder, options.out, options.steps, options.cases, options.mask_seed)
