"""Draw loss, Gamma score and hidden error of a run's trainings.

python figures/training_curves.py RUN_FOLDER [--out FILE.png|.svg|.pdf]
"""

import sys

from ssrecon.study.figures import training_curves
from ssrecon.study.redraw import redraw

if __name__ == "__main__":
    sys.exit(redraw("training_curves", training_curves))
