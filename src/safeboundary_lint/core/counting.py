"""Loops and functions that count what they take in, and stop when it is too much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.guards import bounds
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_GROWING = ("append", "extend", "write", "add", "appendleft", "insert", "put", "put_nowait", "feed")
_LEAVING = (cst.Raise, cst.Return, cst.Break)
_CLOSING = ("close", "abort", "_abort", "disconnect", "loseConnection", "lose_connection", "abortConnection", "cancel", "kill", "terminate", "exit", "fail", "_fail", "error", "abortProducing", "errback")


class Counting:
    """Counters of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def grown(self, body: cst.CSTNode) -> Iterator[tuple[cst.BaseExpression, cst.CSTNode]]:
        """Places that `body` makes larger, with the statement or call that does: `buf += x`, `parts.append(x)`, `buf = buf + x`."""
        for node in descendants(body, into_definitions=isinstance(body, cst.ClassDef)):
            if isinstance(node, cst.AugAssign) and isinstance(node.operator, cst.AddAssign):
                if not isinstance(node.target, cst.Subscript):
                    yield node.target, node  # type: ignore[misc]
            elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in _GROWING and node.args:
                yield node.func.value, node
            elif isinstance(node, cst.Assign) and isinstance(node.value, cst.BinaryOperation) and isinstance(node.value.operator, cst.Add):
                target = node.targets[0].target
                if isinstance(target, (cst.Name, cst.Attribute)) and target.deep_equals(node.value.left):
                    yield target, node

    def is_counted(self, body: cst.CSTNode) -> bool:
        """True when `body` compares a size that grows in it, or the length of what grows, with a bound and leaves when it is passed."""
        places = {place for target, _ in self.grown(body) if (place := self.facts.origins.place(target)) is not None}
        return bool(places) and self.is_checked(body, places)

    def is_checked(self, body: cst.CSTNode, places: set[str]) -> bool:
        """True when a test in `body` bounds one of these places, or its length, and one side of it leaves."""
        guards = self.facts.guards
        for node in descendants(body, into_definitions=isinstance(body, cst.ClassDef)):
            if isinstance(node, (cst.If, cst.While)):
                known = [*bounds(node.test, True), *bounds(node.test, False)]
                if any(guards.mentions(small, places) and guards.meaningful(big) and not guards.mentions(big, places) for small, big in known):
                    if isinstance(node, cst.While) or self.leaves(node.body) or (node.orelse is not None and self.leaves(node.orelse)):
                        return True
            elif isinstance(node, cst.Assert) and any(guards.mentions(small, places) for small, _big in bounds(node.test, True)):
                return True
            elif isinstance(node, cst.Call) and guards.validates(node, places):
                return True
        return False

    def leaves(self, body: cst.CSTNode) -> bool:
        """True when a branch ends the work: raise, return, break, a connection closed, or what was gathered thrown away."""
        for node in descendants(body, into_definitions=False):
            if isinstance(node, _LEAVING):
                return True
            if isinstance(node, cst.Call) and (last_name(node.func) in _CLOSING or last_name(node.func) in ("clear", "popleft", "pop", "truncate", "flush")):
                return True
            if isinstance(node, (cst.Assign, cst.Del)):
                return True  # the buffer is emptied, cut or the state changed
        return False

    def is_endless(self, loop: cst.While) -> bool:
        """True for `while True`, `while chunk`, `while chunk := read()` and the like: only the input ends it."""
        test = loop.test
        return isinstance(test, (cst.NamedExpr, cst.Name, cst.Integer)) or isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not)

    def loops_around(self, node: cst.CSTNode) -> list[cst.For | cst.While]:
        """The loops of the same function that hold a node, innermost first."""
        function = self.facts.tree.function_of(node)
        found: list[cst.For | cst.While] = []
        for ancestor in self.facts.tree.ancestors(node):
            if ancestor is function:
                break
            if isinstance(ancestor, (cst.For, cst.While)):
                found.append(ancestor)
        return found
