"""``ssrecon audit``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import Commands, archive_options, calibrator_of, new_command, opened_archive, shard_of


def add(commands: Commands) -> None:
    command = new_command(commands, "audit", "check raw scans: what is there, which may be used for training, and why others may not")
    archive_options(command)
    out = "folder for audit.html, audit.json and refused.lst (default: ./audit)"
    command.add_argument("--out", type=Path, default=Path("audit"), help=out)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.archive.leave_out import expanded
    from ssrecon.inspect.audit import audit
    from ssrecon.inspect.page import write_page
    from ssrecon.inspect.summary import table, write_json, write_refused

    shard, archive, calibrator = shard_of(options), opened_archive(options), calibrator_of(options)
    found = audit(archive, options.out, options.workers, shard, options.dask, calibrator, expanded(options.leave_out))
    write_json(found, options.out / "audit.json")
    write_refused(found, options.out / "refused.lst")
    print(table(found))
    if found.verdicts["refuse"]:
        print(f"\nto prepare without what is refused: --leave-out {options.out / 'refused.lst'}")
    print(f"\npage: {write_page(found, options.out / 'audit.html')}")
    return 1 if found.verdicts["refuse"] or found.refused else 0
