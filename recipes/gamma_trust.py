"""Does Gamma deserve its trust? What the scores that need no truth say of a training's checkpoints, against the error that does.

    python recipes/gamma_trust.py --out runs/gamma_trust --workers 2     # trains, keeps checkpoints, scores each: checkpoints.csv
    python figures/gamma_trust.py runs/gamma_trust                       # the rank correlations, and the figure

Twice, with two seeds: the arms of `which_objective.py` on random columns, which are the objectives that need neither one scan alone nor
repetitions.

For every kept checkpoint of every arm and test scan: the held-out residual on Gamma of lines and on Gamma of points, one minus the
split-half Fourier ring correlation of two reconstructions from disjoint halves of what was acquired, and the hidden NMSE and SSIM. The
scans are simulated heads, random columns R=4, and the hidden errors against their noiseless images.
"""

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from which_objective import COLUMNS, EVERY, NETWORK, OBJECTIVES, around

from ssrecon import Comparison, Draw
from ssrecon.archive import BySubject
from ssrecon.core import CalibratedScan, Estimate, Prepared
from ssrecon.core.engines import each
from ssrecon.core.files import whole_file
from ssrecon.metrics import fourier_ring_correlation, nmse, ssim
from ssrecon.partition import Gamma, Lines, gamma_score
from ssrecon.recipe import Recipe, Training
from ssrecon.reconstruction import LoadedNetwork, load_checkpoint
from ssrecon.simulation import MPRAGE, PhantomArchive
from ssrecon.store import Data, Store

base = Recipe(
    data=Data(
        source=PhantomArchive(subjects=30, slices=2, matrix=(96, 96), coils=8, contrasts=(MPRAGE(),), noise=0.05),
        pattern=COLUMNS,
        split=BySubject(validation=1, test=5),
    ),
    network=NETWORK,
    training=Training(steps=400, learning_rate=4e-3, final_learning_rate=1e-5, clip_norm=1.0, validate_every=200, keep_every=40),
)
comparison = Comparison(
    title="Does Gamma deserve its trust?",
    arms={name: replace(base, objective=OBJECTIVES[name], network=around(name, base.network)) for name in EVERY},
    baselines={},
    seeds=(0, 1),
)
SCORES = {"gamma of lines": Gamma(lines=True), "gamma of points": Gamma(lines=False)}


@torch.no_grad()
def scores(model: LoadedNetwork, prepared: Prepared, device: str = "cpu") -> dict[str, float]:
    """Return the scores of one checkpoint on one scan, by name."""
    scan, draw = prepared.scan.to(device), Draw(0)
    values = {name: float(gamma_score(model, scan, gamma.hold_out(scan, draw))[0]) for name, gamma in SCORES.items()}
    values["1 - split-half FRC"] = 1 - split_half_correlation(model, scan, draw)
    # The noiseless image: the noise of a reference is, on Omega, that of the input, and an image that kept it would be the better.
    assert prepared.truth is not None
    reference = Estimate(prepared.truth).magnitude[0, 0]
    image = model(scan).magnitude[0, 0].cpu()
    values["hidden NMSE"] = nmse(image, reference)
    values["hidden 1 - SSIM"] = 1 - ssim(image, reference, float(reference.max()))
    return values


def split_half_correlation(model: LoadedNetwork, scan: CalibratedScan, draw: Draw) -> float:
    """Return the mean Fourier ring correlation of two images, each from half of the lines.

    It is over the rings in which the halves share nothing: those beyond the calibration box, which both are given (no network was trained
    without it).
    """
    part = Lines(0.5, protected=0).split(scan, draw)
    box = scan.mask & scan.calibration
    halves = [model(scan.on(half | box)).image[0, 0, 0].cpu() for half in (part.theta, part.lambda_)]
    centre = torch.tensor([n // 2 for n in box.shape[3:]])
    corner = int((box[0, 0, 0].nonzero().cpu() - centre).double().norm(dim=1).max().round())
    return float(fourier_ring_correlation(*halves)[corner + 1 :].mean())


@dataclass(frozen=True)
class Kept:
    """This is one checkpoint to be scored on the test scans."""

    path: Path
    store: Path
    scan_ids: tuple[str, ...]
    device: str
    threads: int


def rows_of(kept: Kept) -> list[list[Any]]:
    torch.set_num_threads(kept.threads)
    arm, seed = kept.path.parts[-4], kept.path.parts[-3].removeprefix("seed-")
    store, model = Store(kept.store), load_checkpoint(kept.path, kept.device)
    return [
        [arm, int(seed), int(kept.path.stem.removeprefix("step-")), scan_id, name, value]
        for scan_id in kept.scan_ids
        for name, value in scores(model, store.load(scan_id, reference=True), kept.device).items()
    ]


def main() -> None:
    from ssrecon.core import process
    from ssrecon.study import run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/gamma_trust"))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(comparison.seeds))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="trainings, and then checkpoints, at a time, each in a process of its own")
    options = parser.parse_args()
    chosen = replace(comparison, seeds=tuple(options.seeds))
    with process(options.device) as this:
        run(chosen, options.out, this, resume=True, say=print, workers=options.workers)
    paths = sorted(options.out.glob("arms/*/seed-*/checkpoints/step-*.safetensors"))
    threads = max(1, torch.get_num_threads() // options.workers)
    store = options.out / "store"
    tested = chosen.data.split.assign(Store(store).headers).test
    jobs = [Kept(path, store, tested, options.device, threads) for path in paths]
    rows: list[list[Any]] = []
    with each(rows_of, jobs, options.workers) as ended:
        for _, result in ended:
            if isinstance(result, BaseException):
                raise result
            rows += result
    with whole_file(options.out / "checkpoints.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arm", "seed", "step", "scan", "score", "value"])
        place = list(chosen.arms).index
        writer.writerows(sorted(rows, key=lambda row: (place(row[0]), *row[1:4])))
    print(options.out / "checkpoints.csv")


if __name__ == "__main__":
    main()
