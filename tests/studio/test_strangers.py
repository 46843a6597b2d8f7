"""Files that would show other files of the machine."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from frame_forecast.errors import DataError
from frame_forecast.studio.strangers import check_alone

SECRET = np.full((2, 8, 8), 77, np.uint8)


def ome(path: Path, other: Path) -> None:
    tifffile.imwrite(other, SECRET, photometric="minisblack")
    planes = "".join(
        f'<TiffData IFD="{k % 2}" FirstT="{k}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{uuid}</UUID></TiffData>'
        for k, (name, uuid) in enumerate([(path.name, _uuid(1))] * 2 + [(other, _uuid(2))] * 2)
    )
    about = (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{_uuid(1)}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="8" SizeY="8" SizeC="1" SizeZ="1" SizeT="4"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}'
        f"</Pixels></Image></OME>"
    )
    tifffile.imwrite(path, np.zeros_like(SECRET), description=about.encode(), metadata=None, photometric="minisblack")


def _uuid(number: int) -> str:
    return f"{number:08}-0000-0000-0000-000000000000"


def test_frames_in_other_files_are_refused(tmp_path: Path) -> None:
    ome(tmp_path / "upload.tif", tmp_path / "secret.tif")
    with pytest.raises(DataError, match=r"mine, in which .* lies in another file"):
        check_alone(tmp_path / "upload.tif", "mine")


def test_whole_files_are_not(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SECRET, photometric="minisblack")
    tifffile.imwrite(tmp_path / "a.ome.tif", SECRET, photometric="minisblack", metadata={"axes": "TYX"})
    np.save(tmp_path / "a.npy", SECRET)
    for path in tmp_path.iterdir():
        check_alone(path, path.name)


def test_damage_is_said_as_for_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(2))
    with pytest.raises(DataError):
        check_alone(tmp_path / "a.tif", "a.tif")
