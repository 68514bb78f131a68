"""SBL512: a secret is compared in a time that tells how much of it was right."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import proofs
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes import secrets
from safeboundary_lint.core.tree import descendants

_PROVEN = ("session", "session_id", "sid", "session_key", "*_token")


class SignatureCompare(Rule):
    """A MAC, a signature or a token is compared with `==`, which takes longer the more of it is right.

    What it does
    ------------
    Finds `==` and `!=` between a keyed digest (also one that a helper of the file makes, and through `.decode()` and base64) and
    something else, and between two secrets by name where one is checked against the other: a token of a message, credentials cut
    out of a header, a key by which somebody is looked up.

    Why it matters
    --------------
    The comparison stops at the first wrong byte. Measured often enough, its time gives the right value away, byte after byte.

    Example
    -------

        import hashlib
        import hmac

        def is_genuine(secret, body, signature):
            expected = hmac.new(secret, body, hashlib.sha256).hexdigest()
            return expected == signature

    Instead
    -------

        import hashlib
        import hmac

        def is_genuine(secret, body, signature):
            expected = hmac.new(secret, body, hashlib.sha256).hexdigest()
            return hmac.compare_digest(expected, signature)

    Stays silent when
    -----------------
    The digest has no key (an integrity check of public data), or one that is sent in clear (a WebSocket's opening); one side is
    a constant or a default; both are given by the same user; the request is one to be sent; the tokens are objects of a class of
    their own, those of a parser, or of a list that is read page by page.

    Fix safety
    ----------
    Unsafe: `compare_digest` raises TypeError for text with characters outside ASCII, and for None: what `get` may not find is
    therefore compared as the empty text.

    Known limits
    ------------
    Secrets without a telling name that come from another file are not recognised. The server's signature of SCRAM, which is good
    for one attempt, has low confidence, and so has what comes from a record that was found by the same value, or by the session or
    token of whoever asks.
    """

    code, name, since, severity = "SBL512", "signature-compare", "0.1", Severity.WARNING
    overlaps = ()
    needs = (
        ("~==", "~!="),
        ("mac", "digest", f"%{secrets.words()}"),
        ("mac", "digest", "%b64decode", secrets.makes_digest, secrets.compares_secrets),
        ("mac", secrets.digests_key, secrets.makes_digest, secrets.compares_secrets, secrets.compares_made),
        (secrets.compares,),
    )
    anchored, reach = 3, 2
    fixable = Applicability.UNSAFE

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) != 1 or not isinstance(node.comparisons[0].operator, (cst.Equal, cst.NotEqual)):
            return
        sides = (node.left, node.comparisons[0].comparator)
        if any(self._is_constant(side) for side in sides):
            return
        if self._is_handshake(node):
            return
        made = next((found for side in sides if (found := proofs.keyed_digest(self.facts, side)) is not None), None)
        if made is not None:
            surest = Confidence.MEDIUM if proofs.is_maker(self.facts, made) else Confidence.HIGH
            confidence = Confidence.LOW if any(self._is_single(side) for side in sides) else surest
            self._tell(node, f"the keyed digest made in line {self.facts.line(made)}", confidence, made)
        elif self._is_proof(node, sides):
            confidence = Confidence.LOW if self._is_found_by_another(sides) else Confidence.MEDIUM
            self._tell(node, f"`{self.facts.code(sides[1])}`", confidence, None)

    def _is_proof(self, node: cst.Comparison, sides: tuple[cst.BaseExpression, cst.BaseExpression]) -> bool:
        if proofs.is_asked_for(self.facts, node, sides):
            return True
        return all(proofs.is_secret(self.facts, side) for side in sides) and proofs.is_judged(self.facts, node, sides)

    def _is_found_by_another(self, sides: tuple[cst.BaseExpression, ...]) -> bool:
        """One side comes from a record that was found by the other, or by a session or token that the asker had to know."""
        for side, other in (sides, sides[::-1]):
            calls = [one.node for one in self.facts.origins.trail(side) if isinstance(one.node, cst.Call)]
            for call in calls:
                given = {name for arg in call.args for part in descendants(arg.value) if (name := last_name(part)) is not None}
                if (last_name(other) or "") in given or any(named_like(name, *_PROVEN) for name in given):
                    return True
        return False

    @staticmethod
    def _is_single(side: cst.BaseExpression) -> bool:
        """SCRAM's server signature is over fresh nonces: each is good for one attempt, and a client waits for it."""
        return isinstance(side, (cst.Name, cst.Attribute)) and named_like(last_name(side), "server_signature", "server_sig")

    def _is_handshake(self, node: cst.Comparison) -> bool:
        """The answer to a WebSocket's opening: the digest of a key that was sent in clear."""
        words = (
            string(part) or last_name(part) or ""
            for side in (node.left, node.comparisons[0].comparator)
            for origin in self.facts.origins.trail(side)
            for part in descendants(origin.node)
        )
        return any("websocket_accept" in word.lower().replace("-", "_") for word in words)

    def _is_constant(self, side: cst.BaseExpression) -> bool:
        """A literal, or a constant by its name: what is no secret of this run."""
        if (
            isinstance(side, (cst.SimpleString, cst.Integer))
            or isinstance(side, cst.Name)
            and side.value in ("None", "True", "False")
        ):
            return True
        return isinstance(side, cst.Call) and last_name(side.func) in ("len", "type", "id", "count")

    def _tell(self, node: cst.Comparison, what: str, confidence: Confidence, made: cst.Call | None) -> None:
        self.report(
            node,
            f"`{self.facts.code(node)}` compares with {what} byte by byte: the time it takes tells an attacker how much "
            f"of his guess is right",
            confidence=confidence,
            trace=[(made, "the keyed digest is made here")] if made is not None else [],
            fix=lambda: self._fix(node),
        )

    def _fix(self, node: cst.Comparison) -> Fix:
        comparison = node.comparisons[0]
        negated = "not " if isinstance(comparison.operator, cst.NotEqual) else ""
        text = f"{negated}hmac.compare_digest({self._given(node.left)}, {self._given(comparison.comparator)})"
        advice = f"compare in constant time: `{text}`"
        found = self.facts.names.lookup_in(self.facts.names.scope_of(node), "hmac")
        free = found is None or all(binding.how == "import" and binding.dotted == "hmac" for binding in found[1])
        several = any(
            "\n" in self.facts.text(part)
            for part in descendants(node)
            if isinstance(part, cst.BaseExpression)
        )
        if not free or several or node.lpar:
            return Fix(Applicability.SUGGESTION, advice)
        return Fix(Applicability.UNSAFE, advice, (replaced(self.facts, node, text),), ("import hmac",))

    def _given(self, side: cst.BaseExpression) -> str:
        """The text of a side that `compare_digest` gets: it raises for the None of a header that is not there."""
        text = self.facts.text(side)
        if self._may_lack(side):
            return f'{text.rstrip().removesuffix(")")}, "")'
        return f'{text} or ""' if isinstance(side, cst.Name) and self._is_unguarded(side) else text

    def _may_lack(self, value: cst.CSTNode | None) -> bool:
        """`headers.get("X-Signature")`, without a second argument for when it is not there."""
        return (
            isinstance(value, cst.Call)
            and isinstance(value.func, cst.Attribute)
            and value.func.attr.value == "get"
            and len(value.args) == 1
            and not value.lpar
            and isinstance(value.args[0].comma, cst.MaybeSentinel)
        )

    def _is_unguarded(self, name: cst.Name) -> bool:
        """A name that may be None, and that nothing else in its function looks at to see whether it is."""
        found = self.facts.names.lookup_in(self.facts.names.scope_of(name), name.value)
        if found is None or not any(binding.how == "value" and self._may_lack(binding.source) for binding in found[1]):
            return False
        tests = (
            part
            for node in descendants(found[0].node)
            if isinstance(node, (cst.If, cst.IfExp, cst.BooleanOperation, cst.Assert))
            for part in ((node.left, node.right) if isinstance(node, cst.BooleanOperation) else (node.test,))
        )
        return not any(self._asks_for(test, name.value) for test in tests)

    def _asks_for(self, test: cst.BaseExpression, name: str) -> bool:
        if isinstance(test, cst.UnaryOperation):
            test = test.expression
        if isinstance(test, cst.Comparison) and isinstance(test.comparisons[0].operator, (cst.Is, cst.IsNot)):
            test = test.left
        return isinstance(test, cst.Name) and test.value == name
