"""Files of strangers that would show them other files of this machine: `check_alone`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile

from frame_forecast.errors import DataError
from frame_forecast.io.base import first_bytes, reading, unpacked
from frame_forecast.io.formats.hdf5 import EXTRA, HDF5_MAGIC
from frame_forecast.packages import require

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_alone(path: Path, name: str) -> None:
    """Raises DataError for a file whose frames lie in other files: HDF5 with links to others, data outside or virtual
    data; OME-TIFF of several files. Other formats have nothing of the kind.

    Args:
        path: the file.
        name: what it is called in messages.
    """
    with reading(path):
        head = first_bytes(path)
        if head.startswith(HDF5_MAGIC):
            other = _in_hdf5(path)
        elif head.startswith(_TIFF):
            with unpacked(path) as file, tifffile.TiffFile(file, name="alone") as tif:
                other = next((one.name for one in tif.series if one.is_multifile), None)
        else:
            return
    if other is not None:
        raise DataError(
            f"{name}, in which {other!r} lies in another file", "a file with all its frames", "copy them in"
        )


def _in_hdf5(path: Path) -> str | None:
    """The first array that lies elsewhere."""
    h5py = require("h5py", EXTRA)
    found: list[str] = []

    def look_at_link(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            found.append(name)

    def look_at(name: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset) and (one.external or one.is_virtual):
            found.append(name)

    with h5py.File(path) as file:
        file.visititems_links(look_at_link)
        file.visititems(look_at)
    return found[0] if found else None
