"""Whole clips from files and into files: `read` and `write`."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from frame_forecast.arrays import AnyFrames, check_scale, to_clips
from frame_forecast.clip import Clip
from frame_forecast.devices import check_memory
from frame_forecast.errors import ShapeError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.streams import Location, open_reader, open_writer, scale_of_range
from frame_forecast.scale import ValueScale


def read(
    source: Location | Sequence[Location],
    layout: str | None = None,
    scale: ValueScale | None = None,
    variable: str | None = None,
) -> Clip:
    """The frames of a file, or of a folder, glob or list of files with a frame each, as one clip.

    What is missing (a scan that a regular series lacks, NaN, fill values) is unobserved. Bytes scale by 255
    and floats in [0, 1] as they are; other values by the range of what is observed, unless the format says it.

    Args:
        source: what to read, as for `streams.open_reader`.
        layout: the axes of arrays, such as ``THWC``; None = guessed where need be, with a warning.
        scale: takes the values to [0, 1], if the usual one is not right.
        variable: the name of the frames in files with several arrays (NetCDF, HDF5, Zarr); None = the only one.

    Raises:
        DataError: nothing there, no known format, a damaged file, a single frame, nothing observed, files
            of several sizes or formats, a ``source`` that is no path, or a ``scale`` that is no `ValueScale`.
        ConfigError: a layout or variable that does not fit, a package that is not installed, or a clip that
            memory cannot hold.
    """
    check_scale(scale)
    with open_reader(source, layout, variable) as stream:
        header = stream.header
        if header.frames is not None:
            check_memory(header.frames * header.frame_bytes, f"a clip of {source}", "read it frame by frame")
        frames = list(stream)
    values = np.stack([frame.values for frame in frames]).astype(header.dtype, copy=False)
    observed = np.stack([frame.observed for frame in frames])
    scale = scale or header.scale
    if scale is None:
        known = values[np.broadcast_to(observed, values.shape)]
        scale = scale_of_range(float(known.min()), float(known.max()), header.dtype)
    moments = [frame.time for frame in frames]
    times = None if any(moment is None for moment in moments) else np.array(moments)
    return Clip(values, observed, scale, times, str(source), header)


def write(clip: AnyFrames, path: Location, force: bool = False, scale: ValueScale | None = None) -> None:
    """Writes a clip in the format of the path's suffix, in the clip's own units and dtype.

    The file appears whole or not at all. A clip that was read from this format is written as it was: layout,
    palette, names of the files in a folder.

    Args:
        clip: whole, or with missing pixels if the format can mark them; or an array or tensor, ``(T, H, W)`` or
            ``(T, C, H, W)``, in which NaN means missing.
        path: the file, or without a suffix a folder with a file for each frame.
        force: replace what is there.
        scale: takes the values of an array to [0, 1]; needed for floats outside it.

    Raises:
        OutputError: something is there, the suffix is unknown, the path is none or too long, the format cannot
            hold the clip, or the disk is full or read-only.
        ShapeError: an array of another number of axes, an empty one, or several clips.
        DataError: no clip, array or tensor, values that are no pixels, or a ``scale`` that does not fit.
    """
    clips = to_clips(clip, scale=scale)
    if len(clips) != 1:
        raise ShapeError(f"a batch of {len(clips)} clips for {path}", "a single one", "write each to a file of its own")
    (clip,) = clips
    T, C, H, W = clip.values.shape
    own = clip.header or Header("array", T, C, H, W, clip.values.dtype)
    header = replace(
        own,
        frames=T,
        channels=C,
        height=H,
        width=W,
        dtype=clip.values.dtype,
        scale=clip.scale,
        times=clip.times,
    )
    with open_writer(path, header, force) as writer:
        for t in range(T):
            time = None if clip.times is None else clip.times[t]
            writer.write(Frame(clip.values[t], clip.observed[t], time))
