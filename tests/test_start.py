"""Starting is quick: what a command does not need is not imported, and version and help need nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from command import call, environment, run
from safeboundary_lint import __version__
from safeboundary_lint.cli import HELP, program


def loaded_by(*arguments: str, cwd: Path) -> set[str]:
    """The modules a run imports."""
    command = [sys.executable, "-X", "importtime", "-m", "safeboundary_lint", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("argument", ["--version", "-V", "--help", "-h"])
def test_pages_are_printed_by_nothing_but_themselves(argument: str, tmp_path: Path) -> None:
    more = loaded_by(argument, cwd=tmp_path) - loaded_by("--version", cwd=tmp_path)
    assert not more
    own = {name for name in loaded_by(argument, cwd=tmp_path) if name.startswith("safeboundary_lint")}
    assert own == {"safeboundary_lint", "safeboundary_lint.cli"}
    assert not loaded_by(argument, cwd=tmp_path) & {"click", "re", "dataclasses", "typing"}


@pytest.mark.parametrize("command", sorted(program.COMMANDS))
def test_a_commands_help_needs_no_other_command(command: str, tmp_path: Path) -> None:
    others = {f"safeboundary_lint.cli.{module}" for module in program.COMMANDS.values() if module != program.COMMANDS[command]}
    loaded = loaded_by(command, "--help", cwd=tmp_path)
    assert not loaded & others
    heavy = ("libcst", "rich", "pathspec", "multiprocessing", "safeboundary_lint.rules")
    assert not {name for name in loaded if name.startswith(heavy)}


def test_the_page_knows_every_command_and_option() -> None:
    context = click.Context(program.cli)
    listed = HELP.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == program.cli.list_commands(context)
    for line, name in zip(listed, program.cli.list_commands(context)):
        command = program.cli.get_command(context, name)
        assert command is not None and command.name == name
        said = line.split(maxsplit=1)[1].split()
        told = " ".join(command.help.split("\n\n")[0].split()).replace("PATH", "a path").split() if command.help else []
        assert said[:3] == told[:3], f"{name}: {told}"
    for parameter in program.cli.get_params(context):
        assert all(option in HELP for option in parameter.opts)
    assert max(map(len, HELP.splitlines())) < 80


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--help", "check"]])
def test_the_page_is_one(arguments: list[str], tmp_path: Path) -> None:
    assert run(*arguments, cwd=tmp_path).out == HELP


@pytest.mark.parametrize("arguments", [["--version"], ["-V"], ["--version", "check"]])
def test_the_version(arguments: list[str], tmp_path: Path) -> None:
    assert run(*arguments, cwd=tmp_path).out == f"safeboundary-lint, version {__version__}\n"


def test_without_a_command_the_page_is_shown(tmp_path: Path) -> None:
    ran = call(cwd=tmp_path)
    assert ran.code == 2
    assert ran.err == HELP or ran.out == HELP


def test_a_page_nobody_can_write_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "safeboundary_lint", "--help"]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"error: output: No space left on device\n")


def test_the_analysis_compiles_the_methods_of_libcsts_nodes_when_they_are_called() -> None:
    script = """
import dataclasses, inspect, sys
import safeboundary_lint.engine
import libcst

assert not hasattr(dataclasses, "exec")
waiting = [node for node in vars(libcst).values() if dataclasses.is_dataclass(node) and node.__init__.__module__ == "safeboundary_lint.core.late_methods"]
assert len(waiting) > 150, len(waiting)
module = libcst.parse_module("total = 1\\n")
assert module.deep_equals(libcst.parse_module("total = 1\\n")) and module.code == "total = 1\\n"
name = libcst.Name("total")
assert libcst.Name.__init__.__module__ != "safeboundary_lint.core.late_methods"
for change in (lambda: setattr(name, "value", "sum"), lambda: delattr(name, "value")):
    try:
        change()
    except dataclasses.FrozenInstanceError:
        continue
    raise AssertionError("a node can be changed")
print(inspect.signature(libcst.Name), libcst.Name.__init__.__qualname__, libcst.Name.__init__.__annotations__)
"""
    plain = "import inspect, libcst; print(inspect.signature(libcst.Name), libcst.Name.__init__.__qualname__, libcst.Name.__init__.__annotations__)"
    ours, theirs = (subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout for text in (script, plain))
    assert ours == theirs
