"""``ssrecon evaluate``."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("evaluate", help="score fastMRI-style reconstructions against references, subject by subject")
    command.add_argument("reconstructions", type=Path, help="folder of HDF5 files with `reconstruction`")
    command.add_argument("references", type=Path, help="folder of the fully sampled files")
    command.add_argument("--out", type=Path, help="where to write metrics.csv")
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.evaluation.evaluate_folder import evaluate_folder

    print(evaluate_folder(options.reconstructions, options.references, options.out))
