"""``ssrecon simulate``."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("simulate", help="write an archive of simulated raw scans")
    command.add_argument("out", type=Path)
    command.add_argument("--subjects", type=int, default=8)
    command.add_argument("--slices", type=int, default=4, help="of each subject")
    command.add_argument("--matrix", type=int, default=256)
    command.add_argument("--coils", type=int, default=8)
    command.add_argument("--seed", type=int, default=0)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.simulation import PhantomArchive, simulate

    matrix = (options.matrix, options.matrix)
    archive = PhantomArchive(subjects=options.subjects, slices=options.slices, matrix=matrix, coils=options.coils, seed=options.seed)
    files = simulate(options.out, archive)
    print(f"{options.out}: {len(files)} volumes of simulated scans")
