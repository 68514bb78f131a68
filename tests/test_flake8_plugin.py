"""Real flake8 says what `check` says, and no file, setting or defect of ours breaks its run."""

from __future__ import annotations

import ast
import gc
import json
import os
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from safeboundary_lint import analyse
from safeboundary_lint.core import outline
from safeboundary_lint.flake8_plugin import Plugin

ROOT = Path(__file__).parent.parent
CLOCK = """import time


def polled(ready, limit):
    start = time.time()
    while not ready():
        if time.time() - start > limit:
            return False
    return True
"""
FORMAT = "--format=%(path)s\t%(row)d\t%(col)d\t%(code)s\t%(text)s"
Found = tuple[str, int, int, str, str]


def flake8(folder: Path, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command, environment = [sys.executable, "-m", "flake8", FORMAT, *arguments], {**os.environ, "PYTHONUTF8": "1"}
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=False, env=environment)


def findings(folder: Path, *arguments: str, stdin: bytes | None = None) -> list[Found]:
    """What flake8 reports under our codes."""
    run = flake8(folder, "--select=SBL", *arguments, stdin=stdin)
    assert run.stderr == b"", run.stderr.decode()
    found = []
    for line in run.stdout.decode().splitlines():
        path, row, column, code, text = line.split("\t", 4)
        found.append((os.path.normpath(path), int(row), int(column), code, text))
    return sorted(found)


def checked(folder: Path, *arguments: str) -> list[Found]:
    """What `check` reports, but for noqa comments that nothing needs: inside flake8, noqa is flake8's own."""
    command = [sys.executable, "-m", "safeboundary_lint", "check", "--output-format=json", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, check=False, env={**os.environ, "PYTHONUTF8": "1"})
    report = json.loads(run.stdout)
    assert report["errors"] == [], run.stderr.decode()
    rest = ("line", "column", "code", "message")
    found = [(os.path.normpath(one["path"]), *(one[key] for key in rest)) for one in report["findings"]]
    return sorted(one for one in found if not (one[3] == "SBL001" and text_at(folder, one).startswith("# noqa")))


def text_at(folder: Path, found: Found) -> str:
    """The rest of the line from where a finding starts."""
    with tokenize.open(folder / found[0]) as file:
        return file.read().splitlines()[found[1] - 1][found[2] - 1 :]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every example, and what is odd to decode or to silence."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "dress.py").write_bytes(b"\xef\xbb\xbf" + CLOCK.replace("start", "d\u00e9but").replace("\n", "\r\n").encode())
    accented = CLOCK.replace("start = ", "s\u00e9 = '\u00e9'; start = ")
    (folder / "latin.py").write_bytes(f"# coding: latin-1\n{accented}".encode("latin-1"))
    (folder / "feeds.py").write_text("\f\n" + CLOCK.replace("\n\n\ndef", "\n\f\n\fdef"))
    silenced = [CLOCK.replace("> limit:", f"> limit:  {noqa}") for noqa in ("# noqa: SBL102", "# noqa")]
    (folder / "noqa.py").write_text("".join(silenced))
    (folder / "own.py").write_text(CLOCK.replace("> limit:", "> limit:  # safeboundary: ignore[SBL102] -- shown to operators"))
    return folder


