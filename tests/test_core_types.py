"""What type a value has; all about a library that does not exist (see `snippets.ROWS`)."""

from __future__ import annotations

import textwrap

import libcst as cst
import pytest
from snippets import Snippet

from safeboundary_lint.core.finding import Confidence

_CHANNEL = "lib.Channel"


def type_of(text: str, name: str = "x") -> str | None:
    """The type of the name handed to `use`: dotted, or the bare name of a class of the file."""
    snippet = Snippet("import lib\n" + textwrap.dedent(text).strip("\n"))
    found = snippet.facts.types.of(snippet.used(name))
    return None if found is None else found.dotted or found.local.name.value  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "x = lib.Channel()\nuse(x)",
        "x = lib.short.Channel()\nuse(x)",  # a re-export
        "x = lib.connect().channel()\nuse(x)",
        "c = lib.connect()\nx = c.channel()\nuse(x)",
        "async def f():\n  x = await lib.connect().channel()\n  use(x)",
        "with lib.Session() as x: use(x)",
        "async def f():\n  async with lib.Session() as x: use(x)",
        "with lib.Channel() as x: use(x)",  # unless told otherwise, a context manager gives itself
        "def f(x: lib.Channel): use(x)",
        "def f(x: 'lib.Channel'): use(x)",
        "from typing import Optional\ndef f(x: Optional[lib.Channel]): use(x)",
        "from typing import Annotated\ndef f(x: Annotated[lib.Channel, 'it']): use(x)",
        "def f(x: lib.Channel | None): use(x)",
        "def f(x: None | lib.Channel = None): use(x)",
        "x: lib.Channel = make()\nuse(x)",
        "x: lib.Channel\nuse(x)",
        "def f(xs: list[lib.Channel]):\n  for x in xs: use(x)",
        "def f(xs: list[lib.Channel]):\n  x = xs[0]\n  use(x)",
        "def make() -> lib.Channel: ...\nx = make()\nuse(x)",
        "def make():\n  return lib.Channel()\nx = make()\nuse(x)",
        "make = lambda: lib.Channel()\nx = make()\nuse(x)",
        "if (x := lib.Channel()): use(x)",
        "x = lib.Channel() if y else None\nuse(x)",
        "x = y or lib.Channel()\nuse(x)",
        "x = lib.same(lib.Channel())\nuse(x)",
        "with lib.same(lib.Channel()) as x: use(x)",
        "def on(x, message): use(x)\nlib.subscribe(on)",
        "def on(x, message): use(x)\nlib.subscribe(on_message=on)",
        "class C:\n  def on(self, x, message): use(x)\n  def go(self): lib.subscribe(self.on)",
        "lib.subscribe(lambda x, m: use(x))",
        "def f(x=lib.Channel()): use(x)",
        "def f(x): use(x)\nf(lib.Channel())",
        "class C:\n  def __init__(self): self.c = lib.Channel()\n  def f(self):\n    x = self.c\n    use(x)",
        "class C:\n  c: lib.Channel\n  def f(self):\n    x = self.c\n    use(x)",
        "class B:\n  def __init__(self): self.c = lib.Channel()\nclass C(B):\n  def f(self):\n    x = self.c\n    use(x)",
        "class C:\n  @property\n  def c(self): return lib.Channel()\ndef f(c: C):\n  x = c.c\n  use(x)",
        "class C:\n  def __init__(self): self.connection = lib.connect()\n  def f(self):\n    x = self.connection.channel()\n    use(x)",
        "def outer():\n  x = lib.Channel()\n  def inner(): use(x)",
        "def f():\n  global x\n  x = lib.Channel()\nuse(x)",
    ],
)
def test_a_channel(text: str) -> None:
    assert type_of(text) == _CHANNEL


@pytest.mark.parametrize(
    "text",
    [
        "x = make()\nuse(x)",
        "x = lib.unknown()\nuse(x)",
        "def f(x): use(x)",
        "x = 1\nuse(x)",
        "x = lib.connect()[0]\nuse(x)",
        "class Channel: pass\nx = y.Channel()\nuse(x)",
        "x = x\nuse(x)",
        "def f(n):\n  return f(n - 1)\nx = f(3)\nuse(x)",
    ],
)
def test_nothing_known(text: str) -> None:
    assert type_of(text) is None


