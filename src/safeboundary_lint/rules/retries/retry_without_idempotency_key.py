"""SBL201: an operation that does its work again each time is repeated, and nothing lets the peer recognise the repetition."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.http import UNSAFE_METHODS
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.resending import resends
from safeboundary_lint.core.retries import Region
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.repetitions import retry_loop
from safeboundary_lint.core.summaries import Effect
from safeboundary_lint.core.words import STATUSES
from safeboundary_lint.rules.retries import sent_keys

_SENDING = ("http-unsafe", "http-request", "side-effect")


class RetryWithoutIdempotencyKey(Rule):
    """A POST, mail, payment or message is sent again after a failure, with nothing by which the peer could know it again.

    What it does
    ------------
    Finds unsafe operations (POST and PATCH, mail, payments, chat messages, orders) inside something that repeats: a retry
    decorator, a retrying object, a hand-written loop, a function that calls itself again; also through helpers of the file.

    Why it matters
    --------------
    A timeout or a lost connection does not say that the request failed: often the answer was lost and the work is done. Sent
    again with no key, the card is charged twice, the mail goes out three times.

    Example
    -------

        import requests
        from tenacity import retry, stop_after_attempt

        @retry(stop=stop_after_attempt(3))
        def create_invoice(customer, amount):
            answer = requests.post("https://billing.example/invoices", json={"customer": customer, "amount": amount}, timeout=5)
            answer.raise_for_status()
            return answer.json()

    Instead
    -------

        import uuid
        import requests
        from tenacity import retry, stop_after_attempt

        def create_invoice(customer, amount):
            return _send_invoice(customer, amount, str(uuid.uuid4()))

        @retry(stop=stop_after_attempt(3))
        def _send_invoice(customer, amount, key):
            answer = requests.post(
                "https://billing.example/invoices",
                json={"customer": customer, "amount": amount},
                headers={"Idempotency-Key": key},
                timeout=5,
            )
            answer.raise_for_status()
            return answer.json()

    Stays silent when
    -----------------
    A key is sent (in a header, the body or an argument; for mail, a Message-ID), only refusals (429, 401) and failures to connect
    are repeated, or an exception of the file that is raised for a reason found in the answer; a test of the method gates the
    repetition, the decorator asks for a single attempt, or the POST is a read: search, query, graphql, token, a guardrail's
    verdict.

    Fix safety
    ----------
    A suggestion: it makes a key in front of what is repeated, or takes one as a parameter, and sends it in the parameter or
    header that is usual. What the peer calls its key, and whether it heeds one, only its documentation says.

    Known limits
    ------------
    Peers that recognise a repetition by the content itself (a unique name, a natural key) can't be told apart; say so with
    `# safeboundary: retry=idempotent -- reason`. Telemetry and shipped logs, and
    wrappers of every method that this file only uses to GET, are reported with low confidence.
    """

    code, name, since, severity = "SBL201", "retry-without-idempotency-key", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("http-unsafe", "http-request", "side-effect"),)
    mentions = (  # what repeats
        ("retry-decorator", "retry-caller", "reschedule", "sleep", "=try", *map("={}".format, sorted(STATUSES)), "%status_code|too_many|rate_limit|retry"),
    )
    beside, reach = (retry_loop,), 2  # what is sent may be repeated by another function

    def visit_Module(self, node: cst.Module) -> None:
        seen: set[int] = set()
        for region in self.facts.retries.regions():
            if id(region.body) in seen:
                continue
            for effect in self.facts.summaries.effects_in(region.body, *_SENDING):
                confidence = self._unsafe(region, effect)
                cause = resends(self.facts, region, effect.call) if confidence is not None else None
                if confidence is not None and cause is not None:
                    seen.add(id(region.body))
                    self._report(region, effect, cause, confidence)
                    break

    def _unsafe(self, region: Region, effect: Effect) -> Confidence | None:
        """How sure it is that repeating the operation does its work twice; None when it is harmless."""
        requests, match = self.facts.requests, effect.match
        own = region.function if isinstance(region.function, (cst.FunctionDef, cst.Lambda)) else region.body
        chain = [own, *effect.via]
        if any(argument(match.call, key) is not None for key in match.row.get("keys", ())) or requests.carries_key(
            [*chain, match.node]
        ):
            return None
        if match.row.kind != "side-effect" and requests.only_reads([*chain, effect.call, match.call]):
            return None
        if match.row.get("what") == "mail" and self._is_marked_mail(region):
            return None
        confidence = Confidence.weakest(match.confidence, region.confidence)
        if requests.is_best_effort([*chain, effect.call, match.call]):
            confidence = Confidence.LOW
        if match.row.kind == "http-request":
            methods = requests.methods(match)
            if methods is None:
                return None if requests.gated_by_method(chain) else Confidence.weakest(confidence, self._wrapper(match))
            return confidence if methods & UNSAFE_METHODS else None
        return confidence

    def _is_marked_mail(self, region: Region) -> bool:
        """The mail has its Message-ID before it is sent: each copy of it is known for one."""
        marks = (store.target for store in self.facts.names.stores if _is_message_id(store.target))
        return any(not self.facts.tree.within(mark, region.body) for mark in marks)

    def _wrapper(self, operation: Match) -> Confidence:
        """A wrapper of every method: sure enough where its callers in this file send POST through it, or its name says so."""
        call = operation.call
        if (seen := self.facts.requests.seen_methods(operation)) and not seen & UNSAFE_METHODS:
            return Confidence.LOW
        function = self.facts.tree.enclosing(call, cst.FunctionDef)
        wraps = function is not None and named_like(function.name.value, "*request*", "*api_call*", "send", "call", "make_call")
        callers = self.facts.types.callers(function) if function is not None else []
        posts = any(string(arg.value) in ("POST", "post") for caller in callers for arg in caller.args)
        return Confidence.MEDIUM if posts or wraps else Confidence.LOW

    def _report(self, region: Region, effect: Effect, cause: cst.CSTNode, confidence: Confidence) -> None:
        sent = self.facts.code(effect.match.call.func)
        what = effect.match.row.get("what") or "HTTP request"
        line = self.facts.line(effect.match.call)
        how = {
            "decorator": "the decorated function runs",
            "loop": "the loop goes round",
            "recursion": "the function starts over",
            "rescheduling": "the task is run",
        }[region.how]
        trace: list[tuple[cst.CSTNode, str]] = [(effect.match.call, f"`{sent}` may have done its work when its answer is lost")]
        if cause is not region.site:
            trace.append((cause, "from here it is repeated"))
        later = self._later_read(region, effect)
        if later is not None:
            trace.append((later, "a failure of this read, too, sends again what was already done"))
        site = region.site
        if isinstance(site, cst.For):
            site = site.iter
        elif isinstance(site, cst.While):
            site = site.test
        self.report(
            site.decorator if isinstance(site, cst.Decorator) else site,
            f"when the answer to `{sent}` in line {line} is lost, {how} again "
            f"and the {what} is sent a second time: no key lets the peer see that",
            confidence=confidence,
            trace=trace,
            fix=lambda: self._fix(region, effect, sent),
        )

    def _fix(self, region: Region, effect: Effect, sent: str) -> Fix:
        words = (
            "make a key once, outside what is repeated, and send it with each attempt, "
            f"or leave `{sent}` out of the repetition"
        )
        name = "idempotency_key"
        source = sent_keys.from_outside(self.facts, region, name, sent_keys.MADE)
        if source is None or len(effect.via) > 1:
            return Fix(Applicability.SUGGESTION, words)
        key, made = source
        handed = sent_keys.through(self.facts, effect.via[0], effect.call, key, name) if effect.via else ()
        given = sent_keys.sent(self.facts, effect.match, name if effect.via else key)
        if given is None or effect.via and not handed:
            return Fix(Applicability.SUGGESTION, words)
        return Fix(Applicability.SUGGESTION, words, (*made, *handed, given), sent_keys.imports(made))

    def _later_read(self, region: Region, effect: Effect) -> cst.Call | None:
        order = self.facts.tree.order
        reads = self.facts.summaries.effects_in(region.body, "http-safe")
        return next((read.call for read in reads if order[id(read.call)] > order[id(effect.call)]), None)


def _is_message_id(target: cst.CSTNode) -> bool:
    """`mail["Message-ID"] = ...`"""
    index = target.slice[0].slice if isinstance(target, cst.Subscript) else None
    return isinstance(index, cst.Index) and (string(index.value) or "").lower() == "message-id"
