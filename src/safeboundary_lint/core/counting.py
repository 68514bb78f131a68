"""Loops and functions that count what they take in, and stop when it is too much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.guards import bounds
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.shapes import GROWING
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_LEAVING = (cst.Raise, cst.Return, cst.Break)
_CLOSING = (
    "close",
    "abort",
    "_abort",
    "disconnect",
    "loseConnection",
    "lose_connection",
    "abortConnection",
    "cancel",
    "kill",
    "terminate",
    "exit",
    "fail",
    "_fail",
    "error",
    "abortProducing",
    "errback",
)


class Counting:
    """Counters of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def grown(self, body: cst.CSTNode) -> Iterator[tuple[cst.BaseExpression, cst.CSTNode]]:
        """Places that `body` makes larger, with the statement or call that does: `buf += x`, `parts.append(x)`, `buf = buf + x`.

        Of a class all of its methods; of anything else what its own function does, without nested ones.
        """
        tree = self.facts.tree
        if isinstance(body, cst.ClassDef):
            yield from (pair for several in self._growing.values() for pair in several if tree.within(pair[1], body))
            return
        function = tree.function_of(body)
        pairs = self._growing.get(id(function), [])
        whole = isinstance(function, cst.FunctionDef) and body is function.body
        yield from (pair for pair in pairs if whole or tree.within(pair[1], body))

    @cached_property
    def _growing(self) -> dict[int, list[tuple[cst.BaseExpression, cst.CSTNode]]]:
        """What makes something larger, by the function that does it, in source order."""
        tree = self.facts.tree
        found: list[tuple[cst.BaseExpression, cst.CSTNode]] = []
        for added in tree.all(cst.AugAssign):
            if isinstance(added.operator, cst.AddAssign) and not isinstance(added.target, cst.Subscript):
                found.append((added.target, added))  # type: ignore[arg-type]
        for call in tree.all(cst.Call):
            if isinstance(call.func, cst.Attribute) and call.func.attr.value in GROWING and call.args:
                found.append((call.func.value, call))
        for assign in tree.all(cst.Assign):
            target, value = assign.targets[0].target, assign.value
            if (
                isinstance(value, cst.BinaryOperation)
                and isinstance(value.operator, cst.Add)
                and isinstance(target, (cst.Name, cst.Attribute))
            ):
                if same_code(target, value.left):
                    found.append((target, assign))
        grouped: dict[int, list[tuple[cst.BaseExpression, cst.CSTNode]]] = defaultdict(list)
        for pair in sorted(found, key=lambda pair: tree.order[id(pair[1])]):
            grouped[id(tree.function_of(pair[1]))].append(pair)
        return grouped

    def is_counted(self, body: cst.CSTNode) -> bool:
        """True when `body` compares a size that grows in it, or the length of what grows, with a bound and leaves."""
        places = {place for target, _ in self.grown(body) if (place := self.facts.origins.place(target)) is not None}
        return bool(places) and self.is_checked(body, places)

    def is_checked(self, body: cst.CSTNode, places: set[str]) -> bool:
        """True when a test in `body` bounds one of these places, or its length, and one side of it leaves."""
        guards = self.facts.guards
        for node in descendants(body, into_definitions=isinstance(body, cst.ClassDef)):
            if isinstance(node, (cst.If, cst.While)):
                known = [*bounds(node.test, True), *bounds(node.test, False)]
                if any(
                    guards.mentions(small, places) and guards.meaningful(big) and not guards.mentions(big, places)
                    for small, big in known
                ):
                    if (
                        isinstance(node, cst.While)
                        or self.leaves(node.body)
                        or (node.orelse is not None and self.leaves(node.orelse))
                    ):
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
            if isinstance(node, cst.Call) and (
                last_name(node.func) in _CLOSING or last_name(node.func) in ("clear", "popleft", "pop", "truncate", "flush")
            ):
                return True
            if isinstance(node, (cst.Assign, cst.Del)):
                return True  # the buffer is emptied, cut or the state changed
        return False

    def is_endless(self, loop: cst.While) -> bool:
        """True for `while True`, `while chunk`, `while chunk := read()` and the like: only the input ends it."""
        test, last = loop.test, loop.body.body[-1] if loop.body.body else None
        if isinstance(last, cst.SimpleStatementLine) and isinstance(last.body[-1], (cst.Return, cst.Break, cst.Raise)):
            return False  # it goes round again only where something says so
        return (
            isinstance(test, (cst.NamedExpr, cst.Name, cst.Integer))
            or isinstance(test, cst.UnaryOperation)
            and isinstance(test.operator, cst.Not)
        )

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
