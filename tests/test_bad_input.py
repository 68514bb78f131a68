"""Bad input through the real command: one clear line naming the file, others still checked, exit code 2, no traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from command import DEADLINE, Ran, configure, run, write

FOUND = [("good.py", 6, "SBL102")]


def check(*arguments: str, cwd: Path) -> Ran:
    """Run `check` with a JSON report."""
    return run("check", "--output-format", "json", *arguments, cwd=cwd)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good file, which has one finding."""
    write(tmp_path, good=DEADLINE)
    return tmp_path


def beside(folder: Path, name: str, content: bytes) -> str:
    """The one message about the file `name` with `content`, checked together with the good file."""
    (folder / name).write_bytes(content)
    ran = check(".", cwd=folder)
    assert ran.code == 2
    assert ran.found == FOUND
    assert list(ran.errors) == [name]
    told = run("check", "--output-format", "concise", cwd=folder)
    (line,) = [line for line in told.out.splitlines() if name in line]
    assert told.code == 2
    assert len(line) < 400
    return ran.errors[name]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"import time\nif time.time( <\n    pass\n", "syntax error", id="syntax error"),
        pytest.param(b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40, "", id="binary"),
        pytest.param(b"\x89PNG\r\n\x1a\n\xff\xfe", "", id="binary without NUL"),
        pytest.param("name = 'caf\xe9'\n".encode("latin-1"), "utf", id="latin-1 without cookie"),
        pytest.param(b"# -*- coding: klingon -*-\nx = 1\n", "klingon", id="unknown encoding"),
        pytest.param(b"# -*- coding: ascii -*-\nx = '\xc3\xa9'\n", "ascii", id="wrong encoding"),
        pytest.param(b"# -*- coding: hex -*-\nx = 1\n", "", id="encoding that is none"),
        pytest.param(b"x = 1\0\n", "NUL", id="NUL byte"),
        pytest.param("x = 1\n".encode("utf-16"), "", id="utf-16"),
        pytest.param(b"import time\n" + b"(" * 50_000 + b"time.time()" + b")" * 50_000, "", id="nested too deeply"),
        pytest.param(b"import time\n" + b"[" * 50_000 + b"time.time()\n", "nested", id="brackets that never close"),
    ],
)
def test_a_file_that_is_no_python(folder: Path, content: bytes, expected: str) -> None:
    assert expected.lower() in beside(folder, "bad.py", content).lower()


def test_an_empty_file_is_python(folder: Path) -> None:
    for name, content in {
        "empty.py": b"",
        "blank.py": b"\n\n",
        "mark.py": b"\xef\xbb\xbf",
        "unended.py": b"x = 1",
        "feed.py": b"\f",
    }.items():
        (folder / name).write_bytes(content)
    ran = check(".", cwd=folder)
    assert (ran.code, ran.found, ran.errors) == (1, FOUND, {})
    assert ran.report["summary"]["files"] == 6


@pytest.mark.parametrize("finding", [False, True])
def test_a_line_of_five_megabytes(folder: Path, finding: bool) -> None:
    table = b"TABLE = '" + b"0123456789abcdef" * 330_000 + b"'"
    ending = b"; import requests; page = requests.get('https://example.org')\n" if finding else b"\n"
    (folder / "huge.py").write_bytes(table + ending)
    for form in ("json", "text"):
        ran = run("check", "--output-format", form, cwd=folder)
        assert ran.code == 1
        assert len(ran.out) < 100_000, "a report does not print the whole line"
        assert ("huge.py" in ran.out) is finding
        assert "good.py" in ran.out


def test_an_unreadable_file(folder: Path) -> None:
    if os.geteuid() != 0:
        write(folder, secret="x = 1\n")
        (folder / "secret.py").chmod(0)
    elif sys.platform == "linux":  # nothing is unreadable to root, except the memory of nobody
        os.symlink("/proc/self/mem", folder / "secret.py")
    ran = check(".", cwd=folder)
    assert (ran.code, ran.found) == (2, FOUND)
    assert list(ran.errors) == ["secret.py"]
    assert ran.errors["secret.py"].startswith("cannot be read: ")


def test_a_path_that_does_not_exist(folder: Path) -> None:
    ran = check("gone.py", "good.py", "gone/", cwd=folder)
    assert (ran.code, ran.found) == (2, FOUND)
    assert ran.errors == {"gone.py": "no such file or folder", "gone": "no such file or folder"}


