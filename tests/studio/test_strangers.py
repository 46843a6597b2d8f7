"""Files that would show other files of the machine."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from frame_forecast.errors import DataError
from frame_forecast.studio.strangers import check_alone

SECRET = np.full((2, 8, 8), 77, np.uint8)


def external(path: Path, other: Path) -> None:
    secret = other.with_suffix(".bin")
    secret.write_bytes(SECRET.tobytes())
    with h5py.File(path, "w") as file:
        file.create_dataset("group/frames", SECRET.shape, "u1", external=[(str(secret), 0, SECRET.size)])


def virtual(path: Path, other: Path) -> None:
    with h5py.File(other, "w") as file:
        file["frames"] = SECRET
    layout = h5py.VirtualLayout(SECRET.shape, "u1")
    layout[:] = h5py.VirtualSource(str(other), "frames", SECRET.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("frames", layout)


def linked(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file["group/frames"] = h5py.ExternalLink(str(other), "frames")


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


@pytest.mark.parametrize(
    ("make", "suffix"), [(external, ".h5"), (virtual, ".h5"), (linked, ".h5"), (ome, ".tif")], ids=lambda one: str(one)
)
def test_frames_in_other_files_are_refused(tmp_path: Path, make: object, suffix: str) -> None:
    path = tmp_path / f"upload{suffix}"
    assert callable(make)
    make(path, tmp_path / f"secret{suffix}")
    with pytest.raises(DataError, match=r"mine, in which .* lies in another file"):
        check_alone(path, "mine")


def test_whole_files_are_not(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = SECRET
        file["group/same"] = file["frames"]
        file["soft"] = h5py.SoftLink("/frames")
    tifffile.imwrite(tmp_path / "a.tif", SECRET, photometric="minisblack")
    tifffile.imwrite(tmp_path / "a.ome.tif", SECRET, photometric="minisblack", metadata={"axes": "TYX"})
    np.save(tmp_path / "a.npy", SECRET)
    for path in tmp_path.iterdir():
        check_alone(path, path.name)


def test_damage_is_said_as_for_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    with pytest.raises(DataError):
        check_alone(tmp_path / "a.h5", "a.h5")
