"""What the README and the other documents say is so."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from safeboundary_lint import config, reports
from safeboundary_lint.cli.program import COMMANDS, cli
from safeboundary_lint.rules import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

# Rule pages also speak of other programs' options, and kinds of other libraries' names.
OUR_OWN = [path for path in DOCUMENTS if path.parent.name != "rules" and path.name not in ("kinds.md", "performance.md")]
each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, which may stand indented in a list."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_two_commands_set_everything_up() -> None:
    commands = [block.strip() for block in blocks(README, "sh") if "pip install" in block]
    assert len(commands) == 2
    assert commands[0].endswith("safeboundary-lint check examples --exit-zero")
    runner = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert runner[-1] == commands[1], "README and .ci/run differ"
    assert runner[0] == "#!/usr/bin/env bash" and (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_readme_shows_one_screen_of_output() -> None:
    [screen] = blocks(README, "console")
    assert 10 <= screen.count("\n") <= 60, "run `python docs/generate.py`; what is shown must fit a screen"
    assert "--> examples/parcels/worker.py:" in screen


@each_document
def test_settings_shown_are_valid(path: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(path.read_text(encoding="utf-8"), "toml")):
        if "tool.safeboundary-lint" in block:
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "pyproject.toml").write_text(block, encoding="utf-8")
            read = config.read(str(folder / "pyproject.toml"))
            assert read is not None and read[1] == (), f"{path.name}: {read and read[1]}"


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == set(config.KEYS)


def test_every_format_is_documented() -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE)) == set(reports.FORMATS)


@pytest.mark.parametrize("path", OUR_OWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_options_spoken_of_exist(path: Path) -> None:
    commands = [cli, *(cli.get_command(click.Context(cli), name) for name in COMMANDS)]
    ours = {option for command in commands for one in command.params for option in (*one.opts, *one.secondary_opts)}
    shown = re.findall(r"safeboundary-lint \w+ [^`\n#]*|`--[a-z-]+", path.read_text(encoding="utf-8"))
    spoken = {option for text in shown for option in re.findall(r"(?<=[ `])--[a-z-]+", text)} - {"--write-golden", "--help", "--version"}
    assert spoken <= ours, f"{path.name} speaks of {sorted(spoken - ours)}"


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), f"{path.name}: {target}"


@each_document
def test_rules_spoken_of_exist(path: Path) -> None:
    codes = {rule.code for rule in load().rules}
    known = codes | {code[:4] for code in codes} | {"SBL000"}
    if path.parent.name == "rules" or path.name in ("README.md", "index.md", "ci.md", "configuration.md"):
        spoken = set(re.findall(r"\bSBL\d+\b", path.read_text(encoding="utf-8")))
        assert spoken <= known, f"{path.name} speaks of {sorted(spoken - known)}"


def test_every_rule_is_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    lacking = [f"{rule.code} {rule.name}" for rule in load().rules if f"{rule.code} `{rule.name}`" not in text]
    assert not lacking, f"run `python docs/generate.py` to add under New rule: {lacking}"
