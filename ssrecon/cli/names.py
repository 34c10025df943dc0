"""``ssrecon names``."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("names", help="which file is behind each pseudonym of an archive, for whoever has the key")
    command.add_argument("archive", type=Path)
    command.set_defaults(function=call)


def call(options: argparse.Namespace, rest: list[str]) -> None:
    from ssrecon.archive import open_archive

    archive = open_archive(options.archive)
    for volume_id in archive.volumes():
        print(volume_id, *archive.files(volume_id), sep="\t")
