"""SBL102: elapsed time or a deadline computed from two readings of the wall clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.clocks import UNKNOWN
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.ordering import spans
from safeboundary_lint.core.stakes import Stake
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.ordering import second_readings

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_CREDENTIAL = Regex(r"token(?!s|_?bucket|iz)|credential|jwt|cookie|certificate|oauth|secret")
_CACHE = Regex(r"(?<!mem)cached?(?!_control)|(^|_)(ttl|stale|memoiz)")
_COOLDOWN = Regex(r"(^|_)(last|next)_|cooldown|debounce|throttle")
_TURNS = Regex(r"frequency|(^|_)(interval|period)|recycl")  # how long until it is done again, or made anew
_NO_COOLDOWN = Regex(r"deadline|beat|ping|pong|seen|alive|heard|contact|activity|recv|rx|received|response|message|packet|(^|_)data$")
_STEADY = Regex(r"monotonic|perf_counter")  # somebody says so: an imported clock is taken at the word of its users
_LOOP_DEADLINE = "add_timeout"
_GRACE = 20  # seconds
_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)


@dataclass(frozen=True, eq=False)
class _Use:
    """Two readings that meet; `kept` are those that were stored before."""

    node: cst.BaseExpression
    readings: list[Match]
    stake: Stake
    confidence: Confidence
    kept: frozenset[int]
    place: cst.CSTNode

    @property
    def causes(self) -> list[tuple[int, int]]:
        """Kept readings in a class or function: uses that share one have one cause."""
        return [(id(self.place), reading) for reading in self.kept]


class WallClockElapsed(Rule):
    """Elapsed time, a timeout or a deadline is computed from two readings of this process's wall clock.

    What it does
    ------------
    Finds differences and comparisons of two wall-clock readings of the same process: `time.time() - start`,
    `while time.time() < deadline`, also through locals, attributes, entries of dicts and queues, records and helpers of the
    file, and schedulers and caches that are given the wall clock as their clock. A span that decides something is a warning,
    one that is only logged or stored, or decides when something is logged or shown or repeated work has its next turn
    (`sleep(interval - elapsed)`), is for information, at low confidence. So is the end of a poll: a loop that looks again and
    again with a sleep of fixed length in between (`while time.time() - start < 30: ...; time.sleep(1)`). What is waited for ends
    it as a rule, and the clock matters only where that never comes. Polls for locks and leases, those that end something by
    force, and the limits of retries after errors stay warnings, as do waits that are given the rest of the time.
    Of low confidence too are the lifetimes of tokens, of dates that are kept, of what stands in attributes where the file saves
    whole objects, of entries that are only swept from a dict, and of what a cache keeps (names with `cache`, `ttl`, `stale` or
    `memoize` say so): when the clock is set, it is fetched again early or is old for a while. So are moments of an event loop that
    is given deadlines in the same file, pauses before which only a count or a pause is set back, and pauses since the last time
    or until the next (`last_`, `next_` and `cooldown` in the names, but for a peer's last sign of life), how long until something
    is done again or made anew (`interval`, `period`, `frequency`, `recycle`), and brief graces: the code goes on for so many
    seconds, twenty at most, by a number that stands in the comparison (`time.time() - start < 10`). Several uses of one kept
    reading in a function or class are one finding.

    Why it matters
    --------------
    The wall clock is set by NTP, by people and by virtual machines that wake up. When it jumps back, a timeout waits for the
    length of the jump; when it jumps forward, everything in flight times out at once.

    Example
    -------

        import time

        def next_job(jobs, timeout):
            deadline = time.time() + timeout
            while (left := deadline - time.time()) > 0:
                job = jobs.get(timeout=left)
                if not job.cancelled:
                    return job
            return None

    Instead
    -------

        import time

        def next_job(jobs, timeout):
            deadline = time.monotonic() + timeout
            while (left := deadline - time.monotonic()) > 0:
                job = jobs.get(timeout=left)
                if not job.cancelled:
                    return job
            return None

    Stays silent when
    -----------------
    The other operand comes from outside this process: a token's `exp`, a database column, a header, a certificate, a file
    time, a retention cut-off; or it is a time of day (`now.replace(hour=3, minute=0)`), the next full second or the number of a
    period (`now // period`).

    Fix safety
    ----------
    Safe where all readings that meet each other are variables of one function and none is stored, sent, printed or compared
    with anything else. Unsafe where they are kept in private attributes of a class, because a subclass in another file may read
    those, and for the clock of a scheduler or cache. Else a suggestion that names the use in the way,
    and a second reading beside the date where both are set in sight.

    Known limits
    ------------
    Values handed to other files are not followed. Whether a date that is kept is wanted as a date, whether saved state includes
    the moment at hand, and how much it matters that a turn of repeated work comes late, can't be told from one file.
    """

    code, name, since, severity = "SBL102", "wall-clock-elapsed", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("wall-clock",), ("clock-parameter", spans))
    reach = 3
    fixable = Applicability.SAFE

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._uses: list[_Use] = []

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("clock-parameter"):
            parameter = match.row.parameter("clock")
            clock = argument(match.call, parameter) if parameter is not None else None
            if clock is not None and (wall := self.facts.match(clock, "wall-clock")) is not None:
                self._tell_clock(match, wall)

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if isinstance(node.operator, cst.Subtract):
            self._check(node, node.left, node.right, self.facts.stakes.of)

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) == 1 and isinstance(node.comparisons[0].operator, _ORDERINGS):
            self._check(node, node.left, node.comparisons[0].comparator, self.facts.stakes.of_test)

    def finish(self) -> None:
        """Tell each cause once: of the uses of a kept reading in one function or class the one that most hangs on."""
        told: list[tuple[_Use, list[_Use]]] = []
        first: dict[tuple[int, int], int] = {}  # by cause
        for use in sorted(self._uses, key=lambda use: -use.stake):
            index = min((first[cause] for cause in use.causes if cause in first), default=None)
            if index is not None:
                told[index][1].append(use)
                continue
            first |= dict.fromkeys(use.causes, len(told))
            told.append((use, []))
        for use, others in told:
            self._tell(use, [other for other in others if not self.facts.tree.within(other.node, use.node)])

    def _check(
        self, node: cst.BaseExpression, left: cst.BaseExpression, right: cst.BaseExpression, judge: Callable[[cst.CSTNode], Stake]
    ) -> None:
        one, other = self.facts.clocks.own_reading(left), self.facts.clocks.own_reading(right)
        if one is None or other is None or any(_STEADY.search(name) for name in _names(node)):
            return
        readings = list({id(reading.node): reading for reading in (*one.readings, *other.readings)}.values())
        if len(readings) == 1 and self._is_one_moment(node, readings[0]):
            return
        if len(readings) == 1 and isinstance(node, cst.Comparison) and not self._spans(left) and not self._spans(right):
            return  # the latest of several moments, no time in between
        kept = frozenset(id(reading.node) for reading in readings if not self.facts.tree.within(reading.node, node))
        confidence = Confidence.weakest(one.confidence, other.confidence)
        stake = judge(node)
        if stake > Stake.TURN and self.facts.stakes.is_of_poll(node, [reading.node for reading in readings]):
            stake = Stake.TURN
        self._uses.append(_Use(node, readings, stake, confidence, kept or frozenset((id(node),)), self._place(node)))

    def _place(self, node: cst.CSTNode) -> cst.CSTNode:
        """The class around a use, else the function."""
        functions = [one for one in self.facts.tree.ancestors(node) if isinstance(one, cst.FunctionDef)]
        return self.facts.tree.class_of(node) or (functions[-1] if functions else self.facts.tree.module)

    def _is_one_moment(self, node: cst.CSTNode, reading: Match) -> bool:
        """True for arithmetic on one and the same moment: no operand was kept from an earlier time."""
        parts = [
            part
            for part in descendants(node)
            if isinstance(part, (cst.Name, cst.Attribute, cst.Subscript, cst.Call)) and self.facts.clocks.own_reading(part)
        ]
        if any(not isinstance(part, cst.Name) for part in parts):
            return False
        repeated = self.facts.tree.enclosing(reading.node, cst.For, cst.While) is not None
        return not repeated or len({part.value for part in parts if isinstance(part, cst.Name)}) < 2

    def _tell(self, use: _Use, others: list[_Use]) -> None:
        lines = " and ".join(str(line) for line in sorted({self.facts.line(reading.node) for reading in use.readings}))
        code, place = self.facts.code(use.node), f"line{'s' if ' ' in lines else ''} {lines}"
        decides = use.stake >= Stake.TURN
        said = (
            f"`{code}` decides by the wall clock read in {place}: set back by an hour in between it waits an hour longer, set "
            f"forward it is over at once"
            if decides
            else f"`{code}` measures with the wall clock read in {place}: when the clock is set in between, the figure is "
            f"wrong or negative"
        )
        trace = [(reading.node, f"wall clock read here: `{self.facts.code(reading.node)}`") for reading in use.readings]
        trace += [(other.node, f"the same reading counts here: `{self.facts.code(other.node)}`") for other in others]
        self.report(
            use.node,
            said,
            severity=self.severity if use.stake >= Stake.DECISION else Severity.INFO,
            confidence=self._confidence(use),
            trace=trace,
            fix=lambda: self._fix(use),
        )

    def _spans(self, operand: cst.CSTNode) -> bool:
        """True when something is added to a reading, or taken from it, on the way to this operand."""
        return any(
            origin.how == "augmented" or any(isinstance(part, cst.BinaryOperation) for part in descendants(origin.node))
            for origin in self.facts.origins.trail(operand, callers=True)
            if origin.how in ("value", "augmented")
        )

    def _confidence(self, use: _Use) -> Confidence:
        """Low where little hangs on it, where the lifetime of a token or a copy is judged, or what is kept may be wanted as a date.

        That is so too where the file saves whole objects: the next run counts by another clock, unless it is the calendar.
        """
        if use.stake < Stake.DECISION or self._is_of_credentials(use) or self._is_of_cache(use) or self._is_cooldown(use):
            return Confidence.LOW
        if self._is_of_loop(use) or self._is_grace(use):
            return Confidence.LOW
        compared = self.facts.tree.enclosing(use.node, cst.Comparison) or use.node
        dates = self._is_of_dates(use) and not self.facts.stakes.answers_for_peer(compared)
        if dates and use.stake is Stake.DECISION or self.facts.calls("object-store"):
            closure = self.facts.readings.closure(use.readings)
            return use.confidence if closure.local and closure.obstacle is None else Confidence.LOW
        return Confidence.LOW if dates and self._may_be_given(use) else use.confidence

    def _is_of_dates(self, use: _Use) -> bool:
        """True where the readings are moments of the calendar and no numbers, also by what they meet: `timedelta(hours=1)`."""
        if any(self._is_date(reading) and not self._counts_seconds(reading) for reading in use.readings):
            return True
        met = [self.facts.tree.parent(reading.node) for reading in use.readings]
        met.append(self.facts.tree.enclosing(use.node, cst.Comparison) or use.node)
        spans = (part for node in met for part in descendants(node) if isinstance(part, cst.Call))
        return any(self.facts.match(span, "duration") for span in spans)

    def _may_be_given(self, use: _Use) -> bool:
        """`min(deadline, retry_after(response))`: one of the dates may be somebody else's."""
        chosen = (
            origin.node
            for part in (use.node.left, *(use.node.comparisons if isinstance(use.node, cst.Comparison) else (use.node.right,)))
            for origin in self.facts.origins.trail(part.comparator if isinstance(part, cst.ComparisonTarget) else part)
            if isinstance(origin.node, cst.Call) and last_name(origin.node.func) in ("min", "max")
        )
        return any(
            all(value.domain == UNKNOWN for value in self.facts.clocks.values(arg.value)) for call in chosen for arg in call.args
        )

    def _is_of_credentials(self, use: _Use) -> bool:
        """True for the expiry of tokens and the like: its issuer counts by the calendar, and it may outlive the process."""
        names = {*_names(use.node), *self.facts.tree.symbol_of(use.node).lower().split(".")[-2:]}
        return use.stake is Stake.DECISION and any(_CREDENTIAL.search(name) for name in names)

    def _is_of_cache(self, use: _Use) -> bool:
        """True for the lifetime of what a cache keeps: over early it is fetched again, over late it is old for a while."""
        compared = self.facts.tree.enclosing(use.node, cst.Comparison) or use.node
        names = {*_names(compared), *self.facts.tree.symbol_of(use.node).lower().split(".")[-2:]}
        return use.stake is Stake.DECISION and any(_CACHE.search(name) for name in names)

    def _is_cooldown(self, use: _Use) -> bool:
        """True for a pause since the last time or until the next, by the names; a peer's last sign of life or a deadline is none."""
        names = {*_names(use.node), self.facts.tree.symbol_of(use.node).lower().split(".")[-1]}
        spans = _names(self.facts.tree.enclosing(use.node, cst.Comparison) or use.node)
        again = any(_COOLDOWN.search(name) for name in names) or any(_TURNS.search(name) for name in spans)
        return again and not any(_NO_COOLDOWN.search(name) for name in names)

    def _is_grace(self, use: _Use) -> bool:
        """`time.time() - start < 10`: a few seconds that the code itself grants, by feel, and no agreement with anybody."""
        compared = self.facts.tree.enclosing(use.node, cst.Comparison) or use.node
        if not isinstance(compared, cst.Comparison) or not isinstance(compared.comparisons[0].operator, (cst.LessThan, cst.LessThanEqual)):
            return False
        numbers = [part for part in descendants(compared) if isinstance(part, (cst.Integer, cst.Float))]
        return len(numbers) == 1 and 0 < float(numbers[0].evaluated_value) <= _GRACE

    def _is_of_loop(self, use: _Use) -> bool:
        """True for the clock of an event loop in a file that gives the loop deadlines: both have to be of one clock."""
        own = any(last_name(reading.node) == "time" and "loop" in self.facts.code(reading.node) for reading in use.readings)
        return own and any(last_name(call.func) == _LOOP_DEADLINE for call in self.facts.tree.all(cst.Call))

    def _is_date(self, reading: Match) -> bool:
        """True for a moment of the calendar; a clock that is asked for a time zone gives one."""
        return reading.row.get("unit") == "date" or isinstance(reading.node, cst.Call) and bool(reading.node.args)

    def _counts_seconds(self, reading: Match) -> bool:
        """`datetime.now().timestamp()`: a number from the start."""
        parent = self.facts.tree.parent(reading.node)
        return isinstance(parent, cst.Attribute) and parent.attr.value == "timestamp"

    def _fix(self, use: _Use) -> Fix:
        closure = self.facts.readings.closure(use.readings)
        steadied = [self.facts.readings.steadied(reading) for reading in closure.readings]
        together = ", ".join(
            f"`{self.facts.code(reading.node, 40)}` in line {self.facts.line(reading.node)}" for reading in closure.readings[:4]
        )
        if closure.obstacle is not None:
            node, why = closure.obstacle
            in_the_way = f"`{self.facts.code(node, 40)}` in line {self.facts.line(node)} {why}"
            dates = any(reading.row.get("unit") == "date" and not self._counts_seconds(reading) for reading in use.readings)
            words = f"read the monotonic clock for {together}; {in_the_way}: keep a reading of the wall clock of its own there"
            if beside := second_readings.kept_beside(self.facts, use.node, use.readings) if not dates else ():
                return Fix(Applicability.SUGGESTION, words, beside, second_readings.IMPORTS)
            both = [self.facts.readings.steadied(reading) for reading in use.readings] if len(use.readings) > 1 else [None]
            return self._read_anew(Applicability.SUGGESTION, words, both)
        if None in steadied:
            return Fix(
                Applicability.SUGGESTION,
                f"read the monotonic clock for {together}, all together: the span is a number of seconds then",
                second_readings.read_steadily(self.facts, closure.readings),
                second_readings.IMPORTS,
            )
        level = Applicability.SAFE if closure.local else Applicability.UNSAFE
        return self._read_anew(level, f"read the monotonic clock for {together}, all together", steadied)

    @staticmethod
    def _read_anew(level: Applicability, words: str, steadied: list[tuple[Edit, tuple[str, ...]] | None]) -> Fix:
        """All of the readings by the other clock, or none of them."""
        known = [one for one in steadied if one is not None] if None not in steadied else []
        imports = tuple(dict.fromkeys(line for _, lines in known for line in lines))
        return Fix(level, words, tuple(edit for edit, _ in known), imports)

    def _tell_clock(self, match: Match, wall: Match) -> None:
        code, steady = self.facts.code(match.call.func), wall.row.get("steady")
        safe = match.row.get("steady")
        edits = (replaced(self.facts, wall.node.attr, steady),) if steady and isinstance(wall.node, cst.Attribute) else ()
        self.report(
            match.call,
            f"`{code}` is driven by the wall clock `{self.facts.code(wall.node)}`: when the clock is set, everything due "
            f"fires at once or late by the jump",
            confidence=Confidence.weakest(match.confidence, wall.confidence),
            fix=lambda: Fix(Applicability.UNSAFE if edits else Applicability.SUGGESTION, f"give `{code}` `{safe}` as its clock", edits),
        )


def _names(node: cst.CSTNode) -> set[str]:
    return {(last_name(part) or "").lower() for part in descendants(node) if isinstance(part, (cst.Name, cst.Attribute))}
