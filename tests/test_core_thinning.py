"""What is left of a file for LibCST: the functions that a rule asks for, and what they have to do with."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence

import pytest
from snippets import knowledge

from safeboundary_lint.core.outline import Outline
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.screen import Screen
from safeboundary_lint.core.shapes import Body, Unless, walk
from safeboundary_lint.core.thinning import Thinning
from safeboundary_lint.core.words import Words


def kept(text: str, **asked: object) -> set[str] | None:
    """The functions that stay for a rule that asks this; None when the rule can't fire."""
    rule = type("Asking", (Rule,), {"code": "SBL999", "reach": 0, **asked})
    text = "import lib\n" + textwrap.dedent(text)
    words, screen = Words(text), Screen(knowledge(), [rule])
    thinning = Thinning.of(Outline(text), screen.possible(screen.wanted(frozenset({"SBL999"})), words), screen, words)
    if not thinning.rules:
        return None
    left = thinning.text()
    assert left.count("\n") == text.count("\n")  # every position holds
    return {node.name for node in ast.walk(ast.parse(left)) if isinstance(node, ast.FunctionDef)}


CHAIN = """
    def top():
        middle()

    def middle():
        bottom()

    def bottom():
        lib.send(1)

    def apart():
        lib.wall()
"""


@pytest.mark.parametrize(
    ("reach", "names"), [(0, {"bottom"}), (1, {"bottom", "middle"}), (2, {"bottom", "middle", "top"}), (3, {"bottom", "middle", "top"})]
)
def test_reach_is_the_number_of_steps_up_and_down(reach: int, names: set[str]) -> None:
    assert kept(CHAIN, needs=(("publish",),), reach=reach) == names


def test_needs_that_have_nothing_to_do_with_each_other_are_no_finding() -> None:
    assert kept(CHAIN, needs=(("publish",), ("wall-clock",))) is None


def test_what_lies_between_two_needs_is_kept() -> None:
    text = CHAIN.replace("middle()\n", "middle(lib.wall())\n", 1)
    assert kept(text, needs=(("wall-clock",), ("publish",)), anchored=3) is None  # the last one looks down only
    assert kept(text, needs=(("publish",), ("wall-clock",)), anchored=2) == {"top", "middle", "bottom"}
    assert kept(text, needs=(("wall-clock",), ("publish",)), anchored=2, handed=True) == {"top", "middle", "bottom"}


def test_a_local_rule_needs_all_of_it_in_one_function() -> None:
    assert kept(CHAIN, needs=(("publish",), ("wall-clock",)), local=True) is None
    assert kept("def f():\n    lib.send(lib.wall())", needs=(("publish",), ("wall-clock",)), local=True) == {"f"}


def test_what_meets_a_need_does_not_count_where_a_shape_takes_it_out() -> None:
    def waits(body: Sequence[ast.AST]) -> bool:
        return any(True for _ in walk(body, ast.Await))

    text = "async def f():\n    await lib.send(1)\n\ndef g():\n    lib.send(1)\n"
    assert kept(text, needs=(("publish", Unless(waits)),)) == {"g"}


def test_beside_is_kept_only_with_the_rest() -> None:
    assert kept(CHAIN, needs=(("publish",),), beside=("wall-clock",)) == {"bottom", "apart"}
    assert kept(CHAIN, needs=(("ack",),), beside=("wall-clock",)) is None


def test_a_name_that_is_bound_where_the_needs_are_met_is_followed_everywhere() -> None:
    text = """
        def f():
            limit = lib.wall()

        def g():
            return limit

        def h():
            return 1
    """
    assert kept(text, needs=(("wall-clock",),), local=True, whole=True) == {"f", "g"}


METHODS = """
    class Sender:
        def __init__(self):
            self.last = lib.wall()

        def age(self):
            return self.last

        def name(self):
            return "sender"

    class Other:
        def age(self):
            return 2
"""


