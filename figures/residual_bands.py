"""Draw the residual per radial band of k-space, by method.

python figures/residual_bands.py RUN_FOLDER [--out FILE.png|.svg|.pdf]
"""

import sys

from ssrecon.study.figures import residual_bands
from ssrecon.study.redraw import redraw

if __name__ == "__main__":
    sys.exit(redraw("residual_bands", residual_bands))
