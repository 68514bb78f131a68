"""SBL208: when the attempts run out, the caller is told nothing."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import edits
from safeboundary_lint.core.calls import NotConstant
from safeboundary_lint.core.exhaustion import Ends, breaks_of, ends_of, gives_up_aloud
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.loops import RetryLoop
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.needs import LOOPS
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.repetitions import runs_out, tries_again
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.retries import given_up

_NETWORK = ("http-unsafe", "http-safe", "http-request", "side-effect", "connection-probe")
_LOOKING = ("*discover*", "*scan*", "*detect*", "*search*")  # to find nothing is an answer


class RetryExhaustionSilent(Rule):
    """A retry loop runs out of attempts and the function goes on as if nothing had failed.

    What it does
    ------------
    Finds counted retry loops after which, when every attempt failed, the function falls off its end, returns None, an empty
    value,
    True or what it has gathered so far, with no exception.

    Why it matters
    --------------
    The last error is gone. The caller takes None for "there is nothing", an empty list for "all of it", a truncated list for the
    whole, and deletes, bills or reports by it.

    Example
    -------

        import time
        import requests

        def load_accounts(url):
            for attempt in range(5):
                try:
                    return requests.get(url, timeout=5).json()
                except requests.RequestException:
                    time.sleep(2 ** attempt)

    Instead
    -------

        import time
        import requests

        def load_accounts(url):
            for attempt in range(5):
                try:
                    return requests.get(url, timeout=5).json()
                except requests.RequestException:
                    if attempt == 4:
                        raise
                    time.sleep(2 ** attempt)

    Stays silent when
    -----------------
    The last attempt raises, `for ... else` or what follows the loop raises, False or a result that carries the error is
    returned, the
    last answer is returned, or the failure is handled (a callback, a status written).

    Fix safety
    ----------
    Unsafe where the function falls off its end right behind the loop: a `raise` is added there, and callers that relied on None
    now see the error. Else a suggestion: the `raise` stands in an `else` of the loop, or in place of the `return`.

    Known limits
    ------------
    A function annotated as optional that returns None, one that logs the failure and returns nothing, and one that looks around
    for what there is (`discover_devices`) and finds nothing, are reported with low confidence.
    """

    code, name, since, severity = "SBL208", "retry-exhaustion-silent", "0.1", Severity.WARNING
    overlaps = ()
    needs = (LOOPS, (tries_again, "sleep"), (runs_out,))
    mentions = (("sleep", *_NETWORK, "%attempt|retry|retrie[sd]|tries|try_|^_+try$|backoff|trial|delays|failures"),)  # by name, or by what it does
    local = True
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for loop in self.facts.loops.retries():
            function = self.facts.tree.enclosing(loop.node, cst.FunctionDef)
            if (
                function is None
                or not (loop.counted or breaks_of(self.facts, loop))
                or not loop.exits
                or not self._is_retry(loop)
                or gives_up_aloud(self.facts, loop)
            ):
                continue
            ends = ends_of(self.facts, loop)
            if not ends.raises and not ends.acts and (told := self._told(loop, function, ends)) is not None:
                self._report(loop, function, ends, *told)

    def _is_retry(self, loop: RetryLoop) -> bool:
        """Failing and trying again, not polling."""
        if loop.handlers:
            return loop.telling or bool(loop.sleeps) or bool(self.facts.summaries.effects_in(loop.node.body, *_NETWORK))
        return loop.telling and bool(self.facts.summaries.effects_in(loop.node.body, *_NETWORK))

    def _told(self, loop: RetryLoop, function: cst.FunctionDef, ends: Ends) -> tuple[str, Confidence] | None:
        """What the caller sees, and how sure it is that this misleads."""
        values = [r.value for r in self._returns(function) if r.value is not None and last_name(r.value) != "None"]
        if any(isinstance(end.value, cst.Name) and end.value.value == "True" for end in ends.returns):
            return "True", Confidence.HIGH
        if values and all(isinstance(value, cst.Name) and value.value in ("True", "False") for value in values):
            return None  # nothing means no
        if ends.breaks is not None:
            gathered = [
                r
                for r in ends.returns
                if r.value is not None and not self._is_negative(r.value) and not _is_empty_literal(r.value)
            ]
            return ("what was gathered so far as if it were all", Confidence.MEDIUM) if gathered else None
        if self.facts.loops.around(loop.node) is not None:
            return None
        optional = _says_optional(function)
        for end in ends.returns:
            if end.value is None or last_name(end.value) == "None":
                return "None", Confidence.LOW if ends.logs or optional or end.value is not None else Confidence.MEDIUM
            if self._is_empty(end.value):
                weak = ends.logs or optional or named_like(function.name.value, *_LOOKING)
                return f"`{self.facts.code(end.value)}`", Confidence.LOW if weak else Confidence.MEDIUM
        if ends.falls:
            told_of = ends.logs or self._logs_failures(loop)
            weak = optional or not values and (told_of or not loop.telling)
            return "None" if values else "nothing", Confidence.LOW if weak else Confidence.MEDIUM
        return None

    def _logs_failures(self, loop: RetryLoop) -> bool:
        calls = (n for handler in loop.handlers for n in descendants(handler.body) if isinstance(n, cst.Call))
        return any(not self.facts.exceptions.can_raise(call) for call in calls)

    def _returns(self, function: cst.FunctionDef) -> list[cst.Return]:
        return [node for node in descendants(function.body, into_definitions=False) if isinstance(node, cst.Return)]

    def _is_negative(self, value: cst.BaseExpression) -> bool:
        return (
            any(self.facts.is_constant(node, False) for node in descendants(value) if isinstance(node, cst.Name))
            or last_name(value) == "None"
        )

    def _is_empty(self, value: cst.BaseExpression) -> bool:
        if _is_empty_literal(value):
            return True
        if isinstance(value, cst.Name):
            steps = self.facts.origins.step(value)
            return any(_is_empty_literal(step.node) or last_name(step.node) == "None" for step in steps)
        try:
            return self.facts.constant(value) == ""
        except NotConstant:
            return False

    def _report(self, loop: RetryLoop, function: cst.FunctionDef, ends: Ends, told: str, confidence: Confidence) -> None:
        site = loop.node.test if isinstance(loop.node, cst.While) else loop.node.iter
        trace: list[tuple[cst.CSTNode, str]] = [(handler, "the error of each attempt ends here") for handler in loop.handlers[:1]]
        trace += [
            (end, "reached when every attempt failed") for end in (*ends.returns, *((ends.breaks,) if ends.breaks else ()))[:2]
        ]
        self.report(
            site,
            f"when every attempt has failed `{function.name.value}` returns {told}: "
            "the last error is lost and the caller goes on as if there were none",
            confidence=confidence,
            trace=trace,
            fix=lambda: self._fix(loop, function, ends),
        )

    def _fix(self, loop: RetryLoop, function: cst.FunctionDef, ends: Ends) -> Fix:
        message = "raise when the attempts have run out, with the last error as its cause"
        told = f'raise {"ConnectionError" if loop.handlers else "TimeoutError"}("{function.name.value}: every attempt failed")'
        body = function.body.body
        left = [e for e in loop.exits if isinstance(e, cst.Break)]
        if body and body[-1] is loop.node and loop.node.orelse is None and not ends.returns and not left:
            behind = edits.lines_behind(self.facts, loop.node, told)
            return Fix(Applicability.UNSAFE if behind else Applicability.SUGGESTION, message, (behind,) if behind else ())
        if left and ends.breaks is None:
            changes = given_up.raised_in_else(self.facts, loop.node, told)
        else:
            changes = next((given_up.raised_in_place(self.facts, end, told) for end in (ends.breaks, *ends.returns) if end), ())
        return Fix(Applicability.SUGGESTION, message, changes)


def _is_empty_literal(value: cst.CSTNode) -> bool:
    return isinstance(value, (cst.List, cst.Dict, cst.Tuple)) and not value.elements


def _says_optional(function: cst.FunctionDef) -> bool:
    """The annotation says that there may be nothing."""
    annotation = function.returns.annotation if function.returns is not None else None
    names = (node for node in descendants(annotation) if isinstance(node, cst.Name)) if annotation is not None else ()
    return any(named_like(node.value, "optional", "none") for node in names) and not (
        isinstance(annotation, cst.Name) and annotation.value == "None"
    )
