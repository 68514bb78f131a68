"""The command line as users run it: `run` in a process of its own, `call` in this one, which is faster."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import safeboundary_lint
from safeboundary_lint.cli import main

DEADLINE = """\
import time


def wait_for(ready):
    deadline = time.time() + 5
    while time.time() < deadline:
        if ready():
            return True
    return False
"""
"""A file with one finding: SBL102 in line 6."""

COLORS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "TTY_COMPATIBLE")


@dataclass(frozen=True)
class Ran:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """The JSON report on standard output."""
        return json.loads(self.out)

    @property
    def found(self) -> list[tuple[str, int, str]]:
        """Path, line and code of each finding of the JSON report."""
        return [(one["path"], one["line"], one["code"]) for one in self.report["findings"]]

    @property
    def errors(self) -> dict[str, str]:
        """The messages of the JSON report's errors by path."""
        return {one["path"]: one["message"] for one in self.report["errors"]}


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what changes colour and width."""
    return {key: value for key, value in os.environ.items() if key not in COLORS} | more


def installed(folder: Path) -> dict[str, str]:
    """The environment for a copy of the package below `folder`, which nobody edits while several processes use it."""
    package = Path(safeboundary_lint.__file__).parent
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return environment(PYTHONPATH=str(folder))


def run(*arguments: str, cwd: Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 120) -> Ran:
    """Run `safeboundary-lint` with `arguments` in the folder `cwd`; no traceback may ever come out of it."""
    command = [sys.executable, "-m", "safeboundary_lint", *arguments]
    done = subprocess.run(
        command, cwd=cwd, input=stdin, env=env or environment(), capture_output=True, timeout=timeout, check=False
    )
    ran = Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    assert "Traceback" not in ran.out + ran.err, ran.err
    return ran


def call(*arguments: str, cwd: Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ran:
    """Like `run`, without starting a process."""
    streams = [io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="") for content in (stdin, b"", b"")]
    terminate = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patched, mock.patch.dict(os.environ, env or environment(), clear=True):
        patched.chdir(cwd)
        patched.setattr(sys, "argv", ["safeboundary-lint", *arguments])
        for name, stream in zip(("stdin", "stdout", "stderr"), streams):
            patched.setattr(sys, name, stream)
        try:
            code = main()
        finally:
            signal.signal(signal.SIGTERM, terminate)
    out, err = (stream.detach().getvalue().decode(errors="replace") for stream in streams[1:] if stream.flush() is None)
    return Ran(code, out, err)


def write(folder: Path, **files: str) -> None:
    """Write files into a folder; `__` in a name stands for a slash, all are called `.py`."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def configure(folder: Path, table: str) -> Path:
    """Write a pyproject.toml with `table` below `[tool.safeboundary-lint]`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pyproject.toml"
    file.write_text(f"[tool.safeboundary-lint]\n{table}\n")
    return file
