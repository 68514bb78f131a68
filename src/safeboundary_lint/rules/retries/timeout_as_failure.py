"""SBL204: a lost answer to a mutating call is told as a definite failure."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.http import UNSAFE_METHODS, words
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.retries import MARKING, OUTCOME_STATE, tells_failure
from safeboundary_lint.core.summaries import Effect
from safeboundary_lint.core.tree import descendants

_SENDING = ("http-unsafe", "http-request", "side-effect")
_GRAVE = frozenset(
    "pay payment payments charge order orders transfer refund withdraw withdrawal invoice buy sell trade purchase checkout "
    "book booking reserve reservation deposit payout topup create submit transaction transactions capture settle provision "
    "activate subscribe subscription redeem mint swap place".split()
)
_NEGATIVE = ("fail", "failed", "failure", "declined", "rejected", "not_sent", "unpaid", "denied", "refused")
_OUTCOME = (
    "ok", "success", "succeeded", "successful", "is_success", "sent", "paid", "accepted", "done", "created", "result",
    "delivered", "is_ok", "charged", "confirmed",
)  # fmt: skip


class TimeoutAsFailure(Rule):
    """A timeout or lost connection around a call that changes something is answered as a certain failure.

    What it does
    ------------
    Finds handlers around payments, orders, creations and other POSTs that catch a lost answer (a read timeout, a broken
    connection,
    or a class above them) and return False, a result that says failed, or write the status failed.

    Why it matters
    --------------
    The peer may have done the work and only its answer was lost. Told "failed", the caller refunds, releases the stock or pays
    again, while the first payment goes through.

    Example
    -------

        import requests

        def pay_invoice(invoice):
            try:
                answer = requests.post("https://bank.example/payments", json={"invoice": invoice}, timeout=10)
                answer.raise_for_status()
            except requests.RequestException:
                return False
            return True

    Instead
    -------

        import requests

        def pay_invoice(invoice):
            try:
                answer = requests.post("https://bank.example/payments", json={"invoice": invoice}, timeout=10)
                answer.raise_for_status()
            except requests.ConnectTimeout:
                return False
            except requests.RequestException:
                return None  # unknown: the caller asks for the state of the payment
            return True

    Stays silent when
    -----------------
    The handler tells an unknown or pending result, raises, or asks the peer for the state; it covers only refusals,
    failures to connect or an
    unreadable answer; the call only reads.

    Fix safety
    ----------
    A suggestion: None stands where False was, or the state "unknown". The caller has to learn the third outcome.

    Known limits
    ------------
    Mail, messages and POSTs whose names say nothing of money or creation are reported with low confidence.
    """

    code, name, since, severity = "SBL204", "timeout-as-failure", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("http-unsafe", "http-request", "side-effect"), (tells_failure,))
    anchored, reach = 3, 3

    def visit_Try(self, node: cst.Try) -> None:
        if not node.handlers:
            return
        function = self.facts.tree.enclosing(node, cst.FunctionDef)
        for effect in self.facts.summaries.effects_in(node.body, *_SENDING) if function is not None else ():
            if self.facts.tree.enclosing(effect.call, cst.Try) is not node:
                continue
            assert function is not None
            confidence = self._grave(effect, function)
            for handler in node.handlers if confidence is not None else ():
                if (
                    self.facts.outcomes.catches_lost_answer(handler, node, effect.match)
                    and (told := self._tells_failure(handler)) is not None
                ):
                    self._report(handler, effect, told, Confidence.weakest(confidence, effect.match.confidence))
                    return

    def _grave(self, effect: Effect, function: cst.FunctionDef) -> Confidence | None:
        """How much a wrong answer about this call matters; None for one that changes nothing."""
        match, chain = effect.match, [function, *effect.via, effect.call, effect.match.call]
        if match.row.kind == "side-effect":
            return Confidence.HIGH if match.row.get("what") in ("payment", "order") else Confidence.LOW
        methods = self.facts.requests.methods(match)
        if methods is not None and not methods & UNSAFE_METHODS or self.facts.requests.only_reads(chain):
            return None
        told = {word for part in (function, *effect.via) if isinstance(part, cst.FunctionDef) for word in words(part.name.value)}
        for call in (effect.call, match.call):
            told |= {
                word
                for arg in call.args
                for n in descendants(arg.value)
                if isinstance(n, cst.SimpleString)
                for word in words(string(n) or "")
            }
        return Confidence.HIGH if told & _GRAVE and methods is not None else Confidence.LOW

    def _tells_failure(self, handler: cst.ExceptHandler) -> cst.CSTNode | None:
        """What in a handler says that the call certainly failed."""
        below = list(descendants(handler.body, into_definitions=False))
        if any(isinstance(node, cst.Raise) for node in below) or self.facts.summaries.effects_in(handler.body, "http-safe"):
            return None
        for node in below:
            if isinstance(node, cst.Return) and node.value is not None and self._is_negative(node.value):
                return node
            if isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Attribute):
                if named_like(node.targets[0].target.attr.value, *OUTCOME_STATE) and self._says_failed(node.value):
                    return node
            if isinstance(node, cst.Call) and self.facts.exceptions.can_raise(node) and self._records_failure(node):
                return node
        return None

    def _records_failure(self, call: cst.Call) -> bool:
        """`payments.filter(...).update(status="failed")`, `order.mark_failed()`"""
        if named_like(last_name(call.func), *MARKING):
            return True
        return any(
            arg.keyword is not None and named_like(arg.keyword.value, *OUTCOME_STATE) and self._says_failed(arg.value)
            for arg in call.args
        )

    def _is_negative(self, value: cst.BaseExpression) -> bool:
        if self.facts.is_constant(value, False) or self._says_failed(value):
            return True
        if isinstance(value, cst.Tuple):
            return bool(value.elements) and self.facts.is_constant(value.elements[0].value, False)
        if isinstance(value, cst.Dict):
            return any(isinstance(e, cst.DictElement) and self._is_negative_entry(string(e.key), e.value) for e in value.elements)
        if not isinstance(value, cst.Call):
            return False
        first = argument(value, "", 0)
        if first is not None and self.facts.is_constant(first, False) or self._names_failure(last_name(value.func)):
            return True
        return any(arg.keyword is not None and self._is_negative_entry(arg.keyword.value, arg.value) for arg in value.args)

    def _is_negative_entry(self, name: str | None, value: cst.BaseExpression) -> bool:
        if named_like(name, *_OUTCOME) and self.facts.is_constant(value, False):
            return True
        return named_like(name, *OUTCOME_STATE) and self._says_failed(value)

    def _says_failed(self, value: cst.BaseExpression) -> bool:
        text = string(value) or (last_name(value) if isinstance(value, (cst.Name, cst.Attribute)) else None)
        return text is not None and text.lower().strip("_") in _NEGATIVE

    @staticmethod
    def _names_failure(name: str | None) -> bool:
        return name is not None and name[:1].isupper() and any(word in _NEGATIVE for word in words(name))

    def _report(self, handler: cst.ExceptHandler, effect: Effect, told: cst.CSTNode, confidence: Confidence) -> None:
        sent = self.facts.code(effect.match.call.func)
        self.report(
            told,
            f"when the answer to `{sent}` in line {self.facts.line(effect.match.call)} is "
            "lost the work may be done all the same, but the caller is told that it failed",
            confidence=confidence,
            trace=[
                (effect.match.call, "sent here: after a timeout nobody knows whether it arrived"),
                (handler, "this handler also catches lost answers"),
            ],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "tell a third outcome (None, pending, unknown) for lost answers and ask "
                "the peer for the state; failure only for refusals and failures to connect",
                self._unknown(told),
            ),
        )

    def _unknown(self, told: cst.CSTNode) -> tuple[Edit, ...]:
        """The third outcome in place of the failure: None for False, "unknown" for a state."""
        for node in descendants(told, into_definitions=False):
            if isinstance(node, cst.Name) and node.value == "False":
                return (replaced(self.facts, node, "None"),)
            if isinstance(node, cst.SimpleString) and self._says_failed(node):
                return (replaced(self.facts, node, f"{node.quote}unknown{node.quote}"),)
        return ()