def test_a_class_of_the_file() -> None:
    assert type_of("class C: pass\nx = C()\nuse(x)") == "C"
    assert type_of("class C:\n  def f(self, x: 'C'): use(x)") == "C"
    assert type_of("class C:\n  def f(self): use(self)", "self") == "C"
    assert type_of("class C:\n  @staticmethod\n  def f(self): use(self)", "self") is None


def test_what_a_container_gives() -> None:
    assert type_of("for x in lib.Inbox(): use(x)") == "lib.Message"
    assert type_of("inbox = lib.Inbox()\nfor x in inbox: use(x)") == "lib.Message"


def test_a_callback_gets_what_the_library_gives() -> None:
    assert type_of("def on(channel, x): use(x)\nlib.subscribe(on)") == "lib.Message"


def test_bases_from_the_library() -> None:
    snippet = Snippet("""
        import lib
        class Base(lib.Channel): pass
        class Mine(Base):
            def f(self):
                self.ack()
                super().ack()
        x = Mine()
        x.ack()
        y = lib.FastChannel()
        y.ack()
        """)
    for call in ("self.ack()", "super().ack()", "x.ack()", "y.ack()"):
        match = snippet.facts.match(snippet.expression(call), "ack")
        assert match is not None and match.dotted == "lib.Channel.ack", call
    assert snippet.facts.types.is_a(snippet.expression("x"), "lib.Channel")
    assert not snippet.facts.types.is_a(snippet.expression("x"), "lib.Store")


def test_several_types_are_less_sure() -> None:
    snippet = Snippet("import lib\nif y: x = lib.Channel()\nelse: x = lib.Store()\nuse(x)")
    found = snippet.facts.types.of(snippet.used("x"))
    assert found is not None and found.confidence is Confidence.MEDIUM


def test_classes_that_derive_from_each_other() -> None:
    snippet = Snippet("class A(B): pass\nclass B(A):\n    def f(self): use(self)\n")
    assert [cls.name.value for cls in snippet.facts.types.local_lineage(snippet.cls("A"))] == ["A", "B"]
    assert snippet.facts.types.foreign_bases(snippet.cls("B")) == []


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("def f(): pass\nuse(f())", "f"),
        ("class C:\n  def m(self): pass\n  def f(self): use(self.m())", "m"),
        ("class C:\n  def m(self): pass\nclass D(C):\n  def f(self): use(self.m())", "m"),
        ("class C:\n  def m(self): pass\nc = C()\nuse(c.m())", "m"),
        ("class C:\n  def m(self): pass\nuse(C.m())", "m"),
        ("class C:\n  def __init__(self): pass\nuse(C())", "__init__"),
        ("class C:\n  def m(self): pass\n  def f(self):\n    w = self.m\n    use(w())", "m"),
        ("use(g())", None),
        ("import g\nuse(g.f())", None),
        ("class C:\n  def _m(self): pass\n  m = _m\n  def n(self): use(self.m())\n", "_m"),
        ("class C:\n  class D:\n    def m(self): pass\n  def n(self): use(self.D().m())\n", "m"),
    ],
)
def test_the_function_that_a_call_runs(text: str, function: str | None) -> None:
    snippet = Snippet(text)
    outer = next(c for c in snippet.facts.tree.all(cst.Call) if isinstance(c.func, cst.Name) and c.func.value == "use")
    call = outer.args[0].value
    assert isinstance(call, cst.Call)
    found = snippet.facts.types.callee(call)
    assert (found.name.value if isinstance(found, cst.FunctionDef) else None) == function


def test_callers() -> None:
    snippet = Snippet("def f(): pass\nclass C:\n  def m(self): f()\n  def n(self): self.m()\nf()\nC().m()\n")
    code = [[snippet.code(call) for call in snippet.facts.types.callers(snippet.function(name))] for name in ("f", "m", "n")]
    assert code == [["f()", "f()"], ["self.m()", "C().m()"], []]
