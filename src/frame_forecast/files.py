"""Output that appears whole or not at all."""

import errno
import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from frame_forecast.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that takes its name when the block ends well.

    The block writes a file or makes a folder there. If it fails, what it wrote is removed, as are the
    folders that were made for it, and whatever was at ``path`` stays as it was.

    Raises:
        OutputError: the disk is full, read-only or not there, or the name is too long.
    """
    with _folder_for(path), hidden_folder(path, path.parent) as holder, writing(path):
        temporary = holder / path.name
        yield temporary
        if not (temporary.is_dir() and path.is_dir()):
            temporary.replace(path)  # refuses to put a file in a folder's place
            return
        old = path.rename(holder / "old")
        try:
            temporary.rename(path)
        except OSError:
            old.rename(path)
            raise


@contextmanager
def _folder_for(path: Path) -> Iterator[None]:
    """The folder of ``path`` is there in the block; if that fails, what had to be made of it is gone again."""
    new: list[Path] = []
    try:
        with writing(path):
            new += [folder for folder in path.parents if not folder.exists()]  # the deepest first
            path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):  # others may have put something there meanwhile
            for folder in new:
                folder.rmdir()
        raise


def check_writable(path: Path) -> None:
    """Raises OutputError unless a file could be made at ``path``; leaves nothing behind.

    For what is written after hours of work: a folder that is missing, read-only or no folder shows at once.
    """
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        with hidden_folder(path, folder):  # permissions alone do not tell
            pass


@contextmanager
def hidden_folder(path: Path, folder: Path) -> Iterator[Path]:
    """A new hidden folder in ``folder`` for what is to be at ``path``, whose name may be as long as can be; it is gone
    after the block, however that ends.

    Raises:
        OutputError: the disk is full, read-only or not there.
    """
    # Not tempfile's: a signal just after that has made a folder would leave it, as nobody knows its name yet.
    holder = folder / f".{path.name[:32]}.{secrets.token_hex(8)}"
    try:
        with writing(path):
            holder.mkdir(mode=0o700)
        yield holder
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Removes what a process that was killed while it wrote ``path`` had no time to remove."""
    for holder in path.parent.glob(f".{glob.escape(path.name[:32])}.*"):
        if re.fullmatch(r".*\.[0-9a-f]{16}", holder.name):
            shutil.rmtree(holder, ignore_errors=True)


def flush(path: Path) -> None:
    """Returns when a file's bytes, or the names in a folder, are on the disk: neither is lost in a power cut."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's errors while writing ``path`` into an OutputError."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError(f"writing {path}: {reason}", "a shorter name", "choose another") from error
        raise OutputError(
            f"writing {path}: {reason}",
            "a folder with free space that may be written",
            "choose another output folder",
        ) from error
