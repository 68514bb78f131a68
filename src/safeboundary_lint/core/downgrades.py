"""Where code, after a failure, does the same thing again in a weaker way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, literal, string, string_parts
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes.negotiation import PLAIN_SCHEMES, SEARCHING, TELLING, goes_out, is_plain_address
from safeboundary_lint.core.weakening import PLAINTEXT, Weakening
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_ERRORS = Regex(r"(^|_)(err|error|errors|exc|exception|failure|failed)$")  # what these name is there when it went wrong
_ANYTHING = ("builtins.Exception", "builtins.BaseException")


@dataclass(eq=False)
class Downgrade:
    """A weaker second attempt."""

    weakening: Weakening
    after: cst.CSTNode  # the handler, the test or the loop by which it is reached
    first: cst.CSTNode | None  # the attempt that failed
    confidence: Confidence


class Downgrades:
    """The downgrades of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def holds(self, node: cst.CSTNode) -> bool:
        """True when this place is part of a downgrade, which tells more about it."""
        return any(one.weakening.node is node or any(o.node is node for o in one.weakening.others) for one in self.all)

    @cached_property
    def all(self) -> list[Downgrade]:
        """Every downgrade, in source order, one for each handler, test or loop."""
        security = self.facts.security
        weakenings = self.facts.tree.in_order((*security.unverified, *security.passing, *self._plaintext()), lambda one: one.node)
        found: dict[int, Downgrade] = {}
        told: set[tuple[int, str]] = set()  # one cause for each function and setting
        for one in weakenings:
            key = (id(self.facts.tree.function_of(one.node)), one.text)
            if key not in told and (downgrade := self._of(one)) is not None and id(downgrade.after) not in found:
                found[id(downgrade.after)] = downgrade
                told.add(key)
        found.update((id(one.after), one) for one in self._loops() if id(one.after) not in found)
        return list(found.values())

    def _plaintext(self) -> Iterator[Weakening]:
        yield from plain_urls(self.facts)
        yield from self.facts.security.unprotected

    def _of(self, one: Weakening) -> Downgrade | None:
        handler = self.facts.tree.enclosing(one.node, cst.ExceptHandler, cst.ExceptStarHandler, cst.FunctionDef, cst.Lambda)
        found = self._after_exception(one, handler) if isinstance(handler, (cst.ExceptHandler, cst.ExceptStarHandler)) else None
        return found or self._after_answer(one)

    # -- in a handler --------------------------------------------------------------------------------------------------

    def _after_exception(self, one: Weakening, handler: cst.ExceptHandler | cst.ExceptStarHandler) -> Downgrade | None:
        attempt = self.facts.tree.parent(handler)
        if not isinstance(attempt, (cst.Try, cst.TryStar)) or not self._about_the_peer(handler):
            return None
        tried = [node for node in descendants(attempt.body, into_definitions=False) if isinstance(node, cst.Call)]
        if not tried or self._given(one):
            return None
        if one.checks == PLAINTEXT and not self._protected(one, attempt.body):
            return None
        surest = (
            Confidence.HIGH
            if any("ssl" in name.lower() or "cert" in name.lower() for name in self._names(handler))
            else Confidence.MEDIUM
        )
        return Downgrade(
            one, handler, tried[0], Confidence.weakest(surest, one.confidence) if one.checks == PLAINTEXT else surest
        )

    def _given(self, one: Weakening) -> bool:
        return self.facts.consent.given(one.value or one.node)

    def _names(self, handler: cst.ExceptHandler | cst.ExceptStarHandler) -> list[str]:
        return [name.rpartition(".")[2] for name in self.facts.exceptions.classes(handler.type)]

    def _about_the_peer(self, handler: cst.ExceptHandler | cst.ExceptStarHandler) -> bool:
        """The handler can be reached by a failed handshake or connection, not only by a bug or a missing module."""
        for name in self.facts.exceptions.classes(handler.type) or ["builtins.Exception"]:
            lineage = self.facts.exceptions.lineage(name)
            if (
                name in _ANYTHING
                or "builtins.OSError" in lineage
                or not any(base.startswith("builtins.") for base in lineage[:1])
            ):
                return True
        return False

    # -- after an answer -----------------------------------------------------------------------------------------------

    def _after_answer(self, one: Weakening) -> Downgrade | None:
        """`if not self.ping(): self.use_https = False`, `if probe("https://..."): return ...; return "http://..."`."""
        if one.form == "default" or self._given(one):
            return None
        for test, outcome in self.facts.consent.conditions(one.value or one.node):
            attempt = self._attempt(test, one) if _failed(test, outcome) else None
            if attempt is not None:
                return Downgrade(one, test, attempt, Confidence.MEDIUM)
        return None

    def _attempt(self, test: cst.CSTNode, one: Weakening) -> cst.CSTNode | None:
        """The call whose answer a test looks at, when that call tried the protected way."""
        for node in descendants(test):
            origins = self.facts.origins.trail(node) if isinstance(node, (cst.Name, cst.Attribute)) else ()
            for call in (node, *(origin.node for origin in origins)):
                if (
                    isinstance(call, cst.Call)
                    and self._is_attempt(call)
                    and (self._mentions_protected(call, one) or self._probes(call) or self._set_before(call, one))
                ):
                    return call
        return None

    def _set_before(self, call: cst.Call, one: Weakening) -> bool:
        """`self.url = "https://..."`, the attempt, and `self.url = "http://..."`: the same address, unprotected the second time."""
        tree, names, order = self.facts.tree, self.facts.names, self.facts.tree.order
        function = tree.function_of(call)
        targets = [(self.facts.origins.place(store.target), store) for store in names.stores if tree.function_of(store.target) is function]
        place = next((at for at, store in targets if store.source is not None and tree.within(one.node, store.source)), None)
        return place is not None and any(
            at == place
            and store.source is not None
            and order.get(id(store.target), 0) < order.get(id(call), 0)
            and any(self._is_protected(node) for node in descendants(store.source))
            for at, store in targets
        )

    def _is_attempt(self, call: cst.Call) -> bool:
        """The name of the call says that it goes out: it is no look at a string."""
        return goes_out(last_name(call.func) or "")

    def _probes(self, call: cst.Call) -> bool:
        name = (last_name(call.func) or "").lower()
        if any(flag in name for flag in ("https", "tls", "ssl")) and any(
            part in name for part in ("available", "support", "works", "reach", "can_")
        ):
            return True
        return any(
            part in name
            for part in (
                "ping",
                "probe",
                "handshake",
                "check_connection",
                "test_connection",
                "try_connect",
                "supports_https",
                "is_reachable",
            )
        )

    def _mentions_protected(self, call: cst.Call, one: Weakening) -> bool:
        if one.checks != PLAINTEXT:
            return any(self.facts.match(call, kind) is not None for kind in ("verify-option", "implicit-tls"))
        return any(self._is_protected(node) for arg in call.args for node in descendants(arg))

    # -- in a loop -----------------------------------------------------------------------------------------------------

    def _loops(self) -> Iterator[Downgrade]:
        """`for scheme in ("https", "http")`, `for verify in (True, False)`: each failure is followed by the next, weaker way."""
        for loop in self.facts.tree.all(cst.For):
            ways = [
                origin.node for origin in self.facts.origins.trail(loop.iter) if isinstance(origin.node, (cst.Tuple, cst.List))
            ]
            weaker = self._weaker_way(loop.target, ways[0]) if ways else None
            handlers = [
                h for node in descendants(loop.body, into_definitions=False) if isinstance(node, cst.Try) for h in node.handlers
            ]
            handlers = [handler for handler in handlers if self._about_the_peer(handler) and self._goes_on(handler)]
            if weaker is None or not handlers or self.facts.consent.given(loop):
                continue
            text = f"{self.facts.code(loop.target)} = {self.facts.code(weaker)}"
            one = Weakening(weaker, PLAINTEXT, text, "loop", Confidence.MEDIUM, weaker)
            yield Downgrade(one, handlers[0], loop.iter, Confidence.MEDIUM)

    def _weaker_way(self, target: cst.CSTNode, ways: cst.Tuple | cst.List) -> cst.CSTNode | None:
        values = [element.value for element in ways.elements]
        try:
            first, *others = [literal(value) for value in values]
        except (NotConstant, ValueError):
            return None
        if not others or not isinstance(target, cst.Name):
            return None
        if isinstance(first, str):
            plain = {protected: scheme for scheme, protected in PLAIN_SCHEMES.items()}.get(first)
            return (
                next((value for value, other in zip(values[1:], others, strict=True) if other == plain), None) if plain else None
            )
        switched = any(self.facts.security.is_switch(kind, target.value) for kind in ("verify-switch", "secure-switch"))
        return values[1] if switched and first is True and others == [False] else None

    def _goes_on(self, handler: cst.ExceptHandler) -> bool:
        return not any(
            isinstance(node, (cst.Raise, cst.Return, cst.Break)) for node in descendants(handler.body, into_definitions=False)
        )

    # -- what was protected --------------------------------------------------------------------------------------------

    def _protected(self, one: Weakening, body: cst.CSTNode) -> bool:
        """The attempt that failed was the protected form of what the handler does."""
        if one.form in ("argument", "attribute", "entry", "position", "variable") and self._switch_off(one):
            return True
        if one.call is not None and one.form == "argument" and self._same_call(one.call, body):
            return True
        function = self.facts.tree.function_of(one.node)
        around = function.body if function is not None else body
        return (
            any(self._is_protected(node) for node in descendants(body))
            or self._replaces_scheme(one)
            or any(
                self._is_protected(node)
                for node in descendants(around)
                if self.facts.tree.order.get(id(node), 0) < self.facts.tree.order.get(id(one.node), 0)
            )
        )

    def _same_call(self, call: cst.Call, body: cst.CSTNode) -> bool:
        """What was tried is what is tried again."""
        tried = (last_name(node.func) for node in descendants(body) if isinstance(node, cst.Call))
        return last_name(call.func) in tried

    def _switch_off(self, one: Weakening) -> bool:
        try:
            return literal(one.value) in (False, True)
        except NotConstant:
            return False

    def _replaces_scheme(self, one: Weakening) -> bool:
        call = self.facts.tree.enclosing(one.node, cst.Call)
        return call is not None and last_name(call.func) in ("replace", "sub", "removeprefix")

    def _is_protected(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.SimpleString, cst.FormattedString)):
            text = (string_parts(node) or "").lower()
            return text.startswith(tuple(PLAIN_SCHEMES.values()))
        if (
            isinstance(node, cst.Arg)
            and node.keyword is not None
            and node.keyword.value in ("ssl", "tls", "secure", "use_ssl", "use_tls", "https")
        ):
            return not self.facts.is_constant(node.value, False, None)
        return isinstance(node, cst.Call) and self.facts.match(node, "implicit-tls", "starttls", "tls-connect") is not None


