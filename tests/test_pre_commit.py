"""The hooks, run by a real pre-commit on real git repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLOCK = """import time


def polled(ready, limit):
    start = time.time()
    while not ready():
        if time.time() - start > limit:
            return False
    return True
"""
FIXED = CLOCK.replace("time.time()", "time.monotonic()")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One PRE_COMMIT_HOME, so that the environment of the hooks is built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of what is published, as it is in the working tree now."""
    folder = tmp_path_factory.mktemp("hooks")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "state under test")
    return folder


@pytest.fixture
def project(tmp_path: Path, hooks: Path) -> Path:
    """A repository that uses the hooks: one file with a finding, one that its settings exclude."""
    folder = tmp_path / "project"
    (folder / "generated").mkdir(parents=True)
    (folder / "app.py").write_text(CLOCK)
    (folder / "generated" / "stub.py").write_text(CLOCK)
    (folder / "notes.txt").write_text("start = time.time()\n")
    (folder / "pyproject.toml").write_text('[tool.safeboundary-lint]\nextend-exclude = ["generated/"]\n')
    revision = git(hooks, "rev-parse", "HEAD")
    (folder / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {hooks.as_uri()}\n  rev: {revision}\n  hooks:\n"
        "  - id: safeboundary-lint-fix\n  - id: safeboundary-lint\n"
    )
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    return folder


def pre_commit(project: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PYTEST_"))}
    command = [sys.executable, "-m", "pre_commit", *arguments]
    environment |= {"PRE_COMMIT_HOME": str(home), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_the_check_hook_reports_and_leaves_excluded_files_alone(project: Path, home: Path) -> None:
    run = pre_commit(project, home, "run", "safeboundary-lint", "--all-files", "--color=never")
    assert run.returncode == 1 and "SBL102" in run.stdout and "app.py:7:12" in run.stdout, run.stdout + run.stderr
    assert "stub.py:7" not in run.stdout and "notes.txt" not in run.stdout
    by_name = pre_commit(project, home, "run", "--files", "generated/stub.py", "--color=never")
    assert by_name.returncode == 0 and by_name.stdout.count("Passed") == 2, by_name.stdout + by_name.stderr
    assert (project / "app.py").read_text() == CLOCK and git(project, "diff") == ""


def test_the_fix_hook_fixes_and_is_content_afterwards(project: Path, home: Path) -> None:
    first = pre_commit(project, home, "run", "--all-files", "--color=never")
    assert first.returncode == 1 and "files were modified by this hook" in first.stdout, first.stdout + first.stderr
    assert (project / "app.py").read_text() == FIXED
    assert (project / "generated" / "stub.py").read_text() == CLOCK
    git(project, "add", ".")
    second = pre_commit(project, home, "run", "--all-files", "--color=never")
    assert second.returncode == 0 and second.stdout.count("Passed") == 2, second.stdout + second.stderr
