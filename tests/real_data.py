"""Where real data is, for the tests that need it."""

import os
from pathlib import Path

DATA = Path(os.environ.get("FRAME_FORECAST_DATA", "nowhere"))
