"""``ssrecon prepare``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import calibration_options, calibrator_of, device_of, engine_options, identity_options, leave_out_option


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("prepare", help="whiten, scale and estimate coil sensitivities, once")
    command.add_argument("archive", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--coils", type=int, help="compress to so many virtual coils")
    command.add_argument(
        "--maps", choices=("auto", "1", "2"), default="auto", help="map sets; auto: 2 where an object is larger than its image"
    )
    command.add_argument("--device", default="cpu", help="cpu, cuda, ...: where sensitivities are estimated (default: cpu)")
    command.add_argument("--no-hybrid", action="store_true", help="keep 3-D scans native, not as slices across the readout")
    keep = "keep scans that the verdict says may not train, where they can be calibrated"
    command.add_argument("--keep-unfit", action="store_true", help=keep)
    calibration_options(command)
    leave_out_option(command)
    engine_options(command)
    identity_options(command)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.archive import open_archive
    from ssrecon.archive.leave_out import expanded
    from ssrecon.core.engines import parse_shard
    from ssrecon.store.prepare import prepare

    shard, device = parse_shard(options.shard) if options.shard else None, device_of(options.device)
    archive = open_archive(options.archive, options.require_deidentified)
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
