"""All figures look alike: one fixed colour per arm, readable by the colour-blind, on white and on black; SVG and PNG are deterministic."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssrecon.study.run_folder import Arm, RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1d21"
"""Text and axes have this colour; inside the report they take the page's text colour instead."""
FAINT = "#8b8f98"
SUPERVISED = ("#0072b2", "#56b4e9")
SELF_SUPERVISED = ("#d55e00", "#009e73", "#cc79a7", "#b8860b", "#7b68ee")
BASELINES = ("#8a8a8a", "#5f9ea0", "#a08a3c", "#9a7fa8", "#7d8f69")
"""Networks have the colours of Okabe and Ito, baselines muted ones; all lie between 30 and 70 % luminance."""
DASHES: tuple[Any, ...] = ((0, (1, 1.4)), (0, (4, 1.6)), (0, (5, 1.4, 1, 1.4)), (0, (2, 1)), (0, (7, 2)))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "ssrecon",
    "svg.image_inline": True,
}


@dataclass(frozen=True)
class Look:
    """This is how one arm is drawn in every figure."""

    colour: str
    dashes: Any
    marker: str


def looks(run: RunFolder) -> dict[str, Look]:
    """Return the look of each arm, which the order of the arms within their kind decides."""
    groups = (
        ([arm for arm in run.arms if arm.is_supervised], SUPERVISED, False),
        ([arm for arm in run.arms if arm.is_self_supervised], SELF_SUPERVISED, False),
        ([arm for arm in run.arms if not arm.is_network], BASELINES, True),
    )
    found: dict[str, Look] = {}
    for arms, colours, dashed in groups:
        for i, arm in enumerate(arms):
            # Past the end of the palette colours come again, with other dashes.
            dashes = DASHES[i % len(DASHES)] if dashed or i >= len(colours) else "solid"
            found[arm.name] = Look(colours[i % len(colours)], dashes, MARKERS[len(found) % len(MARKERS)])
    return found


@contextmanager
def styled() -> Iterator[None]:
    """Set what figures are made and written under until the block ends; then matplotlib's own settings are put back."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says: a report looks the same everywhere
        matplotlib.rcParams.update(RC)  # type: ignore[arg-type]
        yield


def new_figure(width: float, height: float) -> "Figure":
    """Return a figure, sized in inches, on the Agg canvas. It has no place in pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend(figure: "Figure", arms: Sequence[Arm], look: dict[str, Look], extra: Sequence[tuple[Any, str]] = ()) -> None:
    """Draw one legend below the whole figure."""
    from matplotlib.lines import Line2D

    lines: list[tuple[Any, str]] = [
        (Line2D([], [], color=look[arm.name].colour, linestyle=look[arm.name].dashes, linewidth=1.8), arm.label) for arm in arms
    ]
    handles, labels = zip(*lines, *extra, strict=True)
    columns = max(1, min(len(labels), int(figure.get_figwidth() / 1.45)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.4)


def quiet_grid(axes: "Axes", axis: str = "y") -> None:
    """Draw hair lines behind the data."""
    axes.grid(True, axis=axis, color=FAINT, alpha=0.25, linewidth=0.5)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def to_svg(figure: "Figure") -> str:
    """Return the figure as an SVG document, with text as paths and no date: the same bytes for the same data."""
    return _rendered(figure, "svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}).decode()


def to_png(figure: "Figure", dpi: int = 200) -> bytes:
    return _rendered(figure, "png", dpi=dpi, facecolor="white", metadata={"Software": None})


def to_pdf(figure: "Figure") -> bytes:
    return _rendered(figure, "pdf", facecolor="white", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def _rendered(figure: "Figure", kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format=kind, **{"transparent": kind == "svg", **options})
    return buffer.getvalue()


def inline_svg(svg: str, prefix: str, description: str) -> str:
    """Return an SVG for the middle of an HTML page: `prefix` makes its ids unique, ink has the page's text colour, its width is free.

    `description` is what a screen reader says; it must be escaped already.
    """
    body = svg[svg.index("<svg") :]
    opening, _, rest = body.partition(">")
    size = re.search(r'viewBox="([^"]*)"', opening)
    rest = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', rest)
    rest = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', rest)
    rest = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", rest)
    rest = re.sub(INK, "currentColor", rest, flags=re.IGNORECASE)
    box = size.group(1) if size else "0 0 100 100"
    links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    # 105 CSS pixels an inch: a figure keeps its own size beside wider ones, and type is alike in all of them.
    width = round(float(box.split()[2]) * 105 / 72)
    return f'<svg {links} viewBox="{box}" style="max-width:{width}px" role="img" aria-label="{description}">{rest}'
