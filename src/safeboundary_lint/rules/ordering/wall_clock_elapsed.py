"""SBL102: elapsed time or a deadline computed from two readings of the wall clock."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.clocks import WALL, ClockValue
from safeboundary_lint.core.finding import Confidence, Severity
from safeboundary_lint.core.rule import Rule

_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)


class WallClockElapsed(Rule):
    """Elapsed time, a timeout or a deadline is computed from two readings of this process's wall clock.

    What it does
    ------------
    Finds differences and comparisons of two wall-clock readings of the same process: `time.time() - start`,
    `while time.time() < deadline`, also through locals, attributes, dict entries and helpers of the file.

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
    A suggestion: every reading that meets the value must change together.

    Known limits
    ------------
    Values handed to other files are not followed.
    """

    code, name, since, severity = "SBL102", "wall-clock-elapsed", "0.1", Severity.WARNING
    needs = (("wall-clock",),)

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if isinstance(node.operator, cst.Subtract):
            self._check(node, node.left, node.right)

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) == 1 and isinstance(node.comparisons[0].operator, _ORDERINGS):
            self._check(node, node.left, node.comparisons[0].comparator)

    def _check(self, node: cst.BaseExpression, left: cst.BaseExpression, right: cst.BaseExpression) -> None:
        clocks = self.facts.clocks
        one, other = clocks.of_domain(left, WALL), clocks.of_domain(right, WALL)
        if one is None or other is None:
            return
        readings = [reading.node for value in (one, other) for reading in value.readings]
        self.report(
            node,
            f"`{self.facts.code(node)}` measures time with the wall clock: when the clock is set, the wait is as wrong as the jump is long",
            confidence=_confidence(one, other),
            trace=[(reading, f"wall clock read here: `{self.facts.code(reading)}`") for reading in readings],
        )


def _confidence(*values: ClockValue) -> Confidence:
    return Confidence.weakest(*(reading.confidence for value in values for reading in value.readings))
