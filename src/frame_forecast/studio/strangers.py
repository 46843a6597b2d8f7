"""Files of strangers that would show them other files of this machine: `check_alone`."""

from __future__ import annotations

from pathlib import Path

import tifffile

from frame_forecast.errors import DataError
from frame_forecast.io.base import first_bytes, reading, unpacked

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_alone(path: Path, name: str) -> None:
    """Raises DataError for OME-TIFF of several files, which readers take: of a user's own it is one stack.

    The readers of other formats refuse frames that lie in other files.

    Args:
        path: the file.
        name: what it is called in messages.
    """
    with reading(path):
        if not first_bytes(path).startswith(_TIFF):
            return
        with unpacked(path) as file, tifffile.TiffFile(file, name="alone") as tif:
            len(tif.pages)  # finds pages that name each other in a circle, in which `series` would go on for ever
            other = next((one.name for one in tif.series if one.is_multifile), None)
    if other is not None:
        raise DataError(
            f"{name}, in which {other!r} lies in another file", "a file with all its frames", "copy them in"
        )
