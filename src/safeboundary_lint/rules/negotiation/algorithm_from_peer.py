"""SBL504: what is to be verified chooses how it is verified."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.calls import argument, string, unpacks
from safeboundary_lint.core.edits import argument_added, lines_before, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import Parameter
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_FIELDS = (
    "alg",
    "algorithm",
    "algo",
    "hash_alg",
    "hash_algorithm",
    "signature_algorithm",
    "sig_alg",
    "digest_algorithm",
    "digestmod",
)
_PEER = (
    "*header*",
    "*token*",
    "*manifest*",
    "*payload*",
    "*message*",
    "*envelope*",
    "*request*",
    "*body*",
    "*claims*",
    "*signed*",
    "msg",
    "data",
    "*jws",
    "*jwt",
)
_TABLES = ("*alg*", "*verif*", "*hash*", "*digest*", "*sign*")
_IDENTITY = (
    "sub",
    "user",
    "username",
    "user_id",
    "uid",
    "email",
    "role",
    "roles",
    "scope",
    "scopes",
    "permissions",
    "groups",
    "preferred_username",
    "admin",
)
_PEEKING = ("*unverified*", "*peek*", "*issuer*", "*kid*", "*expir*", "*exp*", "*unsafe*", "*insecure*", "*route*")
_VERIFIES = ("*verif*", "*valid*", "*authenticat*", "*check_sig*", "*check_mac*", "*compare_digest*")


class AlgorithmFromPeer(Rule):
    """The object that is to be verified says how: its own header chooses the algorithm.

    What it does
    ------------
    Finds token verification whose allow-list is taken from the unverified header, verification without an allow-list, and
    verifiers that are looked up by an algorithm field of the message without a check against a list.

    Why it matters
    --------------
    Whoever writes the token writes its header. With "none", or with an HMAC algorithm and the public key as the secret, a
    forged token passes the verification that the header has chosen.

    Example
    -------

        import jwt

        def claims_of(token, key):
            header = jwt.get_unverified_header(token)
            return jwt.decode(token, key, algorithms=[header["alg"]])

    Instead
    -------

        import jwt

        ALLOWED = ["RS256", "ES256"]

        def claims_of(token, key):
            return jwt.decode(token, key, algorithms=ALLOWED)

    Stays silent when
    -----------------
    The header is read for the key id or the issuer only; the algorithm is checked against a list that is always there; the
    token is verified in the same function after a look without verification; the header belongs to a token that is made here.

    Fix safety
    ----------
    A suggestion: which algorithms are to be accepted is for the author to say.

    Known limits
    ------------
    Verification that happens in another file is not seen; reading claims unverified is told as information only, and with low
    confidence for an ID token that came with an access token: TLS may stand for its signature there.
    """

    code, name, since, severity = "SBL504", "algorithm-from-peer", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("jwt-verify", "unverified-header", "=alg", "=algorithm", "=algo"),)

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("jwt-verify"):
            self._check_token(match)
        for subscript in self.facts.tree.all(cst.Subscript):
            self._check_lookup(subscript, subscript.value, self._index(subscript))
        for call in self.facts.tree.all(cst.Call):
            if isinstance(call.func, cst.Attribute) and call.func.attr.value == "get" and call.args:
                self._check_lookup(call, call.func.value, call.args[0].value)
            elif self.facts.names.qualified(call.func) == "builtins.getattr" and len(call.args) > 1:
                self._check_lookup(call, call.args[0].value, call.args[1].value)

    # -- tokens --------------------------------------------------------------------------------------------------------

    def _check_token(self, match: Match) -> None:
        parameter = match.row.parameter("algorithms")
        given = argument(match.call, parameter) if parameter is not None else None
        if self._unverified_on_purpose(match):
            self._tell_unverified(match)
        elif given is not None:
            way = self.facts.origins.derivation(given, self._is_unverified, through=lambda node: not isinstance(node, cst.IfExp))
            if way is not None and not self._listed(match.call) and not self._only_signs(match.call):
                self._tell_header(match, way[-1], given)
        elif not match.row.get("required") and not unpacks(match.call):
            self.report(
                match.call,
                f"`{self.facts.code(match.call.func)}` is given no allow-list: the header of the token chooses how the "
                f"token is verified",
                severity=Severity.WARNING,
                confidence=match.confidence,
                fix=lambda: Fix(
                    Applicability.SUGGESTION,
                    f"pass the algorithms you issue, as in `{parameter.name if parameter else 'algorithms'}=[\"RS256\"]`",
                    self._allowed(match.call, parameter),
                ),
            )

    def _only_signs(self, call: cst.Call) -> bool:
        """`coder = JsonWebToken(algorithms)`, and nothing but `coder.encode(...)` in the function: the header is our own."""
        above, function = self.facts.tree.parent(call), self.facts.tree.function_of(call)
        place = self.facts.origins.place(above.targets[0].target) if isinstance(above, cst.Assign) else None
        if place is None or function is None:
            return False
        used = [
            node.attr.value
            for node in descendants(function.body)
            if isinstance(node, cst.Attribute) and self.facts.origins.place(node.value) == place
        ]
        return bool(used) and all(named_like(name, "encode", "encrypt", "sign", "serialize*") for name in used)

    def _is_unverified(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Call) and self.facts.match(node, "unverified-header") is not None:
            return True
        return (
            isinstance(node, cst.Subscript)
            and string(self._index(node)) == "alg"
            and named_like(last_name(node.value), "*header*")
        )

    def _listed(self, call: cst.Call) -> bool:
        """A membership test in the function, whose list does not come from the token."""
        tests = [(test, truth) for test, truth in self.facts.consent.conditions(call) if isinstance(test, cst.Comparison)]
        return any("alg" in self.facts.code(test.left).lower() and self._is_allowing(test, truth) for test, truth in tests)

    def _is_allowing(self, test: cst.Comparison, truth: bool) -> bool:
        operator = test.comparisons[0].operator
        if isinstance(operator, cst.Equal if truth else cst.NotEqual):
            return True
        return isinstance(operator, cst.In if truth else cst.NotIn)

    def _allowed(self, call: cst.Call, parameter: Parameter | None) -> tuple[Edit, ...]:
        edit = argument_added(self.facts, call, f'{parameter.name}=["RS256"]') if parameter is not None else None
        return (edit,) if edit is not None else ()

    def _tell_header(self, match: Match, header: cst.CSTNode, given: cst.BaseExpression) -> None:
        self.report(
            match.call,
            f"the allowed algorithms come from the unverified header read in line {self.facts.line(header)}: the sender "
            f"of the token "
            "chooses how it is verified, and can choose one that he can forge",
            confidence=match.confidence,
            trace=[(header, "the header is read before anything is verified"), (match.call, "and says how to verify")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                'pass a constant list of the algorithms you accept, such as `algorithms=["RS256"]`',
                (replaced(self.facts, given, '["RS256"]'),),
            ),
        )

    def _unverified_on_purpose(self, match: Match) -> bool:
        options, verify = match.row.parameter("options"), match.row.parameter("verify")
        if verify is not None and self.facts.is_constant(argument(match.call, verify), False):
            return True
        given = argument(match.call, options) if options is not None else None
        for origin in self.facts.origins.trail(given) if given is not None else ():
            for element in origin.node.elements if isinstance(origin.node, cst.Dict) else ():
                if isinstance(element, cst.DictElement) and string(element.key) == "verify_signature":
                    return self.facts.is_constant(element.value, False)
        return False

    def _tell_unverified(self, match: Match) -> None:
        function = self.facts.tree.function_of(match.call) or self.facts.tree.module
        others = [m for m in self.facts.calls("jwt-verify") if m.call is not match.call and not self._unverified_on_purpose(m)]
        if any(self.facts.tree.within(other.call, function) for other in others) or named_like(
            getattr(function, "name", cst.Name("x")).value, *_PEEKING
        ):
            return
        self.report(
            match.call,
            f"`{self.facts.code(match.call.func)}` reads the token without verifying it: what it says can be written by anyone",
            severity=Severity.INFO,
            confidence=Confidence.MEDIUM if self._decides(match.call) and not self._fetched(match.call) else Confidence.LOW,
            fix=lambda: Fix(Applicability.SUGGESTION, "verify the token, or use nothing of it but the key id and the issuer"),
        )

    def _fetched(self, call: cst.Call) -> bool:
        """An ID token beside an access token: the answer of the provider itself, over TLS, in exchange for a code."""
        function = self.facts.tree.function_of(call)
        if function is None or not call.args:
            return False
        given = self._words(call.args[0].value) | {
            word for origin in self.facts.origins.trail(call.args[0].value) for word in self._words(origin.node)
        }
        received = {parameter.name.value for parameter in parameters(function)}
        return "id_token" in given and "access_token" in received | self._words(function)

    def _words(self, root: cst.CSTNode) -> set[str]:
        names = {node.value for node in descendants(root) if isinstance(node, cst.Name)}
        return names | {text for node in descendants(root) if isinstance(node, cst.SimpleString) and (text := string(node))}

    def _decides(self, call: cst.Call) -> bool:
        """The claims say who somebody is: they are returned, or a field that identifies or allows is read."""
        parent = self.facts.tree.parent(call)
        if isinstance(parent, cst.Return):
            return True
        names = (
            {target.target.value for target in parent.targets if isinstance(target.target, cst.Name)}
            if isinstance(parent, cst.Assign)
            else set()
        )
        function = self.facts.tree.function_of(call)
        for node in descendants(function.body, into_definitions=False) if function is not None and names else ():
            if isinstance(node, cst.Return) and isinstance(node.value, cst.Name) and node.value.value in names:
                return True
            if (
                isinstance(node, cst.Subscript)
                and isinstance(node.value, cst.Name)
                and node.value.value in names
                and string(self._index(node)) in _IDENTITY
            ):
                return True
            if (
                isinstance(node, cst.Call)
                and isinstance(node.func, cst.Attribute)
                and last_name(node.func.value) in names
                and node.args
            ):
                if string(node.args[0].value) in _IDENTITY:
                    return True
        return False

    # -- verifiers by name -----------------------------------------------------------------------------------------------

    def _index(self, subscript: cst.Subscript) -> cst.BaseExpression | None:
        if len(subscript.slice) != 1 or not isinstance(subscript.slice[0].slice, cst.Index):
            return None
        return subscript.slice[0].slice.value

    def _check_lookup(self, lookup: cst.BaseExpression, table: cst.BaseExpression, key: cst.BaseExpression | None) -> None:
        """`VERIFIERS[header["alg"]]`, `getattr(hashlib, message["algorithm"])`, in a function that verifies."""
        if key is None or not named_like(last_name(table), *_TABLES):
            return
        field = next((node for node in self._ways(key) if self._is_peer_field(node)), None)
        if field is None or not self._verifies(lookup):
            return
        guard = self._guard(lookup, key)
        if guard == "always":
            return
        weak = (
            f"; the check in front of it is left out when the list is empty (`{self.facts.code(guard)}`)"
            if isinstance(guard, cst.CSTNode)
            else ""
        )
        self.report(
            lookup,
            f"`{self.facts.code(field)}` of the object that is to be verified chooses the verifier, from no list of "
            f"allowed ones{weak}: "
            "its sender picks the weakest that there is",
            severity=Severity.WARNING,
            confidence=Confidence.MEDIUM,
            trace=[(field, "what the peer says")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"check `{self.facts.code(key)}` against the algorithms you accept, and refuse the rest",
                self._refused(lookup, key, guard),
            ),
        )

    def _refused(self, lookup: cst.BaseExpression, key: cst.BaseExpression, guard: object) -> tuple[Edit, ...]:
        """The check that is there without its condition, or one in front of the lookup."""
        if isinstance(guard, cst.BooleanOperation):
            tests = [side for side in (guard.left, guard.right) if isinstance(side, cst.Comparison)]
            return (replaced(self.facts, guard, source_of(self.facts, tests[0])),) if len(tests) == 1 else ()
        text = source_of(self.facts, key)
        check = lines_before(
            self.facts, lookup, f'if {text} not in ("sha256", "sha512"):', '    raise ValueError("the algorithm is not accepted")'
        )
        return (check,) if check is not None else ()

    def _ways(self, key: cst.BaseExpression) -> Iterator[cst.CSTNode]:
        return (origin.node for origin in self.facts.origins.trail(key) if origin.how == "value")

    def _is_peer_field(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Subscript):
            return string(self._index(node)) in _FIELDS and named_like(last_name(node.value), *_PEER)
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value == "get" and node.args:
            return string(node.args[0].value) in _FIELDS and named_like(last_name(node.func.value), *_PEER)
        return False

    def _verifies(self, node: cst.CSTNode) -> bool:
        function = self.facts.tree.function_of(node)
        if not isinstance(function, cst.FunctionDef):
            return False
        calls = self.facts.summaries.calls_of(function)
        return named_like(function.name.value, *_VERIFIES) or any(named_like(last_name(call.func), *_VERIFIES) for call in calls)

    def _guard(self, lookup: cst.BaseExpression, key: cst.BaseExpression) -> str | cst.CSTNode | None:
        """ "always" when a membership test stands before the lookup on every path; the test where it can be switched off."""
        text = self.facts.code(key)
        for test, truth in self.facts.consent.conditions(lookup):
            if isinstance(test, cst.Comparison) and self._is_allowing(test, truth) and self.facts.code(test.left) == text:
                return "always"
        function = self.facts.tree.function_of(lookup)
        for node in descendants(function.body, into_definitions=False) if function is not None else ():
            if isinstance(node, cst.BooleanOperation) and isinstance(node.operator, cst.And):
                right = node.right
                if (
                    isinstance(right, cst.Comparison)
                    and isinstance(right.comparisons[0].operator, cst.NotIn)
                    and self.facts.code(right.left) == text
                ):
                    return node
        return None
