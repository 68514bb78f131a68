"""How a repetition without an end comes to one, in the code at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import bound_arguments
from safeboundary_lint.core.edits import (
    argument_added, free_name, lines_before, lines_behind, parameter_added, replaced, source_of,
)  # fmt: skip
from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

SECONDS = 60  # how long a loop may go on; to be chosen
ATTEMPTS = 5

Edits = tuple[Edit, ...]


def with_deadline(facts: Facts, loop: cst.For | cst.While, handlers: Sequence[cst.ExceptHandler] = ()) -> Edits:
    """A deadline in front of the loop; past it the handlers raise again what they caught, or the loop raises."""
    name = free_name(facts, loop, "deadline")
    passed = f"if time.monotonic() > {name}:"
    checks = [_at_start(facts, handler.body, passed, "    raise") for handler in handlers]
    checks = checks or [_at_start(facts, loop.body, passed, f'    raise TimeoutError("{_what(facts, loop)}: still failing")')]
    before = lines_before(facts, loop, f"{name} = time.monotonic() + {SECONDS}")
    return (before, *(check for check in checks if check is not None)) if before is not None and None not in checks else ()


def counted_down(facts: Facts, call: cst.Call, function: cst.FunctionDef, counter: str | None) -> Edits:
    """A function that starts over hands on one attempt less; none where the call can't hand anything on."""
    if facts.types.callee(call) is not function:
        return ()
    if counter is not None:
        pairs = bound_arguments(call, function, method=facts.types.is_bound_method(function))
        given = next((value for parameter, value in pairs if parameter.name.value == counter), None)
        step = "+ 1" if _counts_up(function, counter) else "- 1"
        if given is not None:
            return (replaced(facts, given, f"{source_of(facts, given)} {step}"),)
        added = argument_added(facts, call, f"{counter}={counter} {step}")
        return (added,) if added is not None else ()
    name = free_name(facts, call, "attempts")
    caught = facts.tree.enclosing(call, cst.ExceptHandler, cst.FunctionDef)
    told = "raise" if isinstance(caught, cst.ExceptHandler) else f'raise TimeoutError("{function.name.value}: still failing")'
    several = (
        parameter_added(facts, function, f"{name}={ATTEMPTS}"),
        lines_before(facts, call, f"if {name} <= 1:", f"    {told}"),
        argument_added(facts, call, f"{name}={name} - 1"),
    )
    return tuple(one for one in several if one is not None) if None not in several else ()


def _counts_up(function: cst.FunctionDef, counter: str) -> bool:
    """True where the function goes on while its counter is below a limit: `if retries < 20`, `if attempt >= attempts`."""
    limits = (cst.Integer, cst.Name, cst.Attribute)
    for node in descendants(function.body):
        if isinstance(node, cst.Comparison) and isinstance(node.left, cst.Name) and node.left.value == counter:
            limit = node.comparisons[0].comparator
            if isinstance(limit, limits) and not (isinstance(limit, cst.Integer) and limit.evaluated_value <= 1):
                return True
    return False


def raised_in_place(facts: Facts, end: cst.CSTNode, told: str) -> Edits:
    """A `return` or `break` reached when all attempts failed gives way to a raise; of the last error where that is at hand."""
    handler = facts.tree.enclosing(end, cst.ExceptHandler, cst.FunctionDef)
    return (replaced(facts, end, "raise" if isinstance(handler, cst.ExceptHandler) else told),)


def raised_in_else(facts: Facts, loop: cst.For | cst.While, told: str) -> Edits:
    """What a loop does that was not left by `break`."""
    behind = lines_behind(facts, loop, "else:", f"    {told}") if loop.orelse is None else None
    return (behind,) if behind is not None else ()


def _at_start(facts: Facts, body: cst.BaseSuite, *lines: str) -> Edit | None:
    first = body.body[0] if body.body else None
    statement = first.body[0] if isinstance(first, cst.SimpleStatementLine) else first
    return lines_before(facts, statement, *lines) if statement is not None else None


def _what(facts: Facts, node: cst.CSTNode) -> str:
    function = facts.tree.enclosing(node, cst.FunctionDef)
    return function.name.value if function is not None else "attempts"
