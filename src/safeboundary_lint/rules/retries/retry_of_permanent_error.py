"""SBL211: failures that repeating can't mend are repeated."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import edits
from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity, Span
from safeboundary_lint.core.loops import RetryLoop
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.retries import Region
from safeboundary_lint.core.rule import Rule, Status
from safeboundary_lint.core.tree import descendants

_NETWORK = ("http-unsafe", "http-safe", "http-request", "side-effect")

Change = tuple[tuple[Edit, ...], tuple[str, ...]]  # edits and imports


class RetryOfPermanentError(Rule):
    """Every failure is repeated, the permanent ones too: a wrong request, a missing permission, a programming error.

    What it does
    ------------
    Finds retry decorators with no condition, and retry loops around network calls that catch every exception, where no answer or
    exception is told apart.

    Why it matters
    --------------
    A 400, a 403 or a TypeError fails the same way each time. Repeating it delays the error, multiplies the load, locks
    accounts, and hides
    the programming error behind a report of exhausted retries.

    Example
    -------

        import requests
        from tenacity import retry, stop_after_attempt

        @retry(stop=stop_after_attempt(5))
        def load_profile(user):
            answer = requests.get(f"https://people.example/{user}", timeout=5)
            answer.raise_for_status()
            return answer.json()

    Instead
    -------

        import requests
        from tenacity import retry, retry_if_exception_type, stop_after_attempt

        @retry(stop=stop_after_attempt(5), retry=retry_if_exception_type((requests.ConnectionError, requests.Timeout)))
        def load_profile(user):
            answer = requests.get(f"https://people.example/{user}", timeout=5)
            answer.raise_for_status()
            return answer.json()

    Stays silent when
    -----------------
    The decorator has a condition, the handler looks at the exception and lets some of it out, a narrower handler before it
    raises, or the
    body calls nothing at the network.

    Fix safety
    ----------
    A suggestion: the errors of the client's library after which another attempt may succeed. Which failures pass depends on the
    peer.

    Known limits
    ------------
    A preview: many teams accept three useless attempts for the simplicity.
    """

    code, name, since, severity = "SBL211", "retry-of-permanent-error", "0.1", Severity.INFO
    overlaps = ()
    status = Status.PREVIEW
    needs = (("http-unsafe", "http-safe", "http-request", "side-effect"), ("retry-decorator", "retry-caller", "^except"))
    anchored = 4  # a helper, and what it does three levels down

    def visit_Module(self, node: cst.Module) -> None:
        for region in self.facts.retries.regions():
            calls = self.facts.summaries.effects_in(region.body, *_NETWORK)
            if not calls:
                continue
            call = calls[0].call
            if region.how == "decorator" and region.match is not None and self._is_unconditional(region):
                site = region.site.decorator if isinstance(region.site, cst.Decorator) else region.site
                self._report(site, call, region.match.confidence, self._narrowed(region.match, calls[0].match))
            elif (
                region.loop is not None
                and region.how == "loop"
                and (handler := self._catches_everything(region.loop, call)) is not None
            ):
                self._report(handler, call, Confidence.MEDIUM, self._caught(handler, calls[0].match))

    def _is_unconditional(self, region: Region) -> bool:
        assert region.match is not None
        if region.match.row.parameter("exceptions") is None:
            return False  # a decorator whose conditions are not known
        conditions = self.facts.retries.conditions(region)
        every = all(name in ("builtins.Exception", "builtins.BaseException") for name in conditions.classes)
        return not conditions.unknown and not conditions.predicates and every and not self._has_condition(region)

    def _has_condition(self, region: Region) -> bool:
        """`giveup=is_fatal`, or a condition that is not made of classes."""
        call = region.match.node if region.match is not None else None
        named = {arg.keyword.value for arg in call.args if arg.keyword is not None} if isinstance(call, cst.Call) else set()
        parameter = region.match.row.parameter("exceptions") if region.match is not None else None
        conditions = self.facts.retries.conditions(region)
        return bool(named & {"giveup", "retry_on_result", "retry_on_exception", "dont_autoretry_for", "on_error"}) or bool(
            parameter is not None and parameter.name in named and not conditions.classes
        )

    def _catches_everything(self, loop: RetryLoop, call: cst.Call) -> cst.ExceptHandler | None:
        for handler in loop.handlers:
            block = self.facts.tree.parent(handler)
            if not loop.exits or not isinstance(block, cst.Try) or not self.facts.tree.within(call, block.body):
                continue
            earlier = block.handlers[: next(i for i, one in enumerate(block.handlers) if one is handler)]
            told_apart = any(isinstance(n, (cst.Raise, cst.Return, cst.Break)) for one in earlier for n in descendants(one.body))
            asks = any(isinstance(n, cst.If) for n in descendants(handler.body)) and self.facts.loops.is_narrowed(handler)
            if self.facts.exceptions.catches_all(handler.type) and not told_apart and not asks:
                return handler
        return None

    def _report(self, site: cst.CSTNode, call: cst.Call, confidence: Confidence, passing: Change) -> None:
        self.report(
            site,
            f"every failure of `{self.facts.code(call.func)}` is repeated, also those "
            "that stay: a refused or wrong request fails the same way each time",
            confidence=confidence,
            trace=[(call, "this is repeated whatever went wrong")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "repeat only timeouts, lost connections, 429 and 5xx; let everything else out at once",
                *passing,
            ),
        )

    def _passing(self, sent: Match) -> str | None:
        """The errors of the client's library after which another attempt may succeed, as this file calls them."""
        root = sent.dotted.partition(".")[0]
        names = [
            name
            for name, rows in self.facts.knowledge.rows.items()
            if name.startswith(f"{root}.") and any(row.kind == "ambiguous-error" for row in rows)
        ]
        bound = self.facts.names.module_scope.bindings.items()
        local = next((name for name, ones in bound for one in ones if one.how == "import" and one.dotted == root), None)
        return f"({', '.join(local + name.removeprefix(root) for name in names)})" if local and len(names) > 1 else None

    def _caught(self, handler: cst.ExceptHandler, sent: Match) -> Change:
        if (passing := self._passing(sent)) is None:
            return (), ()
        if handler.type is not None:
            return (edits.replaced(self.facts, handler.type, passing),), ()
        span = self.facts.span(handler)
        behind = span.column + len("except")
        return (Edit(Span(span.line, behind, span.line, behind), f" {passing}"),), ()

    def _narrowed(self, policy: Match, sent: Match) -> Change:
        """The classes in the policy's own parameter; in a predicate of its library where it wants one."""
        parameter, passing = policy.row.parameter("exceptions"), self._passing(sent)
        if parameter is None or passing is None or not isinstance(policy.node, cst.Call):
            return (), ()
        imports: tuple[str, ...] = ()
        if (predicate := policy.row.get("condition")) is not None:
            maker = policy.call.func
            if isinstance(maker, cst.Attribute):
                predicate = f"{edits.source_of(self.facts, maker.value)}.{predicate}"
            else:
                imports = (f"from {(self.facts.names.qualified(maker) or '').rpartition('.')[0]} import {predicate}",)
            passing = f"{predicate}({passing})"
        given = argument(policy.call, parameter)
        added = edits.argument_added(self.facts, policy.call, f"{parameter.name}={passing}") if given is None else None
        changed = edits.replaced(self.facts, given, passing) if given is not None else added
        return ((changed,), imports) if changed is not None else ((), ())
