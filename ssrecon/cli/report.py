"""``ssrecon report``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import Commands, new_command


def add(commands: Commands) -> None:
    command = new_command(commands, "report", "write the report of a run again, from the files in its folder")
    command.add_argument("run", type=Path, help="the folder that `ssrecon run` has filled")
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.study.report import write_report

    print(write_report(options.run))
