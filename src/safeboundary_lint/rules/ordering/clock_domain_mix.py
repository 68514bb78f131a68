"""SBL105: moments of two clocks are compared, or a moment is given to a clock it does not belong to."""

from __future__ import annotations

from collections import defaultdict

import libcst as cst

from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.clocks import FILE_TIME, MONOTONIC, WALL, ClockValue
from safeboundary_lint.core.edits import replaced, rewritten, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.sql import reads_clock
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.ordering import second_readings

_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)
_SPAN = Regex(r"elapsed|age|duration|idle|since|remain|left|wait|passed|took")
_COMPATIBLE = frozenset(("hasattr", "version_info", "platform"))
_FETCHING = Regex(r"^(fetch|scalar|first|one$|execute|time$)")


class ClockDomainMix(Rule):
    """Moments of the wall clock and of the monotonic clock are mixed: their difference means nothing.

    What it does
    ------------
    Finds comparisons of a wall-clock moment with a monotonic one, differences of the two that are taken for elapsed time, wall
    moments given to what waits by the monotonic clock (`loop.call_at(when.timestamp(), ...)`), monotonic ones made into dates
    (`datetime.fromtimestamp(time.monotonic())`), and functions that return the one clock or the other.

    Why it matters
    --------------
    The wall clock counts from 1970, the monotonic clock from the last boot. A deadline of the one is for the other fifty years
    away or long over: a timer that never fires, a cache that never or always expires.

    Example
    -------

        import asyncio

        class Agenda:
            def __init__(self):
                self.loop = asyncio.get_event_loop()

            def at(self, when, action):
                return self.loop.call_at(when.timestamp(), action)

    Instead
    -------

        import asyncio
        import time

        class Agenda:
            def __init__(self):
                self.loop = asyncio.get_event_loop()

            def at(self, when, action):
                delay = when.timestamp() - time.time()
                return self.loop.call_at(self.loop.time() + delay, action)

    Stays silent when
    -----------------
    The offset of the two clocks is computed to convert moments (`time.time() - time.monotonic()`), added to or subtracted from
    a moment, or compared with another offset; the clock is chosen by what the platform has.

    Fix safety
    ----------
    A suggestion that converts the moment, or reads the other clock. Which of the two is meant has to be decided.

    Known limits
    ------------
    Moments that come from other files have no known clock.
    """

    code, name, since, severity = "SBL105", "clock-domain-mix", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("monotonic-clock", "monotonic-deadline"),)
    reach = 2

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("monotonic-deadline"):
            self._check_sink(
                match, "when", WALL, "waits by the monotonic clock", "a moment of the wall clock: it comes due decades late"
            )
        for match in self.facts.calls("wall-sink"):
            self._check_sink(
                match,
                "stamp",
                MONOTONIC,
                "takes seconds since 1970",
                "a moment of the monotonic clock: the date is the time since boot",
            )

    def _check_sink(self, match: Match, fact: str, wrong: str, expects: str, gets: str) -> None:
        parameter = match.row.parameter(fact)
        value = argument(match.call, parameter) if parameter is not None else None
        found = self.facts.clocks.of_domain(value, wrong) if value is not None else None
        if value is None or found is None or self.facts.clocks.of_domain(value, MONOTONIC if wrong == WALL else WALL) is not None:
            return
        called = self.facts.code(match.call.func)
        advice = (
            f"convert it: `loop.time() + (moment - time.time())` for `{self.facts.code(value)}`"
            if wrong == WALL
            else f"read the wall clock for the date, and keep `{self.facts.code(value)}` for measuring"
        )
        self.report(
            match.call,
            f"`{called}` {expects} and gets `{self.facts.code(value)}`, {gets}",
            confidence=Confidence.weakest(match.confidence, found.confidence),
            trace=self._trace(found),
            fix=lambda: Fix(Applicability.SUGGESTION, advice, self._converted(match.call, value, found), second_readings.IMPORTS),
        )

    def _converted(self, call: cst.Call, value: cst.BaseExpression, found: ClockValue) -> tuple[Edit, ...]:
        """The same moment on the clock that is expected there."""
        code = source_of(self.facts, value)
        if found.domain == MONOTONIC:
            moment = f"({code})" if isinstance(value, cst.BinaryOperation) else code
            return (replaced(self.facts, value, f"time.time() - (time.monotonic() - {moment})"),)
        if not isinstance(call.func, cst.Attribute):
            return ()
        own = f"{source_of(self.facts, call.func.value)}.time()"
        inside = [reading.node for reading in found.readings if self.facts.tree.within(reading.node, value)]
        text = rewritten(self.facts, value, dict.fromkeys(inside, own)) if inside else f"{own} + ({code} - time.time())"
        return (replaced(self.facts, value, text),)

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) != 1 or not isinstance(node.comparisons[0].operator, _ORDERINGS):
            return
        left, right = self._clock_of(node.left), self._clock_of(node.comparisons[0].comparator)
        if left is not None and right is not None and (left.domain == MONOTONIC) != (right.domain == MONOTONIC):
            self._tell(node, left, right, "compares")

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if not isinstance(node.operator, cst.Subtract) or isinstance(node.left, cst.Call) and isinstance(node.right, cst.Call):
            return  # two readings side by side are the offset of the clocks
        left, right = self._clock_of(node.left), self._clock_of(node.right)
        if (
            left is not None
            and right is not None
            and (left.domain == MONOTONIC) != (right.domain == MONOTONIC)
            and self._is_taken_for_a_span(node)
        ):
            self._tell(node, left, right, "subtracts")

    def _clock_of(self, expression: cst.CSTNode) -> ClockValue | None:
        """The one clock that a value can be of; None where it may be of either or of none."""
        known = [value for value in self.facts.clocks.values(expression) if value.domain in (WALL, FILE_TIME, MONOTONIC)]
        return known[0] if len({value.domain == MONOTONIC for value in known}) == 1 else None

    def _is_taken_for_a_span(self, node: cst.BinaryOperation) -> bool:
        parent = self.facts.tree.parent(node)
        if isinstance(parent, cst.BinaryOperation) and isinstance(parent.operator, (cst.Add, cst.Subtract)):
            return False  # a conversion, or a change of the offset
        assigned = parent.targets[0].target if isinstance(parent, cst.Assign) else None
        named = assigned is not None and bool(_SPAN.search((last_name(assigned) or "").lower()))
        return named or self.facts.stakes.decides(node, 0)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        by_clock: dict[str, list[tuple[cst.BaseExpression, ClockValue]]] = defaultdict(list)
        for value in self.facts.origins.returned(node):
            if (found := self._clock_of(value)) is not None:
                by_clock[found.domain].append((value, found))
        if MONOTONIC not in by_clock or any(
            last_name(part) in _COMPATIBLE for part in descendants(node.body) if isinstance(part, (cst.Name, cst.Attribute))
        ):
            return
        steady, found = by_clock[MONOTONIC][0]
        dated = by_clock[WALL][0][0] if by_clock[WALL] else self._server_time(node)
        if dated is not None and self.facts.tree.function_of(dated) is node:
            name = node.name.value
            self.report(
                steady,
                f"`{name}` returns a moment of the monotonic clock here and one since 1970 in line {self.facts.line(dated)}: "
                "callers compare the two as if they were one clock",
                confidence=found.confidence if by_clock[WALL] else Confidence.weakest(found.confidence, Confidence.MEDIUM),
                trace=[(dated, f"a moment since 1970 is returned here: `{self.facts.code(dated)}`"), *self._trace(found)],
                fix=lambda: Fix(
                    Applicability.SUGGESTION,
                    f"let `{name}` return the same clock on every path: read the wall clock, in the same unit, instead of "
                    f"`{self.facts.code(steady)}`",
                    second_readings.read_as_dates(self.facts, found.readings),
                    second_readings.IMPORTS,
                ),
            )

    def _server_time(self, function: cst.FunctionDef) -> cst.BaseExpression | None:
        """What the function returns out of a query for the server's time."""
        if not any(isinstance(part, cst.SimpleString) and reads_clock(part.value) for part in descendants(function.body)):
            return None

        def is_answer(node: cst.CSTNode) -> bool:
            return isinstance(node, cst.Call) and bool(_FETCHING.search(last_name(node.func) or ""))

        return next(
            (
                value
                for value in self.facts.origins.returned(function)
                if self.facts.origins.derivation(value, is_answer) is not None
            ),
            None,
        )

    def _tell(self, node: cst.BaseExpression, left: ClockValue, right: ClockValue, does: str) -> None:
        steady = "left" if left.domain == MONOTONIC else "right"
        self.report(
            node,
            f"`{self.facts.code(node)}` {does} a moment of the monotonic clock ({steady}) and one since 1970: the result is "
            f"about the boot time, "
            "not about what is measured",
            confidence=Confidence.weakest(left.confidence, right.confidence),
            trace=[*self._trace(left), *self._trace(right)],
            fix=lambda: self._fix(node, left if left.domain != MONOTONIC else right),
        )

    def _fix(self, node: cst.BaseExpression, dated: ClockValue) -> Fix:
        """The readings of the wall clock by the other one, where all of them can be."""
        steadied = [self.facts.readings.steadied(reading) for reading in dated.readings]
        known = [one for one in steadied if one is not None] if None not in steadied else []
        imports = tuple(dict.fromkeys(line for _, lines in known for line in lines))
        words = f"read both sides of `{self.facts.code(node)}` from the same clock: the monotonic one, unless a date is meant"
        return Fix(Applicability.SUGGESTION, words, tuple(edit for edit, _ in known), imports)

    def _trace(self, value: ClockValue) -> list[tuple[cst.CSTNode, str]]:
        clock = "monotonic" if value.domain == MONOTONIC else "wall"
        return [(reading.node, f"{clock} clock read here: `{self.facts.code(reading.node)}`") for reading in value.readings]
