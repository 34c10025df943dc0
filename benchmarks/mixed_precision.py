"""Measure what bfloat16 in the regulariser costs in image quality: the quickstart's SSDU, trained in single and in mixed precision.

Nothing else differs. PSNR is the mean over the test subjects, seed by seed.

    python benchmarks/mixed_precision.py [--seeds 3] [--steps 700] [--device cuda]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from common import write_result

from ssrecon import Comparison
from ssrecon.core import Process
from ssrecon.recipe import Selection, load_recipe
from ssrecon.study import run
from ssrecon.study.run_folder import RunFolder

QUICKSTART = Path(__file__).parents[1] / "recipes" / "quickstart.py"


def main(seeds: int, steps: int, device: str) -> None:
    base = load_recipe(QUICKSTART).arms["ssdu"]
    base = replace(base, training=replace(base.training, steps=steps))
    arms = {name: replace(base, network=replace(base.network, mixed_precision=name == "bf16")) for name in ("fp32", "bf16")}
    comparison = Comparison(title="Mixed precision", arms=arms, baselines={}, seeds=tuple(range(seeds)))
    with TemporaryDirectory() as folder:
        run(comparison, Path(folder) / "run", Process(device=torch.device(device)), say=lambda text: print(text, file=sys.stderr))
        finished = RunFolder.open(Path(folder) / "run")
        psnr: dict[str, list[float]] = {}
        for arm in arms:
            for seed in range(seeds):
                values = [
                    row["value"]
                    for row in finished.metrics
                    if (row["arm"], row["seed"], row["selection"]) == (arm, str(seed), Selection.GAMMA)
                    and (row["metric"], row["convention"], row["scan"]) == ("psnr", "fastmri", "")
                ]
                psnr.setdefault(arm, []).append(float(np.mean(values)))
    difference = np.subtract(psnr["bf16"], psnr["fp32"])
    result = {
        "data": "simulated heads of recipes/quickstart.py",
        "updates": steps,
        "psnr_db": psnr,
        "bf16_minus_fp32_db": difference.tolist(),
        "mean_bf16_minus_fp32_db": float(difference.mean()),
    }
    write_result("mixed_precision", result, device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    main(options.seeds, options.steps, options.device)
