"""``ssrecon reconstruct``."""

import argparse
import sys
from pathlib import Path

from ssrecon.cli.options import Commands, device_of, identity_options, new_command


def add(commands: Commands) -> None:
    command = new_command(commands, "reconstruct", "turn raw scans into images with a trained network")
    checkpoint = "the trained network: a file such as RUN/arms/ARM/seed-0/checkpoints/gamma.safetensors"
    command.add_argument("checkpoint", type=Path, help=checkpoint)
    command.add_argument("scans", type=Path, help="a file of raw scans, or a folder of them")
    command.add_argument("out", type=Path, help="folder for the images, one HDF5 file a volume")
    command.add_argument("--complex", action="store_true", help="write complex images beside the magnitudes")
    command.add_argument("--resample", action="store_true", help="interpolate images to as many pixels as the scanner's own images have")
    command.add_argument("--device", help="what to compute on: cpu, cuda, cuda:1 ... (default: a GPU where there is one)")
    trust = "a Python module of your own that the network's classes may be imported from; it runs as a program; may be given several times"
    command.add_argument("--trust", action="append", default=[], metavar="MODULE", help=trust)
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
