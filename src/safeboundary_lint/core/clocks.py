"""A small algebra of clock domains: which clock a value was read from, through arithmetic, attributes and helpers.

wall - wall = duration, monotonic - monotonic = duration, domain + duration = domain, wall - monotonic = offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant
from safeboundary_lint.core.matching import Match

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

WALL, MONOTONIC, DURATION, OFFSET, FILE_TIME, CONSTANT, UNKNOWN = "wall", "monotonic", "duration", "offset", "file-time", "constant", "unknown"
_READERS = {"wall-clock": WALL, "monotonic-clock": MONOTONIC, "file-time": FILE_TIME, "duration": DURATION}
_KEEPING_CALLS = frozenset(f"builtins.{name}" for name in ("int", "float", "round", "abs"))
_KEEPING_METHODS = frozenset(("timestamp", "replace", "astimezone", "total_seconds", "timetuple", "to_datetime"))
_CHOOSING_CALLS = frozenset(("builtins.max", "builtins.min"))
_SAME_CLOCK = (WALL, MONOTONIC)
_DEPTH = 14
_ALTERNATIVES = 6


@dataclass(frozen=True, slots=True, eq=False)
class ClockValue:
    """One thing a value may be: a domain, and the clock readings it was made of."""

    domain: str
    readings: tuple[Match, ...] = ()


class Clocks:
    """Clock domains of the values of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._known: dict[int, tuple[ClockValue, ...]] = {}

    def values(self, expression: cst.CSTNode, depth: int = _DEPTH) -> tuple[ClockValue, ...]:
        """What an expression may be, by clock domain; never empty."""
        key = id(expression)
        if key not in self._known:
            if depth == 0:
                return (ClockValue(UNKNOWN),)
            self._known[key] = ()  # a value that is made of itself adds nothing new
            found = self._compute(expression, depth - 1)
            self._known[key] = _distinct(found) or (ClockValue(UNKNOWN),)
        return self._known[key]

    def of_domain(self, expression: cst.CSTNode, domain: str) -> ClockValue | None:
        """The alternative of this domain, if the expression has one."""
        return next((value for value in self.values(expression) if value.domain == domain), None)

    def _compute(self, node: cst.CSTNode, depth: int) -> list[ClockValue]:
        if isinstance(node, cst.Call):
            return self._of_call(node, depth)
        if isinstance(node, cst.BinaryOperation):
            pairs = [(left, right) for left in self.values(node.left, depth) for right in self.values(node.right, depth)]
            return [combined(node.operator, left, right) for left, right in pairs]
        try:
            self.facts.constant(node)
            return [ClockValue(CONSTANT)]
        except NotConstant:
            pass
        if isinstance(node, cst.UnaryOperation):
            return list(self.values(node.expression, depth))
        return [
            value
            for origin in self.facts.origins.step(node, callers=True)
            for value in (self.values(origin.node, depth) if origin.how in ("value", "augmented") else (ClockValue(UNKNOWN),))
        ]

    def _of_call(self, call: cst.Call, depth: int) -> list[ClockValue]:
        if (match := self.facts.match(call, *_READERS)) is not None:
            return [ClockValue(_READERS[match.row.kind], (match,))]
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in _KEEPING_METHODS:
            return list(self.values(call.func.value, depth))
        dotted = self.facts.names.qualified(call.func)
        if dotted in _KEEPING_CALLS and call.args:
            return list(self.values(call.args[0].value, depth))
        if dotted in _CHOOSING_CALLS:
            return [value for arg in call.args for value in self.values(arg.value, depth)]
        return [value for origin in self.facts.origins.step(call) for value in self.values(origin.node, depth)]


def combined(operator: cst.BaseBinaryOp, left: ClockValue, right: ClockValue) -> ClockValue:
    """The domain of `left operator right`."""
    readings = left.readings + right.readings
    if isinstance(operator, cst.Subtract):
        if left.domain == right.domain and left.domain in _SAME_CLOCK:
            return ClockValue(DURATION, readings)
        if {left.domain, right.domain} == {WALL, MONOTONIC}:
            return ClockValue(OFFSET, readings)
        if left.domain in (*_SAME_CLOCK, FILE_TIME) and right.domain in (DURATION, CONSTANT, UNKNOWN):
            return ClockValue(left.domain, readings)
    if isinstance(operator, cst.Add):
        for one, other in ((left, right), (right, left)):
            if one.domain in _SAME_CLOCK and other.domain in (DURATION, CONSTANT, UNKNOWN):
                return ClockValue(one.domain, readings)
            if one.domain == OFFSET and other.domain in _SAME_CLOCK:
                return ClockValue(WALL if other.domain == MONOTONIC else MONOTONIC, readings)
    if isinstance(operator, (cst.Multiply, cst.Divide, cst.FloorDivide)):
        for one, other in ((left, right), (right, left)):
            if other.domain == CONSTANT and one.domain != UNKNOWN:
                return one  # a change of unit
    return ClockValue(DURATION if DURATION in (left.domain, right.domain) else UNKNOWN, readings)


def _distinct(values: list[ClockValue]) -> tuple[ClockValue, ...]:
    kept: dict[str, ClockValue] = {}
    for value in values:
        kept.setdefault(value.domain, value)
    return tuple(kept.values())[:_ALTERNATIVES]
