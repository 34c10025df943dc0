"""``ssrecon prepare``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import (
    Commands,
    archive_options,
    calibrator_of,
    device_of,
    keep_unfit_option,
    new_command,
    opened_archive,
    shard_of,
)


def add(commands: Commands) -> None:
    command = new_command(commands, "prepare", "prepare raw scans for training, once: noise, coil sensitivities, scale")
    archive_options(command)
    command.add_argument("out", type=Path, help="folder for the prepared scans (the store)")
    command.add_argument("--coils", type=int, metavar="N", help="combine the receiver's coils to N virtual ones (default: keep all)")
    maps = "sets of sensitivity maps: 2 for objects larger than the field of view; auto decides for each volume (default: auto)"
    command.add_argument("--maps", choices=("auto", "1", "2"), default="auto", help=maps)
    command.add_argument("--device", default="cpu", help="where sensitivities are estimated: cpu, cuda, cuda:1 ... (default: cpu)")
    command.add_argument("--no-hybrid", action="store_true", help="keep 3-D scans whole instead of as 2-D slices across the readout")
    keep_unfit_option(command)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.archive.leave_out import expanded
    from ssrecon.store.prepare import prepare

    shard, device, archive = shard_of(options), device_of(options.device), opened_archive(options)
    calibrator = calibrator_of(options, maps=None if options.maps == "auto" else int(options.maps), coils=options.coils)
    print(archive.describe(calibrator))
    result = prepare(
        archive,
        options.out,
        calibrator,
        workers=options.workers,
        shard=shard,
        dask=options.dask,
        hybrid=not options.no_hybrid,
        device=device,
        keep_unfit=options.keep_unfit,
        leave_out=expanded(options.leave_out),
    )
    print(f"{options.out}: {len(result.headers)} scans are ready to train on")
    return 1 if result.skipped else 0
