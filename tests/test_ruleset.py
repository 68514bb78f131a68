"""What is kept of the rules says what the rules say, of this very state of our files, and spares most files their import."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_files import Fixture, fixtures

import safeboundary_lint
from command import environment
from safeboundary_lint import identity, ruleset
from safeboundary_lint.core import kept
from safeboundary_lint.core.options import Options
from safeboundary_lint.core.outline import Outline
from safeboundary_lint.core.screen import Screen
from safeboundary_lint.core.source import Source
from safeboundary_lint.core.thinning import Thinning
from safeboundary_lint.core.words import Words

ALL = ruleset.catalogue().expand(["ALL"])
CALM = "import time\n\n\ndef told(number):\n    print(time.time(), number)\n    return number == 1\n"
DEADLINE = "import time\n\n\ndef wait(ready):\n    end = time.time() + 5\n    while time.time() < end:\n        ready()\n"
TOLD = """
import json, sys
from safeboundary_lint.checking import report_of
from safeboundary_lint.core.options import Options
from safeboundary_lint.files import SourceFile
from safeboundary_lint.ruleset import catalogue

source = sys.stdin.read().encode()
report = report_of(SourceFile("app.py", Options(catalogue().default()), len(source)), source)
told = {"codes": [finding.code for finding in report.findings], "problems": [str(one) for one in report.problems]}
print(json.dumps({**told, "loaded": [name for name in sys.modules if name.startswith(("libcst", "safeboundary_lint"))]}))
"""


@pytest.fixture(scope="module")
def screens() -> tuple[Screen, Screen]:
    """A screen as it is made, and as it comes back."""
    made = ruleset._made(())
    return made, ruleset._read(ruleset._written(made))


@pytest.mark.parametrize("fixture", fixtures(), ids=lambda fixture: fixture.label)
def test_a_screen_that_was_kept_says_the_same(fixture: Fixture, screens: tuple[Screen, Screen]) -> None:
    text, _indented = Source.decode(fixture.path.read_bytes()).for_parser
    said = []
    for screen in screens:
        words = Words(text)
        left = screen.possible(screen.wanted(ALL), words)
        outline = Outline.of(text)
        thinning = Thinning.of(outline, left, screen, words) if outline is not None else None
        said.append(([asked.code for asked in left], thinning and ([asked.code for asked in thinning.rules], thinning.kept())))
    assert said[0] == said[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """An installation of its own, which has not run yet."""
    shutil.copytree(Path(safeboundary_lint.__file__).parent, tmp_path / "safeboundary_lint", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def told(copy: Path, source: str) -> tuple[list[str], list[str]]:
    """The codes of the findings in a source, and the modules that it takes to tell them."""
    env = {name: value for name, value in environment().items() if name != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(copy)}
    done = subprocess.run([sys.executable, "-c", TOLD], cwd=copy, env=env, input=source, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert not answer["problems"]
    return answer["codes"], answer["loaded"]


def test_a_file_that_concerns_no_rule_takes_neither_a_rule_nor_libcst(copy: Path) -> None:
    codes, loaded = told(copy, CALM)
    assert not codes and "libcst" in loaded  # the first time it is made of the rules
    codes, loaded = told(copy, CALM)
    assert not codes
    assert not [name for name in loaded if name.startswith(("libcst", "safeboundary_lint.rules.", "safeboundary_lint.core.knowledge"))]
    codes, loaded = told(copy, DEADLINE)
    assert codes == ["SBL102"] and "libcst" in loaded


def test_what_was_made_of_other_rules_is_made_again(copy: Path) -> None:
    assert told(copy, DEADLINE)[0] == ["SBL102"]
    rule = copy / "safeboundary_lint" / "rules" / "ordering" / "wall_clock_elapsed.py"
    rule.unlink()
    codes, loaded = told(copy, DEADLINE)
    assert not codes and "libcst" in loaded


@pytest.mark.parametrize("damage", ["emptied", "cut off", "overwritten"])
def test_what_is_damaged_is_made_again(damage: str, copy: Path) -> None:
    assert told(copy, DEADLINE)[0] == ["SBL102"]
    places = sorted((copy / "safeboundary_lint" / "__pycache__").glob("*.kept"))
    assert [place.name.partition(".")[0] for place in places] == ["knowledge", "screen"]
    whole = [place.read_bytes() for place in places]
    for place, content in zip(places, whole):
        place.write_bytes({"emptied": b"", "cut off": content[:-1], "overwritten": b"\0" * 1000}[damage])
    assert told(copy, DEADLINE)[0] == ["SBL102"]
    assert all(len(place.read_bytes()) > len(content) // 2 for place, content in zip(places, whole))


def test_a_digest_over_what_is_nothing_of_ours_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ruleset, "_FOLDER", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for body in (b"", b"nothing of ours"):
        kept.keep(str(tmp_path), "table", identity.signature().encode(), body)
        assert ruleset._kept("table", lambda: ["made"]) == ["made"]


def test_where_our_files_cannot_be_looked_at_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ruleset, "_FOLDER", str(tmp_path))
    monkeypatch.setattr(identity, "signature", refused)
    assert ruleset._kept("table", lambda: ["made"]) == ["made"]
    assert not list(tmp_path.iterdir())


def test_a_users_rows_have_a_screen_of_their_own() -> None:
    rows = (("ack", '[{"names": ["ourlib.settle"]}]'), ("durable-write", '[{"names": ["ourlib.keep"]}]'))
    source = "import ourlib\n\n\ndef handle(message):\n    ourlib.settle(message)\n    ourlib.keep(message)\n"

    def left(options: Options) -> set[str]:
        screen, words = ruleset.screen_of(options.knowledge), Words(source)
        return {asked.code for asked in screen.possible(screen.wanted(options.codes), words)}

    assert "SBL301" in left(Options(ALL, knowledge=rows)) - left(Options(ALL))
