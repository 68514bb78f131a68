"""SBL310: success is answered while the write still runs, or waits to run, in this process."""

from __future__ import annotations


import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.acks import manual_acks

_WRITES = Regex(
    r"_*\w*(?:save|store|persist|insert|upsert|create|update|commit|write|ingest|import|record_(?:event|payment|order|"
    r"usage|step)|enqueue|provision|delete|"
    r"charge|refund|register|create_flow|process_(?:payment|order|webhook|upload|event|document|file|payload|message)|"
    r"submit_order|materiali[sz]e)\w*"
)
_ASIDE = Regex(
    r"_*\w*(?:log|metric|telemetry|trace|track|analytic|notif|email|mail|sms|slack|webhook_out|warm|prefetch|cache|"
    r"refresh|cleanup|clean_up|close|broadcast|emit|"
    r"last_seen|last_used|last_active|heartbeat|watch|listen|poll|consume|monitor|serve|stream|loop|worker|progress|"
    r"presence|invalidate|purge|reload|typing|"
    r"update_state|update_ha|create_connection|create_task|create_server|create_session|create_client|stats|statistics|"
    r"alert|sync_|index)\w*"
)
_WATCHERS = Regex(
    r"_*\w*(?:log|metric|telemetry|stat|trace|alert|notif|analytic|cache|monitor|slack|mail|hook|event_bus|emitter|"
    r"websocket|limiter)\w*"
)
_ROUTES = ("get", "post", "put", "patch", "delete", "route", "api_route")
_STARTING = ("*setup*", "*set_up*", "*start*", "*init*", "*connect*")  # answers that it is ready, not that something is stored
_MARKS = Regex(r"(?:is_|_)?(?:persisted|saved|stored|written|committed|synced|recorded)")


