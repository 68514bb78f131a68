"""The algebra of clock domains."""

from __future__ import annotations

import pytest
from snippets import Snippet


def domains(text: str) -> set[str]:
    """The domains of the value in `use(x)`."""
    snippet = Snippet(f"import lib\n{text}")
    return {value.domain for value in snippet.facts.clocks.values(snippet.used("x"))}


@pytest.mark.parametrize(
    ("expression", "domain"),
    [
        ("lib.wall()", "wall"),
        ("lib.steady()", "monotonic"),
        ("lib.wall() - lib.wall()", "duration"),
        ("lib.steady() - lib.steady()", "duration"),
        ("lib.wall() - lib.steady()", "offset"),
        ("lib.wall() - lib.steady() + lib.steady()", "wall"),
        ("lib.wall() + 5", "wall"),
        ("5 + lib.steady()", "monotonic"),
        ("lib.wall() - 5", "wall"),
        ("lib.wall() + y", "wall"),
        ("int(lib.wall() * 1000)", "wall"),
        ("round(lib.wall())", "wall"),
        ("max(lib.wall(), lib.wall())", "wall"),
        ("-(lib.wall() - lib.wall())", "duration"),
        ("60 * 60", "constant"),
        ("y", "unknown"),
    ],
)
def test_domain_of_an_expression(expression: str, domain: str) -> None:
    assert domains(f"x = {expression}\nuse(x)") == {domain}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s = lib.wall()\nx = lib.wall() - s\nuse(x)", {"duration"}),
        ("def now(): return lib.wall()\nx = now() - now()\nuse(x)", {"duration"}),
        ("if y: x = lib.wall()\nelse: x = lib.steady()\nuse(x)", {"wall", "monotonic"}),
        ("class C:\n  def __init__(self): self.s = lib.wall()\n  def f(self):\n    x = lib.wall() - self.s\n    use(x)", {"duration"}),
        ("def f(x): use(x)\nf(lib.wall())", {"wall", "unknown"}),
        ("x = lib.wall()\nx += 5\nuse(x)", {"wall", "constant"}),
        ("def f(n): return f(n - 1) + lib.wall()\nx = f(1)\nuse(x)", {"wall"}),
    ],
)
def test_domain_of_a_variable(text: str, found: set[str]) -> None:
    assert domains(text) >= found - {"constant", "unknown"}
