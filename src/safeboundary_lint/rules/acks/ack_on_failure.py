"""SBL303: a message is acknowledged although its work failed."""

from __future__ import annotations


import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.acks import Ack
from safeboundary_lint.core.edits import put_under, raised_again, replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity, Span
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.work import WorkCall, new_round, starts_round
from safeboundary_lint.rules.acks import manual_acks

_RECORDS = Regex(
    r"\w*(?:fail|dead|dlq|dlx|requeue|retry|retries|park|poison|error_queue|reject|nack|quarantine|compensate|rollback_to|"
    r"save|mark_|reschedule|put_back|"
    r"push_back|return_to|release|store_error|record_error|error_handler|handle_error|on_error|abort|exit)\w*"
)
_POISON = Regex(
    r"\w*(?:ValueError|KeyError|TypeError|JSONDecode|Decode|Parse|Validation|Schema|Invalid|Malformed|Syntax|Unpickling|Deserial|"
    r"AttributeError|IndexError|UnicodeError)\w*"
)
_DONE_ALREADY = Regex(
    r"\w*(?:DoesNotExist|NotFound|NoSuch|Integrity|Duplicate|Unique|Exists|Conflict|Ignore|Skip|Reject|Discard|Stale|"
    r"Expired|Drop)\w*"
)

_COUNTERS = Regex(r"_|i|n|tries|attempts?\w*|retr(?:y|ies)\w*")


