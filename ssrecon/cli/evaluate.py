"""``ssrecon evaluate``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import Commands, new_command


def add(commands: Commands) -> None:
    command = new_command(commands, "evaluate", "score images of any program against reference images, and average over subjects")
    command.add_argument("reconstructions", type=Path, help="folder of HDF5 files with the dataset `reconstruction`, as fastMRI asks for")
    references = "folder of files of the same names with `reconstruction_rss` or `reconstruction_esc`, as in fastMRI's fully sampled files"
    command.add_argument("references", type=Path, help=references)
    command.add_argument("--out", type=Path, help="folder for metrics.csv, every score of every slice and volume (default: not written)")
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.evaluation.evaluate_folder import evaluate_folder

    print(evaluate_folder(options.reconstructions, options.references, options.out))
