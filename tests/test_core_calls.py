"""Arguments and literals."""

from __future__ import annotations

import math

import libcst as cst
import pytest
from snippets import Snippet

from safeboundary_lint.core.calls import NotConstant, argument, bound_arguments, keyword_names, literal, string, string_parts, unpacks
from safeboundary_lint.core.knowledge import Parameter


def call(code: str) -> cst.Call:
    """The call of this source."""
    found = cst.parse_expression(code)
    assert isinstance(found, cst.Call)
    return found


@pytest.mark.parametrize(
    ("code", "parameter", "value"),
    [
        ("f(1, 2)", Parameter("b", 1), "2"),
        ("f(1, b=2)", Parameter("b", 1), "2"),
        ("f(1, b=2)", Parameter("b"), "2"),
        ("f(1, 2)", Parameter("b"), None),
        ("f(1)", Parameter("b", 1), None),
        ("f(*a, 2)", Parameter("b", 1), None),
        ("f(*a, b=2)", Parameter("b", 1), "2"),
        ("f(**a)", Parameter("b", 0), None),
        ("f(c=1)", Parameter("b", 0), None),
    ],
)
def test_argument(code: str, parameter: Parameter, value: str | None) -> None:
    found = argument(call(code), parameter)
    assert (cst.Module([]).code_for_node(found) if found is not None else None) == value


def test_what_a_call_hides() -> None:
    assert unpacks(call("f(*a)")) and unpacks(call("f(**a)")) and not unpacks(call("f(a, b=c)"))
    assert keyword_names(call("f(a, b=c, d=e, **g)")) == {"b", "d"}


@pytest.mark.parametrize(
    ("code", "method", "pairs"),
    [
        ("f(1, 2)", False, {"a": "1", "b": "2"}),
        ("f(1, c=3)", False, {"a": "1", "c": "3"}),
        ("f(1, 2)", True, {"b": "1"}),
        ("f(1, *x, 2)", False, {"a": "1"}),
        ("f(z=1)", False, {}),
    ],
)
def test_bound_arguments(code: str, method: bool, pairs: dict[str, str]) -> None:
    function = Snippet("def f(a, b=0, *args, c=1, **rest): pass").function()
    module = cst.Module([])
    assert {p.name.value: module.code_for_node(v) for p, v in bound_arguments(call(code), function, method=method)} == pairs


@pytest.mark.parametrize(
    "code", ["1", "0x1F", "1_000", "-3", "2.5", "'a'", "b'a'", "'a' 'b'", "None", "True", "False", "2 ** 20", "60 * 60 * 24", "1 << 20", "7 // 2", "1 - 2.5", "1 | 4", "10 / 4"]
)
def test_literals_are_what_python_says(code: str) -> None:
    assert literal(cst.parse_expression(code)) == eval(code)  # noqa: S307 -- the text is above


@pytest.mark.parametrize("code", ["x", "f()", "f'{x}'", "1 + x", "[1]", "1 / 0", "2 ** 10_000", "1 << 100_000", "'a' * 3", "not True", "9 ** 9 ** 9", "1 << -1", "0 ** -1", "1.5 | 2", "1e300 ** 99"])
def test_not_literals(code: str) -> None:
    with pytest.raises(NotConstant):
        literal(cst.parse_expression(code))


def test_long_chains_are_no_literals_and_no_error() -> None:
    with pytest.raises(NotConstant):
        literal(cst.parse_expression(" + ".join(["1"] * 200)))


@pytest.mark.parametrize(("code", "whole", "parts"), [("'a'", "a", "a"), ("'a' 'b'", "ab", "ab"), ("b'a'", None, None), ("f'a{x}b'", None, "a{}b"), ("'a' f'{x}'", None, "a{}"), ("x", None, None)])
def test_strings(code: str, whole: str | None, parts: str | None) -> None:
    assert string(cst.parse_expression(code)) == whole
    assert string_parts(cst.parse_expression(code)) == parts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x = 3\nuse(x)", 3),
        ("SIZE = 2 * 1024\nx = SIZE\nuse(x)", None),  # one step only
        ("def f():\n  x = -1\n  use(x)", -1),
        ("class C:\n  limit = 5\n  def f(self):\n    use(self.limit)", 5),
        ("import sys\nuse(sys.maxsize)", 2**63 - 1),
        ("import math\nuse(math.inf)", math.inf),
        ("x = 1\nx = 2\nuse(x)", None),
        ("use(x)", None),
    ],
)
def test_constants_through_one_name(text: str, value: object) -> None:
    snippet = Snippet(text)
    call = next(c for c in snippet.facts.tree.all(cst.Call) if isinstance(c.func, cst.Name) and c.func.value == "use")
    try:
        found = snippet.facts.constant(call.args[0].value)
    except NotConstant:
        found = None
    assert found == value


def test_true_is_not_one() -> None:
    snippet = Snippet("use(True)\nuse(1)")
    first, second = (call.args[0].value for call in snippet.facts.tree.all(cst.Call))
    assert snippet.facts.is_constant(first, True) and not snippet.facts.is_constant(first, 1)
    assert snippet.facts.is_constant(second, 0, 1) and not snippet.facts.is_constant(second, True)
