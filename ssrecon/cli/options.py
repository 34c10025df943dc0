"""Options that several subcommands share."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssrecon.calibrate import Calibrator


def engine_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workers", type=int, default=1, help="processes of this machine")
    command.add_argument("--shard", metavar="I/N", help="the I-th of N parts of the archive, as the tasks of a SLURM array share it")
    command.add_argument("--dask", metavar="ADDRESS", help="give the work to a Dask cluster (tcp://HOST:8786)")


def identity_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--require-deidentified", action="store_true", help="refuse files that still bear names, dates or numbers of people"
    )
    command.add_argument("--keep-names", action="store_true", help="keep the names of files and folders: for data that are public")


def calibration_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--smallest", type=int, help="shortest side of a calibration region that is accepted (default: 12)")
    command.add_argument("--width", type=int, help="longest side of the calibration region that is used (default: 24)")
    command.add_argument("--crop", type=float, help="smallest eigenvalue of ESPIRiT that is kept (default: 0.9)")


def calibrator_of(options: argparse.Namespace, **fields: Any) -> "Calibrator":
    """The calibrator that the options of `calibration_options` describe, with further fields."""
    from ssrecon.calibrate import Calibrator

    given = {name: value for name in ("smallest", "width", "crop") if (value := getattr(options, name)) is not None}
    return Calibrator(**given, **fields)


def leave_out_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="SCAN_OR_PATTERN",
        help="leave out what fits: the id of a scan, volume or subject as shown, a pattern of such (*, ?), or a .lst file of them",
    )


def device_of(chosen: str | None) -> str:
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
