"""Draw the image rows of a run: reference and every method, a zoom, and error maps on one scale.

python figures/images.py RUN_FOLDER [--out FILE.png|.svg|.pdf]
"""

import sys

from ssrecon.study.image_rows import all_image_rows
from ssrecon.study.redraw import redraw

if __name__ == "__main__":
    sys.exit(redraw("images", all_image_rows))
