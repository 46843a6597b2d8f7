"""Predicted clips as pictures: a strip that shows every frame, and a GIF that moves."""

from __future__ import annotations

import io

import numpy as np

from frame_forecast.report.canvas import GIVEN, PREDICTED, Canvas
from frame_forecast.report.content import Picture, file_stem, title_of
from frame_forecast.report.inputs import Sample

_STRIP_COLUMNS = 20  # of a longer clip, as many frames at even distances are shown
_STRIP_PIXELS, _GIF_PIXELS = 128, 192  # about the width of a frame as drawn,
_STRIP_WIDTH = 1536  # less where there are so many that a row would be wider
_STEPS = {"forecast": "forecast: lead time", "recreate": "recreated: frame", "reconstruct": "reconstructed: frame"}
_MILLISECONDS, _LAST_MILLISECONDS = 200, 1000  # a frame of the GIF is shown; the last one


def strip(sample: Sample) -> Picture:
    """Rows of frames: input, target, prediction, and the error on its true range (PNG).

    What is missing from an input is hatched.
    """
    H, W = sample.frames.shape[2:]
    shown = _evenly(len(sample.prediction), _STRIP_COLUMNS)
    scale = _scale(W, min(_STRIP_PIXELS, _STRIP_WIDTH // len(shown)))
    height, width = H * scale, W * scale
    gutter, gap, line = 112, 4, 22
    numbers = sample.first + 1 + shown  # of the predicted frames, from 1
    limit = _limit(sample)

    rows: list[tuple[str, np.ndarray, np.ndarray | None]]  # label, frames, numbers above them
    if sample.task == "forecast":
        given = _evenly(sample.context, _STRIP_COLUMNS)
        rows = [("input", sample.frames[given], given + 1), ("target", sample.target[shown], numbers)]
    elif sample.observed is not None:
        rows = [("input", sample.target[shown], numbers), ("target", sample.target[shown], None)]
    else:
        rows = [("input = target", sample.target[shown], numbers)]
    rows += [("prediction", sample.prediction[shown], None), ("error", sample.error[shown], None)]

    tall = sum(height + gap + (0 if above is None else line) for _, _, above in rows)
    wide = gutter + max(len(frames) for _, frames, _ in rows) * (width + gap)
    canvas = Canvas(tall + 2 * line, max(wide, 720) + gap)
    top = gap
    for label, frames, above in rows:
        if above is not None:
            for column, number in enumerate(above):
                middle = gutter + column * (width + gap) + width // 2
                canvas.text(str(number), top + 4, middle, size=12, centred=True)
            top += line
        canvas.text(label, top + height // 2 - 9, gap + 2)
        for column, frame in enumerate(frames):
            left = gutter + column * (width + gap)
            if label == "error":
                canvas.error(frame, limit, top, left, scale)
            else:
                canvas.frame(frame, top, left, scale)
            if label == "input" and sample.observed is not None:
                canvas.hide(~sample.observed[shown[column]], top, left, scale)
        top += height + gap
    _legend(canvas, sample, limit, top + 10, gutter)
    return Picture(
        f"strips/{stem(sample)}.png",
        _png(canvas),
        f"Rows of frames: {_in_words(sample)}, {_range(sample)}.",
        f"{_title(sample)}, frame by frame.{_hatching(sample)} Error: prediction minus target, {_range(sample)}.",
    )


def animation(sample: Sample) -> Picture:
    """Target, prediction and error side by side, enlarged (GIF, looping); for a recreation what went
    in, too, with what is missing hatched.

    Borders are bright while something is predicted; around a forecast's context, the frames given,
    and a recreation's complete frames they are not.
    """
    T, _, H, W = sample.frames.shape
    if sample.task != "forecast":
        T = sample.context
    scale = _scale(W, _GIF_PIXELS)
    height, width = H * scale, W * scale
    margin, thickness, line = 16, 4, 26
    limit = _limit(sample)
    lefts = [margin + panel * (width + margin) for panel in range(3 if sample.observed is None else 4)]

    images = []
    for t in range(T):
        canvas = Canvas(height + 2 * line + margin, lefts[-1] + width + margin)
        k = t - sample.first
        if k < 0:
            border, panels = GIVEN, [("input", sample.frames[t])] * 2
            caption = f"given: frame {t + 1} of {sample.context}"
        else:
            border = PREDICTED
            panels = [("target", sample.target[k]), ("prediction", sample.prediction[k]), ("error", sample.error[k])]
            if sample.observed is not None:
                panels.insert(0, ("input", sample.target[k]))
                border = GIVEN if sample.observed[k].all() else PREDICTED
            caption = f"{_STEPS[sample.task]} {k + 1} of {len(sample.prediction)}"
        for (name, frame), left in zip(panels, lefts, strict=False):
            canvas.text(name, 5, left + width // 2, centred=True)
            canvas.border(border, line, left, height, width, thickness)
            if name == "error":
                canvas.error(frame, limit, line, left, scale)
            else:
                canvas.frame(frame, line, left, scale)
            if name == "input" and sample.observed is not None:
                canvas.hide(~sample.observed[k], line, left, scale)
        canvas.text(caption, line + height + thickness + 6, margin)
        images.append(canvas.image())

    file = io.BytesIO()
    durations = [_MILLISECONDS] * (T - 1) + [_LAST_MILLISECONDS]
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    return Picture(
        f"gifs/{stem(sample)}.gif",
        file.getvalue(),
        f"Animation: {_in_words(sample)}, side by side; the same frames follow one by one below.",
        f"{_title(sample)}. Yellow borders: predicted.{_hatching(sample)} Error: blue is too dark, orange too bright.",
    )


def _legend(canvas: Canvas, sample: Sample, limit: float, top: int, left: int) -> None:
    """A bar of the error's colours from its least to its greatest value."""
    low, high = _number(sample.error.min()), _number(sample.error.max())
    canvas.text(low, top - 2, left, size=12)
    bar = np.linspace(sample.error.min(), sample.error.max(), 160)[None, None].repeat(12, axis=1)
    canvas.error(bar, limit, top, left + 56, 1)
    canvas.text(f"{high}   prediction minus target: blue too dark, orange too bright", top - 2, left + 226, size=12)


def _scale(width: int, pixels: int) -> int:
    return max(1, round(pixels / width))


def _limit(sample: Sample) -> float:
    """The largest error of the clip, which gets the strongest colour; 1 where there is no error."""
    return float(np.abs(sample.error).max()) or 1.0


def _evenly(count: int, most: int) -> np.ndarray:
    """At most ``most`` of ``count`` positions, the first and the last among them."""
    return np.rint(np.linspace(0, count - 1, min(count, most))).astype(int)


def stem(sample: Sample) -> str:
    """The name of the sample's files, without an ending."""
    return file_stem(sample, "clip", sample.clip)


def _title(sample: Sample) -> str:
    return f"{title_of(sample)}, clip {sample.clip}"


def _in_words(sample: Sample) -> str:
    if sample.task == "forecast":
        K = len(sample.prediction)
        return f"the {sample.context} frames given, the {K} that followed, the model's forecast and its error"
    if sample.task == "recreate":
        return "what went in, with holes, the whole frames, the model's recreation and its error"
    return "what went in, the model's reconstruction and its error"


def _hatching(sample: Sample) -> str:
    return "" if sample.observed is None else " Hatched: missing."


def _range(sample: Sample) -> str:
    return f"from {_number(sample.error.min())} to {_number(sample.error.max())}"


def _number(value: float) -> str:
    return f"{value + 0.0:+.2g}"  # the sum turns -0 into 0


def _png(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    canvas.image().save(file, "PNG", optimize=True)
    return file.getvalue()
