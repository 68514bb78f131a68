"""Drafts: the same nodes as LibCST's own, and no answer where they can't give the right one."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator

import libcst as cst
import pytest
from fixture_files import FIXTURES
from snippets import knowledge

from safeboundary_lint.core.drafts import Draft, DraftFacts, Undecided
from safeboundary_lint.core.tree import children, descendants, same_code

SNIPPETS = [
    "a = b = c\nx: int\ny: int = 1\nz += 1\na @= b\n",
    "a.b.c(d, *e, f=1, **g)\nf(a=1, *b)\nf(x for x in y)\nf()\n",
    "a[b], a[b:c], a[b:c:d, ...], a[()], a[(b, c)], a[(b), (c)], a[b,], a[*b]\n" if sys.version_info >= (3, 11) else "a[b:c, ...], a[(b, c)]\n",
    "'a' 'b' \"c\"\nx = 'it\\'s' + \"a 'b' c\" + '' ''\ny = '''a''b'''\nz = r'\\d' 'x' if 0 else b'y'\n",
    "f'a{b}c{d!r:>{e}}'\nf'{{x}}' f'{y}'\nf'{x = }'\nf'{a[\"b\"]}{1 + 2}'\nf'\\n{x}'\nf''\nf\"{f'{x}'}\"\n",
    "0x1F + 1_000 - 1.5e3 * 2j\n-1 ** 2\nnot a\n~a\n+a\n",
    "a and b and c or d\na < b <= c != d is not e not in f\n(a and b) and c\na and (b and c)\n",
    "lambda: 0\nlambda a, /, b=1, *c, d, e=2, **f: a\nlambda *, a: a\n",
    "[a for b in c if d if e for f in g]\n{a: b for c in d}\n{a for a in b}\n(a for a in b)\n",
    "[1, *a]\n{1, *a}\n(1, *a)\n()\n{}\n{1: 2, **a}\n*a, b = c\n",
    "a = b if c else d\nif (x := y): pass\n...\nNone\nTrue\n",
    "import a, b.c as d\nfrom . import e\nfrom ..a.b import c as d, e\nfrom f import *\n",
    "del a\ndel a, b\nassert a, b\nraise\nraise A from b\nglobal_ = 1; other = 2\npass; pass\n",
    "if a: b\nelif c: d; e\nelse: f\nif a:\n    b\nelif c:\n    d\nelse:\n    if e:\n        f\n",
    "for a, b in c:\n    break\nelse:\n    d\nwhile a: continue\n",
    "try:\n    a\nexcept B: c\nexcept (D, E) as f:\n    g\nelse:\n    h\nfinally:\n    i\n",
    "with a as b, c, d as (e, f): pass\nwith (a as b, c): pass\n",
    "@a\n@b.c(d)\nclass E(F, *g, metaclass=H, **i):\n    'text'\n    j: int\nclass K: pass\nclass L(): ...\n",
    "@a\nasync def f(a, b: int = 1, *c: str, d=2, **e) -> G:\n    async for x in y: await z\n    async with a: yield b\n    return [x async for x in y]\n",
    "def f():\n    global a, b\n    def g():\n        nonlocal c\n        yield\n        yield from d\n        return\n",
    "match a:\n    case [1, *b] if c:\n        pass\n    case {'x': y, **z} | D(e, f=None):\n        pass\n",
    "if a:\n    match b:\n        case _: pass\n",
    "é = 'ü' + f(ö, 'ß')\nx = 'ä' 'ö'\n",
    "a = 1\r\nif b:\r\n    c = 'd' \\\r\n        'e'\r\n",
    "\f\nclass A:\n\tdef b(self):\n\t\treturn 'c'\n",
]  # fmt: skip


def differences(one: cst.CSTNode, other: cst.CSTNode) -> Iterator[tuple[str, str]]:
    """Where two trees part: types, values, what holds what."""
    if type(one) is not type(other) or len(children(one)) != len(children(other)):
        yield type(one).__name__, type(other).__name__
    elif isinstance(one, cst.SimpleString) and isinstance(other, cst.SimpleString):
        if one.evaluated_value != other.evaluated_value:  # in an f-string, Python before 3.12 doesn't tell the quotes
            yield one.value, other.value
    elif isinstance(one, (cst.Name, cst.BaseNumber, cst.FormattedStringText)):
        if one.value != other.value:  # type: ignore[attr-defined]
            yield one.value, other.value  # type: ignore[attr-defined]
    elif not children(one) and not isinstance(one, (cst.ImportFrom, cst.FormattedString)) and not same_code(one, other):
        yield type(one).__name__, "says something else"
    else:
        for several in zip(children(one), children(other), strict=True):
            yield from differences(*several)


def compared(text: str) -> list[tuple[str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(differences(cst.parse_module(text), Draft(text, ast.parse(text)).module))


@pytest.mark.parametrize("text", SNIPPETS)
def test_a_draft_has_the_nodes_of_libcst(text: str) -> None:
    assert compared(text) == []


@pytest.mark.parametrize("text", SNIPPETS)
def test_what_is_no_child_is_the_same_too(text: str) -> None:
    """Names of attributes, keywords, parameters and aliases, operators, stars, `async`."""
    pairs = zip(descendants(cst.parse_module(text)), descendants(Draft(text, ast.parse(text)).module), strict=True)
    for one, other in pairs:
        for field in ("attr", "keyword", "operator", "star", "asynchronous", "name", "asname", "names", "relative"):
            if not isinstance(one, (cst.Module, cst.FormattedStringExpression)) and hasattr(one, field):
                left, right = getattr(one, field), getattr(other, field)
                several = [(left, right)] if not isinstance(left, (list, tuple)) else list(zip(left, right, strict=True))
                assert all(same_code(*pair) if isinstance(pair[0], cst.CSTNode) else pair[0] == pair[1] for pair in several), (field, left)


@pytest.mark.parametrize("path", sorted(FIXTURES.rglob("*.py"))[::7], ids=lambda path: path.name)
def test_fixtures_have_the_nodes_of_libcst(path: object) -> None:
    assert compared(path.read_text(encoding="utf-8")) == []  # type: ignore[attr-defined]


def test_dropped_definitions_leave_a_pass() -> None:
    text = "def a():\n    b\n\nclass C:\n    @d\n    def e(self): f\n    def g(self): h\n"
    module = ast.parse(text)
    draft = Draft(text, module, [module.body[0], module.body[1].body[0]])  # type: ignore[attr-defined, list-item]
    expected = cst.parse_module("pass\nclass C:\n    pass\n    def g(self): h\n")
    assert list(differences(expected, draft.module)) == []


def facts_of(text: str) -> DraftFacts:
    return DraftFacts(Draft(text, ast.parse(text)), knowledge(), "a.py")


def value_of(facts: DraftFacts) -> cst.BaseExpression:
    return facts.tree.all(cst.Assign)[-1].value


@pytest.mark.parametrize("text", ["a + b", "f(a + b)", "f(a,  b)", "f(\n    a\n)", "é.b('ü')", "[a]"])
def test_the_text_of_an_expression_is_what_stands_there(text: str) -> None:
    facts = facts_of(f"x = {text}\n")
    assert facts.text(value_of(facts)) == text
    arguments = [argument.value for call in facts.tree.all(cst.Call) for argument in call.args]
    assert all(facts.text(one) in text for one in arguments)


@pytest.mark.parametrize("text", ["(a + b)", "( a  )", "(  # why\n    a\n)", "(a, b)", "not (a)"])
def test_the_text_of_what_may_have_parentheses_of_its_own_is_left_open(text: str) -> None:
    facts = facts_of(f"x = {text}\n")
    value = value_of(facts)
    with pytest.raises(Undecided):
        facts.text(value.expression if isinstance(value, cst.UnaryOperation) else value)


def test_lines_are_known_and_other_places_are_left_open() -> None:
    facts = facts_of("\n\nx = f(\n    a)\n")
    name = next(node for node in facts.tree.all(cst.Name) if node.value == "a")
    assert facts.line(name) == 4
    for question in (facts.span, facts.text, facts.line):
        with pytest.raises(Undecided):
            question(facts.tree.all(cst.Arg)[0])
    with pytest.raises(AttributeError):
        facts.tree.module.code  # noqa: B018 -- white space is not known


def test_same_code_looks_at_what_is_said() -> None:
    def same(one: str, other: str) -> bool:
        return same_code(cst.parse_expression(one), cst.parse_expression(other))

    assert same("a + b", "(a+b)") and same("f(a, *b)", "f( a,*b )") and same("[x async for x in y]", "[x  async for x in y]")
    assert not same("a + b", "a - b") and not same("f(*a)", "f(a)") and not same("f(a=1)", "f(b=1)") and not same("a", "a.b")
    assert not same("a < b", "a <= b") and not same("[x async for x in y]", "[x for x in y]") and not same("f(a)", "f(a, b)")
