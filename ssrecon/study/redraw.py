"""The scripts in ``figures/`` share this: a run's folder comes in, one figure file goes out."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ssrecon.core.errors import BadInput, SsreconError
from ssrecon.study.figures import save
from ssrecon.study.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Read = TypeVar("Read")


def redraw(
    name: str,
    draw: "Callable[[Read], Figure | None]",
    arguments: Sequence[str] | None = None,
    *,
    read: Callable[[Path], Read] = RunFolder.open,  # type: ignore[assignment]
    table: Callable[[Read], str] | None = None,
) -> int:
    """Draw one figure of a run into ``RUN_FOLDER/figures/NAME.png``, or where ``--out`` says, and return the script's exit code.

    `read` makes of the folder what `draw` takes; where a `table` is given, ``--table FILE.md`` writes it.
    """
    title = name.replace("_", " ")
    parser = argparse.ArgumentParser(description=f"Draw {title} from the files of a finished run; nothing is trained.")
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--out", type=Path, help=f"a .png, .svg or .pdf file (RUN_FOLDER/figures/{name}.png)")
    if table is not None:
        parser.add_argument("--table", type=Path, help="a Markdown file for the numbers")
    options = parser.parse_args(arguments)

    def draw_and_save() -> object:
        found = read(options.run_folder)
        if table is not None and options.table is not None:
            options.table.write_text(table(found), encoding="utf-8")
        figure = draw(found)
        if figure is None:
            raise BadInput(options.run_folder, found=f"nothing to draw {title} from", expected="files as in docs/run_folder.md")
        return save(figure, options.out or options.run_folder / "figures" / f"{name}.png")

    return printed(draw_and_save)


def printed(result: Callable[[], object]) -> int:
    """Print what a script made, or what went wrong, and return its exit code."""
    try:
        print(result())
    except SsreconError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
