"""``ssrecon simulate``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import Commands, new_command


def add(commands: Commands) -> None:
    command = new_command(commands, "simulate", "make raw scans of simulated heads, to try everything without patients' data")
    command.add_argument("out", type=Path, help="folder for the scans, one HDF5 file a head in fastMRI's layout")
    command.add_argument("--subjects", type=int, default=8, metavar="N", help="number of heads (default: 8)")
    command.add_argument("--slices", type=int, default=4, metavar="N", help="slices of each head (default: 4)")
    command.add_argument("--matrix", type=int, default=256, metavar="N", help="image size, N x N pixels (default: 256)")
    command.add_argument("--coils", type=int, default=8, metavar="N", help="receiver coils (default: 8)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="the same number gives the same heads (default: 0)")
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.simulation import PhantomArchive, simulate

    matrix = (options.matrix, options.matrix)
    archive = PhantomArchive(subjects=options.subjects, slices=options.slices, matrix=matrix, coils=options.coils, seed=options.seed)
    files = simulate(options.out, archive)
    print(f"{options.out}: {len(files)} volumes of simulated scans")
