"""A small algebra of clock domains: which clock a value was read from, through arithmetic, attributes, containers and helpers.

wall - wall = duration, monotonic - monotonic = duration, domain + duration = domain, wall - monotonic = offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import Binding, last_name
from safeboundary_lint.core.regex import Regex

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

WALL, MONOTONIC, DURATION, OFFSET, FILE_TIME, CONSTANT, UNKNOWN, NOTHING = (
    "wall",
    "monotonic",
    "duration",
    "offset",
    "file-time",
    "constant",
    "unknown",
    "nothing",
)
_READERS = {"wall-clock": WALL, "monotonic-clock": MONOTONIC, "file-time": FILE_TIME, "duration": DURATION}
_KEEPING_CALLS = frozenset(f"builtins.{name}" for name in ("int", "float", "round", "abs"))
_KEEPING_METHODS = frozenset(("timestamp", "replace", "astimezone", "total_seconds", "timetuple", "to_datetime"))
_CALENDAR = frozenset(("second", "minute", "hour", "day", "month"))
_CHOOSING_CALLS = frozenset(("builtins.max", "builtins.min"))
_SAME_CLOCK = (WALL, MONOTONIC)
_STAMP_NAME = Regex(
    r"(^|_)(start|started|begin|began|since|last|stamp|timestamp|ts|time|at|date|created|updated|modified|mtime|ctime|t0|t1)(_|$)"
)
_SPAN_NAME = Regex(
    r"timeout|ttl|interval|period|delay|duration|seconds|secs|minutes|hours|days|delta|window|threshold|age|max|min|limit|"
    r"retention|offset|lifetime|wait|jitter|grace|margin|slack|skew|leeway|backoff|elapsed|drift|tolerance|remain|sleep|budget"
)
_DEPTH = 14
_ALTERNATIVES = 6
_READINGS = 4


@dataclass(slots=True, eq=False)
class ClockValue:
    """One thing a value may be: a domain, and the clock readings of this process it was made of.

    A wall value with no readings is a time stamp that somebody else took. `sure` is lower where the way to the reading is
    a guess.
    """

    domain: str
    readings: tuple[Match, ...] = ()
    sure: Confidence = Confidence.HIGH

    @property
    def confidence(self) -> Confidence:
        """How sure the domain is: as sure as the weakest reading and as the way to it."""
        return Confidence.weakest(self.sure, *(reading.confidence for reading in self.readings))


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

    def own_reading(self, expression: cst.CSTNode, domain: str = WALL) -> ClockValue | None:
        """The alternative that this process read from a clock of this domain, if the expression has one."""
        value = self.of_domain(expression, domain)
        return value if value is not None and value.readings else None

    # -- what a value is -----------------------------------------------------------------------------------------------

    def _compute(self, node: cst.CSTNode, depth: int) -> list[ClockValue]:
        if isinstance(node, cst.Call):
            return self._of_call(node, depth)
        if isinstance(node, cst.BinaryOperation):
            return self._of_operation(node, depth)
        try:
            fixed = ClockValue(NOTHING if self.facts.constant(node) is None else CONSTANT)
            return [fixed, *(self._stored_from_outside(node, depth) if isinstance(node, cst.Attribute) else ())]
        except NotConstant:
            pass
        if isinstance(node, cst.UnaryOperation):
            return list(self.values(node.expression, depth))
        if isinstance(node, cst.Attribute) and (match := self.facts.match(node, "file-time")) is not None:
            return [ClockValue(FILE_TIME, (match,))]
        if isinstance(node, cst.Attribute) and self._is_column(node):
            return [ClockValue(UNKNOWN)]
        found = [value for origin in self.facts.origins.step(node, callers=True) for value in self._of_origin(origin, depth)]
        if not any(value.domain != UNKNOWN for value in found):
            found += [value for one in self.facts.contents.read(node) for value in self.values(one, depth)]
        if found and isinstance(node, cst.Attribute) and all(value.domain in (CONSTANT, NOTHING) for value in found):
            return found + self._stored_from_outside(node, depth)
        return found or self._stored_by_name(node, depth)

    def _of_origin(self, origin: object, depth: int) -> list[ClockValue]:
        node, how = origin.node, origin.how  # type: ignore[attr-defined]
        if how in ("value", "augmented"):
            return list(self.values(node, depth))
        if how == "item":
            items = self.facts.contents.item(node, origin.index)  # type: ignore[attr-defined]
            return [value for one in items for value in self.values(one, depth)] or [ClockValue(UNKNOWN)]
        return [ClockValue(UNKNOWN)]

    def _of_operation(self, node: cst.BinaryOperation, depth: int) -> list[ClockValue]:
        pairs = [(left, right) for left in self.values(node.left, depth) for right in self.values(node.right, depth)]
        found = []
        for left, right in pairs:
            if NOTHING in (left.domain, right.domain):
                continue  # None is tested for before
            if (
                isinstance(node.operator, cst.Subtract)
                and left.domain in _SAME_CLOCK
                and right.domain == UNKNOWN
                and _is_stamp(node.right)
            ):
                found.append(ClockValue(UNKNOWN, left.readings))  # a span since a moment that somebody else knows
            elif isinstance(node.operator, cst.FloorDivide) and left.domain == WALL and not _is_literal(node.right):
                found.append(ClockValue(UNKNOWN, left.readings))  # the number of a period of the calendar
            else:
                found.append(combined(node.operator, left, right))
        return found

    def _of_call(self, call: cst.Call, depth: int) -> list[ClockValue]:
        if self.facts.types.callee(call) is None and (reading := self.reading(call)) is not None:
            asked = any(
                arg.keyword is not None and "monotonic" in arg.keyword.value for arg in call.args
            )  # `now_ms(monotonic=True)`
            domain = MONOTONIC if asked else _READERS[reading.row.kind]
            return [ClockValue(domain, () if domain == DURATION else (reading,))]
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in _KEEPING_METHODS:
            if call.func.attr.value == "replace" and _lines_up(call):
                return [ClockValue(WALL)]  # a time of day, not a span from now
            kept = list(self.values(call.func.value, depth))
            if call.func.attr.value == "timestamp" and not call.args and all(value.domain == UNKNOWN for value in kept):
                return [ClockValue(WALL, (), Confidence.MEDIUM)]
            return kept
        dotted = self.facts.names.qualified(call.func)
        if dotted in _KEEPING_CALLS and call.args:
            return list(self.values(call.args[0].value, depth))
        if dotted in _CHOOSING_CALLS:
            several = [item for arg in call.args[:1] if len(call.args) == 1 for item in self.facts.contents.iterated(arg.value)]
            return [value for one in several or [arg.value for arg in call.args] for value in self.values(one, depth)]
        if (factory := self._factory(call)) is not None:
            return [ClockValue(_READERS[factory.row.kind], (factory,))]
        found = [*(origin.node for origin in self.facts.origins.step(call)), *self.facts.contents.read(call)]
        return [value for one in found for value in self.values(one, depth)]

    def reading(self, call: cst.Call) -> Match | None:
        """The clock a call reads, also through a clock function held in a variable, attribute or default (`clock=time.time`)."""
        if (match := self.facts.match(call, *_READERS)) is not None:
            return match
        for origin in (
            self.facts.origins.trail(call.func, callers=True) if isinstance(call.func, (cst.Name, cst.Attribute)) else ()
        ):
            referenced = (
                origin.how == "value" and origin.node is not call.func and isinstance(origin.node, (cst.Name, cst.Attribute))
            )
            if referenced and (match := self.facts.match(origin.node, "wall-clock", "monotonic-clock")) is not None:
                return Match(call, match.row, Confidence.weakest(match.confidence, Confidence.MEDIUM), match.dotted)
        return self._handed_on(call)

    def _handed_on(self, call: cst.Call) -> Match | None:
        """A clock that a known library hands out again under an unmistakable name."""
        dotted = self.facts.names.qualified(call.func) if not call.args else None
        last = dotted.rpartition(".")[2] if dotted is not None and not dotted.startswith("builtins.") else ""
        rows = (
            row
            for row in self.facts.knowledge.wild.get(last, ())
            if row.kind in ("wall-clock", "monotonic-clock") and not row.receivers
        )
        return next((Match(call, row, row.confidence, f"*.{last}") for row in rows), None)

    def _factory(self, call: cst.Call) -> Match | None:
        """`field(default_factory=time.time)`: the reading each record starts with."""
        for arg in call.args:
            if arg.keyword is not None and arg.keyword.value in ("default_factory", "factory"):
                if isinstance(arg.value, cst.Lambda) and isinstance(arg.value.body, cst.Call):
                    return self.facts.match(arg.value.body, "wall-clock", "monotonic-clock")
                return self.facts.match(arg.value, "wall-clock", "monotonic-clock")
        return None

    def _is_column(self, attribute: cst.Attribute) -> bool:
        """True for a field that the class body declares by a call, which is a column of a store: other processes write it too."""
        bound = self.facts.origins.attribute_bindings(attribute)
        return any(
            isinstance(binding.source, cst.Call)
            and isinstance(binding.target, cst.Name)
            and self._factory(binding.source) is None
            and last_name(binding.source.func) not in ("field", "attrib", "ib")
            for binding in bound
        )

    def _stored_by_name(self, node: cst.CSTNode, depth: int) -> list[ClockValue]:
        """`peer.last_seen` of an unknown object, when this very file puts readings of numbers there.

        Stores from outside the object count, else those of the only class of the file that has such an attribute.
        """
        if not isinstance(node, cst.Attribute) or self._is_known(node.value):
            return []
        stores = self.facts.contents.stores_of(node.attr.value)
        found = [
            value
            for store in stores or self._kept_by_one_class(node.attr.value)
            if store.how == "value"
            and store.source is not None
            and store.target is not node
            and not self._keeps_records(store.target)
            for value in self.values(store.source, depth)
        ]
        numbers = all(
            reading.row.get("steady") or reading.row.kind == "monotonic-clock" for value in found for reading in value.readings
        )
        clean = bool(stores) or all(value.domain in (WALL, MONOTONIC, NOTHING) for value in found)
        return [ClockValue(value.domain, value.readings, Confidence.MEDIUM) for value in found] if numbers and clean else []

    def _stored_from_outside(self, node: cst.Attribute, depth: int) -> list[ClockValue]:
        """`channel.until = time.time() + 60`, where the object itself only has a number or None to begin with."""
        stores = [store for store in self.facts.contents.stores_of(node.attr.value) if store.how == "value" and store.source]
        found = [value for store in stores if store.target is not node for value in self.values(store.source, depth)]
        return [ClockValue(value.domain, value.readings, Confidence.MEDIUM) for value in found if value.readings]

    def _is_known(self, expression: cst.CSTNode) -> bool:
        """True when the type of an object is known, so that its attributes are found there or nowhere."""
        known = self.facts.types.of(expression)
        return known is not None and not known.dotted.startswith("builtins.object.")

    def _kept_by_one_class(self, attribute: str) -> list[Binding]:
        types = self.facts.types
        kept = [bound for cls in self.facts.tree.all(cst.ClassDef) if (bound := types.attributes_of(cls).get(attribute))]
        return kept[0] if len(kept) == 1 else []

    def _keeps_records(self, stored: cst.CSTNode) -> bool:
        """True when the function that puts the stamp there writes records to a store."""
        function = self.facts.tree.function_of(stored) or self.facts.tree.module
        return any(last_name(call.func) in ("save", "commit", "flush") for call in self.facts.summaries.calls_of(function))

    # -- where a reading stands ----------------------------------------------------------------------------------------

    def readings_within(self, expression: cst.CSTNode, domain: str) -> Iterator[Match]:
        """Readings of one domain that a value was made of."""
        for value in self.values(expression):
            if value.domain == domain:
                yield from value.readings


def _lines_up(call: cst.Call) -> bool:
    """`now.replace(hour=3, minute=0)`, and `(now + pause).replace(microsecond=0)`, the next full second of the calendar."""
    replaced = {arg.keyword.value for arg in call.args if arg.keyword is not None}
    coming = isinstance(call.func, cst.Attribute) and isinstance(call.func.value, cst.BinaryOperation)
    return not _CALENDAR.isdisjoint(replaced) or coming and "microsecond" in replaced


def _is_literal(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.BinaryOperation):
        return _is_literal(node.left) and _is_literal(node.right)
    return isinstance(node, cst.BaseNumber)


def is_span(node: cst.CSTNode) -> bool:
    """True for a value whose name says a span and not a moment: `self.limits.max_hold_duration`."""
    name = (last_name(node) or "").lower()
    return bool(_SPAN_NAME.search(name)) and not _STAMP_NAME.search(name)


def _is_stamp(node: cst.CSTNode) -> bool:
    """True for an operand whose name says a moment and not a span."""
    name = (last_name(node) or "").lower()
    return bool(_STAMP_NAME.search(name)) and not _SPAN_NAME.search(name)


def combined(operator: cst.BaseBinaryOp, left: ClockValue, right: ClockValue) -> ClockValue:
    """The domain of `left operator right`."""
    readings = tuple(dict.fromkeys(left.readings + right.readings))
    sure = Confidence.weakest(left.sure, right.sure)
    if isinstance(operator, cst.Subtract):
        if left.domain == right.domain and left.domain in _SAME_CLOCK:
            return ClockValue(DURATION, readings, sure)
        if {left.domain, right.domain} == {WALL, MONOTONIC}:
            return ClockValue(OFFSET, readings, sure)
        if left.domain in (*_SAME_CLOCK, FILE_TIME) and right.domain in (DURATION, CONSTANT, UNKNOWN):
            return ClockValue(left.domain, readings, sure)
        if left.domain in _SAME_CLOCK and right.domain == OFFSET:
            return ClockValue(MONOTONIC if left.domain == WALL else WALL, readings, sure)
    if isinstance(operator, cst.Add):
        for one, other in ((left, right), (right, left)):
            if one.domain in _SAME_CLOCK and other.domain in (DURATION, CONSTANT, UNKNOWN):
                return ClockValue(one.domain, readings, sure)
            if one.domain == OFFSET and other.domain in _SAME_CLOCK:
                return ClockValue(WALL if other.domain == MONOTONIC else MONOTONIC, readings, sure)
    if isinstance(operator, (cst.Multiply, cst.Divide, cst.FloorDivide)):
        for one, other in ((left, right), (right, left)):
            if other.domain == CONSTANT and one.domain != UNKNOWN:
                return one  # a change of unit
    return ClockValue(DURATION if DURATION in (left.domain, right.domain) else UNKNOWN, readings, sure)


def _distinct(values: list[ClockValue]) -> tuple[ClockValue, ...]:
    """One alternative a domain, with the readings of all of them; the surest way counts."""
    kept: dict[str, ClockValue] = {}
    for value in values:
        if (known := kept.get(value.domain)) is None:
            kept[value.domain] = value
        else:
            readings = tuple(dict.fromkeys(known.readings + value.readings))[:_READINGS]
            kept[value.domain] = ClockValue(value.domain, readings, min(known.sure, value.sure, key=lambda one: one.rank))
    return tuple(kept.values())[:_ALTERNATIVES]
