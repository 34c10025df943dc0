"""What the scripts in ``figures/`` share: a run's folder in, one figure file out."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ssrecon.core.errors import BadInput, SsreconError
from ssrecon.study.figures import save
from ssrecon.study.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def redraw(name: str, draw: "Callable[[RunFolder], Figure | None]", arguments: Sequence[str] | None = None) -> int:
    """Run a script: draw one figure of a run into ``RUN_FOLDER/figures/NAME.png``, or where ``--out`` says. Returns the exit code."""
    title = name.replace("_", " ")
    parser = argparse.ArgumentParser(description=f"Draw {title} from the files of a finished run; nothing is trained.")
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--out", type=Path, help=f"a .png, .svg or .pdf file (RUN_FOLDER/figures/{name}.png)")
    options = parser.parse_args(arguments)
    try:
        figure = draw(RunFolder.open(options.run_folder))
        if figure is None:
            raise BadInput(options.run_folder, found=f"nothing to draw {title} from", expected="files as in docs/run_folder.md")
        print(save(figure, options.out or options.run_folder / "figures" / f"{name}.png"))
    except SsreconError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
