"""The printed patch is what `git apply` turns the old file into the new one with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safeboundary_lint.fixes import diff


def applied(folder: Path, old: bytes, new: bytes) -> bytes:
    (folder / "x.py").write_bytes(old)
    command = ["git", "apply", "-p0", "--unidiff-zero", "--whitespace=nowarn"]
    subprocess.run(command, input=diff("x.py", old, new).encode(), cwd=folder, check=True, capture_output=True)
    return (folder / "x.py").read_bytes()


VERSIONS = [
    (b"a\nb\nc\n", b"a\nB\nc\n"),
    (b"a\r\nb\r\n", b"a\r\nB\r\n"),
    (b"a\nb", b"a\nB"),
    (b"a\nb", b"a\nb\nc"),
    (b"a\nb\n", b"a\nb"),
    (b"\xef\xbb\xbfa\nb\n", b"\xef\xbb\xbfA\nb\n"),
    (b"a\x0cb\n\x0c\n\x1c\xe2\x80\xa8x\rc\n", b"a\x0cb\n\x0c\n\x1c\xe2\x80\xa8x\rC\n"),
]


@pytest.mark.parametrize(("old", "new"), VERSIONS)
def test_git_applies_it(tmp_path: Path, old: bytes, new: bytes) -> None:
    assert applied(tmp_path, old, new) == new


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.sampled_from(["a\n", "b\r\n", "\n", "c\r", "\u2028d\n", "e"])),
    st.lists(st.sampled_from(["a\n", "b\r\n", "\n", "x"])),
)
def test_git_applies_any(tmp_path: Path, old: list[str], new: list[str]) -> None:
    before, after = "".join(["start\n", *old]).encode(), "".join(["start\n", *new]).encode()
    if before != after:
        assert applied(tmp_path, before, after) == after


def test_equal_versions_have_none() -> None:
    assert diff("x.py", b"\xff", b"\xff") == ""
