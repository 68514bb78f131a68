"""As an action of Bazel or Pants: declared inputs in a read-only tree, declared outputs elsewhere, nothing else written."""

from __future__ import annotations

import json
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import DEADLINE, configure, environment, run, write

PAGE = (Path(__file__).parent.parent / "docs" / "ci.md").read_text(encoding="utf-8")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Path]:
    """A source tree that nobody may write, a folder for outputs, and a home that must stay empty."""
    tree = tmp_path / "tree"
    configure(tree, 'select = ["SBL102"]')
    write(tree / "src", app=DEADLINE, other="x = 1\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "home").mkdir()
    every = [tree, *tree.rglob("*")]
    for path in every:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield tmp_path
    for path in every:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def bazel() -> str:
    """The command of the recipe for Bazel, its labels still in it."""
    recipe = PAGE.partition("## Bazel")[2].partition("## Pants")[0]
    return "".join(re.findall(r'"( ?[^"]*(?:check|--output-file)[^"]*)"', recipe.partition("cmd =")[2]))


def pants() -> list[str]:
    """The arguments of the recipe for Pants."""
    recipe = PAGE.partition("## Pants")[2].partition("\n## ")[0]
    return re.findall(r'"([^"]+)"', re.findall(r"args=\[(.*?)\]", recipe, re.DOTALL)[0])


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


def check_outputs(sandbox: Path, before: dict[str, tuple[int, int]]) -> None:
    assert "Found 1 problem" in (sandbox / "out" / "safeboundary.txt").read_text()
    log = json.loads((sandbox / "out" / "safeboundary.sarif").read_text())
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["SBL102"]
    changed = {place for place, was in state(sandbox).items() if before.get(place) != was}
    assert changed == {"out", "out/safeboundary.txt", "out/safeboundary.sarif"}


def test_bazel(sandbox: Path) -> None:
    before = state(sandbox)
    text = bazel().replace("$$(dirname $(location pyproject.toml))", "tree")
    text = text.replace("$(location pyproject.toml)", "tree/pyproject.toml")
    text = re.sub(r"\$\(location (safeboundary\.\w+)\)", r"out/\1", text)
    program, *arguments = shlex.split(text.replace("$(location //tools:safeboundary_lint)", "safeboundary-lint"))
    assert program == "safeboundary-lint" and "$" not in "".join(arguments)
    ran = run(*arguments, cwd=sandbox, env=environment(HOME=str(sandbox / "home"), PYTHONDONTWRITEBYTECODE="1"))
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    check_outputs(sandbox, before)


def test_pants(sandbox: Path) -> None:
    before = state(sandbox)
    arguments = [one.replace("out/", "../out/") for one in pants()]
    ran = run(*arguments, cwd=sandbox / "tree", env=environment(HOME=str(sandbox / "home"), PYTHONDONTWRITEBYTECODE="1"))
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    check_outputs(sandbox, before)


def test_findings_fail_the_build_without_exit_zero(sandbox: Path) -> None:
    arguments = [one.replace("out/", "../out/") for one in pants() if one != "--exit-zero"]
    assert run(*arguments, cwd=sandbox / "tree").code == 1


def test_a_tree_that_cannot_be_written_needs_no_option(sandbox: Path) -> None:
    ran = run("check", cwd=sandbox / "tree")
    assert ran.code == 1
    assert ran.err == ""
