"""The ``ssrecon`` command.

In come the words of a command line, out comes an exit code: each subcommand is a few lines that call a function of the library.
"""

from ssrecon.cli.main import main

__all__ = [
    "main",
]
