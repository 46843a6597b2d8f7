"""Models as ONNX graphs, which run without Python or torch.

A graph forecasts: ``frames`` ``(batch, context, C, height, width)`` float32 in [0, 1] in, ``forecast``
``(batch, horizon, C, height, width)`` out. The batch may be of any size, and frames too if the model takes any. Loops
over time are unrolled, so that the horizon is fixed, and the context but for models of which LSTM operators read it.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from frame_forecast import weights
from frame_forecast.errors import ConfigError, TaskError, WeightsError
from frame_forecast.files import replacing
from frame_forecast.models import UNTRAINED, Model, create
from frame_forecast.packages import require

TOLERANCE = 1e-4
"""How far pixels may be from torch's."""

_OPSET = 18
_USUAL = 10  # frames given, and forecast, of a model that was trained on nothing
_SIZE = 64  # pixels a side, if the model takes any: what the graph is recorded with
_EXTRA = "frame-forecast[export]"


@dataclass(frozen=True)
class Graph:
    """What a graph takes and gives.

    Args:
        context, horizon: frames in and out.
        any_context: whether it takes other numbers of frames as well.
        channels: of each.
        size: height and width, None = any.
        difference: of a pixel to torch's, at most, on frames of noise.
    """

    context: int
    horizon: int
    any_context: bool
    channels: int
    size: tuple[int, int] | None
    difference: float


def export(name: str | Path, target: Path, *, context: int | None = None, horizon: int | None = None) -> Graph:
    """Writes a model as an ONNX graph, once onnxruntime has given what torch gives.

    Args:
        name: a run, a folder of weights, a tag (see `find_folder`), or a model without weights.
        target: the file to write, or to replace.
        context, horizon: frames given and forecast; None = as trained.

    Raises:
        WeightsError: no weights there, damaged ones, or a graph that gives something else than torch.
        TaskError: the model does not forecast, or computes outside torch, where no graph reaches.
        ConfigError: a package is not installed, or less than one frame.
        OutputError: the disk is full or read-only.
    """
    for package in ("onnx", "onnxruntime"):
        require(package, _EXTRA)
    if name in UNTRAINED:
        model, trained = create(str(name)), (_USUAL, _USUAL, 1)
    else:
        model, _, contract = weights.load(weights.find_folder(name))
        trained = (contract.context, contract.horizon, contract.channels)
    context = trained[0] if context is None else context
    horizon = trained[1] if horizon is None else horizon
    for word, frames in (("context", context), ("horizon", horizon)):
        if frames < 1:
            raise ConfigError(f"{word}={frames}", "1 frame or more", f"set another --{word}")
    if "forecast" not in model.tasks:
        raise TaskError(f"{name}, which does not forecast", "a model that does", "see `frame-forecast models`")
    if not model.exports:
        raise TaskError(f"{name}, which follows optical flow outside torch", "a network", "see `frame-forecast models`")
    forecast = _Forecast(model.requires_grad_(False), horizon).eval()
    channels = model.channels or trained[2]
    with replacing(target) as temporary:
        _record(forecast, temporary, torch.zeros(2, context, channels, *(model.frame_size or (_SIZE, _SIZE))))
        # Another batch, size and context than those recorded, where they may be, so that none of them can be built in.
        frames = torch.rand(3, context + model.any_context, channels, *(model.frame_size or (_SIZE + 7, _SIZE // 2)))
        difference = _difference(forecast, temporary, frames)
    return Graph(context, horizon, model.any_context, channels, model.frame_size, difference)


class _Forecast(nn.Module):
    """A model's forecast as a function of the frames alone."""

    def __init__(self, model: Model, horizon: int) -> None:
        super().__init__()
        self.model = model
        self.horizon = horizon

    def forward(self, frames: Tensor) -> Tensor:
        return self.model.forecast(frames, self.horizon)


def _record(forecast: _Forecast, path: Path, frames: Tensor) -> None:
    """Writes the graph of what is computed of frames such as these."""
    axes = {0: "batch"} | ({} if forecast.model.frame_size is not None else {3: "height", 4: "width"})
    time = {1: "context"} if forecast.model.any_context else {}
    with _quiet():
        torch.onnx.export(
            forecast,
            (frames,),
            path,
            # By running it: models choose their way by masks, which are constants in a forecast, but which
            # the exporter that reads code takes for unknown.
            dynamo=False,
            opset_version=_OPSET,
            input_names=["frames"],
            output_names=["forecast"],
            dynamic_axes={"frames": axes | time, "forecast": axes},
        )


def _difference(forecast: _Forecast, path: Path, frames: Tensor) -> float:
    """How far a pixel is at most from torch's in onnxruntime; raises WeightsError above `TOLERANCE`."""
    session = require("onnxruntime", _EXTRA).InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"frames": frames.numpy()})
    with torch.inference_mode():
        expected = forecast(frames).numpy()
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:  # NaN is neither
        raise WeightsError(
            f"a graph that differs from torch by {difference:.1e}",
            f"{TOLERANCE:.0e} at most",
            "report it, with the versions of torch and onnxruntime",
        )
    return difference


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's advice away from users, who have no use for it."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
