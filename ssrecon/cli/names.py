"""``ssrecon names``."""

import argparse
from pathlib import Path

from ssrecon.cli.options import Commands, new_command, opened_archive


def add(commands: Commands) -> None:
    command = new_command(commands, "names", "print which file is behind each pseudonym; needs the key with which they were made")
    command.add_argument("archive", type=Path, help="the file or folder of raw scans that the pseudonyms were made from")
    command.set_defaults(function=call, require_deidentified=False)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    archive = opened_archive(options)
    for volume_id in archive.volumes():
        print(volume_id, *archive.files(volume_id), sep="\t")
