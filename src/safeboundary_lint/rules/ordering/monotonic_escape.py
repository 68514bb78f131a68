"""SBL106: a moment of the monotonic clock leaves the process, or one comes in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.boundary import PEER
from safeboundary_lint.core.calls import string, string_parts
from safeboundary_lint.core.clocks import CONSTANT, MONOTONIC, NOTHING, UNKNOWN, ClockValue
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.sql import is_statement
from safeboundary_lint.rules.ordering import second_readings

_SINKS = ("publish", "enqueue", "shared-write", "durable-write", "http-unsafe", "http-request", "stamp-store", "dump")
_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)
_ENVELOPE = Regex(r"^(headers?|properties|meta|metadata|cookies|payload|message|msg|body|envelope)$", re.IGNORECASE)
_LOOKUPS = ("get", "pop", "setdefault")
_SAME_BOOT = Regex(r"MONOTONIC|WATCHDOG")
_BUDGET = 60


class MonotonicEscape(Rule):
    """A moment of the monotonic clock is stored or sent to where another process or boot reads it, or one is taken from there.

    What it does
    ------------
    Finds monotonic readings, and moments made of them, that are put into a message, a header, a shared store, a database or a
    file, and values of a received message or header that are compared with the own monotonic clock.

    Why it matters
    --------------
    The monotonic clock counts from a point of its own on every host and after every boot. What one process wrote as "in thirty
    seconds" is for another one long ago or weeks ahead: messages are dropped unseen, tasks are given out twice or never.

    Example
    -------

        import time

        def requeue(redis, task_id, delay):
            redis.zadd("delayed", {task_id: time.monotonic() + delay})

    Instead
    -------

        import time

        def requeue(redis, task_id, delay):
            redis.zadd("delayed", {task_id: time.time() + delay})

    Stays silent when
    -----------------
    A duration is stored or sent, the moment is converted with the offset of the clocks first, or it is for the same boot by its
    meaning (systemd's `MONOTONIC_USEC`, Unix sockets).

    Fix safety
    ----------
    A suggestion that reads the wall clock. Sender and reader have to change together.

    Known limits
    ------------
    Files and stores that only this very process reads again are not told apart.
    """

    code, name, since, severity = "SBL106", "monotonic-escape", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("monotonic-clock",),)

    def visit_Module(self, node: cst.Module) -> None:
        told: set[int] = set()
        for match in self.facts.calls(*_SINKS):
            if (
                id(match.node) in told
                or self._stays_on_host(match)
                or match.row.kind == "dump"
                and match.row.parameter("to") is None
            ):
                continue
            self._check_sent(match.call, match.confidence, told)
        for call in self.facts.tree.all(cst.Call):
            text = string_parts(call.args[0].value) if len(call.args) > 1 and id(call) not in told else None
            if text is not None and is_statement(text):
                self._check_sent(call, Confidence.MEDIUM, told)  # somebody's own way to run a statement

    def _check_sent(self, call: cst.Call, sure: Confidence, told: set[int]) -> None:
        for moment, value in self._moments(call):
            told.add(id(call))
            self._tell_sent(call, sure, moment, value)
            break

    def _stays_on_host(self, match: Match) -> bool:
        """True in a function that speaks to a Unix socket."""
        function = self.facts.tree.function_of(match.node)
        return function is not None and id(function) in self._local_speakers

    @cached_property
    def _local_speakers(self) -> frozenset[int]:
        """The functions in which, or in whose nested functions, a Unix socket is named."""
        tree = self.facts.tree
        named = [node for node in tree.all(cst.Attribute) if node.attr.value == "AF_UNIX"]
        return frozenset(id(around) for node in named for around in tree.ancestors(node))

    def _moments(self, sending: cst.Call) -> Iterator[tuple[cst.CSTNode, ClockValue]]:
        queue: list[cst.CSTNode] = [arg.value for arg in sending.args]
        seen = {id(node) for node in queue}
        for node in queue:  # grows while it is walked
            if (value := self.facts.clocks.own_reading(node, MONOTONIC)) is not None:
                yield node, value
            for part in self._parts(node) if len(queue) < _BUDGET else ():
                if id(part) not in seen:
                    seen.add(id(part))
                    queue.append(part)

    def _parts(self, node: cst.CSTNode) -> list[cst.CSTNode]:
        """What a value holds or is made of, as far as it is sent with it."""
        if isinstance(node, cst.Dict):
            return [element.value for element in node.elements]
        if isinstance(node, (cst.Tuple, cst.List, cst.Set)):
            return [element.value for element in node.elements]
        if isinstance(node, cst.FormattedString):
            if any(isinstance(part, cst.FormattedStringText) and _SAME_BOOT.search(part.value) for part in node.parts):
                return []
            return [part.expression for part in node.parts if isinstance(part, cst.FormattedStringExpression)]
        if isinstance(node, cst.IfExp):
            return [node.body, node.orelse]
        if (
            isinstance(node, cst.BinaryOperation)
            and isinstance(node.operator, (cst.Modulo, cst.Add))
            and (text := string(node.left)) is not None
        ):
            return [] if _SAME_BOOT.search(text) else [node.right]
        if isinstance(node, cst.Call):
            wrapped = self.facts.match(node, "dump") is not None or last_name(node.func) in (
                "str",
                "dict",
                "encode",
                "bytes",
                "dumps",
                "format",
            )
            receiver = [node.func.value] if isinstance(node.func, cst.Attribute) and wrapped else []
            return [*receiver, *(arg.value for arg in node.args)] if wrapped else []
        stored = self.facts.contents.held(node)
        return [*(origin.node for origin in self.facts.origins.step(node) if origin.how == "value"), *stored]

    def _tell_sent(self, call: cst.Call, sure: Confidence, moment: cst.CSTNode, value: ClockValue) -> None:
        called, code = self.facts.code(call.func), self.facts.code(moment)
        self.report(
            call,
            f"`{called}` hands out `{code}`, a moment of this boot's monotonic clock: for another host, or after a restart, "
            f"it lies anywhere",
            confidence=Confidence.weakest(sure, value.confidence),
            trace=[(reading.node, f"monotonic clock read here: `{self.facts.code(reading.node)}`") for reading in value.readings],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"send `{code}` as wall-clock time, or the time that is left, and read it the same way on the other side",
                second_readings.read_as_dates(self.facts, value.readings),
                second_readings.IMPORTS,
            ),
        )

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) == 1 and isinstance(node.comparisons[0].operator, _ORDERINGS):
            self._check_received(node, node.left, node.comparisons[0].comparator)

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if isinstance(node.operator, cst.Subtract):
            self._check_received(node, node.left, node.right)

    def _check_received(self, node: cst.BaseExpression, left: cst.BaseExpression, right: cst.BaseExpression) -> None:
        for own, foreign in ((left, right), (right, left)):
            value = self.facts.clocks.own_reading(own, MONOTONIC)
            if value is None or any(
                other.domain not in (UNKNOWN, CONSTANT, NOTHING) for other in self.facts.clocks.values(foreign)
            ):
                continue
            if (source := self._received(foreign)) is not None:
                self.report(
                    node,
                    f"`{self.facts.code(foreign)}` was taken from `{self.facts.code(source)}` by another process and is "
                    f"measured against the monotonic clock of this one",
                    confidence=Confidence.weakest(value.confidence, Confidence.MEDIUM),
                    trace=[
                        (source, "received here"),
                        *((reading.node, "own monotonic clock read here") for reading in value.readings),
                    ],
                    fix=lambda: Fix(
                        Applicability.SUGGESTION,
                        f"let the sender write `{self.facts.code(foreign)}` as wall-clock time, or as seconds left, and "
                        f"compare with the same here",
                        second_readings.read_as_dates(self.facts, value.readings),
                        second_readings.IMPORTS,
                    ),
                )
                return

    def _received(self, expression: cst.CSTNode) -> cst.CSTNode | None:
        """The message or header that a value was looked up in."""

        def is_lookup(node: cst.CSTNode) -> bool:
            if isinstance(node, cst.Call) and node.args and string(node.args[0].value) is not None:
                ways = (
                    [origin.node for origin in self.facts.origins.trail(node.func)]
                    if isinstance(node.func, cst.Name)
                    else [node.func]
                )
                return any(
                    isinstance(way, cst.Attribute) and way.attr.value == "get" and self._is_envelope(way.value) for way in ways
                )
            return isinstance(node, cst.Subscript) and self._is_envelope(node.value)

        def is_followed(node: cst.CSTNode) -> bool:
            """What is looked up in a container of an object comes from there, and not from its key."""
            method = node.func if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else None
            return method is None or method.attr.value not in _LOOKUPS or not isinstance(method.value, cst.Attribute)

        way = self.facts.origins.derivation(expression, is_lookup, callers=False, through=is_followed)
        return way[-1] if way else None

    def _is_envelope(self, node: cst.CSTNode) -> bool:
        named = bool(_ENVELOPE.match(last_name(node) or ""))
        return named and not self.facts.contents.held(node) or self.facts.boundary.source(node).writer == PEER
