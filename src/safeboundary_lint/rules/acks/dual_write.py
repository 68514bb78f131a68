"""SBL313: a commit and a message to another system in one function, with nothing that keeps them together."""

from __future__ import annotations


import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule, Status

_OUTBOX = Regex(r"\w*(?:outbox|relay|dispatcher|replay|reconcil|saga)\w*")


class DualWrite(Rule):
    """A row is committed and another system is told, one after the other, with nothing that makes both happen or neither.

    What it does
    ------------
    Finds functions in which a commit and a publish, an enqueue or a task follow each other, and no outbox is in sight.

    Why it matters
    --------------
    A process that stops between the two leaves the row without the message, or the message without the row. No order of the two
    calls is right; an outbox (the message as a row of the same transaction, sent by a relay) is.

    Example
    -------

        def register(session, channel, user):
            session.add(user)
            session.commit()
            channel.basic_publish(exchange="users", routing_key="created", body=user.to_json())

    Instead
    -------

        def register(session, user):
            session.add(user)
            session.add(OutboxMessage(topic="users.created", body=user.to_json()))
            session.commit()

    Stays silent when
    -----------------
    The function, its class or what it writes is called an outbox or a relay.

    Fix safety
    ----------
    A suggestion: it takes a table and a relay.

    Known limits
    ------------
    Most services live with this; the rule runs only when it is selected.
    """

    code, name, since, severity = "SBL313", "dual-write", "0.1", Severity.INFO
    status = Status.OPT_IN
    overlaps = ()
    needs = (("commit",), ("publish", "enqueue"))

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("publish", "enqueue"):
            function = self.facts.tree.function_of(match.node)
            if isinstance(function, cst.FunctionDef) and not self._has_outbox(function):
                self._check(match, function)

    def _has_outbox(self, function: cst.FunctionDef) -> bool:
        text = f"{self.facts.tree.symbol_of(function.body)} {self.facts.code(function, 20000)}".lower()
        return _OUTBOX.search(text) is not None

    def _check(self, match: Match, function: cst.FunctionDef) -> None:
        flow = self.facts.flow(function)
        here = flow.points_of(match.node)
        for call in self.facts.summaries.calls_of(function):
            commit = self.facts.match(call, "commit")
            if commit is None:
                continue
            committed = flow.points_of(call)
            if _leads(committed, here) or _leads(here, committed):
                self._report(match, call, Confidence.weakest(match.confidence, commit.confidence))
                return

    def _report(self, match: Match, commit: cst.Call, confidence: Confidence) -> None:
        first, last = sorted((self.facts.line(match.node), self.facts.line(commit)))
        self.report(
            match.node,
            f"a crash between line {first} and line {last} leaves one of `{self.facts.code(commit)}` and "
            f"`{self.facts.code(match.node)}` without the other",
            confidence=confidence,
            trace=[(commit, "committed here"), (match.node, "told to another system here")],
            fix=lambda: Fix(
                Applicability.SUGGESTION, "write the message to an outbox table in the same transaction, and let a relay send it"
            ),
        )


def _leads(starts: list[Point], goals: list[Point]) -> bool:
    """True when a path leads from one of these points, once it has had its effect, to one of those."""
    return paths.find(starts, lambda point: point in goals, raising=False, leaving="normally") is not None