def test_methods_that_share_an_attribute_are_one_step_away() -> None:
    assert kept(METHODS, needs=(("wall-clock",),), reach=1) == {"__init__", "age"}
    left = METHODS.replace("self.last = lib.wall()", "self.first = lib.wall()")
    assert kept(left, needs=(("wall-clock",),), reach=1) == {"__init__"}


def test_an_attribute_may_be_set_from_outside() -> None:
    text = textwrap.dedent(METHODS).replace("self.last = lib.wall()", "pass") + "\ndef touch(sender):\n    sender.last = lib.wall()\n"
    assert kept(text, needs=(("wall-clock",),), reach=1) == {"touch", "age"}


def test_a_method_is_not_mistaken_for_one_of_a_class_that_nobody_uses() -> None:
    outline = Outline(textwrap.dedent(METHODS) + "\ndef f(sender):\n    return sender.age()\n")
    (function,) = (unit for unit in outline.units if unit.name == "f")
    assert {outline.units[index].name for link in outline.asked_by(function) for index in outline.offering(link)} == {"f"}
    outline = Outline(textwrap.dedent(METHODS) + "\ndef f():\n    return Sender().age()\n")
    (function,) = (unit for unit in outline.units if unit.name == "f")
    meant = {outline.units[index].owner for link in outline.asked_by(function) for index in outline.offering(link)}
    assert meant == {"", "Sender"}


def test_code_around_the_functions_counts() -> None:
    assert kept("STARTED = lib.wall()\ndef f():\n    pass", needs=(("wall-clock",),)) == set()
    assert kept("STARTED = f(lib.wall())\ndef f(x):\n    return x\ndef g():\n    pass", needs=(("wall-clock",),)) == {"f"}


def test_two_names_for_one_thing() -> None:
    assert kept("from lib import send as out\ndef f():\n    out(1)\ndef g():\n    pass", needs=(("publish",),)) == {"f"}


def test_shapes_and_parts() -> None:
    def loops(body: Sequence[ast.AST]) -> bool:
        return any(True for _ in walk(body, ast.For))

    def in_loops(body: Sequence[ast.AST]) -> list[list[ast.stmt]]:
        return [loop.body for loop in walk(body, ast.For)]

    inside = "def f(xs):\n    for x in xs:\n        lib.send(x)\n"
    outside = "def f(xs):\n    for x in xs:\n        pass\n    lib.send(xs)\n"
    assert kept(inside, needs=(("publish",), (loops,)), anchored=1) == {"f"}
    assert kept(outside, needs=(("publish",), (loops,)), anchored=1) == {"f"}
    assert kept(inside, needs=(("publish",), (loops,)), anchored=1, parts=staticmethod(in_loops)) == {"f"}
    assert kept(outside, needs=(("publish",), (loops,)), anchored=1, parts=staticmethod(in_loops)) is None


@pytest.mark.parametrize(
    ("need", "text", "met"),
    [
        ("@publish", "def send():\n    pass", True),  # a function that is named like it
        ("@publish", "def sent():\n    pass", False),
        ("publish=", "def f():\n    send = 1", True),  # such a name is bound
        ("publish=", "def f():\n    return lib.send", False),
        ("^while", "def f():\n    while True:\n        pass", True),
        ("^while", "def f():\n    return 'while'", False),
        ("%sen[dt]$", "def f():\n    is_Sent", True),
        ("%sen[dt]$", "def f():\n    sender", False),
        ("$^do_", "def do_it():\n    pass", True),
        ("$^do_", "def f():\n    do_it()", False),
        (r"~=\s*None", "def f():\n    x = None", True),
        (r"~=\s*None", "def f():\n    x is None", False),
    ],
)
def test_kinds_of_needs(need: str, text: str, met: bool) -> None:
    assert (kept(text, needs=((need,),)) is not None) is met


def test_nodes_are_walked_outer_ones_first_and_once() -> None:
    body = Body(ast.parse("async def f(a: int = 1, *, b=None, **c):\n    return {1: a, **c}[b] if a else (yield)").body)
    skipped = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop, ast.alias)
    assert [id(node) for node in body.nodes] == [id(node) for node in ast.walk(body[0]) if not isinstance(node, skipped)]