def _failed(test: cst.CSTNode, outcome: bool) -> bool:
    """The test went the way of a failure: `not ok`, `status != 200`, `answer is None`."""
    if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
        operator, right = test.comparisons[0].operator, test.comparisons[0].comparator
        none = isinstance(right, cst.Name) and right.value in ("None", "False")
        good = (cst.IsNot, cst.NotEqual) if none else (cst.Equal, cst.LessThan, cst.LessThanEqual, cst.Is, cst.In)
        return not outcome if isinstance(operator, good) else outcome
    return outcome if _ERRORS.search(last_name(test) or "") else not outcome


def is_plain_url(node: cst.CSTNode) -> bool:
    """True for text that makes an address unprotected: "http://...", f"http://{host}", not for this machine or a namespace."""
    return is_plain_address((string_parts(node) or "").lower())


def plain_urls(facts: Facts) -> Iterator[Weakening]:
    """Strings that make an unprotected address out of something."""
    tree = facts.tree
    for node in (*tree.all(cst.SimpleString), *tree.all(cst.FormattedString)):
        if (
            (is_plain_url(node) or _replaces_scheme(facts, node))
            and not isinstance(tree.parent(node), (cst.FormattedStringExpression, cst.ConcatenatedString))
            and _builds(facts, node)
        ):
            yield Weakening(node, PLAINTEXT, string(node) or facts.code(node), "url", Confidence.HIGH, node)


