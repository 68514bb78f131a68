"""What a caller is told when a retry loop runs out: where its paths end when no attempt succeeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant
from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.loops import RetryLoop
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.paths import implied
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts


@dataclass(slots=True, eq=False)
class Ends:
    """How the function ends after the last attempt failed.

    returns    `return` statements that are reached
    falls      the end of the function is reached
    raises     an exception is, or may be, raised on purpose: the caller is told
    acts       something other than logging is done on the way: the failure is handled
    logs       it is logged
    breaks     a loop around is left early by `break` at this statement
    """

    returns: tuple[cst.Return, ...]
    falls: bool
    raises: bool
    acts: bool
    logs: bool
    breaks: cst.Break | None


def ends_of(facts: Facts, loop: RetryLoop) -> Ends:
    """The ends that are reached when the loop has run out, with what is known of its variables then."""
    known = dict(_known_values(facts, loop))
    starts = _starts(facts, loop)
    seen: set[int] = set()
    stack = list(starts)
    passed: list[Point] = []
    outer = {
        id(node.test if isinstance(node, cst.While) else node)
        for node in facts.tree.ancestors(loop.node)
        if isinstance(node, (cst.For, cst.While))
    }
    while stack:
        point = stack.pop()
        if point.index in seen or point.kind in ("next", "test") and id(point.node) in outer:
            continue
        seen.add(point.index)
        passed.append(point)
        stack += [succ for succ in point.succs if not _contradicts(succ, known)]
    nodes = [
        point.node
        for point in passed
        if point.node is not None and point not in starts and point.kind in ("statement", "test", "enter", "iterable")
    ]
    return Ends(
        tuple(node for node in nodes if isinstance(node, cst.Return)),
        any(
            point is loop.flow.returned and any(p in passed and not isinstance(p.node, cst.Return) for p in point.preds)
            for point in passed
        ),
        any(isinstance(node, cst.Raise) or _raises(facts, node) for node in nodes),
        any(_acts(facts, node) for node in nodes if not isinstance(node, (cst.Return, cst.Raise))),
        any(
            isinstance(below, cst.Call) and not facts.exceptions.can_raise(below) for node in nodes for below in descendants(node)
        ),
        next((node for node in nodes if isinstance(node, cst.Break)), None),
    )


def _starts(facts: Facts, loop: RetryLoop) -> list[Point]:
    test = loop.node.test if isinstance(loop.node, cst.While) else loop.node
    starts = loop.flow.branches_of(test, False) if loop.counted else []
    return starts + [point for node in breaks_of(facts, loop) for point in loop.flow.points_of(node)]


def breaks_of(facts: Facts, loop: RetryLoop) -> list[cst.Break]:
    """`break`s by which the loop gives up: in a handler, or under a test of the limit."""
    below = descendants(loop.node.body, into_definitions=False)
    own = [node for node in below if isinstance(node, cst.Break) and facts.loops.around(node) is loop.node]
    return [
        node
        for node in own
        if facts.loops.limits.is_limited(loop, node) and any(facts.tree.within(node, handler) for handler in loop.handlers)
    ]


def gives_up_aloud(facts: Facts, loop: RetryLoop) -> bool:
    """True when the last attempt itself raises, returns or is taken care of: in a handler, or under a test of the limit."""
    for handler in loop.handlers:
        leaves = [n for n in descendants(handler.body, into_definitions=False) if isinstance(n, (cst.Raise, cst.Return))]
        if leaves and not facts.loops.is_narrowed(handler) or any(facts.loops.limits.is_limited(loop, node) for node in leaves):
            return True
        if isinstance(handler.body.body[-1], cst.SimpleStatementLine) and handler.body.body[-1].body[0] in leaves:
            again = [n for n in descendants(handler.body, into_definitions=False) if isinstance(n, cst.Continue)]
            if all(facts.loops.limits.is_limited(loop, node) for node in again):
                return True  # `if attempt < last and ...: continue`, and what is left raises
        for limit in facts.loops.limits.below(loop, handler.body):
            branches = [limit.body] if limit.orelse is None else [limit.body, limit.orelse]
            last = [
                branch
                for branch in branches
                if not any(_tries_again(facts, node) for node in descendants(branch, into_definitions=False))
            ]
            if any(_acts(facts, node) for branch in last for node in descendants(branch, into_definitions=False)):
                return True
    below = descendants(loop.node.body, into_definitions=False)
    return any(isinstance(node, (cst.Raise, cst.Return)) and facts.loops.limits.is_limited(loop, node) for node in below)


def _tries_again(facts: Facts, node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Continue) or isinstance(node, cst.Call) and facts.match(node, "sleep") is not None


def _known_values(facts: Facts, loop: RetryLoop) -> Iterator[tuple[str, bool]]:
    """Names that are certainly falsy (only success sets them) or truthy (only failure does) when the loop has run out."""
    scope = facts.names.scope_of(loop.node)
    for name, bindings in scope.bindings.items():
        inside = [b for b in bindings if facts.tree.within(b.target, loop.node.body)]
        before = [b for b in bindings if b not in inside]
        if not inside or len(before) != 1 or before[0].how != "value" or any(b.how != "value" for b in inside):
            continue
        if not _is_falsy(facts, before[0].source):
            continue
        in_handler = [b for b in inside if facts.tree.enclosing(b.target, cst.ExceptHandler) is not None]
        if in_handler and len(in_handler) == len(inside):
            yield name, True
        elif not in_handler and not any(
            loop.leads_back(p, raising=False, leaving="normally") for b in inside for p in loop.flow.points_of(b.target)
        ):
            yield name, False


def _is_falsy(facts: Facts, node: cst.CSTNode | None) -> bool:
    if isinstance(node, (cst.List, cst.Dict, cst.Tuple)) and not node.elements:
        return True
    try:
        return not facts.constant(node)
    except NotConstant:
        return False


def _contradicts(point: Point, known: dict[str, bool]) -> bool:
    """A branch that can't be taken with what is known of the variables."""
    if point.kind != "branch" or point.node is None or point.outcome is None:
        return False
    for node, truth in implied(point.node, point.outcome):
        if isinstance(node, cst.Name) and node.value in known and known[node.value] is not truth:
            return True
        if (
            isinstance(node, cst.Comparison)
            and len(node.comparisons) == 1
            and isinstance(node.left, cst.Name)
            and node.left.value in known
        ):
            compared = node.comparisons[0]
            if last_name(compared.comparator) == "None" and isinstance(compared.operator, (cst.Is, cst.IsNot)):
                is_none = isinstance(compared.operator, cst.Is) is truth
                if is_none is known[node.left.value]:
                    return True
    return False


def _raises(facts: Facts, node: cst.CSTNode) -> bool:
    calls = (below for below in descendants(node, into_definitions=False) if isinstance(below, cst.Call))
    return any(
        named_like(last_name(call.func), "raise_*", "*_raise", "abort", "fail*", "exit") or facts.exceptions.never_returns(call)
        for call in calls
    )


def _acts(facts: Facts, node: cst.CSTNode) -> bool:
    """Something but telling a log happens: state is set, a callback told."""
    if isinstance(node, cst.AugAssign):
        return isinstance(node.target, (cst.Attribute, cst.Subscript))
    if isinstance(node, cst.Assign):
        return any(isinstance(target.target, (cst.Attribute, cst.Subscript)) for target in node.targets)
    if isinstance(node, cst.Expr):
        value = node.value.expression if isinstance(node.value, cst.Await) else node.value
        return (
            isinstance(value, cst.Call)
            and facts.exceptions.can_raise(value)
            and not named_like(last_name(value.func), "*log*", "print", "*sleep*", "close", "*warn*")
        )
    return False
