"""SBL207: an HTTP client's retry policy repeats POST or PATCH."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import edits
from safeboundary_lint.core.calls import argument, string, unpacks
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.http import METHODS, UNSAFE_METHODS, listed_methods
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")


class RetryPolicyUnsafeMethods(Rule):
    """A retry policy of an HTTP client repeats requests that do their work again each time.

    What it does
    ------------
    Finds retry policies (urllib3's `Retry` in a requests adapter, httpx-retries, aiohttp-retry) whose list of methods
    contains POST or PATCH, or which allow every method.

    Why it matters
    --------------
    The policy works below the code that sends. When an answer is lost (a read timeout, a 502 of a proxy) the server has often
    done the work already; the client sends the POST again, and there are two orders, two devices, two mails.

    Example
    -------

        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        def make_session():
            retry = Retry(total=3, status_forcelist=[502, 503, 504], allowed_methods=["GET", "POST"])
            session = requests.Session()
            session.mount("https://", HTTPAdapter(max_retries=retry))
            return session

    Instead
    -------

        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        def make_session():
            retry = Retry(total=3, status_forcelist=[502, 503, 504], allowed_methods=["GET"])
            session = requests.Session()
            session.mount("https://", HTTPAdapter(max_retries=retry))
            return session

    Stays silent when
    -----------------
    The counters exclude it (`total=0`; `read=0` with `status=0` or no list of statuses), every unsafe request of
    the file carries an idempotency key, or the list comes from elsewhere.

    Fix safety
    ----------
    Unsafe: POST and PATCH are taken out of a literal list, or the argument that allows every method is removed. Requests
    that relied on the repetition now fail at once. A suggestion where the list stands elsewhere, is missing or
    has nothing else in it: it is spelled out.

    Known limits
    ------------
    Whether the server deduplicates by itself can't be seen. A policy that lists PATCH and not POST is reported with low
    confidence.
    """

    code, name, since, severity = "SBL207", "retry-policy-unsafe-methods", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("retry-policy",),)
    whole = True  # a key set anywhere in the file answers it
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        policies = self.facts.calls("retry-policy")
        if policies and not self._keyed(node):
            for policy in policies:
                self._check(policy)

    def _keyed(self, module: cst.Module) -> bool:
        """Every unsafe request of the file carries a key; where none is in sight, something here makes keys."""
        requests, sent = self.facts.requests, self.facts.calls("http-unsafe")
        functions = [self.facts.tree.function_of(match.node) or match.node for match in sent]
        return all(requests.carries_key([function]) for function in functions) if sent else requests.carries_key([module])

    def _check(self, policy: Match) -> None:
        call = policy.call
        given = next(
            (arg for arg in call.args if arg.keyword is not None and arg.keyword.value in policy.row.get("methods", ())), None
        )
        if self._switched_off(policy):
            return
        if given is None:
            if policy.row.get("default_any") and not unpacks(call):
                sends = self.facts.calls("http-unsafe")
                self._report(policy, call, "every method", Confidence.MEDIUM if sends else Confidence.LOW)
            return
        if self._allows_any(policy, given.value):
            self._report(policy, given, "every method", policy.confidence)
            return
        unsafe = sorted(listed_methods(self.facts, given.value) & UNSAFE_METHODS, reverse=True)
        if unsafe:
            confidence = policy.confidence if "POST" in unsafe else Confidence.LOW
            self._report(policy, given, " and ".join(reversed(unsafe[::-1])), confidence)

    def _switched_off(self, policy: Match) -> bool:
        """The counters leave nothing by which an unsafe request could be repeated."""
        call, counters = policy.call, policy.row.get("counters", [])

        def off(name: str, position: int | None = None) -> bool:
            value = argument(call, name, position)
            return value is not None and self.facts.is_constant(value, 0, False)

        if "total" in counters and off("total", 0) or "attempts" in counters and off("attempts", 0):
            return True
        listed = any(argument(call, name) is not None for name in policy.row.get("statuses", ()))
        return "read" in counters and off("read") and (off("status") or not listed)

    def _allows_any(self, policy: Match, value: cst.BaseExpression) -> bool:
        anything = policy.row.get("any", [])
        return ("None" in anything and self.facts.is_constant(value, None)) or (
            False in anything and self.facts.is_constant(value, False)
        )

    def _report(self, policy: Match, node: cst.CSTNode, what: str, confidence: Confidence) -> None:
        self.report(
            node,
            f"this policy repeats {what} after a lost answer: what the server did the first time is done again",
            confidence=confidence,
            trace=[(policy.call, f"the policy: `{self.facts.code(policy.call)}`")],
            fix=lambda: self._fix(policy, node, what),
        )

    def _fix(self, policy: Match, node: cst.CSTNode, what: str) -> Fix:
        if isinstance(node, cst.Arg):
            if what == "every method" and not policy.row.get("default_any"):
                return Fix(
                    Applicability.UNSAFE,
                    "leave the default list, which has no POST and PATCH",
                    (edits.argument_removed(self.facts, policy.call, node),),
                )
            if (edit := self._without_unsafe(policy, node)) is not None:
                return Fix(
                    Applicability.UNSAFE,
                    f"take {what} out of the list; repeat it only where an idempotency key makes that harmless",
                    (edit,),
                )
        advice = (
            "list only GET, HEAD, PUT, DELETE and OPTIONS, and repeat "
            f"{what if what != 'every method' else 'POST'} only with an idempotency key"
        )
        return self._spelled_out(policy, node, advice)

    def _spelled_out(self, policy: Match, node: cst.CSTNode, advice: str) -> Fix:
        """The methods that may be repeated, as a list of its own at this policy."""
        given = node.value if isinstance(node, cst.Arg) else None
        kept = sorted(listed_methods(self.facts, given) - UNSAFE_METHODS) if given is not None else list(_REPEATABLE)
        text = f"[{', '.join(repr(one).replace(chr(39), chr(34)) for one in kept or _REPEATABLE)}]"
        if given is not None:
            return Fix(Applicability.SUGGESTION, advice, (edits.replaced(self.facts, given, text),))
        names = policy.row.get("methods", ())
        added = edits.argument_added(self.facts, policy.call, f"{names[0]}={text}") if names else None
        return Fix(Applicability.SUGGESTION, advice, (added,) if added is not None else ())

    def _without_unsafe(self, policy: Match, given: cst.Arg) -> Edit | None:
        """The literal list, or what extends another one, without POST and PATCH; None where that can't be told."""
        value = given.value
        if isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.BitOr):
            added = listed_methods(self.facts, value.right)
            kept_anyway = listed_methods(self.facts, value.left) & added
            wholly = isinstance(value.right, cst.Set) and added <= UNSAFE_METHODS and not kept_anyway
            return edits.replaced(self.facts, value, edits.source_of(self.facts, value.left)) if wholly else None
        if (
            isinstance(value, cst.Call)
            and last_name(value.func) in ("frozenset", "set", "list", "tuple")
            and len(value.args) == 1
        ):
            value = value.args[0].value
        if not isinstance(value, (cst.List, cst.Tuple, cst.Set)):
            return None
        texts = [string(element.value) for element in value.elements]
        if any(text is None or text.upper() not in METHODS for text in texts):
            return None
        kept = [
            element for element, text in zip(value.elements, texts, strict=True) if text and text.upper() not in UNSAFE_METHODS
        ]
        if not kept or any(isinstance(below, cst.Comment) for below in descendants(value)):
            return None
        inner = ", ".join(self.facts.code(element.value) for element in kept)
        if isinstance(value, cst.Tuple):  # its parentheses are not part of its place
            return edits.replaced(self.facts, value, f"{inner}," if len(kept) == 1 else inner)
        opening, closing = "[]" if isinstance(value, cst.List) else "{}"
        return edits.replaced(self.facts, value, f"{opening}{inner}{closing}")