class ResponseBeforeWrite(Rule):
    """Success is answered while the write it speaks of is only scheduled in this process.

    What it does
    ------------
    Finds `create_task`, threads, executors, in-memory queues and `BackgroundTasks` that are handed a write, followed by an
    answer: `return True`, `self.persisted = True`, or the response of a request handler.

    Why it matters
    --------------
    The caller believes the data to be stored. A restart, a closed event loop or an exception in the task drops the write, and
    nobody is left who could be told.

    Example
    -------

        import asyncio

        async def save_history(store, session, messages):
            asyncio.create_task(store.save_messages(session, messages))
            return True

    Instead
    -------

        import asyncio

        async def save_history(store, session, messages):
            await store.save_messages(session, messages)
            return True

    Stays silent when
    -----------------
    The work goes to a durable queue (a task queue, an outbox row); the task is awaited, gathered or read before the answer;
    what is scheduled is a notification, telemetry, a cache or housekeeping, by its name.

    Fix safety
    ----------
    A suggestion: the write is awaited, or done here, before the answer, which then takes as long as the write.

    Known limits
    ------------
    What a function of another file does is guessed from its name. Functions that set something up, and answer that it is ready,
    are reported with low confidence.
    """

    code, name, since, severity = "SBL310", "response-before-write", "0.1", Severity.WARNING
    overlaps = ("ruff:RUF006", "flake8-async:ASYNC300")
    needs = (("hand-over",),)

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("hand-over"):
            function = self.facts.tree.function_of(match.node)
            if isinstance(function, cst.FunctionDef) and (confidence := self._writes(match)) is not None:
                self._check(match, function, confidence)

    def _writes(self, match: Match) -> Confidence | None:
        """How sure it is that what is handed over writes."""
        parameter = match.row.parameter("work")
        work = argument(match.call, parameter) if parameter is not None else None
        if work is None and match.call.args and not match.call.args[0].star:
            work = match.call.args[0].value
        if isinstance(work, cst.Call) and last_name(work.func) in ("partial", "wait_for", "shield") and work.args:
            work = work.args[0].value
        if work is None or "put" in match.dotted.rpartition(".")[2]:
            return None
        called = work.func if isinstance(work, cst.Call) else work
        plain = (last_name(called) or "").lower()
        if (
            _ASIDE.fullmatch(plain)
            or isinstance(called, cst.Attribute)
            and _WATCHERS.fullmatch((last_name(called.value) or "").lower())
        ):
            return None
        definition = self.facts.types.definition(called)
        if (
            isinstance(definition, (cst.FunctionDef, cst.Lambda))
            and (effect := self.facts.work.within(definition)) is not None
            and effect.row.kind != "publish"
        ):
            return Confidence.weakest(effect.confidence, Confidence.MEDIUM)
        return Confidence.MEDIUM if _WRITES.fullmatch(plain) else None

    def _check(self, match: Match, function: cst.FunctionDef, confidence: Confidence) -> None:
        told = self._told_after(match, function)
        if told is None:
            return
        what, node = told
        if named_like(function.name.value, *_STARTING):
            confidence = Confidence.LOW
        here, line = self.facts.line(match.node), self.facts.line(node)
        self.report(
            match.node,
            f"{what} on line {line} while the write handed over on line {here} is only scheduled in this process: a "
            "restart drops it",
            confidence=Confidence.weakest(match.confidence, confidence),
            trace=[(match.node, "the write is scheduled here"), (node, what)],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"await the write before line {line}, or hand it to a durable queue",
                manual_acks.handed_over_done(self.facts, match.call),
            ),
        )

    def _told_after(self, match: Match, function: cst.FunctionDef) -> tuple[str, cst.CSTNode] | None:
        flow = self.facts.flow(function)
        kept = self._name_of(match)
        answers = self._is_handler(function)
        named = last_name(match.call.func) == "add_task"

        def waits(point: object) -> bool:
            node = getattr(point, "node", None)
            if node is None or kept is None or isinstance(node, (cst.FunctionDef, cst.ClassDef)):
                return False
            waiting = (n for n in descendants(node, into_definitions=False) if isinstance(n, (cst.Await, cst.Call)))
            return any(
                isinstance(below, cst.Name) and below.value == kept
                for n in waiting
                if isinstance(n, cst.Await) or last_name(n.func) in ("result", "join", "wait", "gather", "as_completed")
                for below in descendants(n, into_definitions=False)
            )

        def tells(node: cst.CSTNode | None) -> str | None:
            if (
                isinstance(node, cst.Assign)
                and isinstance(node.targets[0].target, cst.Attribute)
                and _MARKS.fullmatch(node.targets[0].target.attr.value)
            ):
                return "it is marked as stored" if self.facts.is_constant(node.value, True) else None
            if isinstance(node, cst.Return) and node.value is not None:
                if self.facts.is_constant(node.value, True):
                    return "success is returned"
                if (answers or named) and not self.facts.is_constant(node.value, None, False):
                    return "the request is answered"
            return None

        way = paths.find(
            flow.points_of(match.node),
            lambda p: p.kind == "statement" and tells(p.node) is not None,
            avoiding=waits,
            raising=False,
            leaving="normally",
        )
        if way is None or way[-1].node is None:
            return None
        return tells(way[-1].node) or "", way[-1].node

    def _name_of(self, match: Match) -> str | None:
        holder = self.facts.tree.parent(match.call)
        if isinstance(holder, cst.Assign) and isinstance(holder.targets[0].target, cst.Name):
            return holder.targets[0].target.value
        return None

    def _is_handler(self, function: cst.FunctionDef) -> bool:
        """True for a function that a web framework calls with a request."""
        routed = any(
            isinstance(d.decorator, cst.Call)
            and isinstance(d.decorator.func, cst.Attribute)
            and d.decorator.func.attr.value in _ROUTES
            for d in function.decorators
        )
        return routed or any(named_like(p.name.value, "request*", "background_tasks") for p in parameters(function))
