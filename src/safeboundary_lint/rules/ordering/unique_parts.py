"""How an identifier made of the time becomes unique, in the code at hand."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.edits import defined_before, free_name, replaced, rewritten, source_of
from safeboundary_lint.core.finding import Edit, Span
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

RANDOM = "uuid.uuid4().hex"
_CONVERSION = Regex(r"%[-+ 0-9.]*[a-zA-Z]")
_TEXTS = ("strftime", "isoformat", "format", "hex")
_NUMBERS = ("int", "round", "float", "time", "time_ns", "timestamp", "getmtime")

Change = tuple[tuple[Edit, ...], tuple[str, ...]]  # edits and imports


def with_random_part(facts: Facts, value: cst.BaseExpression) -> Change:
    """The identifier with a random part behind the time; no edits where it is no text."""
    if isinstance(value, cst.FormattedString):
        span = facts.span(value)
        end = span.end_column - len(value.end)
        return (Edit(Span(span.end_line, end, span.end_line, end), f"-{{{RANDOM}}}"),), ("import uuid",)
    if isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.Modulo):
        return _in_format(facts, value), ("import uuid",)
    if is_number(value):
        return (replaced(facts, value, "str(uuid.uuid4())"),), ("import uuid",)
    text = isinstance(value, cst.BinaryOperation) and any(isinstance(n, cst.SimpleString) for n in (value.left, value.right))
    if text or isinstance(value, cst.Call) and last_name(value.func) in _TEXTS:
        return (replaced(facts, value, f'{source_of(facts, value)} + "-" + {RANDOM}'),), ("import uuid",)
    return (), ()


def is_number(value: cst.BaseExpression) -> bool:
    """True for what may be a number put into a text: its order counts."""
    return isinstance(value, cst.Call) and last_name(value.func) == "str"


def counted(facts: Facts, value: cst.BaseExpression, name: str) -> Change:
    """A number taken from a counter that starts at the time and is shared by the process; no edits for what is not one."""
    number = value
    if isinstance(value, cst.Call) and is_number(value) and len(value.args) == 1:
        number = value.args[0].value
    names = {node.value for node in descendants(number) if isinstance(node, cst.Name)} - set(dir(builtins))
    module = facts.names.module_scope
    reachable = all(isinstance(number, cst.Call) and name in module.bindings for name in names)
    if not (isinstance(number, cst.Call) and last_name(number.func) in _NUMBERS and reachable):
        return (), ()
    counter = free_name(facts, value, f"_{name.strip('_')}_numbers")
    before = defined_before(facts, value, f"{counter} = itertools.count({source_of(facts, number)})")
    if before is None:
        return (), ()
    return (before, replaced(facts, value, rewritten(facts, value, {number: f"next({counter})"}))), ("import itertools",)


def _in_format(facts: Facts, value: cst.BinaryOperation) -> tuple[Edit, ...]:
    """`"%d.csv" % now` gets a second conversion behind the first."""
    left, right = value.left, value.right
    if not isinstance(left, cst.SimpleString) or isinstance(right, cst.Tuple) or len(_CONVERSION.findall(left.value)) != 1:
        return ()
    text = _CONVERSION.sub(lambda found: f"{found[0]}-%s", left.value)
    return replaced(facts, left, text), replaced(facts, right, f"({source_of(facts, right)}, {RANDOM})")
