"""Draws docs/images/radar.png: rain that was measured, and what weights make of the hour that they do not see.

A part of the last quarter of a MeteoSwiss event, which training leaves out; looked for in ``FRAME_FORECAST_DATA``::

    python tools/make_radar_picture.py
"""

import os
from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import typer

matplotlib.use("Agg")

from matplotlib import colors
from matplotlib import pyplot as plt

from frame_forecast import predict
from frame_forecast.io.clips import read

EVENT = "radar/mch/20160711"
GIVEN, HORIZON = 28, 12  # scans, 5 minutes apart
GAP = range(32, 35)  # scans that are hidden to be recreated, from those before and after
PLACE = slice(180, 436), slice(230, 486)  # of 640x710 pixels, 1 km each
LEADS = (3, 6, 9, 12)  # of the forecast; the first that training has not seen is 3
PER_HOUR = 12  # from mm in 5 minutes to mm/h
LEVELS = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]


def main(
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("docs/images/radar.png"),
    model: Annotated[str, typer.Option(help="As for `ff.load`.")] = "motion",
) -> None:
    """Draws and writes."""
    clip = read(str(Path(os.environ["FRAME_FORECAST_DATA"]) / EVENT))
    forecaster = predict.load(model, device="cpu")
    forecast = forecaster.forecast(clip.part(0, GIVEN), HORIZON).values
    observed = clip.observed.copy()
    observed[GAP] = False
    recreated = forecaster.recreate(clip, observed).values
    columns = [(f"hidden scan {n}", clip.values[t], recreated[t]) for n, t in enumerate(GAP, start=1)]
    columns += [(f"{5 * lead:+d} min", clip.values[GIVEN + lead - 1], forecast[lead - 1]) for lead in LEADS]
    palette = colors.ListedColormap(matplotlib.colormaps["turbo"](np.linspace(0.08, 0.95, len(LEVELS) - 1)))
    palette.set_under("#f4f4f4")
    palette.set_bad("#c8c8c8")
    norm = colors.BoundaryNorm(LEVELS, palette.N)
    figure, axes = plt.subplots(2, len(columns), figsize=(2 * len(columns), 4.5), layout="constrained")
    image = None
    for (title, true, made), (above, below) in zip(columns, axes.T, strict=True):
        for axis, values in ((above, true), (below, made)):
            image = axis.imshow(PER_HOUR * values[0][PLACE], cmap=palette, norm=norm, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        above.set_title(title, fontsize=10)
    axes[0, 0].set_ylabel("measured")
    axes[1, 0].set_ylabel("recreated, forecast")
    assert image is not None
    figure.colorbar(image, ax=axes, label="mm/h", shrink=0.8, ticks=LEVELS)
    figure.savefig(out, dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    typer.run(main)
