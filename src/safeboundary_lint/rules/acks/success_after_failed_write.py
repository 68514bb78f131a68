"""SBL308: a write fails, the failure is swallowed, and success is told."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.calls import NotConstant, literal
from safeboundary_lint.core.edits import raised_again
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.acks import DONE_STATES, EXPECTED, MARK, OUTCOME, REMOVES, swallows, swallows_and_tells, tried
from safeboundary_lint.core.tree import descendants, same_code
from safeboundary_lint.core.work import WorkCall

_EARLIER = Regex(r"_*(?:create|insert|save|store|delete|remove|update|upsert)(?:_\w+)?")
_FINAL = ("commit", "publish", "enqueue")  # what an answer that follows vouches for


class SuccessAfterFailedWrite(Rule):
    """A write fails, the handler swallows the failure, and the code goes on to tell success.

    What it does
    ------------
    Finds handlers around a durable write, a commit, a publish or an upload from which a path leads, without raising and without
    writing again, to positive news: `return True` or another full answer, `self.saved = True`, an advanced checkpoint, an
    acknowledgement, or the removal of the source of what was to be written.

    Why it matters
    --------------
    Whoever asked believes the data to be safe, deletes their copy, moves on to the next offset. The log line is the only trace
    that it was never written.

    Example
    -------

        def publish(channel, body):
            try:
                channel.basic_publish(exchange="", routing_key="invoices", body=body)
            except ConnectionError:
                channel.reconnect()
            return True

    Instead
    -------

        def publish(channel, body):
            try:
                channel.basic_publish(exchange="", routing_key="invoices", body=body)
            except ConnectionError:
                channel.reconnect()
                return False
            return True

    Stays silent when
    -----------------
    The handler raises, leaves, answers with a failure, keeps it (`self.error = error`), shows it to the user (`echo`, `flash`),
    or writes again; success is told
    only under a flag that the failure changes, or by a list to which only what succeeded is added; what is caught says that the
    row is there already.

    Fix safety
    ----------
    A suggestion: the handler raises again. What the caller is to be told is the author's decision.

    Known limits
    ------------
    A function without a result that only logs the failure is not reported here. Where the answer is what an earlier write gave
    (`deleted = table.delete(...)`, then rows that hang on it), the finding is of low confidence.
    """

    code, name, since, severity = "SBL308", "success-after-failed-write", "0.1", Severity.ERROR
    overlaps = ("ruff:TRY300",)
    needs = (
        ("durable-write", "commit", "publish", "enqueue", "batch-send"),
        ("ack", "source-delete", swallows_and_tells),
        (swallows,),
    )
    anchored, parts = 3, staticmethod(tried)

    def visit_Try(self, node: cst.Try) -> None:
        flow = self.facts.flow_around(node)
        tried = self._write_in(node)
        if tried is None:
            return
        for handler in node.handlers:
            if self._is_expected(handler):
                continue
            found = self._success_after(flow, node, handler, tried.match is not None and tried.match.row.kind in _FINAL)
            if found is not None:
                self._report(tried, handler, *found)
                return

    def _write_in(self, node: cst.Try) -> WorkCall | None:
        """The last call of the body that is known to write, itself or through a helper of this file."""
        for below in reversed(list(descendants(node.body, into_definitions=False))):
            if not isinstance(below, cst.Call):
                continue
            if (work := self.facts.work.of_call(below)) is not None and work.durable:
                return work
            if (sent := self.facts.match(below, "batch-send")) is not None:
                return WorkCall(below, sent.confidence, sent)
        return None

    def _is_expected(self, handler: cst.ExceptHandler) -> bool:
        names = self.facts.exceptions.named(handler.type)
        return bool(names) and all(EXPECTED.fullmatch(name) for name in names)

    def _success_after(
        self, flow: Flow, node: cst.Try, handler: cst.ExceptHandler, durable: bool
    ) -> tuple[cst.CSTNode, str] | None:
        starts = [point for point in flow.by_node.get(id(handler), ()) if point.index in flow.reachable]
        again = {
            id(n) for part in (node.body, node.orelse) if part is not None for n in descendants(part, into_definitions=False)
        }
        loops = {
            id(a) if isinstance(a, cst.For) else id(a.test)
            for a in self.facts.tree.ancestors(node)
            if isinstance(a, (cst.For, cst.While))
        }
        stores = (t.target for t in descendants(node) if isinstance(t, (cst.AssignTarget, cst.AugAssign, cst.NamedExpr)))
        set_here = {n.value for target in stores for n in descendants(target) if isinstance(n, cst.Name)}

        def stopped(point: Point) -> bool:
            return (
                id(point.node) in again
                or point.kind == "branch"
                and point.outcome is True
                and id(point.node) in loops
                or self._repairs(point)
            )

        way = paths.find(starts, lambda point: self._told(point, handler, durable) is not None, avoiding=stopped, raising=False)
        if way is None or self._is_flagged(flow, way[-1], set_here):
            return None
        told = self._told(way[-1], handler, durable)
        assert told is not None
        return told

    def _is_flagged(self, flow: Flow, point: Point, names: set[str]) -> bool:
        tests = (test for test, _outcome in self.facts.dominators(flow).guards(point) if not isinstance(test, cst.For))
        return any(isinstance(n, cst.Name) and n.value in names for test in tests for n in descendants(test))

    def _repairs(self, point: Point) -> bool:
        """True where the write is done after all, or the failure is stored."""
        if point.node is None or point.kind not in ("statement", "test", "enter"):
            return False
        if isinstance(point.node, cst.Assign) and self._keeps_failure(point.node):
            return True
        calls = [n for n in descendants(point.node, into_definitions=False) if isinstance(n, cst.Call)]
        return any(
            self.facts.work.of_call(call) is not None or self.facts.match(call, "nack", "enqueue") is not None or _gives_up(call)
            for call in calls
        )

    def _keeps_failure(self, node: cst.Assign) -> bool:
        """`self.error = error` in a handler: who asks later is told."""
        handler = self.facts.tree.enclosing(node, cst.ExceptHandler)
        caught = handler.name.name if handler is not None and handler.name is not None else None
        stored = any(isinstance(one.target, (cst.Attribute, cst.Subscript)) for one in node.targets)
        return stored and caught is not None and any(same_code(n, caught) for n in descendants(node.value))

    def _told(self, point: Point, handler: cst.ExceptHandler, durable: bool) -> tuple[cst.CSTNode, str] | None:
        """The positive news at a point, and what it is."""
        node = point.node
        if point.kind != "statement" or node is None:
            return None
        if isinstance(node, cst.Return):
            full = (
                node.value is not None and not self.facts.tree.within(node, handler) and self._is_untouched(node.value, handler)
            )
            return (node, "success is returned") if node.value is not None and (full or self._is_success(node.value)) else None
        if isinstance(node, cst.Assign) and self._marks(node):
            return node, "it is marked as done"
        for call in (n for n in descendants(node, into_definitions=False) if isinstance(n, cst.Call)):
            if (ack := self.facts.match(call, "ack")) is not None and self.facts.acks.acknowledges(ack):
                return None if self.facts.tree.within(call, handler) else (call, "the message is acknowledged")
            if self._deletes(call) and not self.facts.tree.within(call, handler):
                return call, "the source is removed"
        return None

    def _is_untouched(self, value: cst.BaseExpression, handler: cst.ExceptHandler) -> bool:
        """True for `return order`: what the caller gets is the same whether or not it was written."""
        node = self.facts.tree.parent(handler)
        if not isinstance(value, cst.Name) or node is None or (found := self.facts.names.lookup(value)) is None:
            return False
        if any(_adds_to(n, value.value) for n in descendants(node, into_definitions=False)):
            return False  # `done.append(order)` beside the write: what failed is not among what is returned
        told = (binding for binding in found[1] if binding.how != "parameter")
        return all(
            not self.facts.tree.within(binding.target, node)
            and not self.facts.is_constant(binding.source, None, False, True, 0, "")
            for binding in told
            if binding.how in ("value", "item", "augmented")
        ) and not OUTCOME.search(value.value)

    def _is_of_earlier(self, tried: WorkCall, told: cst.CSTNode) -> bool:
        """True where the answer is what an earlier write gave: it vouches for that one, and what failed comes on top of it."""
        if not isinstance(told, cst.Return) or not isinstance(told.value, cst.Name):
            return False
        if tried.match is not None and tried.match.row.kind in _FINAL:
            return False
        order = self.facts.tree.order
        values = (origin.node for origin in self.facts.origins.trail(told.value)[1:4])
        return any(
            isinstance(value, cst.Call)
            and value is not tried.call
            and order[id(value)] < order[id(tried.call)]
            and (self.facts.work.durable(value) is not None or _EARLIER.fullmatch((last_name(value.func) or "").lower()) is not None)
            for value in values
        )

    def _is_success(self, value: cst.BaseExpression) -> bool:
        try:
            return literal(value) is True or literal(value) in ("ok", "OK", "success", "done")
        except NotConstant:
            pass
        if isinstance(value, cst.Dict):
            pairs = ((e.key, e.value) for e in value.elements if isinstance(e, cst.DictElement))
            return any(
                self.facts.is_constant(key, "success", "ok", "status", "saved")
                and self.facts.is_constant(one, True, "ok", "success")
                for key, one in pairs
            )
        return False

    def _marks(self, node: cst.Assign) -> bool:
        target = node.targets[0].target
        if not isinstance(target, cst.Attribute):
            return False
        done = DONE_STATES.fullmatch(target.attr.value) and self.facts.is_constant(node.value, True)
        return bool(done or MARK.fullmatch(target.attr.value) and not self.facts.is_constant(node.value, None, 0, False, ""))

    def _deletes(self, call: cst.Call) -> bool:
        if self.facts.match(call, "source-delete") is not None:
            return True
        callee = self.facts.types.callee(call)
        if callee is not None:
            return bool(self.facts.summaries.effects(callee, "source-delete"))
        return bool(REMOVES.fullmatch(last_name(call.func) or ""))

    def _report(self, tried: WorkCall, handler: cst.ExceptHandler, told: cst.CSTNode, what: str) -> None:
        failing, caught, line = self.facts.line(tried.call), self.facts.line(handler), self.facts.line(told)
        self.report(
            told,
            f"when `{self.facts.code(tried.call)}` on line {failing} fails, the handler on line {caught} swallows it"
            f" and on line {line} {what}",
            confidence=Confidence.LOW if self._is_of_earlier(tried, told) else Confidence.weakest(tried.confidence, Confidence.MEDIUM),
            trace=[(tried.call, "this write fails"), (handler, "swallowed here"), (told, what)],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"raise in the handler on line {caught}, or answer with the failure, so that line {line} is reached "
                "only after the write",
                raised_again(self.facts, handler),
            ),
        )


def _adds_to(node: cst.CSTNode, container: str) -> bool:
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and isinstance(node.func.value, cst.Name):
        return node.func.value.value == container and node.func.attr.value in ("append", "add", "extend", "update")
    if isinstance(node, cst.AssignTarget) and isinstance(node.target, cst.Subscript):
        return isinstance(node.target.value, cst.Name) and node.target.value.value == container
    return False


def _gives_up(call: cst.Call) -> bool:
    return bool(
        re.fullmatch(
            r"\w*(?:fail|abort|reraise|save_and_reraise|requeue|retry|dead_letter|fallback|rollback_and_raise|spool)\w*"
            r"|s?echo|flash|show_?(?:error|warning)|print_error",  # whoever asked is told
            (last_name(call.func) or "").lower(),
        )
    )
