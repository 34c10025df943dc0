"""Simulate how often intervals over a few subjects hold the mean, how long they are, and how often "not inferior" is claimed falsely.

python benchmarks/coverage.py [--cohorts 20000] [--subjects 6 8 10 20]

Differences are normal or exponential (skewed towards the better, and towards the worse). Beside the bootstrap-t of this package stand
Student's t, and the percentile bootstrap that it used before. Prints Markdown and writes a result.
"""

import argparse

import numpy as np
from common import write_result
from scipy import stats

from ssrecon.study.intervals import bounds

SIZES = (6, 8, 10, 20)
LAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed to the better": lambda rng, shape: rng.exponential(size=shape) - 1,
    "skewed to the worse": lambda rng, shape: 1 - rng.exponential(size=shape),
}
COHORTS_PER_BATCH = 1000


def student(values: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    n = values.shape[1]
    error = values.std(axis=1, ddof=1) / np.sqrt(n)
    return np.stack([values.mean(axis=1) - stats.t.ppf(q, n - 1) * error for q in quantiles])


def percentile(values: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    n = values.shape[1]
    picks = np.random.default_rng(0).integers(0, n, size=(1999, n))
    shares = np.stack([(picks == subject).sum(axis=1) for subject in range(n)]) / n
    return np.quantile(values @ shares, [1 - q for q in quantiles], axis=1)


METHODS = {"bootstrap-t": bounds, "Student's t": student, "percentile bootstrap": percentile}


def measured(law: str, n: int, cohorts: int) -> dict[str, dict[str, float]]:
    """Return each method's coverage at 95 %, one-sided error at 5 %, and length in units of Student's (its 99 % quantile)."""
    rng = np.random.default_rng([n, len(law)])
    covered, wrong, lengths = ({name: [] for name in METHODS} for _ in range(3))
    for _ in range(cohorts // COHORTS_PER_BATCH):
        values = LAWS[law](rng, (COHORTS_PER_BATCH, n))
        students = np.subtract(*student(values, (0.025, 0.975)))
        for name, method in METHODS.items():
            upper, lower, one_sided = method(values, (0.025, 0.975, 0.95))
            covered[name].append((lower <= 0) & (0 <= upper))
            wrong[name].append(one_sided > 0)
            lengths[name].append((upper - lower) / students)
    return {
        name: {
            "covered": round(float(np.mean(covered[name])), 4),
            "falsely_not_inferior": round(float(np.mean(wrong[name])), 4),
            "longest": round(float(np.quantile(lengths[name], 0.99)), 2),
        }
        for name in METHODS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=20_000)
    parser.add_argument("--subjects", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    print("| differences | n | " + " | ".join(f"{name}: covered | falsely not inferior | longest" for name in METHODS) + " |")
    print("|---|---|" + "---|" * 3 * len(METHODS))
    rows = []
    for law in LAWS:
        for n in options.subjects:
            found = measured(law, n, options.cohorts)
            rows.append({"law": law, "n": n, **found})
            cells = (f"{of['covered']:.1%} | {of['falsely_not_inferior']:.1%} | {of['longest']:.1f}" for of in found.values())
            print(f"| {law} | {n} | " + " | ".join(cells) + " |", flush=True)
    write_result("coverage", {"cohorts": options.cohorts, "rows": rows})


if __name__ == "__main__":
    main()
