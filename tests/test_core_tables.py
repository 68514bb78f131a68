"""What ships as TOML is kept in a form that is read faster, and never believed when it is not what the TOML says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command import environment
from safeboundary_lint.core import kept, tables
from safeboundary_lint.core.tables import tables_of

ACK = '[[ack]]\nnames = ["queue.Queue.task_done"]\nafter = 1.5\nlast = true\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of tables."""
    (tmp_path / "kinds.toml").write_text("[ack]\nsetting = false\n")
    (tmp_path / "queue.toml").write_text(ACK)
    (tmp_path / "notes.txt").write_text("no table")
    return tmp_path


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is read as TOML from now on."""
    sources: list[bytes] = []
    parse = tables._parsed
    monkeypatch.setattr(tables, "_parsed", lambda source: (sources.append(source), parse(source))[1])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return sources


EXPECTED = {
    "kinds.toml": {"ack": {"setting": False}},
    "queue.toml": {"ack": [{"names": ["queue.Queue.task_done"], "after": 1.5, "last": True}]},
}


def kept_in(folder: Path) -> Path:
    (kept,) = (folder / "__pycache__").iterdir()
    return kept


def test_toml_is_read_once(folder: Path, parsed: list[bytes]) -> None:
    assert tables_of(folder.as_posix()) == EXPECTED
    assert len(parsed) == 2
    assert tables_of(folder.as_posix()) == EXPECTED
    assert len(parsed) == 2
    assert list(tables_of(folder.as_posix())) == sorted(EXPECTED)


@pytest.mark.parametrize("change", ["edited", "added", "removed", "renamed"])
def test_what_is_stale_is_read_again(change: str, folder: Path, parsed: list[bytes]) -> None:
    tables_of(folder.as_posix())
    file, expected = folder / "queue.toml", dict(EXPECTED)
    before = file.stat()
    if change == "edited":
        file.write_text(ACK.replace("1.5", "2.5"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same times
        expected["queue.toml"] = {"ack": [{"names": ["queue.Queue.task_done"], "after": 2.5, "last": True}]}
    elif change == "added":
        (folder / "other.toml").write_text("")
        expected["other.toml"] = {}
    elif change == "removed":
        file.unlink()
        del expected["queue.toml"]
    else:
        file.rename(folder / "rabbit.toml")
        expected["rabbit.toml"] = expected.pop("queue.toml")
    assert tables_of(folder.as_posix()) == expected
    assert len(parsed) > 2
    read = len(parsed)
    assert tables_of(folder.as_posix()) == expected
    assert len(parsed) == read


def test_what_is_damaged_is_read_again(folder: Path, parsed: list[bytes]) -> None:
    tables_of(folder.as_posix())
    kept = kept_in(folder)
    whole = kept.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 7)]
    damaged = [b"", whole[:10], whole[:-1], whole + b"\0", b"\0" * len(whole), *flipped]
    for number, content in enumerate(damaged, 2):
        kept.write_bytes(content)
        assert tables_of(folder.as_posix()) == EXPECTED
        assert len(parsed) == 2 * number
        assert kept.read_bytes() == whole


def test_a_digest_over_what_is_no_table_is_no_failure(folder: Path, parsed: list[bytes]) -> None:
    tables_of(folder.as_posix())
    origin = tables._digest(tables._sources(folder.as_posix()))
    kept.keep(folder.as_posix(), "tables", origin, b"\xff")
    assert kept.recall(folder.as_posix(), "tables", origin) == b"\xff"
    assert tables_of(folder.as_posix()) == EXPECTED


def test_nothing_is_kept_where_nothing_can_be(folder: Path, parsed: list[bytes]) -> None:
    (folder / "__pycache__").write_text("no folder")
    assert tables_of(folder.as_posix()) == tables_of(folder.as_posix()) == EXPECTED
    assert sorted(path.name for path in folder.iterdir()) == ["__pycache__", "kinds.toml", "notes.txt", "queue.toml"]


def test_nothing_is_left_over_when_it_cannot_be_put_in_its_place(folder: Path, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refused)
    assert tables_of(folder.as_posix()) == EXPECTED
    assert not list((folder / "__pycache__").iterdir())


def test_nothing_is_kept_when_python_is_told_so(folder: Path, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert tables_of(folder.as_posix()) == EXPECTED
    assert not (folder / "__pycache__").exists()


def test_nothing_is_kept_by_a_python_that_keeps_nothing(folder: Path, parsed: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.implementation, "cache_tag", None)
    assert tables_of(folder.as_posix()) == EXPECTED
    assert not (folder / "__pycache__").exists()


def test_it_is_kept_where_python_keeps_its_own(folder: Path, parsed: list[bytes], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path_factory.mktemp("bytecode")
    monkeypatch.setattr(sys, "pycache_prefix", elsewhere.as_posix())
    assert tables_of(folder.as_posix()) == tables_of(folder.as_posix()) == EXPECTED
    assert len(parsed) == 2
    assert not (folder / "__pycache__").exists()
    assert [path for path in elsewhere.rglob("*") if path.is_file()]


def test_a_date_is_kept_from_being_kept(folder: Path, parsed: list[bytes]) -> None:
    (folder / "queue.toml").write_text("since = 2026-01-01\n")
    assert tables_of(folder.as_posix()) == tables_of(folder.as_posix())
    assert not (folder / "__pycache__").exists()


def test_several_processes_begin_at_once(folder: Path) -> None:
    program = "import sys; from safeboundary_lint.core.tables import tables_of; print(tables_of(sys.argv[1]))"
    command = [sys.executable, "-c", program, folder.as_posix()]
    several = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert {process.communicate()[0] for process in several} == {f"{EXPECTED}\n"}
    assert not any(process.returncode for process in several)
    assert tables_of(folder.as_posix()) == EXPECTED


def test_what_ships_can_be_kept(tmp_path: Path, parsed: list[bytes]) -> None:
    for file in Path(tables.FOLDER).glob("*.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shipped = tables.shipped()
    assert tables_of(tmp_path.as_posix()) == shipped
    read = len(parsed)
    assert tables_of(tmp_path.as_posix()) == shipped
    assert len(parsed) == read
