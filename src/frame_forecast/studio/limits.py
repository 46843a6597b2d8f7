"""How large the clips of the page may be."""

from dataclasses import dataclass, replace

from frame_forecast.errors import DataError


@dataclass(frozen=True)
class Limits:
    """Bounds on one clip, for strangers may send any.

    Args:
        upload_bytes: of a file.
        frames: of a clip.
        pixels: values of a clip, frames x channels x height x width.
    """

    upload_bytes: int = 2**28
    frames: int = 10_000
    pixels: int = 2**26

    def check(self, name: str, frames: int, channels: int, height: int, width: int) -> None:
        """Raises DataError for a clip that is too large."""
        if frames > self.frames:
            raise DataError(
                f"{name} of {frames} frames or more",
                f"{self.frames} frames at most on this page",
                "cut it, or use the commands forecast, recreate and reconstruct, which take any length",
            )
        if frames * channels * height * width > self.pixels:
            raise DataError(
                f"{name} of {frames} frames of {channels}x{height}x{width} (C, H, W) or more",
                f"{self.pixels} values at most on this page",
                "cut or shrink it, name it after `frame-forecast view`, which takes more, or use forecast, "
                "recreate and reconstruct, commands that take any size",
            )

    def beside(self, values: int) -> "Limits":
        """Those of what a model makes of a clip of so many values, which may be larger than a stranger's."""
        return replace(self, pixels=max(self.pixels, 2 * values))


OWN = Limits(frames=100_000, pixels=2**30)
"""Of clips that were named on the command line."""
