"""Draw the sample styles: `python tools/draw_styles -o FOLDER`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from draw_styles.draw import main

main()
