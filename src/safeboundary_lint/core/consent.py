"""Did somebody ask for the weaker way: is a place reached only where an option that means "insecure" is set?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.paths import implied
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

# Parts of names: set, an option with one of the first weakens; with one of the second, it weakens when it is not set.
_WEAKENS = tuple(
    "insecure skip ignore allow permit trust unsafe disable noverify no_verify nossl notls no_tls no_ssl selfsigned "
    "self_signed unverified "
    "plaintext plain_text no_check danger debug localhost loopback is_local unencrypted without warn_only best_effort "
    "optional lenient "
    "accept_any accept_unknown accept_all accept_invalid fallback_ok opportunistic fail_open dev_mode development".split()
)
_WITHOUT = Regex(r"(^|_)no_(\w+_)?(check|checks|checking|verify|verification|validate|validation)$")  # `no_host_key_check`
_STRENGTHENS = tuple("verif valid secure strict check require ssl tls https enforce encrypt mandatory".split())
_SETTINGS = ("mode", "level", "policy", "scheme", "proto", "security", "reqs", "encryption", "tls", "ssl", "verif")
_NAMED_WEAK = tuple(
    "insecure unsafe noverify no_verify non_verif unverified selfsigned self_signed without skip disable "
    "unchecked no_check trust_all dangerous".split()
)
_WEAK_MODES = frozenset("none off no 0 false never optional allow prefer require plain http disabled anonymous".split())
_SAID = frozenset("1 true yes on y t".split())
_TRANSPORT = frozenset("secure ssl tls https".split())
_OBJECTS = tuple(
    "context ctx file path bundle ca certs cert key params options config sock socket error exc exception version".split()
)


class Consent:
    """Answers about the code of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def given(self, node: cst.CSTNode) -> bool:
        """True when an explicit option has to be set for this node to be evaluated, or the function is named for doing it."""
        return self.named_for_it(node) or any(
            consents(test, outcome) or self._said_false(test, outcome) for test, outcome in self.conditions(node)
        )

    def asked(self, node: cst.CSTNode) -> bool:
        """True when an option that is named for weakening is set; that one for protecting is not set says nothing."""
        return any(outcome and any(_weakens(word) for word in _words(test)) for test, outcome in self.conditions(node))

    def _said_false(self, test: cst.CSTNode, outcome: bool) -> bool:
        """`context is False`, of what a function about TLS returns: a context is never False unless somebody said so."""
        if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
            return False
        operator, right = test.comparisons[0].operator, test.comparisons[0].comparator
        if not isinstance(right, cst.Name) or right.value != "False" or not isinstance(operator, cst.Is if outcome else cst.IsNot):
            return False
        named = (word for origin in self.facts.origins.trail(test.left) for word in _words(origin.node))
        return any(_has(word, _STRENGTHENS) for word in named)

    def named_for_it(self, node: cst.CSTNode) -> bool:
        """True in `def insecure_context()`, `def connect_without_verification()`: whoever calls it has decided."""
        for ancestor in (node, *self.facts.tree.ancestors(node)):
            if isinstance(ancestor, (cst.FunctionDef, cst.ClassDef)) and _has(ancestor.name.value, _NAMED_WEAK):
                return True
            if isinstance(ancestor, cst.Assign) and _has(last_name(ancestor.targets[0].target) or "", _NAMED_WEAK):
                return not _has(last_name(ancestor.targets[0].target) or "", ("verify", "skip", "disable"))
        return False

    def conditions(self, node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, bool]]:
        """Tests with known outcome where `node` is evaluated: of statements around and before it, of expressions."""
        below = node
        for ancestor in self.facts.tree.ancestors(node):
            if isinstance(ancestor, cst.IfExp) and below is not ancestor.test:
                yield from implied(ancestor.test, below is ancestor.body)
            elif isinstance(ancestor, cst.BooleanOperation) and below is ancestor.right:
                yield from implied(ancestor.left, isinstance(ancestor.operator, cst.And))
            elif isinstance(ancestor, (cst.BaseSmallStatement, cst.FunctionDef, cst.Module)):
                break
            below = ancestor
        flow = self.facts.flow_around(node)
        dominators = self.facts.dominators(flow)
        for point in flow.points_of(node)[:1]:
            for test, outcome in dominators.guards(point):
                if not isinstance(test, (cst.For, cst.Try)):  # a loop that ran out says nothing
                    yield from implied(test, outcome)


def consents(test: cst.CSTNode, outcome: bool) -> bool:
    """True when this test, gone this way, means that an option asks for the weaker way."""
    if isinstance(test, cst.NamedExpr):
        test = test.value
    if isinstance(test, cst.Comparison):
        return _compared(test, outcome)
    if isinstance(test, cst.MatchCase):
        return any(string(node) is not None for node in descendants(test.pattern)) and outcome
    words = list(_words(test))
    if any(_weakens(word) for word in words):
        return outcome
    return not outcome and any(_strengthens(word) for word in words)


def _compared(test: cst.Comparison, outcome: bool) -> bool:
    if len(test.comparisons) != 1:
        return False
    operator, right = test.comparisons[0].operator, test.comparisons[0].comparator
    same = isinstance(operator, (cst.Equal, cst.Is, cst.In))
    if not same and not isinstance(operator, (cst.NotEqual, cst.IsNot, cst.NotIn)):
        return False
    words = list(_words(test.left))
    if isinstance(right, cst.Name) and right.value in ("True", "False", "None"):
        truth = outcome if same else not outcome
        if right.value == "None":
            return any(_weakens(word) for word in words) and not truth
        return consents(test.left, truth if right.value == "True" else not truth)
    chosen = outcome is same
    texts = [text for node in descendants(right) if (text := string(node)) is not None]
    if not texts and isinstance(right, (cst.Name, cst.Attribute)) and (last_name(right) or "").isupper():
        texts = [(last_name(right) or "").rpartition("_")[2]]  # SCHEME_HTTP, MODE_NONE
    if texts and any(_weakens(word) for word in words) and all(text.lower() in _SAID for text in texts):
        return chosen
    if texts and any(_has(word, _SETTINGS) or _strengthens(word) for word in words):
        weak = all(text.lower() in _WEAK_MODES or _has(text, _WEAKENS) for text in texts)
        return chosen and weak or not chosen and any(_has(text, _STRENGTHENS) for text in texts)
    return chosen and any(_weakens(word) for word in (*words, *_words(right)))


def _words(expression: cst.CSTNode) -> Iterator[str]:
    """What an expression is called: names, attributes, functions, and the keys it looks up."""
    for node in descendants(expression):
        if isinstance(node, cst.Name):
            yield node.value
        elif isinstance(node, cst.Attribute):
            yield node.attr.value
        elif isinstance(node, cst.Subscript):
            yield from (text for index in node.slice for part in descendants(index) if (text := string(part)))
        elif isinstance(node, cst.Call) and (last_name(node.func) or "").startswith("get"):
            yield from (text for arg in node.args[:2] if (text := string(arg.value)))


def _strengthens(word: str) -> bool:
    """`verify_certs` and `use_ssl` are options; `ssl_context` and `tls_ca_file` are things."""
    lowered = word.lower()
    found = {part for part in _STRENGTHENS if part in lowered}
    return bool(found) and (not found <= _TRANSPORT or not lowered.endswith(_OBJECTS))


def _weakens(word: str) -> bool:
    return _has(word, _WEAKENS) or _WITHOUT.search(word.lower()) is not None


def _has(word: str, parts: tuple[str, ...]) -> bool:
    lowered = word.lower()
    return any(part in lowered for part in parts)
