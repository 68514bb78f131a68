"""SBL304: a message is published and nobody asks whether the broker took it."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.calls import argument, unpacks
from safeboundary_lint.core.edits import (
    argument_added, defined_before, free_name, inserted_after, lines_behind, replaced, source_of,
)  # fmt: skip
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_BEST_EFFORT = Regex(
    r"\w*(?:metric|telemetry|stat|trace|span|heartbeat|log|debug|querylog|best_effort|fire_and_forget|progress|presence|"
    r"notif|beacon|ping|monitor)\w*"
)
_PERSISTENT = Regex(r"\bpersistent(?:_delivery_mode)?\b", re.IGNORECASE)


class UnconfirmedPublish(Rule):
    """A message is published and its delivery is never asked for, so that success is told of one that may never arrive.

    What it does
    ------------
    Finds publishes whose confirmation is dropped, by what each library offers: the future of `KafkaProducer.send` and of the
    Pub/Sub publisher, what awaiting `AIOKafkaProducer.send` gives (awaiting it once only queues), the delivery callback of
    confluent's `produce`, and `confirm_delivery()` on the very channel of `basic_publish`.

    Why it matters
    --------------
    These calls return when the message is in a buffer of this process. A broker that is away, a message that is too large, a
    full buffer or a shutdown drops it, and the caller has already answered that all is well.

    Example
    -------

        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers="broker:9092", acks="all")

        def publish_order(order):
            producer.send("orders", order.to_bytes())
            return True

    Instead
    -------

        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers="broker:9092", acks="all")

        def publish_order(order):
            producer.send("orders", order.to_bytes()).get(timeout=10)
            return True

    Stays silent when
    -----------------
    The future is read, returned, collected or given a callback; the message is telemetry (by the name of the function, class or
    topic); a channel without confirmations carries messages on whose success nothing depends in this function and that are not
    marked as persistent.

    Fix safety
    ----------
    Unsafe where one awaited call has a confirming twin (`send_and_wait`); each message then costs a round trip. Otherwise a
    suggestion: the future is read, a callback logs what was not delivered, or the channel is switched to confirmations.

    Known limits
    ------------
    A delivery callback is taken as read, whatever it does. For channels without confirmations, only success told in the same
    function counts, and persistence asked for in the same call.
    """

    code, name, since, severity = "SBL304", "unconfirmed-publish", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("publish",),)
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("publish"):
            how = match.row.get("confirm")
            if how in ("future", "awaited-future", "callback", "channel") and not self._is_best_effort(match):
                self._check(match, how)

    def _is_best_effort(self, match: Match) -> bool:
        names = [self.facts.tree.symbol_of(match.node).lower().replace(".", "_")]
        names += [last_name(arg.value) or "" for arg in match.call.args if arg.keyword is None or "topic" in arg.keyword.value]
        return any(_BEST_EFFORT.fullmatch(name.lower()) for name in names) or self.facts.queues.is_answer(match.call)

    def _check(self, match: Match, how: str) -> None:
        if how == "callback":
            self._check_callback(match)
        elif how == "channel":
            self._check_channel(match)
        elif self._is_dropped(match.call, awaits=2 if how == "awaited-future" else 1):
            self._report_future(match, how)

    def _is_dropped(self, call: cst.Call, *, awaits: int) -> bool:
        """True when the future ends in a statement, awaited less often than it takes, or in a name that nobody reads."""
        tree = self.facts.tree
        node: cst.CSTNode = call
        parent = tree.parent(node)
        while isinstance(parent, cst.Await):
            awaits -= 1
            node, parent = parent, tree.parent(parent)
        if awaits <= 0:
            return False
        if isinstance(parent, cst.Expr):
            return True
        if isinstance(parent, cst.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0].target, cst.Name):
            name = parent.targets[0].target
            return name.value == "_" or not self._is_read(name)
        return False

    def _is_read(self, name: cst.Name) -> bool:
        function = self.facts.tree.function_of(name) or self.facts.tree.module
        return any(
            isinstance(n, cst.Name) and n.value == name.value and n is not name
            for n in descendants(function.body if not isinstance(function, cst.Module) else function)
        )

    def _report_future(self, match: Match, how: str) -> None:
        confidence = match.confidence
        if self._flushed_after(match):  # waits, and tells nobody of a failure
            confidence = Confidence.weakest(confidence, Confidence.MEDIUM)
        awaited = isinstance(self.facts.tree.parent(match.call), cst.Await)
        told = "awaiting it once only queues it" if how == "awaited-future" and awaited else "its future is dropped"
        self.report(
            match.node,
            f"nobody learns whether `{self.facts.code(match.node)}` was delivered ({told}): a failure is reported as success",
            confidence=confidence,
            trace=[(match.node, "queued here"), *self._success(match)],
            fix=lambda: self._fix(match, how),
        )

    def _fix(self, match: Match, how: str) -> Fix:
        func = match.call.func
        if (
            how == "awaited-future"
            and isinstance(func, cst.Attribute)
            and func.attr.value == "send"
            and isinstance(self.facts.tree.parent(match.call), cst.Await)
        ):
            text = self.facts.text(func.value)
            return Fix(
                Applicability.UNSAFE,
                "await the delivery: `send_and_wait`",
                (replaced(self.facts, func, f"{text}.send_and_wait"),),
            )
        words = (
            "await what awaiting it gives"
            if how == "awaited-future"
            else "read the future (`.get(timeout=...)`, `.result(timeout=...)`) before telling success, or give it a callback"
        )
        waits = match.row.get("wait")
        edits = (inserted_after(self.facts, match.call, f".{waits}(timeout=10)"),) if how != "awaited-future" and waits else ()
        return Fix(Applicability.SUGGESTION, words, edits)

    def _flushed_after(self, match: Match) -> bool:
        flow = self.facts.flow_around(match.node)
        flushes = {
            p.index
            for c in self.facts.summaries.calls_of(flow.root)
            if self.facts.match(c, "flush") is not None
            for p in flow.points_of(c)
        }
        return bool(flushes) and paths.find(flow.points_of(match.node), lambda point: point.index in flushes) is not None

    def _check_callback(self, match: Match) -> None:
        parameter = match.row.parameter("callback")
        if (
            unpacks(match.call)
            or parameter is None
            or argument(match.call, parameter) is not None
            or argument(match.call, "callback") is not None
        ):
            return
        self.report(
            match.node,
            f"nobody learns whether `{self.facts.code(match.node)}` was delivered: it only queues, and no delivery "
            "callback is given",
            confidence=Confidence.LOW if self._flushed_after(match) else Confidence.weakest(match.confidence, Confidence.MEDIUM),
            trace=[(match.node, "queued here"), *self._success(match)],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"pass `{parameter.name}=` with a function that handles the error, and `flush()` before telling success",
                *self._heard(match, parameter.name),
            ),
        )

    # -- channels ------------------------------------------------------------------------------------------------------

    def _check_channel(self, match: Match) -> None:
        success, persistent = self._success(match), self._persistent(match)
        if not (success or persistent is not None) or self._is_confirmed(match):
            return
        told = "one that is meant to last may never get there"
        if success:
            told = f"success is told on line {self.facts.line(success[0][0])}"
        steps = success if success or persistent is None else [(persistent, "marked as one that is to last")]
        self.report(
            match.node,
            f"`{self.facts.code(match.node)}` returns before the broker has the message, since its channel has no confirmations, "
            f"and {told}",
            confidence=Confidence.weakest(match.confidence, Confidence.MEDIUM),
            trace=[(match.node, "sent here, not confirmed"), *steps],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "call `confirm_delivery()` on this channel when it is opened, so that publishing raises when the "
                "broker does not take the message",
                self._switched_on(match),
            ),
        )

    def _persistent(self, match: Match) -> cst.CSTNode | None:
        """`delivery_mode=2` in what is published: the sender wants it to outlast the broker's restart."""
        parameter = match.row.parameter("persistent")
        properties = argument(match.call, parameter) if parameter is not None else None
        for origin in self.facts.origins.trail(properties) if properties is not None else ():
            mode = argument(origin.node, "delivery_mode") if isinstance(origin.node, cst.Call) else None
            if mode is not None and (self.facts.is_constant(mode, 2) or _PERSISTENT.search(self.facts.code(mode)) is not None):
                return mode
        return None

    def _heard(self, match: Match, parameter: str) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
        """A function of the module that logs what was not delivered, handed in as the callback."""
        name = free_name(self.facts, match.call, "log_undelivered")
        lines = (
            f"def {name}(error, message):",
            "    if error is not None:",
            '        logging.getLogger(__name__).error("not delivered: %s", error)',
        )
        added = argument_added(self.facts, match.call, f"{parameter}={name}")
        before = defined_before(self.facts, match.call, *lines)
        return ((before, added), ("import logging",)) if added is not None and before is not None else ((), ())

    def _switched_on(self, match: Match) -> tuple[Edit, ...]:
        """Confirmations where the channel gets the name by which it is published on."""
        func = match.call.func
        channel = func.value if isinstance(func, cst.Attribute) else None
        for origin in self.facts.origins.trail(channel) if channel is not None else ():
            opened = self.facts.tree.parent(origin.node)
            if isinstance(opened, cst.Assign) and isinstance(origin.node, cst.Call):
                name = source_of(self.facts, opened.targets[0].target)
                behind = lines_behind(self.facts, opened, f"{name}.confirm_delivery()")
                return (behind,) if behind is not None else ()
        return ()

    def _is_confirmed(self, match: Match) -> bool:
        """True when the channel published on is switched to confirmations: by the same name, or maybe by another method."""
        func = match.call.func
        channel = func.value if isinstance(func, cst.Attribute) else None
        for confirm in self.facts.calls("confirm"):
            confirmed = confirm.call.func.value if isinstance(confirm.call.func, cst.Attribute) else None
            if channel is None or confirmed is None:
                continue
            places = {self.facts.origins.place(one.node) for one in self.facts.origins.trail(channel, callers=True)} - {None}
            if self.facts.origins.place(confirmed) in places or self.facts.code(channel) == self.facts.code(confirmed):
                return True
            if not places & {
                self.facts.origins.place(one.node) for one in self.facts.origins.trail(confirmed)
            } and self.facts.tree.function_of(confirm.node) is not self.facts.tree.function_of(match.node):
                roots = [one for one in self.facts.origins.roots(channel) if isinstance(one.node, cst.Call)]
                if not roots:
                    return True  # where this channel comes from is not seen: it may be the confirmed one
        return False

    def _success(self, match: Match) -> list[tuple[cst.CSTNode, str]]:
        """Where success is told after the publish: an acknowledgement, `return True`."""
        flow = self.facts.flow_around(match.node)

        def tells(node: cst.CSTNode | None) -> bool:
            if isinstance(node, cst.Return):
                return self.facts.is_constant(node.value, True) if node.value is not None else False
            calls = (n for n in descendants(node, into_definitions=False) if isinstance(n, cst.Call)) if node is not None else ()
            return any((ack := self.facts.match(call, "ack")) is not None and self.facts.acks.acknowledges(ack) for call in calls)

        found = paths.find(
            flow.points_of(match.node),
            lambda point: point.kind == "statement" and tells(point.node),
            raising=False,
            leaving="normally",
        )
        return [(found[-1].node, "success is told here")] if found and found[-1].node is not None else []
