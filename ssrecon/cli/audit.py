"""``ssrecon audit``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import calibration_options, calibrator_of, engine_options, identity_options, leave_out_option


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("audit", help="what is in an archive, and may it train: a table, a page and a JSON")
    command.add_argument("archive", type=Path)
    command.add_argument("--out", type=Path, default=Path("audit"), help="where audit.html and audit.json go (default: ./audit)")
    calibration_options(command)
    leave_out_option(command)
    engine_options(command)
    identity_options(command)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.archive import open_archive
    from ssrecon.archive.leave_out import expanded
    from ssrecon.core.engines import parse_shard
    from ssrecon.inspect.audit import audit
    from ssrecon.inspect.page import write_page
    from ssrecon.inspect.summary import table, write_json

    shard = parse_shard(options.shard) if options.shard else None
    archive = open_archive(options.archive, options.require_deidentified)
    leave_out = expanded(options.leave_out)
    found = audit(archive, options.out, options.workers, shard, options.dask, calibrator_of(options), leave_out)
    write_json(found, options.out / "audit.json")
    print(table(found))
    print(f"\npage: {write_page(found, options.out / 'audit.html')}")
    return 1 if found.verdicts["refuse"] or found.refused else 0