def _replaces_scheme(facts: Facts, node: cst.CSTNode) -> bool:
    """The second argument of `url.replace("https", "http")`."""
    arg = facts.tree.parent(node)
    call = facts.tree.parent(arg) if isinstance(arg, cst.Arg) else None
    if not isinstance(call, cst.Call) or last_name(call.func) != "replace" or len(call.args) < 2 or call.args[1] is not arg:
        return False
    before, after = string(call.args[0].value), string(node)
    return after is not None and before is not None and before.startswith(PLAIN_SCHEMES.get(after, "\0"))


def _builds(facts: Facts, node: cst.CSTNode) -> bool:
    """The string is used as an address, not compared, searched for, logged or raised."""
    for ancestor in facts.tree.ancestors(node):
        if isinstance(ancestor, (cst.Comparison, cst.Raise, cst.Assert)):
            return False
        if isinstance(ancestor, cst.Call):
            name = last_name(ancestor.func) or ""
            if name in SEARCHING:
                return False
            if name == "replace":
                return not ancestor.args or ancestor.args[0].value is not node
            if name in TELLING:
                return False
        if isinstance(ancestor, cst.Expr):
            return isinstance(ancestor.value, (cst.Call, cst.Await))
        if isinstance(ancestor, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
            return True
    return True
