"""``ssrecon reconstruct``."""

import argparse
import sys
from pathlib import Path

from ssrecon.cli.options import device_of, identity_options


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("reconstruct", help="reconstruct scans with a trained network")
    command.add_argument("checkpoint", type=Path)
    command.add_argument("scans", type=Path, help="a file or a folder")
    command.add_argument("out", type=Path)
    command.add_argument("--complex", action="store_true", help="write complex images too")
    command.add_argument("--resample", action="store_true", help="bring images to the scanner's reconstruction matrix")
    command.add_argument("--device", help="cpu, cuda, ... (default: a GPU where there is one)")
    command.add_argument("--trust", action="append", default=[], metavar="MODULE", help="import classes of the checkpoint from it")
    identity_options(command)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> int:
    from ssrecon.reconstruction.loaded_network import load_checkpoint
    from ssrecon.reconstruction.reconstruct import reconstruct

    device = device_of(options.device)
    trained = load_checkpoint(options.checkpoint, device, options.trust)
    results = reconstruct(
        trained,
        options.scans,
        options.out,
        complex_images=options.complex,
        device=device,
        resample=options.resample,
        require_deidentified=options.require_deidentified,
    )
    failed = [result for result in results if result.error is not None]
    for result in failed:
        print(f"{result.source}: {result.error}", file=sys.stderr)
    print(f"{options.out}: {len(results) - len(failed)} of {len(results)} volumes reconstructed")
    return 1 if failed else 0
