"""What a dotted name stands for, by the file alone."""

from __future__ import annotations

import libcst as cst
import pytest
from snippets import Snippet

from safeboundary_lint.core.names import dotted_text, last_name


def qualified(text: str, name: str = "here") -> str | None:
    """The dotted name of what is called in `here(expression)`."""
    snippet = Snippet(text)
    call = next(c for c in snippet.facts.tree.all(cst.Call) if isinstance(c.func, cst.Name) and c.func.value == name)
    return snippet.facts.names.qualified(call.args[0].value)


@pytest.mark.parametrize(
    ("text", "dotted"),
    [
        ("import a\nhere(a)", "a"),
        ("import a.b\nhere(a.b.c)", "a.b.c"),
        ("import a.b\nhere(a.x)", "a.x"),
        ("import a.b as c\nhere(c.d)", "a.b.d"),
        ("from a.b import c as d\nhere(d)", "a.b.c"),
        ("from . import a\nhere(a.b)", ".a.b"),
        ("from ..a import b\nhere(b)", "..a.b"),
        ("from a import *\nhere(b)", "a.b"),
        ("from a import *\nhere(open)", "builtins.open"),
        ("from a import *\nfrom b import *\nhere(c)", None),
        ("here(open)", "builtins.open"),
        ("here(unknown)", None),
        ("def open(): pass\nhere(open)", None),
        ("x = 1\nhere(x)", None),
        ("import a\ndef f(a): here(a)", None),
        ("import a\ndef f():\n  here(a)\n  a = 1", None),
        ("import a\ndef f():\n  here(a)", "a"),
        ("def f():\n  import a\n  here(a)", "a"),
        ("def f():\n  import a\nhere(a)", None),
        ("class C:\n  import a\n  def f(self): here(a)", None),
        ("class C:\n  import a\n  here(a.b)", "a.b"),
        ("import a\n[here(a) for a in b]", None),
        ("import a\n[here(a) for c in b]", "a"),
        ("import a\n[a for a in here(a)]", "a"),
        ("def f():\n  global a\n  import a\nhere(a)", "a"),
        ("def f():\n  import a\n  def g():\n    nonlocal a\n    here(a)", "a"),
        ("try: import a as x\nexcept ImportError: import b as x\nhere(x)", "a"),
        ("try: import a\nexcept ImportError: a = None\nhere(a.b)", "a.b"),
        ("try: from a import b\nexcept ImportError:\n  class b: pass\nhere(b)", "a.b"),
        ("import a\na = wrap(a)\nhere(a)", None),
        ("import a\nhere(a('x').b)", None),
        ("import a\nhere(a[0].b)", None),
        ("import a\nlambda a: here(a)", None),
        ("import a\nwith b as a: here(a)", None),
        ("import a\ndef f(x=here(a), *, a): pass", "a"),
    ],
)
def test_qualified(text: str, dotted: str | None) -> None:
    assert qualified(text) == dotted


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("def f(x): use(x)", ["parameter"]),
        ("x = 1\nuse(x)", ["value"]),
        ("x, y = 1, 2\nuse(x)", ["value"]),
        ("x, *y = z\nuse(x)", ["item"]),
        ("x += 1\nuse(x)", ["augmented"]),
        ("x: int\nuse(x)", ["annotated"]),
        ("for x in y: use(x)", ["item"]),
        ("[use(x) for x in y]", ["item"]),
        ("with y as x: use(x)", ["entered"]),
        ("try: pass\nexcept y as x: use(x)", ["caught"]),
        ("if (x := y): use(x)", ["value"]),
        ("def x(): pass\nuse(x)", ["definition"]),
        ("class x: pass\nuse(x)", ["definition"]),
        ("import x\nuse(x)", ["import"]),
        ("x = 1\ndel x\nuse(x)", ["value", "deleted"]),
        ("match y:\n  case x: use(x)", ["value"]),
        ("match y:\n  case [x, _]: use(x)", ["item"]),
        ("match y:\n  case [_, *x]: use(x)", ["item"]),
        ("match y:\n  case {1: _, **x}: use(x)", ["item"]),
        ("match y:\n  case C(z=x): use(x)", ["item"]),
    ],
)
def test_every_way_to_bind(text: str, how: list[str]) -> None:
    snippet = Snippet(text)
    found = snippet.facts.names.lookup(snippet.used("x"))
    assert found is not None
    assert [binding.how for binding in found[1]] == how


def test_positions_in_unpacking() -> None:
    snippet = Snippet("for i, (a, b) in pairs:\n    use(i, a)\n")
    found = {binding.name: binding.index for scope in snippet.facts.names.scopes() for several in scope.bindings.values() for binding in several}
    assert found["i"] == 0


def test_a_definition_is_found_through_an_alias() -> None:
    snippet = Snippet("def _run(): pass\nrun = _run\nuse(run)\nother = run if x else None\nuse2(other)")
    assert snippet.facts.names.definition(snippet.used("run")) is snippet.function("_run")
    assert snippet.facts.names.definition(snippet.used("other", "use2")) is None


def test_a_name_that_is_made_of_itself_is_no_definition() -> None:
    snippet = Snippet("a = b\nb = a\nuse(a)")
    assert snippet.facts.names.definition(snippet.used("a")) is None


@pytest.mark.parametrize(
    ("code", "last", "dotted"), [("a", "a", "a"), ("a.b.c", "c", "a.b.c"), ("a(x).c", "c", None), ("f(x)[0]", "f", None), ("await f.g()", "g", None), ("1", None, None)]
)
def test_names_of_expressions(code: str, last: str | None, dotted: str | None) -> None:
    assert last_name(cst.parse_expression(code)) == last
    assert dotted_text(cst.parse_expression(code)) == dotted


def test_top_level_imports_of_the_file() -> None:
    assert Snippet("import a.b\nfrom c.d import e\nfrom f import *\ndef g():\n    import h\n").facts.names.imported == {"a", "c", "f", "h"}
