"""Regular expressions compiled when they are first asked."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from safeboundary_lint import analyse, rules
from safeboundary_lint.core.regex import Regex

PACKAGE = Path(__file__).parent.parent / "src" / "safeboundary_lint"
TEXT = "A retry, two retries; no RETRY."


@pytest.mark.parametrize("flags", [0, re.IGNORECASE])
@pytest.mark.parametrize("pattern", [r"retr(y|ies)", r"^\w", r"\W+", r".*\.", r"(?P<first>t)\w+"])
def test_it_answers_as_python_does(pattern: str, flags: int) -> None:
    plain, lazy = re.compile(pattern, flags), Regex(pattern, flags)
    assert lazy.pattern == plain.pattern
    for method in ("search", "match", "fullmatch"):
        for _ in range(2):
            told, expected = getattr(lazy, method)(TEXT), getattr(plain, method)(TEXT)
            assert (told and (told.span(), told.groupdict())) == (expected and (expected.span(), expected.groupdict()))
    assert [one.span() for one in lazy.finditer(TEXT)] == [one.span() for one in plain.finditer(TEXT)]
    assert lazy.findall(TEXT) == plain.findall(TEXT)
    assert lazy.split(TEXT) == plain.split(TEXT)
    assert lazy.sub("-", TEXT) == plain.sub("-", TEXT)
    assert bool(lazy.search(TEXT, 3)) == bool(plain.search(TEXT, 3))


def test_nothing_is_compiled_before_it_is_asked() -> None:
    wrong = Regex("(")
    with pytest.raises(re.error):
        wrong.search("")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_importing_a_module_compiles_none(path: Path) -> None:
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            assert "re.compile(" not in ast.unparse(statement), f"{path.name}:{statement.lineno}: use core.regex.Regex"


def test_all_of_them_can_be_compiled() -> None:
    rules.load()
    modules = [module for name, module in sys.modules.items() if name.startswith("safeboundary_lint")]
    lazy = [value for module in modules for value in vars(module).values() if isinstance(value, Regex)]
    assert analyse and len(lazy) > 50
    for one in lazy:
        one.search("")
