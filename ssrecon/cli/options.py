"""The options that several subcommands share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from ssrecon.archive import Archive
    from ssrecon.calibrate import Calibrator


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def new_command(commands: Commands, name: str, purpose: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of a subcommand, whose purpose stands both in the list of all and above its own options."""
    return commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.", epilog=epilog)


def archive_options(command: argparse.ArgumentParser) -> None:
    """Add the archive and everything that says which of its scans are read, how they are calibrated, and by how many processes."""
    command.add_argument("archive", type=Path, help="a file of raw scans, or a folder of them in any format that is known")
    smallest = "accept calibration regions of at least N samples along each side (default: 12)"
    command.add_argument("--smallest", type=int, metavar="N", help=smallest)
    width = "use at most the middle N samples along each side of the calibration region (default: 24)"
    command.add_argument("--width", type=int, metavar="N", help=width)
    crop = "set coil sensitivities to zero where ESPIRiT's eigenvalue is below X, outside the object (default: 0.9)"
    command.add_argument("--crop", type=float, metavar="X", help=crop)
    leave_out_option(command)
    command.add_argument("--workers", type=int, default=1, metavar="N", help="processes of this machine that share the work (default: 1)")
    shard = "prepare or check the I-th of N parts of the archive alone, as one task of a SLURM array"
    command.add_argument("--shard", metavar="I/N", help=shard)
    command.add_argument("--dask", metavar="ADDRESS", help="give the work to a Dask cluster, such as tcp://HOST:8786")
    identity_options(command)


def identity_options(command: argparse.ArgumentParser) -> None:
    """Add what is to happen to files that may name people."""
    refuse = "refuse files that may still hold names, dates of birth or numbers of patients"
    command.add_argument("--require-deidentified", action="store_true", help=refuse)
    keep = "keep the names of files and folders instead of replacing them by pseudonyms; for public data only"
    command.add_argument("--keep-names", action="store_true", help=keep)


def leave_out_option(command: argparse.ArgumentParser) -> None:
    """Add the choice of scans that are not used."""
    text = (
        "do not use these scans: the id of a scan, volume or subject as the audit shows it, such an id with *, ? or [...] in it, "
        "or a .lst file with one of these a line; may be given several times"
    )
    command.add_argument("--leave-out", action="append", default=[], metavar="ID", help=text)


def keep_unfit_option(command: argparse.ArgumentParser) -> None:
    """Add the choice to use scans that are unfit for training (`ssrecon.calibrate.verdict.unfit`)."""
    text = "also use scans that are judged unfit for training, as far as they can be calibrated"
    command.add_argument("--keep-unfit", action="store_true", help=text)


def opened_archive(options: argparse.Namespace) -> "Archive":
    """Return the archive that the options of `archive_options` name."""
    from ssrecon.archive import open_archive

    return open_archive(options.archive, options.require_deidentified)


def calibrator_of(options: argparse.Namespace, **fields: Any) -> "Calibrator":
    """Return the calibrator that the options of `archive_options` describe, with further fields."""
    from ssrecon.calibrate import Calibrator

    given = {name: value for name in ("smallest", "width", "crop") if (value := getattr(options, name)) is not None}
    return Calibrator(**given, **fields)


def shard_of(options: argparse.Namespace) -> tuple[int, int] | None:
    """Return which part of how many the option ``--shard`` asks for, or None for the whole archive."""
    from ssrecon.core.engines import parse_shard

    return parse_shard(options.shard) if options.shard else None


def device_of(chosen: str | None) -> str:
    """Return the device that was chosen, by default a GPU where there is one. Raises BadInput where torch cannot use it."""
    import torch

    if chosen is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    from ssrecon.core.errors import BadInput

    try:
        torch.device(chosen)
    except RuntimeError as error:
        raise BadInput("--device " + chosen, found="no device that torch knows", expected="cpu, cuda, cuda:1 ...") from error
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise BadInput("--device " + chosen, found="no GPU that torch can use", expected="cpu, or a CUDA build of torch")
    return chosen
