"""``ssrecon report``."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("report", help="write a run folder's report again")
    command.add_argument("run", type=Path)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.study.report import write_report

    print(write_report(options.run))