class AckOnFailure(Rule):
    """A message is acknowledged although its work failed, so that the failure is the last anybody hears of it.

    What it does
    ------------
    Finds acknowledgements in `finally`, and handlers that log (or do nothing) and then reach the acknowledgement, the
    checkpoint or, where one commit covers all earlier messages, the commit of a later message.

    Why it matters
    --------------
    A database that is down for a minute then empties the queue: each message fails, is logged, is acknowledged, and is gone. A
    message that can't be handled now belongs back into the queue, or into a dead-letter queue, not into a log file.

    Example
    -------

        def on_message(body, message):
            try:
                save_invoice(body)
            except Exception:
                logger.exception("could not save the invoice")
            message.ack()

    Instead
    -------

        def on_message(body, message):
            try:
                save_invoice(body)
            except Exception:
                logger.exception("could not save the invoice")
                message.requeue()
            else:
                message.ack()

    Stays silent when
    -----------------
    The handler rejects, requeues, seeks back, pauses, breaks or raises; stores the failure or sends the message to a
    dead-letter queue first; the acknowledgement is in `else`, or asks a flag that the failure has cleared; what is caught says
    that the message was handled before. A handler of parse errors alone skips a poison message: that is told as information,
    with low confidence.

    Fix safety
    ----------
    Unsafe: an acknowledgement that is all a `finally` does becomes the `else` of the same `try`; failed messages are then
    delivered again. Otherwise a suggestion: an `else` of its own for the ack, or the message given back in the handler.

    Known limits
    ------------
    A failure that a helper swallows and tells by its result is not seen.
    """

    code, name, since, severity = "SBL303", "ack-on-failure", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("ack", "ack-context"), ("=try",))
    fixable = Applicability.UNSAFE

    def finish(self) -> None:
        for ack in self.facts.acks.all():
            if self.facts.queues.ephemeral_around(ack.node):
                continue
            points = self.facts.acks.points(ack)
            tree = self.facts.tree
            tries = [node for node in tree.all(cst.Try) if (tree.function_of(node) or tree.module) is ack.function]
            if isinstance(ack.node, cst.WithItem):  # its block acknowledges unless an exception leaves it
                tries = [node for node in tries if (block := tree.parent(ack.node)) is not None and tree.within(node, block)]
            if points and tries:
                self._check(ack, points, tries)

    def _check(self, ack: Ack, points: list[Point], tries: list[cst.Try]) -> None:
        flow = self.facts.flow(ack.function)
        work = [one for one in self.facts.work.of(ack.function) if one.call is not ack.node]
        for node in tries:
            tried = next((one for one in work if self.facts.tree.within(one.call, node.body)), None)
            if tried is None or self._asks_flag(flow, points, node):
                continue
            if node.finalbody is not None and self.facts.tree.within(ack.node, node.finalbody):
                if not any(self._records(handler.body) for handler in node.handlers):
                    self._report_finally(ack, tried, node)
                return
            for handler in node.handlers:
                if self._reaches(flow, ack, points, node, handler):
                    self._report_handler(ack, tried, node, handler)
                    return

    def _asks_flag(self, flow: Flow, points: list[Point], node: cst.Try) -> bool:
        """True when the ack stands under a test of something that the `try` statement sets."""
        dominators = self.facts.dominators(flow)
        bound = {
            n.value
            for t in descendants(node)
            if isinstance(t, (cst.AssignTarget, cst.NamedExpr))
            for n in descendants(t.target)
            if isinstance(n, cst.Name)
        }
        for point in points:
            for test, _outcome in dominators.guards(point):
                if not isinstance(test, cst.For) and any(isinstance(n, cst.Name) and n.value in bound for n in descendants(test)):
                    return True
        return False

    def _reaches(self, flow: Flow, ack: Ack, points: list[Point], node: cst.Try, handler: cst.ExceptHandler) -> bool:
        if self._is_done_already(self.facts.exceptions.named(handler.type)):
            return False
        goals = {point.index for point in points}
        starts = [point for point in flow.by_node.get(id(handler), ()) if point.index in flow.reachable]
        rounds = (
            frozenset()
            if ack.cumulative and not self._is_retry(node)
            else new_round(self.facts, ack.node) | new_round(self.facts, node)
        )
        again = (
            {id(one) for one in descendants(node.body, into_definitions=False)}
            if self._is_retry(node) or not ack.cumulative
            else set()
        )

        def stopped(point: Point) -> bool:
            return (
                starts_round(point, rounds)
                or id(point.node) in again
                and point.index not in goals
                or self._gives_back(point, goals)
            )

        return paths.find(starts, lambda point: point.index in goals, avoiding=stopped, raising=False) is not None

    def _is_retry(self, node: cst.Try) -> bool:
        """True when the nearest loop tries the same message again: it neither takes a message nor names one the body uses."""
        loop = next((a for a in self.facts.tree.ancestors(node) if isinstance(a, (cst.For, cst.While, cst.FunctionDef))), None)
        if isinstance(loop, cst.For):
            taken = {n.value for n in descendants(loop.target) if isinstance(n, cst.Name) and not _COUNTERS.fullmatch(n.value)}
            return not any(isinstance(n, cst.Name) and n.value in taken for n in descendants(node.body))
        if isinstance(loop, cst.While):
            calls = (n for n in descendants(loop.body) if isinstance(n, cst.Call))
            return not any(self.facts.match(call, "receive") is not None for call in calls)
        return False

    @staticmethod
    def _is_done_already(names: list[str]) -> bool:
        return bool(names) and all(_DONE_ALREADY.fullmatch(name) for name in names)

    def _gives_back(self, point: Point, goals: set[int]) -> bool:
        """True where the message is given back, or its failure is stored."""
        if point.index in goals or point.node is None or point.kind not in ("statement", "enter", "test"):
            return False
        calls = (n for n in descendants(point.node, into_definitions=False) if isinstance(n, cst.Call))
        return any(self._gives_back_call(call) for call in calls)

    def _gives_back_call(self, call: cst.Call) -> bool:
        if self.facts.match(call, "nack") is not None or self.facts.work.durable(call) is not None:
            return True
        plain = (last_name(call.func) or "").lower()
        if _RECORDS.fullmatch(plain) and self.facts.exceptions.can_raise(call):
            return True
        callee = self.facts.types.callee(call)
        return callee is not None and bool(self.facts.summaries.effects(callee, "nack") or self.facts.work.within(callee))

    def _records(self, body: cst.CSTNode) -> bool:
        return any(isinstance(n, cst.Call) and self._gives_back_call(n) for n in descendants(body, into_definitions=False))

    def _report_finally(self, ack: Ack, tried: WorkCall, node: cst.Try) -> None:
        failing, here = self.facts.line(tried.call), self.facts.line(ack.node)
        self.report(
            ack.node,
            f"when `{self.facts.code(tried.call)}` on line {failing} fails, `finally` acknowledges the message on "
            f"line {here} all the same: it is lost",
            confidence=Confidence.weakest(ack.confidence, tried.confidence),
            trace=[(tried.call, "this fails"), (ack.node, "and the message is acknowledged")],
            fix=lambda: self._to_else(ack, node),
        )

    def _report_handler(self, ack: Ack, tried: WorkCall, node: cst.Try, handler: cst.ExceptHandler) -> None:
        failing, caught, here = self.facts.line(tried.call), self.facts.line(handler), self.facts.line(ack.node)
        names = self.facts.exceptions.named(handler.type)
        poison = bool(names) and all(_POISON.fullmatch(name) for name in names)
        self.report(
            ack.node,
            f"when `{self.facts.code(tried.call)}` on line {failing} fails, the handler on line {caught} goes on to "
            f"the acknowledgement on line {here}: "
            "the message is lost with its failure",
            severity=Severity.INFO if poison else None,
            confidence=Confidence.LOW if poison else Confidence.weakest(ack.confidence, tried.confidence),
            trace=[
                (tried.call, "this fails"),
                (handler, "caught here, not given back"),
                (ack.node, "and the message is acknowledged"),
            ],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "acknowledge in `else:`, and requeue, dead-letter or re-raise in the handler",
                self._told_apart(ack, node, handler),
            ),
        )

    def _told_apart(self, ack: Ack, node: cst.Try, handler: cst.ExceptHandler) -> tuple[Edit, ...]:
        """The ack in an `else` of the `try` before it, its opposite in the handler, or the error raised again there."""
        tree = self.facts.tree
        statement = tree.statement_of(ack.node)
        line, last = tree.parent(statement), handler.body.body[-1]
        if tree.within(ack.node, handler):
            back = manual_acks.given_back(self.facts, ack.match)
            return (replaced(self.facts, ack.node if back else statement, back or "raise"),)
        block = tree.parent(node)
        siblings = list(block.body) if isinstance(block, (cst.IndentedBlock, cst.Module)) else []
        follows = node in siblings[:-1] and siblings[siblings.index(node) + 1] is line
        leaves = isinstance(last, cst.SimpleStatementLine) and isinstance(last.body[-1], (cst.Continue, cst.Return, cst.Break))
        if follows and node.orelse is None and node.finalbody is None and isinstance(line, cst.SimpleStatementLine):
            if not leaves and len(line.body) == 1 and not line.leading_lines:
                return put_under(self.facts, "else:", statement)
        return raised_again(self.facts, handler)

    def _to_else(self, ack: Ack, node: cst.Try) -> Fix:
        final = node.finalbody
        assert final is not None
        body = final.body.body
        alone = (
            len(body) == 1
            and isinstance(body[0], cst.SimpleStatementLine)
            and self.facts.tree.statement_of(ack.node) in body[0].body
        )
        words = "acknowledge in `else:`, so that a failed message is delivered again"
        if not (alone and node.handlers and node.orelse is None):
            return Fix(Applicability.SUGGESTION, words)
        span = self.facts.span(final)
        return Fix(
            Applicability.UNSAFE, words, (Edit(Span(span.line, span.column, span.line, span.column + len("finally")), "else"),)
        )
