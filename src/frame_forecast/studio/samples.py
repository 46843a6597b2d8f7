"""Clips to try a model on: test clips of the data sets, which no released weights have seen."""

from functools import cache

import numpy as np

from frame_forecast.clip import Clip
from frame_forecast.data.sources import ClipSource, open_source

TITLES = {"moving_mnist": "Moving MNIST", "moving_scenes": "Moving scenes"}


def sample(name: str, number: int) -> Clip:
    """A test clip.

    Args:
        name: one of `TITLES`.
        number: of the clip; beyond the last one they begin again.

    Raises:
        ConfigError: no such data set.
    """
    source = _source(name)
    values = source.clips(np.array([number % len(source)]))[0].numpy()
    return Clip.from_array(values, source=f"{TITLES[name]} {number}")


@cache
def _source(name: str) -> ClipSource:
    return open_source(name, "test", published=False)
