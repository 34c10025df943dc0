"""Draw what SSDU's own choices do: quality over the loss fraction for both selections, and over the number of masks.

python figures/ssdu_ablation.py RUN_FOLDER [--out FILE.png|.svg|.pdf]

Reads a run of `recipes/ssdu_ablation.py`: arms ``gaussian_40``, ``uniform_40``, ``masks_4``, ``masks_redrawn``, and ``supervised``.
"""

import sys
from typing import TYPE_CHECKING

from ssrecon.study.redraw import redraw
from ssrecon.study.run_folder import RunFolder
from ssrecon.study.statistics import Measure, Summary, summarise
from ssrecon.study.style import FAINT, SELF_SUPERVISED, new_figure, quiet_grid, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(run: RunFolder) -> "Figure | None":
    """Draw PSNR, against the noiseless truth where there is one, with intervals over subjects."""
    measure = Measure.truest("psnr", run.metrics)
    found = {arm.name: summarise(run.metrics, arm.name, measure) for arm in run.networks}
    sweeps = {kind: sorted(int(name.split("_")[1]) for name in found if name.startswith(f"{kind}_")) for kind in ("gaussian", "uniform")}
    masks = sorted(int(name.split("_")[1]) for name in found if name.startswith("masks_") and name != "masks_redrawn")
    if not masks and not any(sweeps.values()):
        return None
    with styled():
        figure = new_figure(6.4, 3.0)
        left, right = figure.subplots(1, 2, sharey=True)
        for place, (kind, percents) in enumerate(sweeps.items()):
            # A little apart, so that neither interval hides the other.
            beside = 0.006 * (2 * place - 1)
            _line(left, [p / 100 + beside for p in percents], [found[f"{kind}_{p}"] for p in percents], SELF_SUPERVISED[place], kind)
        left.set(xlabel="loss fraction", ylabel="PSNR, dB")
        chosen = [found["uniform_40"]] if "uniform_40" in found else []
        fixed = [*chosen, *(found[f"masks_{count}"] for count in masks)]
        _line(right, list(range(len(fixed))), fixed, SELF_SUPERVISED[1], "fixed")
        ticks = [*([1] if chosen else []), *masks]
        if "masks_redrawn" in found:
            _line(right, [len(fixed)], [found["masks_redrawn"]], SELF_SUPERVISED[2], "redrawn")
        right.set_xticks(range(len(ticks) + 1), [*map(str, ticks), "redrawn"])
        right.set_xlabel("masks a scan (uniform, .4)")
        for axes in (left, right):
            if "supervised" in found:
                axes.axhline(found["supervised"].mean, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)), label="supervised")
            quiet_grid(axes, "y")
        left.legend()
        subjects = max(summary.subjects for summary in found.values())
        left.set_title(f"{run.section('data').get('kind', '')}, {subjects} test subjects".removeprefix(", "))
    return figure


def _line(axes: "Axes", x: list[float] | list[int], summaries: list[Summary], colour: str, label: str) -> None:
    axes.plot(x, [summary.mean for summary in summaries], "o-", color=colour, markersize=3.5, linewidth=1.2, label=label)
    for at, summary in zip(x, summaries, strict=True):
        if summary.interval is not None:
            axes.plot([at, at], [summary.interval.lower, summary.interval.upper], color=colour, linewidth=0.8)


if __name__ == "__main__":
    sys.exit(redraw("ssdu_ablation", draw))
