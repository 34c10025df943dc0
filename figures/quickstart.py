"""Draw the README's picture: the first test scan of the demo.

python figures/quickstart.py runs/quickstart --out figures/quickstart.png
"""

import sys

from ssrecon.study.image_rows import image_rows
from ssrecon.study.redraw import redraw

if __name__ == "__main__":
    sys.exit(redraw("quickstart", lambda run: image_rows(run, 0)))
