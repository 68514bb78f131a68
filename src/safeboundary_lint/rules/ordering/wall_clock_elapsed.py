"""SBL102: elapsed time or a deadline computed from two readings of the wall clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)


class WallClockElapsed(Rule):
    """Elapsed time, a timeout or a deadline is computed from two readings of this process's wall clock.

    What it does
    ------------
    Finds differences and comparisons of two wall-clock readings of the same process: `time.time() - start`,
    `while time.time() < deadline`, also through locals, attributes, entries of dicts and queues, records and helpers of the
    file, and schedulers and caches that are given the wall clock as their clock. A span that decides something is a warning,
    one that is only logged or stored is for information, at low confidence.

    Why it matters
    --------------
    The wall clock is set by NTP, by people and by virtual machines that wake up. When it jumps back, a timeout waits for the
    length of the jump; when it jumps forward, everything in flight times out at once.

    Example
    -------

        import time

        def wait_until_ready(service, timeout):
            deadline = time.time() + timeout
            while time.time() < deadline:
                if service.ready():
                    return True
                time.sleep(0.1)
            return False

    Instead
    -------

        import time

        def wait_until_ready(service, timeout):
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if service.ready():
                    return True
                time.sleep(0.1)
            return False

    Stays silent when
    -----------------
    The other operand comes from outside this process: a token's `exp`, a database column, a header, a certificate, a file
    time, a retention cut-off.

    Fix safety
    ----------
    Safe where all readings that meet each other are variables of one function and none is stored, sent, printed or compared
    with anything else. Unsafe where they are kept in private attributes of a class, because a subclass in another file may read
    those, and for the clock of a scheduler or cache. Else a suggestion that names the use in the way.

    Known limits
    ------------
    Values handed to other files are not followed.
    """

    code, name, since, severity = "SBL102", "wall-clock-elapsed", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("wall-clock",),)
    fixable = Applicability.SAFE

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._told: set[tuple[int, bool, frozenset[int]]] = set()

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("clock-parameter"):
            parameter = match.row.parameter("clock")
            clock = argument(match.call, parameter) if parameter is not None else None
            if clock is not None and (wall := self.facts.match(clock, "wall-clock")) is not None:
                self._tell_clock(match, wall)

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if isinstance(node.operator, cst.Subtract):
            self._check(node, node.left, node.right, decides=False)

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) == 1 and isinstance(node.comparisons[0].operator, _ORDERINGS):
            self._check(node, node.left, node.comparisons[0].comparator, decides=True)

    def _check(self, node: cst.BaseExpression, left: cst.BaseExpression, right: cst.BaseExpression, *, decides: bool) -> None:
        one, other = self.facts.clocks.own_reading(left), self.facts.clocks.own_reading(right)
        if one is None or other is None:
            return
        readings = list({id(reading.node): reading for reading in (*one.readings, *other.readings)}.values())
        if len(readings) == 1 and not any(
            isinstance(part, (cst.Attribute, cst.Subscript, cst.Call)) for part in descendants(node)
        ):
            return  # arithmetic on one and the same moment
        if len(readings) == 1 and decides and not self._spans(left) and not self._spans(right):
            return  # the latest of several moments, no time in between
        decides = decides or self.facts.readings.decides(node)
        if self._is_told(node, readings, decides):
            return
        lines = " and ".join(str(line) for line in sorted({self.facts.line(reading.node) for reading in readings}))
        code, place = self.facts.code(node), f"line{'s' if ' ' in lines else ''} {lines}"
        said = (
            f"`{code}` decides by the wall clock read in {place}: set back by an hour in between it waits an hour longer, set "
            f"forward it is over at once"
            if decides
            else f"`{code}` measures with the wall clock read in {place}: when the clock is set in between, the figure is "
            f"wrong or negative"
        )
        self.report(
            node,
            said,
            severity=self.severity if decides else Severity.INFO,
            confidence=Confidence.weakest(one.confidence, other.confidence, Confidence.HIGH if decides else Confidence.LOW),
            trace=[(reading.node, f"wall clock read here: `{self.facts.code(reading.node)}`") for reading in readings],
            fix=self._fix(readings),
        )

    def _spans(self, operand: cst.CSTNode) -> bool:
        """True when something is added to a reading, or taken from it, on the way to this operand."""
        return any(
            origin.how == "augmented" or any(isinstance(part, cst.BinaryOperation) for part in descendants(origin.node))
            for origin in self.facts.origins.trail(operand, callers=True)
            if origin.how in ("value", "augmented")
        )

    def _is_told(self, node: cst.CSTNode, readings: list[Match], decides: bool) -> bool:
        """One story a function: what is measured since the same moment is told once."""
        since = frozenset(id(reading.node) for reading in readings if not self.facts.tree.within(reading.node, node))
        function = self.facts.tree.function_of(node) or self.facts.tree.module
        if (story := (id(function), decides, since or frozenset((id(node),)))) in self._told:
            return True
        self._told.add(story)
        return False

    def _fix(self, readings: list[Match]) -> Fix:
        closure = self.facts.readings.closure(readings)
        steadied = [self.facts.readings.steadied(reading) for reading in closure.readings]
        together = ", ".join(
            f"`{self.facts.code(reading.node, 40)}` in line {self.facts.line(reading.node)}" for reading in closure.readings[:4]
        )
        if closure.obstacle is not None:
            node, why = closure.obstacle
            use = f"`{self.facts.code(node, 40)}` in line {self.facts.line(node)} {why}"
            return Fix(
                Applicability.SUGGESTION,
                f"read the monotonic clock for {together}; {use}: keep a reading of the wall clock of its own there",
            )
        if None in steadied:
            return Fix(
                Applicability.SUGGESTION,
                f"read the monotonic clock for {together}, all together: the span is a number of seconds then",
            )
        edits = [one for one in steadied if one is not None]
        level = Applicability.SAFE if closure.local else Applicability.UNSAFE
        imports = tuple(dict.fromkeys(line for _, lines in edits for line in lines))
        return Fix(level, f"read the monotonic clock for {together}, all together", tuple(edit for edit, _ in edits), imports)

    def _tell_clock(self, match: Match, wall: Match) -> None:
        code, steady = self.facts.code(match.call.func), wall.row.get("steady")
        safe = match.row.get("steady")
        edits = (replaced(self.facts, wall.node.attr, steady),) if steady and isinstance(wall.node, cst.Attribute) else ()
        self.report(
            match.call,
            f"`{code}` is driven by the wall clock `{self.facts.code(wall.node)}`: when the clock is set, everything due "
            f"fires at once or late by the jump",
            confidence=Confidence.weakest(match.confidence, wall.confidence),
            fix=Fix(Applicability.UNSAFE if edits else Applicability.SUGGESTION, f"give `{code}` `{safe}` as its clock", edits),
        )
