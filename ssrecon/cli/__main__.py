"""``python -m ssrecon.cli``: the command where it is not on the path, as under torchrun."""

import sys

from ssrecon.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
