"""What a model consists of and costs."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from frame_forecast.masks import future
from frame_forecast.models.base import Model
from frame_forecast.nn.convolution import plain


@dataclass(frozen=True)
class Summary:
    """Layers and cost of one forecast.

    Args:
        layers: name, kind and parameters of each layer that has any of its own.
        parameters: in all.
        gmac: 10**9 multiply-accumulates for one clip.
        frame: ``(C, H, W)`` of that clip.
        context, horizon: its frames.
    """

    layers: list[tuple[str, str, int]]
    parameters: int
    gmac: float
    frame: tuple[int, int, int]
    context: int
    horizon: int


def summarise(model: Model, context: int = 10, horizon: int = 10, size: int = 64) -> Summary:
    """Runs a model once and counts.

    Args:
        model: any; fixed to a frame size, that size is taken.
        context, horizon: frames given and forecast.
        size: height and width of the frames.
    """
    layers = [
        (name, type(module).__name__, sum(p.numel() for p in module.parameters(recurse=False)))
        for name, module in model.named_modules()
    ]
    frame = (model.channels or 1, *(model.frame_size or (size, size)))
    frames = torch.zeros((1, context + horizon, *frame))
    training = model.training
    model.eval()  # in training a model may do more
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), plain():
        model(frames, future(context, horizon)[None])
    model.train(training)
    return Summary(
        layers=[layer for layer in layers if layer[2]],
        parameters=sum(p.numel() for p in model.parameters()),
        gmac=counter.get_total_flops() / 2e9,
        frame=frame,
        context=context,
        horizon=horizon,
    )
