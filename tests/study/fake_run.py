"""A run folder as a finished comparison leaves it, of invented numbers and small drawn images, in well under a second."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from ssrecon.evaluation.rows import METRIC_COLUMNS
from ssrecon.training.history import HISTORY_COLUMNS

NETWORKS = {"ssdu": "SSDU", "multi_mask_ssdu": "MultiMaskSSDU", "supervised": "Supervised"}
QUALITY = {"zero_filled": 26.4, "cg_sense": 29.8, "l1_wavelet": 31.3, "ssdu": 34.1, "multi_mask_ssdu": 34.35, "supervised": 34.5}
"""Mean PSNR by arm, in dB."""
STEPS = 1000


def make_run(folder: Path, subjects: int = 7, seeds: int = 2, size: int = 64, reference: bool = True, scans: int = 1) -> Path:
    """Write the folder and return it. With `reference` False: as of measurements without truth."""
    generator = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run_json(seeds, reference)))
    _write(folder / "metrics.csv", METRIC_COLUMNS, _metric_rows(generator, subjects, seeds, reference))
    for index, arm in enumerate(NETWORKS):
        for seed in range(seeds):
            rows = _history(np.random.default_rng([7, index, seed]), index, reference)
            _write(folder / "arms" / arm / f"seed-{seed}" / "history.csv", HISTORY_COLUMNS, rows)
    np.savez_compressed(folder / "images.npz", **_images(generator, size, reference, scans))
    return folder


def run_json(seeds: int = 2, reference: bool = True) -> dict[str, Any]:
    arms: dict[str, Any] = {
        name: {
            "kind": "network",
            "objective": objective,
            "needs_reference": objective == "Supervised",
            "label": name,
            "seeds": {
                str(seed): {
                    "updates": STEPS,
                    "parameters": 113_413,
                    "flops_per_update": 3.21e11 * (4 if name.startswith("multi") else 1),
                    "seconds": 131.0 + 7 * seed,
                    "selected_step": {"gamma": 800, "reference": 900 if reference else None},
                }
                for seed in range(seeds)
            },
        }
        for name, objective in NETWORKS.items()
    }
    grid = [{"regularisation": 10.0**-k, "score": 0.012 + 0.004 * (k - 2.7) ** 2, "per_scan": [0.01, 0.02]} for k in range(1, 6)]
    baselines = {
        "zero_filled": {"chosen": {"class": "ssrecon.baselines.zero_filled.ZeroFilled"}, "tuning": []},
        "cg_sense": {
            "tuning": [{"iterations": n, "score": 0.02 + 0.0002 * (n - 9) ** 2} for n in (2, 4, 8, 12, 20)],
            "chosen": {"iterations": 8},
            "tuned_by": "reference NMSE",
            "on_edge": [],
        },
        "l1_wavelet": {"tuning": grid, "chosen": {"regularisation": 1e-3}, "tuned_by": "reference NMSE", "on_edge": []},
    }
    return {
        "title": "Self-supervised & supervised <twins>",
        "hash": "0123456789abcdef",
        "date": "2026-11-23T04:05:06Z",
        "data": {
            "kind": "simulated",
            "description": "84 scans of 21 subjects (simulated); 8 coils, 64 x 64; noise level: noise scan",
            "sampling": {
                "scans": 14,
                "patterns": {"random columns": 12, "variable-density columns": 2},
                "acceleration": [2.91, 3.2],
                "calibration": [[12, 64], [14, 64]],
            },
        },
        "recipe": {
            "class": "ssrecon.recipe.recipe.Comparison",
            "title": "twins",
            "arms": {name: _recipe(objective) for name, objective in NETWORKS.items()},
            "baselines": {},
            "seeds": list(range(seeds)),
        },
        "arms": arms | {name: {"kind": "baseline", "label": name, "seeds": {}} for name in baselines},
        "baselines": baselines,
        "margins": {"class": "ssrecon.recipe.recipe.Margins", "psnr": 0.5, "ssim": 0.01},
        "headline_selection": "gamma",
        "versions": {"python": "3.11.9", "ssrecon": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
        "device": "An Imagined CPU @ 2.00GHz",
        "cpu": "An Imagined CPU @ 2.00GHz",
        "threads": 2,
        "platform": "Linux x86_64",
        "git_commit": "2f1c0b7e9d3a4f5566778899aabbccddeeff0011",
        "git_modified": False,
        "seeds": list(range(seeds)),
        "data_fingerprint": "fedcba9876543210",
        "finished": True,
    }


def _recipe(objective: str) -> dict[str, Any]:
    partitioner = {"class": "ssrecon.partition.gaussian.Gaussian", "loss_fraction": 0.4, "std_scale": 4.0, "protected": [4, 4]}
    return {
        "class": "ssrecon.recipe.recipe.Recipe",
        "data": {
            "class": "ssrecon.recipe.recipe.Data",
            "source": {"class": "ssrecon.simulation.phantom.Phantom", "subjects": 21, "size": 64},
            "pattern": {"class": "ssrecon.sampling.patterns.random_columns.RandomColumns", "acceleration": 4.0, "calibration_lines": 12},
            "seed": 0,
        },
        "network": {"class": "ssrecon.networks.unrolled.Unrolled", "unrolls": 5, "cg_iterations": 6},
        "objective": {
            "class": f"ssrecon.objectives.{objective.lower()}.{objective}",
            "distance": {"class": "ssrecon.objectives.distances.NormalizedL1L2"},
        }
        | ({} if objective == "Supervised" else {"partitioner": partitioner}),
        "training": {"class": "ssrecon.recipe.recipe.Training", "steps": STEPS, "epochs": None, "batch_size": 1, "learning_rate": 5e-4},
        "seed": 0,
        "title": "",
    }


def _metric_rows(generator: np.random.Generator, subjects: int, seeds: int, reference: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    person = generator.normal(0, 1.2, subjects)
    for arm, quality in QUALITY.items():
        trained = arm in NETWORKS
        for seed in range(seeds) if trained else [""]:
            for selection in ("gamma", "reference") if trained and reference else ("gamma",) if trained else ("none",):
                bonus = 0.05 if selection == "reference" else 0.0
                for subject in range(subjects):
                    psnr = quality + bonus + person[subject] + generator.normal(0, 0.12)
                    labels = {
                        "arm": arm,
                        "seed": seed,
                        "selection": selection,
                        "subject": f"subject-{subject}",
                        "volume": f"volume-{subject}",
                    }
                    rows += _of_volume(labels, psnr, reference)
    return rows


def _of_volume(labels: dict[str, Any], psnr: float, reference: bool) -> list[dict[str, Any]]:
    nmse = 10 ** (-psnr / 10) * 22
    values = {"nmse": nmse, "nrmse": nmse**0.5, "psnr": psnr, "ssim": 1 - 2.0 * nmse**0.65, "hfen": 1.9 * nmse**0.5}
    rows: list[dict[str, Any]] = []
    for scan in ("", *(f"{labels['volume']}/slice-{i}" for i in range(2))):
        where = {**labels, "scan": scan}
        if reference:
            convention = "slice" if scan else "fastmri"
            rows += [{**where, "metric": metric, "convention": convention, "value": value} for metric, value in values.items()]
            rows.append({**where, "metric": "ssim", "convention": "wang", "value": values["ssim"] - 0.01})
        if scan:
            rows.append({**where, "metric": "residual", "convention": "acquired, noise units", "value": 0.9 + nmse})
            if reference:
                rows.append({**where, "metric": "residual", "convention": "withheld, noise units", "value": 1 + 60 * nmse})
    return rows


def _history(generator: np.random.Generator, arm: int, reference: bool) -> list[dict[str, Any]]:
    rows = []
    for step in range(0, STEPS + 1, 100):
        hidden = 0.009 - 0.0005 * arm + 0.05 * np.exp(-step / 180) + generator.normal(0, 2e-4)
        rows.append(
            {
                "step": step,
                "epoch": step // 60,
                "loss": "" if step == 0 else 0.32 + 0.3 * np.exp(-step / 200) - 0.08 * arm + generator.normal(0, 0.006),
                "gamma": 1.02 + 30 * hidden + generator.normal(0, 0.02),
                "hidden_nmse": hidden if reference else "",
                "learning_rate": 5e-4,
                "mu": 0.05,
                "seconds": 0.131 * step,
                "gamma_floor": 1.0,
            }
        )
    return rows


def drawing(size: int, seed: int) -> np.ndarray:
    """A head of ellipses with a folded rim, magnitudes between 0 and about 1."""
    generator = np.random.default_rng([11, seed])
    y, x = np.meshgrid(*(np.linspace(-1, 1, size),) * 2, indexing="ij")
    angle = np.arctan2(y, x)
    radius = np.hypot(x / 0.72, y / 0.88)
    folds = 0.025 * np.sin(17 * angle + 3 * seed) + 0.015 * np.sin(29 * angle)
    image = 0.95 * (radius < 1) - 0.75 * (radius < 0.93) + 0.45 * (radius < 0.86 + folds) - 0.18 * (radius < 0.66 + 2 * folds)
    for _ in range(9):
        cy, cx, r = *generator.uniform(-0.4, 0.4, 2), generator.uniform(0.03, 0.16)
        image += generator.uniform(-0.25, 0.35) * (np.hypot((x - cx) / 0.8, y - cy) < r)
    return np.clip(image, 0, None).astype(np.float32)


def _images(generator: np.random.Generator, size: int, reference: bool, scans: int) -> dict[str, np.ndarray]:
    truth = np.stack([drawing(size, i) for i in range(scans)])
    mask = np.zeros((scans, size, size), dtype=bool)
    mask[:, :, :] = (generator.random(size) < 0.2)[None, :, None]
    mask[:, size // 2 - size // 20 : size // 2 + size // 20] = True
    kspace = np.fft.fftshift(np.fft.fft2(truth), axes=(1, 2))
    aliased = np.abs(np.fft.ifft2(np.fft.ifftshift(np.where(mask, kspace, 0), axes=(1, 2))))
    arrays: dict[str, np.ndarray] = {"scan_ids": np.array([f"volume-{i}/slice-1" for i in range(scans)]), "mask": mask}
    if reference:
        arrays["reference"] = truth
    band = np.linspace(0, 1, 16)
    for arm, psnr in QUALITY.items():
        share = 10 ** ((26.4 - psnr) / 20)
        noise = 0.02 * share * generator.standard_normal(truth.shape)
        arrays[f"arm/{arm}"] = (truth + share * (aliased - truth) + noise).clip(0).astype(np.float32)
        floor = 1.0 if arm == "zero_filled" else share**2 * (0.1 + 0.9 * band)
        arrays[f"kspace_residual/{arm}"] = np.where(band < 0.05, np.nan, floor) * generator.uniform(0.9, 1.1, (scans, 16))
    return arrays


def _write(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
