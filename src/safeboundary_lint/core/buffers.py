"""Where data of the boundary piles up: buffers that wait for a delimiter, queues that a feeder fills, maps that grow by key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.boundary import PEER
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.shapes.parsing import RECEIVING_NAMES, SEARCHES
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts


@dataclass(slots=True, eq=False)
class Growth:
    """A place that data of the boundary is added to."""

    target: cst.BaseExpression
    place: str
    node: cst.CSTNode  # what adds
    value: cst.BaseExpression
    source: cst.CSTNode  # where the data comes in


class Buffers:
    """Growing places of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def growths(self, function: cst.FunctionDef) -> Iterator[Growth]:
        """Places to which a function adds what is seen to come from the boundary."""
        yield from self.growths_in(function.body)

    def growths_in(self, body: cst.CSTNode) -> Iterator[Growth]:
        """The same for any part of a function."""
        for target, node in self.facts.counting.grown(body):
            value = _added(node)
            place = self.facts.origins.place(target)
            if value is None or place is None or isinstance(value, (cst.Integer, cst.SimpleString)):
                continue
            if isinstance(value, cst.Call) and self.facts.names.qualified(value.func) == "builtins.len":
                continue
            if self._is_number(target):
                continue
            source = self.facts.boundary.source(value)
            if source.writer == PEER and self._arrives_in_pieces(source.node):
                yield Growth(target, place, node, value, source.node)

    def _is_number(self, target: cst.BaseExpression) -> bool:
        """A sum: it starts with a number."""
        return any(isinstance(origin.node, (cst.Integer, cst.Float)) for origin in self.facts.origins.trail(target))

    @staticmethod
    def _arrives_in_pieces(source: cst.CSTNode) -> bool:
        """Pushed in by a parameter, or received: not a body that is whole already."""
        name = last_name(source.func) if isinstance(source, cst.Call) else None
        return (
            isinstance(source, cst.Param)
            or name is not None
            and any(word in name.lower() for word in RECEIVING_NAMES)
        )

    def is_searched(self, place: str, within: cst.CSTNode) -> cst.CSTNode | None:
        """Where a delimiter is looked for in the buffer: `b"\\n" in buf`, `buf.find(...)`, `pattern.search(buf)`."""
        for node in descendants(within):
            if isinstance(node, cst.Comparison):
                for target in node.comparisons:
                    if isinstance(target.operator, (cst.In, cst.NotIn)) and place in self.facts.guards.places(target.comparator):
                        return node
            elif isinstance(node, cst.Call) and last_name(node.func) in SEARCHES and isinstance(node.func, cst.Attribute):
                if place in self.facts.guards.places(node.func.value) or any(
                    place in self.facts.guards.places(arg.value) for arg in node.args[:1]
                ):
                    return node
        return None


def _added(node: cst.CSTNode) -> cst.BaseExpression | None:
    if isinstance(node, cst.AugAssign):
        return node.value
    if isinstance(node, cst.Call):
        return node.args[-1].value
    if isinstance(node, cst.Assign) and isinstance(node.value, cst.BinaryOperation):
        return node.value.right
    return None
