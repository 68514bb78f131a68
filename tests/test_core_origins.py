"""Where a value comes from."""

from __future__ import annotations

import textwrap

import libcst as cst
import pytest
from snippets import Snippet


def reaching(text: str, name: str = "x") -> list[str]:
    """What the bindings give that reach `use(x)`."""
    snippet = Snippet(text)
    found = snippet.facts.origins.reaching(snippet.used(name))
    return [snippet.code(binding.source).split("\n")[0] if binding.source is not None else binding.how for binding in found]


def roots(text: str, name: str = "x", callers: bool = False) -> set[str]:
    """What the value in `use(x)` may be in the end."""
    snippet = Snippet(textwrap.dedent(text))
    return {f"{'' if o.how == 'value' else o.how + ' '}{snippet.code(o.node).rstrip(',')}" for o in snippet.facts.origins.roots(snippet.used(name), callers=callers)}


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("x = 1; x = 2; use(x)", ["2"]),
        ("x = 1; use(x); x = 2", ["1"]),
        ("if a: x = 1\n else: x = 2\n use(x)", ["1", "2"]),
        ("x = 1\n if a: x = 2\n use(x)", ["1", "2"]),
        ("x = 1\n if a:\n  x = 2\n  return\n use(x)", ["1"]),
        ("x = 1\n while a:\n  use(x)\n  x = 2", ["1", "2"]),
        ("x = 1\n for x in xs: pass\n use(x)", ["1", "xs"]),
        ("x = 1\n for x in xs: use(x)", ["xs"]),
        ("x = 1\n try: x = g()\n except E: use(x)", ["1"]),
        ("x = 1\n try:\n  x = g()\n  h()\n except E: use(x)", ["1", "g()"]),
        ("x = 1\n try: x = g()\n finally: use(x)", ["1", "g()"]),
        ("x = 1\n with g() as x: use(x)", ["g()"]),
        ("x = 1; x += 2; use(x)", ["1", "2"]),
        ("x = 1; del x; use(x)", ["deleted"]),
        ("x = 1\n if (x := g()) and use(x): pass", ["g()"]),
        ("x = 1\n if a and (x := g()): pass\n use(x)", ["1", "g()"]),
        ("x = 1\n while (x := g()) != 0: use(x)", ["g()"]),
        ("x = 1\n match a:\n  case [x]: pass\n use(x)", ["1", "a"]),
        ("x = None\n if a:\n  def x(): pass\n use(x)", ["def x(): pass", "None"]),
        ("x = 1\n def g():\n  use(x)\n x = 2", ["1", "2"]),
        ("x: int = 1\n x: str\n use(x)", ["1", "str"]),
        ("import x\n use(x)\n x = 2", ["x"]),
    ],
)
def test_reaching_definitions(body: str, values: list[str]) -> None:
    assert sorted(reaching(f"def f(a, xs):\n {body}\n")) == sorted(values)


def test_parameters_reach_until_they_are_replaced() -> None:
    assert reaching("def f(x=0):\n    use(x)\n    x = 1\n") == ["x=0"]
    assert reaching("def f(x):\n    x = x or 1\n    use(x)\n") == ["x or 1"]


def test_globals_have_all_their_values() -> None:
    assert reaching("x = 1\ndef g():\n    global x\n    x = 2\ndef f():\n    use(x)\n") == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("y = g()\nx = y\nuse(x)", {"g()"}),
        ("x = g() if a else 3\nuse(x)", {"g()", "3"}),
        ("x = a() or b()\nuse(x)", {"a()", "b()"}),
        ("def h(): return g()\nx = h()\nuse(x)", {"g()"}),
        ("def h(b):\n  if b: return 1\n  return g()\nx = h(2)\nuse(x)", {"1", "g()"}),
        ("def h(n): return h(n - 1)\nx = h(2)\nuse(x)", set()),
        ("class C:\n  def __init__(self): self.v = g()\n  def f(self):\n    x = self.v\n    use(x)", {"g()"}),
        ("class B:\n  v = g()\nclass C(B):\n  def f(self):\n    x = self.v\n    use(x)", {"g()"}),
        ("class C:\n  def a(self): self.v = 1\n  def b(self): self.v = 2\n  def f(self):\n    x = self.v\n    use(x)", {"1", "2"}),
        ("d = {}\nd['k'] = g()\nd['l'] = 2\nx = d['k']\nuse(x)", {"g()"}),
        ("d = {'k': g(), 'l': 2}\nx = d['k']\nuse(x)", {"g()"}),
        ("class C:\n  def __init__(self): self.d = {'k': g()}\n  def f(self):\n    x = self.d['k']\n    use(x)", {"g()"}),
        ("a, x = 1, g()\nuse(x)", {"g()"}),
        ("a, x = g()\nuse(x)", {"item g()"}),
        ("for x in g(): use(x)", {"item g()"}),
        ("with g() as x: use(x)", {"entered g()"}),
        ("async def f():\n  x = await g()\n  use(x)", {"g()"}),
        ("x = y = g()\nuse(x)", {"g()"}),
        ("x = x\nuse(x)", set()),
        ("def f(x=g()): use(x)", {"parameter x=g()", "g()"}),
        ("use(x)", {"x"}),
    ],
)
def test_roots(text: str, found: set[str]) -> None:
    assert roots(text) == found


def test_callers_give_the_arguments() -> None:
    text = "def f(a, x, *, z=1):\n  use(x)\nf(1, g())\nf(2, x=h())\nf(*args)\n"
    assert roots(text, callers=True) == {"parameter x", "g()", "h()"}
    assert roots(text) == {"parameter x"}
    method = "class C:\n  def f(self, x): use(x)\n  def g(self): self.f(h())\n"
    assert roots(method, callers=True) == {"parameter x", "h()"}


def test_derivation_shows_the_way() -> None:
    snippet = Snippet("""
        def f(request):
            body = request.read()
            text = body.decode("utf-8")
            x = text[0] + "!"
            use(x)
        """)
    is_source = lambda node: isinstance(node, cst.Call) and snippet.code(node) == "request.read()"  # noqa: E731
    way = snippet.facts.origins.derivation(snippet.used("x"), is_source)
    assert way is not None
    assert [snippet.code(node) for node in way] == [
        "x", 'text[0] + "!"', "text[0]", "text", 'body.decode("utf-8")', "body", "request.read()",
    ]  # fmt: skip
    assert snippet.facts.origins.derivation(snippet.used("x"), lambda node: False) is None
    refused = lambda node: not isinstance(node, cst.Subscript)  # noqa: E731
    assert snippet.facts.origins.derivation(snippet.used("x"), is_source, through=refused) is None


def test_places_are_the_same_variable() -> None:
    snippet = Snippet("""
        class B: pass
        class C(B):
            def f(self): one(self.x); two(self.y)
        class D(B):
            def g(self): three(self.x)
        def h(x): four(x)
        def i(x): five(x); six(x)
        """)
    place = {
        call.func.value: snippet.facts.origins.place(call.args[0].value)
        for call in snippet.facts.tree.all(cst.Call)
        if isinstance(call.func, cst.Name)
    }
    assert place["one"] != place["two"]
    assert place["four"] != place["five"] == place["six"]
    assert snippet.facts.origins.place(cst.parse_expression("f().x")) is None