def test_loops_of_links_end(folder: Path) -> None:
    (folder / "sub").mkdir()
    os.symlink("..", folder / "sub" / "up")
    os.symlink(folder, folder / "again")
    ran = check(".", cwd=folder)
    assert (ran.code, ran.found, ran.errors) == (1, FOUND, {})
    os.symlink("ring.py", folder / "ring.py")
    ran = check(".", cwd=folder)
    assert (ran.code, ran.found) == (2, FOUND)
    assert ran.errors == {"ring.py": "cannot be read: Too many levels of symbolic links"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[tool.safeboundary-lint\n", "not valid TOML"),
        ("[tool.safeboundary-lint]\nselect = ['SBL999']\n", "tool.safeboundary-lint.select: no rule matches 'SBL999'"),
        ("[tool.safeboundary-lint]\nslect = ['SBL102']\n", "tool.safeboundary-lint.slect: unknown key (did you mean 'select'?)"),
        ("[tool.safeboundary-lint]\npreview = 'yes'\n", "tool.safeboundary-lint.preview: must be true or false"),
    ],
)
def test_a_broken_configuration(folder: Path, content: str, expected: str) -> None:
    (folder / "pyproject.toml").write_text(content)
    ran = check(".", cwd=folder)
    assert (ran.code, ran.found) == (2, FOUND)
    assert list(ran.errors) == ["pyproject.toml"]
    assert expected in ran.errors["pyproject.toml"]
    assert check(".", "--isolated", cwd=folder).code == 1
    named = check("--config", "pyproject.toml", cwd=folder)
    assert (named.code, named.out) == (2, "")
    assert named.err.startswith("error: pyproject.toml: ")
    assert named.err.count("\n") == 1


def test_a_broken_configuration_below_costs_nobody_else(folder: Path) -> None:
    configure(folder, 'extend-exclude = ["drafts/"]')
    write(folder, service__a=DEADLINE, drafts__b=DEADLINE)
    (folder / "service" / "pyproject.toml").write_text("= = =\n")
    ran = check(".", cwd=folder)
    assert ran.code == 2
    assert ran.found == [*FOUND, ("service/a.py", 6, "SBL102")]
    assert list(ran.errors) == ["service/pyproject.toml"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["check", "--select", "SBL999"], "error: --select: no rule matches 'SBL999'"),
        (["check", "--ignore", "wall-clock-elapse"], "(did you mean 'wall-clock-elapsed'?)"),
        (["check", "--extend-select", "SBL102,E501"], "error: --extend-select: no rule matches 'E501'"),
        (["explain", "SBL999"], "error: no rule matches 'SBL999'"),
        (["explain", "wall-clock"], "no rule matches 'wall-clock' (did you mean 'wall-clock-"),
        (["check", "--config", "gone.toml"], "error: gone.toml: cannot be read: No such file"),
        (["check", "--isolated", "--config", "a.toml"], "error: --isolated and --config exclude each other"),
        (["config", "gone"], "error: gone: no such file or folder"),
        (
            ["check", "--output-file", "/proc/nowhere/report.json"],
            "error: /proc/nowhere/report.json: the report cannot be written: ",
        ),
    ],
)
def test_a_bad_option_is_one_line(folder: Path, arguments: list[str], expected: str) -> None:
    ran = run(*arguments, cwd=folder)
    assert (ran.code, ran.out) == (2, "")
    assert expected in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["check", "--output-format", "xml"],
        ["check", "--report", "xml=out.xml"],
        ["check", "--report", "json="],
        ["check", "--jobs", "0"],
        ["check", "--min-confidence", "sure"],
        ["check", "--unsafe-fixes"],
        ["check", "--stdin-filename", "a.py"],
        ["check", "--diff", "--output-format", "json"],
        ["check", "-", "--fix", "--report", "github"],
        ["frobnicate"],
        ["explain"],
        ["completion", "powershell"],
    ],
    ids=" ".join,
)
def test_a_contradiction_is_refused(folder: Path, arguments: list[str]) -> None:
    ran = run(*arguments, cwd=folder)
    assert (ran.code, ran.out) == (2, "")
    assert "Error: " in ran.err
    assert (folder / "good.py").read_text() == DEADLINE


def test_names_that_are_no_text_are_shown(folder: Path) -> None:
    name = os.fsencode(folder) + b"/bad\xff.py"
    try:
        with open(name, "wb") as stream:
            stream.write(DEADLINE.encode())
    except OSError:  # this file system takes text only: the name cannot occur
        return
    for form in ("text", "concise", "json", "sarif", "github", "gitlab", "junit"):
        ran = run("check", "--output-format", form, cwd=folder)
        assert ran.code == 1
        assert "good.py" in ran.out
    write_to = run("check", "--output-format", "text", "--output-file", "out.txt", cwd=folder)
    assert write_to.code == 1
