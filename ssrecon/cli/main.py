"""The `ssrecon` command parses its words, calls one subcommand, and says what went wrong. Heavy imports wait until they are needed."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from ssrecon.cli import audit, evaluate, names, prepare, reconstruct, report, run, simulate

DESCRIPTION = "Train MRI reconstruction on undersampled k-space, without fully sampled scans, and compare it fairly with other methods."
EXIT_CODES = (
    "exit codes: 0 done; 1 done, but some scans failed or were left out; 2 input that cannot be used; 3 a recipe that cannot be used; 4 no "
    "calibration region; 5 the output folder is in use or holds something else; 6 the training diverged; 130 stopped by the user"
)

COMMANDS = (simulate, prepare, audit, names, run, evaluate, report, reconstruct)
"""Each subcommand is a file, with `add` for its parser and `call` for its work."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    parser = _parser()
    known, rest = parser.parse_known_args(arguments)
    if rest and known.command != "run":
        parser.error("unrecognised arguments: " + " ".join(rest))
    # Only now: the help needs none of it.
    from ssrecon.core.errors import SsreconError

    if getattr(known, "keep_names", False):
        from ssrecon.privacy.pseudonyms import KEEP_NAMES

        os.environ[KEEP_NAMES] = "1"  # of this process, and of those it starts
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        return int(known.function(known, rest) or 0)
    except SsreconError as error:
        print(f"ssrecon {known.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        print(f"\nssrecon {known.command}: {error or 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): no error of ours, and nothing more to say. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where, why = error.filename or "file system", error.strerror or error
        print(f"ssrecon {known.command}: {where}: {why}; what was written before is whole", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ssrecon", description=DESCRIPTION, epilog=EXIT_CODES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
