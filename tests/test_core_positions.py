"""Places of nodes against LibCST's own provider; trees and where a node belongs."""

from __future__ import annotations

from pathlib import Path

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider
from snippets import Snippet

import safeboundary_lint
from safeboundary_lint.core.positions import Positions
from safeboundary_lint.core.tree import Tree, children, descendants

_ODD = '''\
"""docstring
of two lines"""

@decorated(
    1,
)
# comment
class C (
    Base,
):

    x = 1 ; y = 2; z = [
        3]
    def f(self): return 1; pass
\t
    if a: b
    elif (c
          ): d
    else :
        e ; f(
        )
try:
  g
except* (A,
         B) as h: i
else: j
finally:

  k \\
    + 1
with (l as m,
      n): o
match p:
    case [q,
          *r] if s: t
    case {"u": v, **w}:
        async def x(): await y; return [z async for z in aa]
lambda: (bb,
  cc)
if dd:
    # only a comment
    pass
else:
    if ee: ff
for ü in "ä": print(f"{ü!r:>{gg}} é", ü)
while 1: break
'''


def sources() -> list[str]:
    """The odd text, with every kind of line end, and modules of the project."""
    folder = Path(safeboundary_lint.__file__).with_name("core")
    return [_ODD, _ODD.replace("\n", "\r\n"), _ODD.rstrip("\n"), *((folder / name).read_text(encoding="utf-8") for name in ("flow.py", "tree.py"))]


@pytest.mark.parametrize("text", sources())
def test_places_are_those_of_libcst(text: str) -> None:
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    theirs = wrapper.resolve(PositionProvider)
    tree = Tree(wrapper.module)
    positions = Positions(tree, text)
    names = [node.attr for node in tree.all(cst.Attribute)] + [node.name for kind in (cst.Param, cst.FunctionDef) for node in tree.all(kind)]
    for node in (*descendants(wrapper.module), *names):
        place = theirs[node]
        if not isinstance(node, cst.Module):
            assert positions.range(node) == (place.start.line, place.start.column, place.end.line, place.end.column), cst.Module([]).code_for_node(node)


def test_the_name_of_an_attribute_takes_no_look_at_the_whole_module(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def f(a):\n    if a.b: return a.c\n    else: g(a.d)\n"
    tree = Tree(cst.parse_module(text))
    monkeypatch.setattr(cst.Module, "_codegen_impl", None)
    assert [Positions(tree, text).range(node.attr)[:2] for node in tree.all(cst.Attribute)] == [(2, 9), (2, 21), (3, 14)]


def test_newer_syntax_than_the_running_python_is_placed_too() -> None:
    text = "try:\n    pass\nexcept A, B:\n    f(x)\n"
    tree = Tree(cst.parse_module(text))
    assert Positions(tree, text).range(tree.all(cst.Call)[0]) == (4, 4, 4, 8)


def test_columns_are_counted_from_one_in_characters() -> None:
    snippet = Snippet('x = "äöü"; f(x)')
    span = snippet.facts.span(snippet.expression("f(x)"))
    assert (span.line, span.column, span.end_line, span.end_column) == (1, 12, 1, 16)


def test_every_node_is_below_its_parent() -> None:
    tree = Tree(cst.parse_module(_ODD))
    for node in descendants(tree.module):
        for child in children(node):
            assert tree.parent(child) is node
            assert tree.within(child, node) and not tree.within(node, child)
    assert tree.parent(tree.module) is None
    assert [tree.order[id(node)] for node in descendants(tree.module)] == sorted(tree.order.values())


def test_within_agrees_with_the_ancestors() -> None:
    tree = Tree(cst.parse_module(_ODD))
    nodes = list(descendants(tree.module))
    for node in nodes[::7]:
        above = {id(node), *(id(ancestor) for ancestor in tree.ancestors(node))}
        assert all(tree.within(node, other) == (id(other) in above) for other in nodes)
    assert not tree.within(cst.Name("x"), tree.module)


@pytest.mark.parametrize(
    ("code", "function", "cls", "symbol"),
    [
        ("one()", None, None, ""),
        ("two()", "f", None, "f"),
        ("three()", None, None, ""),  # a default
        ("four()", "m", "C", "C.m"),
        ("five()", "inner", "C", "C.m.inner"),
        ("six()", None, "C", "C"),
        ("seven()", "lambda", None, "f"),
    ],
)
def test_where_a_node_belongs(code: str, function: str | None, cls: str | None, symbol: str) -> None:
    snippet = Snippet("""
        one()
        def f():
            two()
            return lambda: seven()
        def g(x=three()): pass
        class C:
            a = six()
            def m(self):
                four()
                def inner():
                    five()
        """)
    node = snippet.expression(code)
    tree = snippet.facts.tree
    found = tree.function_of(node)
    assert (None if found is None else found.name.value if isinstance(found, cst.FunctionDef) else "lambda") == function
    around = tree.class_of(node)
    assert (around.name.value if around else None) == cls
    if code != "three()":
        assert tree.symbol_of(node) == symbol


def test_the_statement_of_a_node() -> None:
    snippet = Snippet("if a:\n    x = b + c; y\n")
    assert snippet.code(snippet.facts.tree.statement_of(snippet.expression("b"))).rstrip("; ") == "x = b + c"
    assert isinstance(snippet.facts.tree.statement_of(snippet.expression("a")), cst.If)


def test_evaluation_order() -> None:
    snippet = Snippet("@a\ndef f(b: c = d) -> e: g\n\nh[i] = j\nfor k in l: m\nn: o = p\n")
    names = [node.value for node in snippet.facts.tree.all(cst.Name)]
    assert names == ["a", "c", "d", "e", "g", "j", "h", "i", "l", "k", "m", "o", "p", "n"]
