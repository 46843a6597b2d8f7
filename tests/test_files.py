"""Output that appears whole or not at all."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from frame_forecast.errors import OutputError
from frame_forecast.files import check_writable, flush, remove_leftovers, replacing, writing


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def folder_with(path: Path, name: str) -> Path:
    path.mkdir()
    (path / name).write_text(name)
    return path


@pytest.mark.parametrize("before", [None, "old"])
def test_a_file_appears_when_the_block_ends(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    if before is not None:
        path.parent.mkdir()
        path.write_text(before)
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert (path.read_text() if path.exists() else None) == before
    assert path.read_text() == "new"
    assert names(tmp_path) == {"new", "new/file"}


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "folder", "old")
    with replacing(path) as temporary:
        folder_with(temporary, "new")
    assert names(tmp_path) == {"folder", "folder/new"}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(error: BaseException, tmp_path: Path) -> None:
    path = folder_with(tmp_path / "folder", "old")

    def fail() -> None:
        with replacing(path) as temporary:
            folder_with(temporary, "new")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(tmp_path) == {"folder", "folder/old"}


def test_a_signal_just_after_a_folder_was_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "file"
    made, make = [], os.mkdir

    def make_and_stop(*given: Any, **more: Any) -> None:
        make(*given, **more)
        made.append(Path(given[0]).name)
        if made[-1].startswith(".file."):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "mkdir", make_and_stop)
    with pytest.raises(KeyboardInterrupt), replacing(path):
        pass
    assert len(made) == 2
    with pytest.raises(KeyboardInterrupt):
        check_writable(path)
    assert len(made) == 3
    assert names(tmp_path) == set()


def test_a_failure_removes_the_folders_that_were_made_for_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "new" / "folders" / "file") as temporary:
        temporary.write_text(str(1 / 0))
    assert names(tmp_path) == set()
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "new" / "folders" / "file"):
        _ = (tmp_path / "new" / "other").write_text("of another program") / 0
    assert names(tmp_path) == {"new", "new/other"}


def test_a_failure_of_the_exchange_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder_with(tmp_path / "folder", "old")
    rename = Path.rename

    def refuse(source: Path, target: Path) -> Path:
        if (source / "new").exists():
            raise PermissionError(errno.EACCES, "refused")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="Permission denied"), replacing(path) as temporary:
        folder_with(temporary, "new")
    assert names(tmp_path) == {"folder", "folder/old"}


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "folder", "old")
    with pytest.raises(OutputError, match="folder"), replacing(path) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == {"folder", "folder/old"}


def test_a_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OutputError, match="file"), replacing(path) as temporary:
        folder_with(temporary, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == {"file"}


def test_nothing_written_is_an_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = folder_with(tmp_path / "folder", "old")
    with pytest.raises(OutputError), replacing(path):
        pass
    assert names(tmp_path) == {"folder", "folder/old"}


def test_a_full_disk_is_an_output_error_that_names_the_path(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(OutputError) as error, replacing(path):
        raise OSError(errno.ENOSPC, "whatever")
    assert str(path) in error.value.given
    assert "No space left on device" in error.value.given
    assert names(tmp_path) == set()


def test_a_file_where_a_folder_should_be_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), replacing(tmp_path / "file" / "below"):
        pytest.fail("there is nowhere to write")


def test_writing_lets_other_errors_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        _ = 1 / 0


def test_an_error_without_a_number_keeps_its_text(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="half a disk"), writing(tmp_path):
        raise OSError("half a disk")


@pytest.mark.parametrize("name", ["new", "new/folders/file", "kept"])
def test_asking_whether_a_path_can_be_written_changes_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    check_writable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize("name", ["folder", "file/below", "n" * 300])
def test_a_path_that_cannot_be_written_is_known_beforehand(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as error:
        check_writable(tmp_path / name)
    assert str(tmp_path / name) in error.value.given
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    left = f".file.{'0' * 16}"
    for name in (left, ".file.mine", f".file2.{'0' * 16}"):
        folder_with(tmp_path / name, "part")
    remove_leftovers(path)
    assert names(tmp_path) == {".file.mine", ".file.mine/part", f".file2.{'0' * 16}", f".file2.{'0' * 16}/part"}
    with replacing(path) as temporary:
        assert temporary.parent.name.startswith(".file.")
        remove_leftovers(path)
        assert not temporary.parent.exists()
        temporary.parent.mkdir()
        temporary.write_text("new")


def test_flushing_leaves_files_and_folders_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    flush(tmp_path / "file")
    flush(tmp_path)
    assert (tmp_path / "file").read_text() == "content"
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "other")
