"""Writing a file so that at every moment, whatever is killed, it is whole old or whole new."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path


class ChangedOnDisk(OSError):
    """The file is not what it was when it was read, so writing would undo somebody's change."""


def write_atomically(path: str | os.PathLike[str], content: bytes, expected: bytes) -> None:
    """Replace the content `expected` of a file by `content`, keeping its mode and, where permitted, its owner.

    A symbolic link stays one, its target is replaced. Raises ChangedOnDisk when the file holds something else than
    `expected`, and OSError when it cannot be written; the file is then as it was, and nothing is left beside it.
    """
    target = Path(path).resolve(strict=True)
    descriptor, name = tempfile.mkstemp(prefix=".safeboundary-", suffix=".new", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as temporary:
            temporary.write(content)
            temporary.flush()
            _take_over(name, target)
            os.fsync(temporary.fileno())
        if target.read_bytes() != expected:
            raise ChangedOnDisk(f"{path} was changed while it was being fixed: not written, run the fix again")
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(target.parent)


def _take_over(name: str, target: Path) -> None:
    """Give the new file the owner and mode of `target`: the owner first, because a change of owner clears mode bits."""
    status = target.stat()
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(name, status.st_uid, status.st_gid)
    os.chmod(name, stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    """Make the new name durable where folders can be opened (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
