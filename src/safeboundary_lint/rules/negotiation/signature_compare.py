"""SBL512: a secret is compared in a time that tells how much of it was right."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

import libcst as cst

from safeboundary_lint.core import shapes
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.matching import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_SECRETS = (
    "*token",
    "*secret",
    "*signature",
    "*api_key",
    "*apikey",
    "*hmac",
    "*_mac",
    "mac",
    "*_sig",
    "*auth_key",
    "*access_key",
    "*csrf*",
    "*secret_key",
    "*_digest",
)
_NO_SECRETS = (
    "next_*",
    "page_*",
    "*_page_token",
    "*sync_token",
    "continuation*",
    "cursor*",
    "prev_*",
    "old_*",
    "last_*",
    "failed_*",
    "sub*token",
    "*type*",
    "*default*",
    "eos*",
    "pad*",
    "bos*",
    "unk*",
    "stop*",
)
_JUDGES = (
    "*auth*",
    "*verif*",
    "*valid*",
    "*check*",
    "*webhook*",
    "*permission*",
    "*csrf*",
    "*login*",
    "*identit*",
    "*signature*",
    "*hmac*",
    "*secur*",
    "*credential*",
    "*allow*",
)
_FENCES = re.compile(r"reservation|lease|fenc|lock|cancel|claim|ack_|delivery|resume|attempt|generation", re.IGNORECASE)
_PROVEN = ("session", "session_id", "sid", "session_key", "*_token")
_FROM_PEER = ("headers", "cookies", "args", "query_params", "form", "meta", "params", "get", "post", "values", "query")
_TEXT = ("str", "bytes", "bytearray", "AnyStr", "Any", "object", "SecretStr", "Text")
_KEEPS = (
    "hexdigest",
    "digest",
    "decode",
    "encode",
    "lower",
    "upper",
    "strip",
    "hex",
    "b64encode",
    "urlsafe_b64encode",
    "hexlify",
    "str",
    "bytes",
    "rstrip",
)


def _like(glob: str) -> str:
    return f"^_*{glob.replace('*', '.*')}$"


def _compares_secrets(body: Sequence[ast.AST]) -> bool:
    """Two values are compared that are called secrets, are sent, or are looked up in what is sent."""
    sent: set[str] | None = None
    for node in shapes.walk(body, ast.Compare):
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            if sent is None:
                bound = [one for one in shapes.walk(body, ast.Assign, ast.AnnAssign, ast.NamedExpr) if one.value is not None]
                several = (part for one in bound if _holds_sent(one.value) for target in shapes.targets(one) for part in shapes.walk([target]))
                sent = {part.id for part in several if isinstance(part, ast.Name)}
            if _may_be_secret(node.left, sent) and _may_be_secret(node.comparators[0], sent):
                return True
    return False


def _may_be_secret(side: ast.expr, sent: set[str]) -> bool:
    """By the name of any part, by being sent, or by a name for what was."""
    parts = [part for part in shapes.walk([side]) if isinstance(part, (ast.Name, ast.Attribute, ast.Constant, ast.Subscript, ast.Call))]
    return any(isinstance(part, ast.Name) and part.id in sent or _is_sent(part) or _is_telling(part) for part in parts)


def _holds_sent(value: ast.expr | None) -> bool:
    return value is not None and any(map(_is_sent, shapes.walk([value])))


def _is_sent(node: ast.AST) -> bool:
    """`request.headers["X-Key"]`, `request.args.get("token")`."""
    source = node.value if isinstance(node, ast.Subscript) else node.func if isinstance(node, ast.Call) else None
    receiver = source.value if isinstance(source, ast.Attribute) and source.attr == "get" else source
    return receiver is not None and (shapes.last_name(receiver) or "").lower() in _FROM_PEER


def _compares(body: Sequence[ast.AST]) -> bool:
    """Two values are compared, and none of them is a constant, a length or a type."""
    return any(
        len(node.ops) == 1
        and isinstance(node.ops[0], (ast.Eq, ast.NotEq))
        and not any(map(_is_plain, (node.left, node.comparators[0])))
        for node in shapes.walk(body, ast.Compare)
    )


def _is_plain(side: ast.expr) -> bool:
    if isinstance(side, ast.Call):
        return shapes.last_name(side.func) in ("len", "type", "id", "count")
    return isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes, int, type(None)))


def _is_telling(part: ast.expr) -> bool:
    word = shapes.text(part) if isinstance(part, ast.Constant) else shapes.last_name(part)
    return named_like(word, *_SECRETS)


class SignatureCompare(Rule):
    """A MAC, a signature or a token is compared with `==`, which takes longer the more of it is right.

    What it does
    ------------
    Finds `==` and `!=` between a keyed digest (also one that a helper of the file makes, and through `.decode()` and base64) and
    something else, and between two secrets by name where one is checked against the other.

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
        ("mac", "digest", f"%{'|'.join(_like(glob) for glob in (*_SECRETS, *_FROM_PEER))}"),
        ("mac", "digest", _compares_secrets),
        (_compares,),
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
        made = next((found for side in sides if (found := self._mac(side)) is not None), None)
        if made is not None:
            confidence = Confidence.LOW if any(self._is_single(side) for side in sides) else Confidence.HIGH
            self._tell(node, f"the keyed digest made in line {self.facts.line(made)}", confidence, made)
        elif all(self._is_secret(side) for side in sides) and self._is_judged(node, sides):
            confidence = Confidence.LOW if self._is_found_by_another(sides) else Confidence.MEDIUM
            self._tell(node, f"`{self.facts.code(sides[1])}`", confidence, None)

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

    def _mac(self, side: cst.BaseExpression) -> cst.Call | None:
        """The call that computes a keyed digest, when the value is that digest in some writing."""

        def is_mac(node: cst.CSTNode) -> bool:
            return isinstance(node, cst.Call) and (self.facts.match(node, "mac") is not None or self._is_keyed_digest(node))

        way = self.facts.origins.derivation(side, is_mac, callers=False, through=self._is_writing)
        return way[-1] if way is not None else None  # type: ignore[return-value]

    def _is_keyed_digest(self, call: cst.Call) -> bool:
        """`sha256(body + secret)`: a digest with the key in it."""
        if self.facts.match(call, "digest") is None or not call.args:
            return False
        names = (last_name(part) for part in descendants(call.args[0].value) if isinstance(part, (cst.Name, cst.Attribute)))
        return any(named_like(name, "*secret*", "*_key", "key", "*salt*", "*app_key*", "*password*") for name in names)

    def _is_writing(self, node: cst.CSTNode) -> bool:
        """Names, attributes and calls that only write a digest in another way, or helpers of this file that make it."""
        if isinstance(node, cst.Call):
            return last_name(node.func) in _KEEPS or self.facts.types.callee(node) is not None
        return isinstance(
            node, (cst.Name, cst.Attribute, cst.FormattedString, cst.FormattedStringExpression, cst.BinaryOperation, cst.Await)
        )

    def _is_secret(self, side: cst.BaseExpression) -> bool:
        if self._from_peer(side) or self._looked_up(side):
            return True
        if isinstance(side, cst.FormattedString):
            return any(
                isinstance(part, cst.FormattedStringExpression) and self._is_secret(part.expression) for part in side.parts
            )
        if self._names_peer(side):
            return True
        named = (
            side.func.value
            if isinstance(side, cst.Call) and isinstance(side.func, cst.Attribute) and side.func.attr.value in _KEEPS
            else side
        )
        name = last_name(named) if isinstance(named, (cst.Name, cst.Attribute)) else None
        if _FENCES.search(self.facts.code(named)):
            return False  # a token of our own that tells generations apart, and not who somebody is
        return named_like(name, *_SECRETS) and not named_like(name, *_NO_SECRETS) and not self._is_schema(named)

    def _is_schema(self, named: cst.BaseExpression) -> bool:
        """`signature: ModelSignature`, `after: StreamToken`: an object of some class, and no text."""
        words = [last_name(node) or "" for one in self._annotations(named) for node in descendants(one)]
        return any(word.endswith(("Signature", "Token")) for word in words) and not any(word in _TEXT for word in words)

    def _annotations(self, named: cst.CSTNode) -> list[cst.Annotation]:
        """What a name is declared to be as a parameter."""
        bound = self.facts.names.lookup(named) if isinstance(named, cst.Name) else None
        declared = (binding.source for binding in (bound[1] if bound is not None else ()) if binding.how == "parameter")
        return [one.annotation for one in declared if isinstance(one, cst.Param) and one.annotation is not None]

    def _from_peer(self, side: cst.CSTNode) -> bool:
        """`request.headers["X-Key"]`, `request.args.get("token")`; not of a request that this program is about to send."""
        source = side.value if isinstance(side, cst.Subscript) else side.func if isinstance(side, cst.Call) else None
        receiver = source.value if isinstance(source, cst.Attribute) and source.attr.value == "get" else source
        if receiver is None or (last_name(receiver) or "").lower() not in _FROM_PEER:
            return False
        held = (one.annotation for one in self._annotations(receiver.value)) if isinstance(receiver, cst.Attribute) else ()
        return not any(self.facts.match(one, "request-to-send") is not None for one in held)

    def _names_peer(self, side: cst.BaseExpression) -> bool:
        steps = self.facts.origins.step(side) if isinstance(side, cst.Name) else ()
        return any(self._from_peer(origin.node) for origin in steps)

    def _looked_up(self, side: cst.CSTNode) -> bool:
        """`os.environ["ADMIN_TOKEN"]`, `config["api_key"]`."""
        if not isinstance(side, cst.Subscript) or not named_like(
            last_name(side.value), "*environ*", "*config*", "*settings*", "*secrets*"
        ):
            return False
        return any(named_like(string(part) or "", *_SECRETS) for index in side.slice for part in descendants(index))

    def _is_judged(self, node: cst.Comparison, sides: tuple[cst.BaseExpression, ...]) -> bool:
        """One secret is checked against another, in code that decides who gets in."""
        if all(self._from_peer(side) for side in sides):
            return False
        around = [a.name.value for a in self.facts.tree.ancestors(node) if isinstance(a, (cst.FunctionDef, cst.ClassDef))]
        if not any(named_like(name, *_JUDGES) for name in around):
            return any(self._from_peer(side) or self._looked_up(side) or self._names_peer(side) for side in sides)
        return len({self.facts.code(side) for side in sides}) == 2

    def _tell(self, node: cst.Comparison, what: str, confidence: Confidence, made: cst.Call | None) -> None:
        self.report(
            node,
            f"`{self.facts.code(node)}` compares with {what} byte by byte: the time it takes tells an attacker how much "
            f"of his guess is right",
            confidence=confidence,
            trace=[(made, "the keyed digest is made here")] if made is not None else [],
            fix=self._fix(node),
        )

    def _fix(self, node: cst.Comparison) -> Fix:
        comparison = node.comparisons[0]
        negated = "not " if isinstance(comparison.operator, cst.NotEqual) else ""
        text = f"{negated}hmac.compare_digest({self._given(node.left)}, {self._given(comparison.comparator)})"
        advice = f"compare in constant time: `{text}`"
        found = self.facts.names.lookup_in(self.facts.names.scope_of(node), "hmac")
        free = found is None or all(binding.how == "import" and binding.dotted == "hmac" for binding in found[1])
        several = any(
            "\n" in self.facts.tree.module.code_for_node(part)
            for part in descendants(node)
            if isinstance(part, cst.BaseExpression)
        )
        if not free or several or node.lpar:
            return Fix(Applicability.SUGGESTION, advice)
        return Fix(Applicability.UNSAFE, advice, (replaced(self.facts, node, text),), ("import hmac",))

    def _given(self, side: cst.BaseExpression) -> str:
        """The text of a side that `compare_digest` gets: it raises for the None of a header that is not there."""
        text = self.facts.tree.module.code_for_node(side)
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