@pytest.fixture(scope="module")
def corpus(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """These and every fixture, in a folder that does not look like one of tests."""
    folder = tmp_path_factory.mktemp("corpus")
    shutil.copytree(examples, folder, dirs_exist_ok=True)
    shutil.copytree(ROOT / "tests" / "fixtures", folder / "rules")
    return folder


def test_flake8_and_check_agree_on_everything(corpus: Path) -> None:
    ours = checked(corpus, "--isolated", "--select=ALL", "--min-confidence=low", ".")
    theirs = findings(corpus, "--isolated", "--safeboundary-select=ALL", "--safeboundary-min-confidence=low", ".")
    assert theirs == ours
    assert {"dress.py", "latin.py", "feeds.py"} <= {path for path, *_ in ours}
    assert not {"noqa.py", "own.py"} & {path for path, *_, code, _ in ours if code == "SBL102"}


def test_they_agree_by_default_and_with_any_number_of_processes(examples: Path) -> None:
    ours = checked(examples, "--isolated", ".")
    assert len(ours) > 10
    assert ours == findings(examples, "--isolated", "--jobs=2", ".") == findings(examples, "--isolated", "--jobs=1", ".")


def test_they_agree_on_the_settings_of_pyproject(examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(examples, folder)
    (folder / "pyproject.toml").write_text(
        '[tool.safeboundary-lint]\nselect = ["ALL"]\nmin-confidence = "low"\nextend-exclude = ["feeds.py"]\n'
        '[tool.safeboundary-lint.per-file-ignores]\n"dress.py" = ["ordering"]\n'
    )
    ours = checked(folder, ".")
    assert findings(folder, "--jobs=2", ".") == ours
    assert {path for path, *_ in ours} >= {"latin.py"} and not {path for path, *_ in ours} & {"feeds.py", "dress.py"}
    assert findings(folder, "--isolated", ".") == ours  # that is about flake8's own configuration


@pytest.mark.parametrize("file", ["setup.cfg", "tox.ini", ".flake8"])
def test_options_stand_in_the_configuration_of_flake8(tmp_path: Path, file: str) -> None:
    (tmp_path / "a.py").write_text(CLOCK)
    (tmp_path / file).write_text(
        "[flake8]\nsafeboundary-select = comments,\n    SBL1\nsafeboundary-preview = true\nsafeboundary-min-confidence = low\n"
    )
    assert [code for *_, code, _ in findings(tmp_path, "a.py")] == ["SBL102"]
    (tmp_path / file).write_text("[flake8]\nsafeboundary-select = comments\n")
    assert findings(tmp_path, "a.py") == []


@pytest.mark.parametrize("option", ["--safeboundary-select=SBL9,nonsense", "--safeboundary-min-confidence=sure"])
def test_an_option_that_means_nothing_is_told_in_one_line(tmp_path: Path, option: str) -> None:
    (tmp_path / "a.py").write_text(CLOCK)
    run = flake8(tmp_path, option, "a.py")
    told = (run.stdout + run.stderr).decode()
    assert run.returncode == 1 and option.partition("=")[0] in told and "Traceback" not in told


def test_standard_input(tmp_path: Path) -> None:
    assert [one[:4] for one in findings(tmp_path, "-", stdin=CLOCK.encode())] == [("stdin", 7, 12, "SBL102")]
    named = findings(tmp_path, "--stdin-display-name=app/a.py", "-", stdin=b"\xef\xbb\xbf" + CLOCK.replace("\n", "\r\n").encode())
    assert [one[:4] for one in named] == [("app/a.py", 7, 12, "SBL102")]


def test_noqa_is_for_flake8_to_apply(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CLOCK.replace("> limit:", "> limit:  # noqa: SBL102"))
    assert findings(tmp_path, "--isolated", "a.py") == []
    assert [code for *_, code, _ in findings(tmp_path, "--isolated", "--disable-noqa", "a.py")] == ["SBL102"]


def test_a_syntax_error_is_told_by_flake8_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(:\n")
    (tmp_path / "good.py").write_text(CLOCK)
    run = flake8(tmp_path, "--isolated", "--select=E9,SBL", "bad.py", "good.py")
    assert [line.split("\t")[3] for line in run.stdout.decode().splitlines()] == ["E999", "SBL102"]


STRANGE = [b"", b"\n", b"# only\n", b"\xef\xbb\xbf", b"x = '\x0c'\r\r", b"# coding: nonsense\n", b"\xff\xfe\n"]
if sys.version_info >= (3, 11, 4):  # before, a NUL byte ends flake8's own reading of the file, whatever plugins there are
    STRANGE.append(b"x = 1\0\n")


@pytest.mark.parametrize("content", STRANGE)
def test_strange_files_break_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.py").write_bytes(content)
    (tmp_path / "good.py").write_text(CLOCK)
    run = flake8(tmp_path, "--isolated", "--select=SBL", "bad.py", "good.py")
    assert run.stderr == b""
    assert [line.split("\t")[0] for line in run.stdout.decode().splitlines() if "SBL102" in line] == ["good.py"]


def test_broken_settings_are_told_and_everything_else_goes_on(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.safeboundary-lint]\nselcet = ['SBL1']\n")
    (tmp_path / "a.py").write_text(CLOCK)
    told = findings(tmp_path, "a.py")
    assert [code for *_, code, _ in told] == ["SBL000", "SBL102"]
    assert "pyproject.toml" in told[0][-1] and "selcet" in told[0][-1]


def test_a_defect_of_ours_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(analyse, "analyse", fail)
    lines = list(Plugin(ast.parse(CLOCK), CLOCK.splitlines(keepends=True), "a.py").run())
    assert [line[:2] for line in lines] == [(1, 0)] and lines[0][2].startswith("SBL000 internal error: ZeroDivisionError: oh")


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_looked_for_as_before(collecting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    during = []
    monkeypatch.setattr(analyse, "analyse", lambda *_: during.append(gc.isenabled()))
    before = gc.get_threshold()
    if not collecting:
        gc.disable()
    try:
        list(Plugin(ast.parse(CLOCK), CLOCK.splitlines(keepends=True), "a.py").run())
        assert gc.isenabled() is collecting
    finally:
        gc.enable()
    assert during == [False]
    assert gc.get_threshold() == before


def test_the_tree_that_flake8_made_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("parsed once more")

    tree = ast.parse(CLOCK * 9)
    monkeypatch.setattr(outline, "_parsed", refused)
    assert [line[0] for line in Plugin(tree, (CLOCK * 9).splitlines(keepends=True), "a.py").run()] == list(range(7, 81, 9))
