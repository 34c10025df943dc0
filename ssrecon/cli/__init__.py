"""The ``ssrecon`` command.

In come the words of a command line, out comes an exit code: each subcommand is a few lines that call a function of the library. Read
``main.py`` first: it lists the subcommands, one file each, and turns errors into messages and exit codes; ``options.py`` has the options
that several of them share.
"""

from ssrecon.cli.main import main

__all__ = [
    "main",
]
