"""Files are whole old or whole new, whatever happens, and stay what they were in every other respect."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safeboundary_lint.fixes import ChangedOnDisk, write_atomically, writing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_content_is_replaced_and_nothing_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"old")
    write_atomically(file, b"new\r\n\x0c", b"old")
    assert file.read_bytes() == b"new\r\n\x0c" and names(tmp_path) == ["a.py"]


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755, 0o444])
def test_mode_and_owner_stay(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"old")
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
    os.chmod(file, mode)
    before = file.stat()
    write_atomically(file, b"new", b"old")
    after = file.stat()
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_an_owner_that_may_not_be_given_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    file = tmp_path / "a.py"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "chown", refuse)
    write_atomically(file, b"new", b"old")
    assert file.read_bytes() == b"new"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.py"
    target.write_bytes(b"old")
    (tmp_path / "one").symlink_to(target)
    link = tmp_path / "two"
    link.symlink_to("one")
    write_atomically(link, b"new", b"old")
    assert link.is_symlink() and (tmp_path / "one").is_symlink()
    assert target.read_bytes() == b"new" and names(tmp_path / "real") == ["a.py"] and names(tmp_path) == ["one", "real", "two"]


def test_a_file_changed_since_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"somebody's work")
    with pytest.raises(ChangedOnDisk, match=r"a\.py was changed"):
        write_atomically(file, b"new", b"old")
    assert file.read_bytes() == b"somebody's work" and names(tmp_path) == ["a.py"]


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "a.py", b"new", b"old")
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "a.py"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, b"new", b"old")
    assert file.read_bytes() == b"old" and names(tmp_path) == ["a.py"]


WRITER = """
import runpy, sys
write_atomically = runpy.run_path(sys.argv[1])["write_atomically"]
path, old, new = sys.argv[2], b"a = 1\\n" * 200_000, b"b = 22\\n" * 200_000
print("ready", flush=True)
while True:
    write_atomically(path, new, old)
    old, new = new, old
"""


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    versions = {b"a = 1\n" * 200_000: 0, b"b = 22\n" * 200_000: 0}
    file = tmp_path / "a.py"
    chance = random.Random(7)
    for _ in range(60):
        file.write_bytes(next(iter(versions)))
        with subprocess.Popen([sys.executable, "-c", WRITER, writing.__file__, str(file)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.08))
            assert writer.poll() is None
            writer.send_signal(signal.SIGKILL)
        versions[file.read_bytes()] += 1  # a torn file would be a KeyError
    assert sum(versions.values()) == 60 and all(versions.values())
