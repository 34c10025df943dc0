"""``ssrecon audit``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import Commands, archive_options, calibrator_of, new_command, opened_archive, shard_of


def add(commands: Commands) -> None:
    command = new_command(commands, "audit", "check raw scans: what is there, which may be used for training, and why others may not")
    archive_options(command)
    command.add_argument("--out", type=Path, default=Path("audit"), help="folder for audit.html and audit.json (default: ./audit)")
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.archive.leave_out import expanded
    from ssrecon.inspect.audit import audit
    from ssrecon.inspect.page import write_page
    from ssrecon.inspect.summary import table, write_json

    shard, archive, calibrator = shard_of(options), opened_archive(options), calibrator_of(options)
    found = audit(archive, options.out, options.workers, shard, options.dask, calibrator, expanded(options.leave_out))
    write_json(found, options.out / "audit.json")
    print(table(found))
    print(f"\npage: {write_page(found, options.out / 'audit.html')}")
    return 1 if found.verdicts["refuse"] or found.refused else 0
