"""What handlers catch."""

from __future__ import annotations

import libcst as cst
import pytest
from snippets import Snippet

_CLASSES = """
import lib, asyncio, socket
class Mine(lib.Lost): pass
class Deep(Mine, KeyError): pass
class Foreign(lib.Unheard): pass
class Turn(Round): pass
class Round(Turn): pass
BOTH = (OSError, KeyError)
ALIAS = BOTH
LOOP = POOL
POOL = LOOP
def f(error, kinds):
    try:
        raise {raised}
    except {handler}:
        pass
"""


@pytest.mark.parametrize(
    ("raised", "handler", "caught"),
    [
        ("ValueError", "ValueError", True),
        ("ValueError()", "Exception", True),
        ("UnicodeDecodeError", "ValueError", True),
        ("ValueError", "UnicodeDecodeError", False),
        ("ValueError", "(KeyError, ValueError)", True),
        ("ValueError", "(KeyError, OSError)", False),
        ("IOError", "OSError", True),
        ("socket.timeout", "TimeoutError", True),
        ("KeyboardInterrupt", "Exception", False),
        ("SystemExit", "BaseException", True),
        ("asyncio.CancelledError", "Exception", False),
        ("lib.Lost", "OSError", True),
        ("lib.Gone", "ValueError", True),
        ("Mine", "lib.Lost", True),
        ("Deep", "LookupError", True),
        ("Deep", "ArithmeticError", False),
        ("KeyError", "BOTH", True),
        ("KeyError", "ALIAS", True),
        ("ValueError", "BOTH", False),
        ("lib.Unheard", "Exception", True),
        ("lib.Unheard", "OSError", None),
        ("Foreign", "OSError", None),
        ("Turn", "OSError", None),
        ("error", "OSError", None),
        ("error", "Exception", True),
        ("ValueError", "kinds", None),
        ("ValueError", "LOOP", None),
        ("ValueError", "kinds.these", None),
    ],
)
def test_does_a_handler_catch_it(raised: str, handler: str, caught: bool | None) -> None:
    snippet = Snippet(_CLASSES.format(raised=raised, handler=handler))
    exceptions = snippet.facts.exceptions
    assert exceptions.catches(snippet.facts.tree.all(cst.ExceptHandler)[0].type, snippet.facts.tree.all(cst.Raise)[0].exc) is caught


@pytest.mark.parametrize(("handler", "classes"), [("", ["builtins.BaseException"]), (" (KeyError, lib.Lost)", ["builtins.KeyError", "lib.Lost"]), (" Mine as e", ["Mine"]), (" what()", [])])
def test_classes_of_a_handler(handler: str, classes: list[str]) -> None:
    snippet = Snippet(f"import lib\nclass Mine(Exception): pass\ntry: pass\nexcept{handler}: pass\n")
    assert snippet.facts.exceptions.classes(snippet.facts.tree.all(cst.ExceptHandler)[0].type) == classes


def test_a_chain_of_helpers_that_never_return() -> None:
    helpers = "".join(f"def f{i}():\n    f{i + 1}()\n" for i in range(5)) + "def f5():\n    raise ValueError\n"
    snippet = Snippet(helpers + "def g(x):\n    f0()\n    after()\n")
    flow = snippet.facts.flow(snippet.function("g"))
    assert flow.points_of(snippet.expression("after()")) == []


def test_functions_that_call_each_other_may_come_back() -> None:
    snippet = Snippet("def a():\n    b()\ndef b():\n    a()\ndef g():\n    a()\n    after()\n")
    assert snippet.facts.flow(snippet.function("g")).points_of(snippet.expression("after()"))
