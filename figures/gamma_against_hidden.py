"""Draw the score that needs no truth against the error that does, at every validation of a run.

python figures/gamma_against_hidden.py RUN_FOLDER [--out FILE.png|.svg|.pdf]
"""

import sys

from ssrecon.study.figures import gamma_against_hidden
from ssrecon.study.redraw import redraw

if __name__ == "__main__":
    sys.exit(redraw("gamma_against_hidden", gamma_against_hidden))
