"""SBL203: a repetition with no limit of attempts or time."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from safeboundary_lint.core import edits
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.loops import RetryLoop
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.recursion import unbounded_restart
from safeboundary_lint.core.retries import Region
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.repetitions import endless, hands_to_retry, keeps_going, restart
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.retries import given_up

_NETWORK = ("http-unsafe", "http-safe", "http-request", "side-effect", "connection-probe")
_RECONNECTING = (
    "*connect*", "*login*", "*refresh*", "*clos*", "*reset*", "*renew*", "*auth*", "*print*", "*log*", "*warn*", "*sleep*",
    "*wait*", "*doze*", "*delay*", "*pause*", "*backoff*",
)  # fmt: skip
_PROBING = (
    "*connect*", "*open*", "*ready*", "*alive*", "*ping*", "*_up", "*available*", "*reach*", "*listen*", "*health*",
    "*respond*",
)  # fmt: skip
_DAEMON = (
    "*loop*", "run", "run_*", "*forever*", "*worker*", "*daemon*", "*monitor*", "*listen*", "*watch*", "*consum*", "*subscri*",
    "main", "*serve*", "*poll*", "*heartbeat*", "*keep*alive*", "*reconnect*", "*thread*", "*background*", "*stream*",
    "*wait*", "*until*",
)  # fmt: skip

_LIMITS = {
    "stop": "stop_after_attempt(5)", "max_tries": "5", "stop_max_attempt_number": "5", "tries": "5", "attempts": "5",
    "max_retries": "5", "timeout": "60", "max_time": "60", "stop_max_delay": "60000",
}  # fmt: skip


class UnboundedRetry(Rule):
    """A failing operation is repeated with no limit of attempts or time.

    What it does
    ------------
    Finds retry decorators and retrying objects without a stop, loops that repeat an operation after each failure until it
    succeeds, loops that wait for a peer to answer, and functions that call themselves again after a failure, where nothing
    counts attempts, looks at a clock or can tell the repetition to stop.

    Why it matters
    --------------
    A peer that stays down turns the caller into a hang: the request, the thread and what they hold (a lock, a connection, a
    message) never come back, nobody is told, and all callers together keep the peer from getting up again.

    Example
    -------

        import time
        import requests

        def fetch_rates(url):
            while True:
                try:
                    return requests.get(url, timeout=5).json()
                except requests.RequestException:
                    time.sleep(1)

    Instead
    -------

        import time
        import requests

        def fetch_rates(url, attempts=5):
            for attempt in range(attempts):
                try:
                    return requests.get(url, timeout=5).json()
                except requests.RequestException:
                    if attempt == attempts - 1:
                        raise
                    time.sleep(2 ** attempt)

    Stays silent when
    -----------------
    Something that makes progress is compared in the loop (a counter, a clock), a stop flag or event ends it, it takes a new item
    each time (a consumer), the failures are of data or collisions, or a helper of the same file bounds it.

    Fix safety
    ----------
    Unsafe for decorators: a `stop` of five attempts is added, after which the error reaches the caller. Loops get the suggestion
    of a deadline, functions that start over that of a count. All the numbers are to be chosen.

    Known limits
    ------------
    A limit in another file is not seen. Loops in functions that look like a daemon's, and in methods of threads, are reported
    with low confidence.
    """

    code, name, since, severity = "SBL203", "unbounded-retry", "0.1", Severity.WARNING
    overlaps = ()
    needs = (
        ("retry-decorator", "retry-caller", hands_to_retry, restart, "=except", "sleep"),
        ("retry-decorator", "retry-caller", hands_to_retry, restart, "sleep", *_NETWORK),
        ("retry-decorator", "retry-caller", hands_to_retry, restart, endless, keeps_going),
        ("retry-decorator", "retry-caller", hands_to_retry, restart, endless, "sleep"),
    )
    anchored = 4  # a helper, and what it does three levels down
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        seen: set[int] = set()
        for region in self.facts.retries.regions():
            if id(region.site) in seen:
                continue
            seen.add(id(region.site))
            if region.how == "decorator" and region.match is not None:
                self._check_decorator(region)
            elif region.how == "recursion":
                self._check_recursion(region)
        reported = {id(region.match.node) for region in self.facts.retries.regions() if region.match is not None}
        for match in self.facts.calls("retry-caller"):
            if id(match.node) not in reported and self.facts.retries.stop(match) is False:
                self._report_policy(match.node, match.node, match.confidence, match.row.get("stops", []))
        for loop in self.facts.loops.retries():
            self._check_loop(loop)

    def visit_While(self, node: cst.While) -> None:
        """`while sock.connect_ex(address): sleep(1)`"""
        probe = next((c for c in descendants(node.test) if isinstance(c, cst.Call) and self._reaches_out(c)), None)
        sleeps = any(
            isinstance(n, cst.Call) and self.facts.match(n, "sleep") for n in descendants(node.body, into_definitions=False)
        )
        if (
            probe is None
            or not sleeps
            or any(isinstance(n, (cst.Return, cst.Break, cst.Raise, cst.Yield)) for n in descendants(node.body))
        ):
            return
        if any(isinstance(n, cst.BooleanOperation) for n in descendants(node.test)):
            return
        self.report(
            node.test,
            f"this waits for `{self.facts.code(probe)}` for ever: when the peer never answers, neither does this function",
            confidence=Confidence.MEDIUM
            if named_like(last_name(probe.func), *_PROBING) or self.facts.match(probe, *_NETWORK)
            else Confidence.LOW,
            fix=lambda: self._loop_fix(node, "count the attempts or keep a deadline of `time.monotonic()`, and raise when it has passed"),
        )

    def _reaches_out(self, call: cst.Call) -> bool:
        if self.facts.match(call, *_NETWORK) is not None:
            return True
        helper = self.facts.types.callee(call)
        return isinstance(helper, cst.FunctionDef) and bool(self.facts.summaries.effects(helper, *_NETWORK))

    # -- decorators --------------------------------------------------------------------------------------------------

    def _check_decorator(self, region: Region) -> None:
        match = region.match
        assert match is not None
        if self.facts.retries.stop(match) is not False:
            return
        site = region.site.decorator if isinstance(region.site, cst.Decorator) else region.site
        self._report_policy(site, match.node, match.confidence, match.row.get("stops", []), region.function)

    def _report_policy(
        self,
        site: cst.CSTNode,
        policy: cst.CSTNode,
        confidence: Confidence,
        stops: list[str],
        function: cst.CSTNode | None = None,
    ) -> None:
        name = f"`{function.name.value}`" if isinstance(function, cst.FunctionDef) else "what it runs"
        self.report(
            site,
            f"{name} is repeated for ever while it fails: the caller hangs and "
            f"never learns why, because nothing stops `{self.facts.code(policy)}`",
            confidence=confidence,
            fix=lambda: self._policy_fix(policy, stops),
        )

    def _policy_fix(self, policy: cst.CSTNode, stops: list[str]) -> Fix:
        args = policy.args if isinstance(policy, cst.Call) else ()
        named = {arg.keyword.value: arg.value for arg in args if arg.keyword is not None}
        switched_off = next((name for name in stops if name in named), None)
        limit = switched_off or next((name for name in stops if name in _LIMITS), None)
        if limit is None or limit not in _LIMITS:
            return Fix(
                Applicability.SUGGESTION,
                f"give up at some time: set `{stops[0] if stops else 'a limit'}`, so that the last error reaches the caller",
            )
        text = f"{limit}={_LIMITS[limit]}"
        message = f"give up at some time: `{text}`, so that the last error reaches the caller"
        maker = policy.func if isinstance(policy, cst.Call) else policy
        imports: tuple[str, ...] = ()
        if text.startswith("stop="):
            if isinstance(maker, cst.Attribute):
                text = f"stop={self.facts.code(maker.value)}.stop_after_attempt(5)"
            else:
                imports = (f"from {(self.facts.names.qualified(maker) or '').partition('.')[0]} import stop_after_attempt",)
        if not isinstance(policy, cst.Call):
            return Fix(
                Applicability.UNSAFE,
                message,
                (edits.replaced(self.facts, policy, f"{self.facts.code(policy)}({text})"),),
                imports,
            )
        if switched_off is not None:
            edit: Edit | None = edits.replaced(self.facts, named[switched_off], text.partition("=")[2])
        else:
            edit = edits.argument_added(self.facts, policy, text)
        return (
            Fix(Applicability.UNSAFE, message, (edit,), imports) if edit is not None else Fix(Applicability.SUGGESTION, message)
        )

    # -- loops and recursion -----------------------------------------------------------------------------------------

    def _check_loop(self, loop: RetryLoop) -> None:
        answers = self.facts.loops.repeating_answers(loop) if not loop.handlers else []
        if not (loop.handlers or answers) or not (
            loop.exits or isinstance(loop.node, cst.While) and self.facts.loops.ends_on_success(loop)
        ):
            return
        work = [n for n in descendants(loop.node.body, into_definitions=False) if isinstance(n, cst.Call)]
        network = next((call for call in work if self._reaches_out(call)), None)
        broad = (
            bool(answers)
            and network is not None
            or any(self.facts.exceptions.catches_all(handler.type) or self._is_lost(handler) for handler in loop.handlers)
        )
        if (
            not broad
            or network is None
            and not loop.sleeps
            or self.facts.loops.takes_new_input(loop)
            or self.facts.loops.is_bounded(loop)
        ):
            return
        around = self.facts.tree.enclosing(loop.node, cst.FunctionDef)
        daemon = (
            around is None
            or named_like(around.name.value, *_DAEMON)
            or self._is_thread(around)
            or network is None
            and bool(loop.handlers)
            and all(map(self.facts.loops.is_narrowed, loop.handlers))
        )
        cause: cst.CSTNode = loop.handlers[0] if loop.handlers else answers[0].test
        done = f"`{self.facts.code(network)}`" if network is not None else "the work"
        self.report(
            loop.node.test if isinstance(loop.node, cst.While) else loop.node.iter,
            f"{done} is repeated for ever while it fails: after line {self.facts.line(cause)} "
            "the loop starts over, with no limit of attempts or time",
            confidence=Confidence.LOW if daemon else Confidence.MEDIUM if network is None else Confidence.HIGH,
            trace=[(cause, "a failure is seen here and the loop goes on")],
            fix=lambda: self._loop_fix(
                loop.node,
                "count the attempts (`for attempt in range(5)`) or keep a deadline of `time.monotonic()`, "
                "and let the last error out",
                loop.handlers,
            ),
        )

    def _loop_fix(self, loop: cst.For | cst.While, words: str, handlers: Sequence[cst.ExceptHandler] = ()) -> Fix:
        changes = given_up.with_deadline(self.facts, loop, handlers)
        return Fix(Applicability.SUGGESTION, words, changes, ("import time",) if changes else ())

    def _is_thread(self, function: cst.FunctionDef) -> bool:
        """The function is a method of a thread: what it keeps waiting is that thread, until the peer is back."""
        cls = self.facts.types.method_class(function)
        bases = self.facts.types.foreign_bases(cls) if cls is not None else []
        return any(named_like(base.rpartition(".")[2].lower(), "*thread") for base in bases)

    def _is_lost(self, handler: cst.ExceptHandler) -> bool:
        return any(self.facts.outcomes.is_ambiguous(name) is not False for name in self.facts.exceptions.classes(handler.type))

    def _repairs(self, call: cst.Call) -> bool:
        """What failed is mended before the function starts over: it need not fail again."""
        order, block = self.facts.tree.order, self.facts.tree.enclosing(call, cst.IndentedBlock)
        before = (
            [n for n in descendants(block, into_definitions=False) if isinstance(n, cst.Call) and order[id(n)] < order[id(call)]]
            if block is not None
            else []
        )
        mending = [
            n
            for n in before
            if self.facts.exceptions.can_raise(n)
            and self.facts.match(n, "sleep") is None
            and not isinstance(self.facts.tree.parent(n), cst.Arg)
        ]
        return any(
            not named_like(last_name(n.func), *_RECONNECTING) and isinstance(self.facts.tree.statement_of(n), cst.Expr)
            for n in mending
        )

    def _check_recursion(self, region: Region) -> None:
        call = region.site
        assert isinstance(call, cst.Call) and isinstance(region.function, cst.FunctionDef)
        why = unbounded_restart(self.facts, call, region.function)
        if why is None:
            return
        self.report(
            call,
            f"`{region.function.name.value}` starts over here each time "
            f"it fails and {why}: it ends in a RecursionError, or never",
            confidence=Confidence.HIGH
            if why.startswith("passes")
            else Confidence.LOW
            if self._repairs(call)
            else Confidence.MEDIUM,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "pass the number of attempts on, and raise when none is left; a loop says it more plainly",
                given_up.counted_down(self.facts, call, region.function, why.split("`")[1] if why.startswith("passes") else None),
            ),
        )
