"""SBL511: a proof is verified only when the peer sends one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.consent import consents
from safeboundary_lint.core.edits import replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.refusals import raised_else, raised_instead
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.negotiation import PROOF, PROOF_CHECK, SKIPS, asks_for_proof
from safeboundary_lint.core.tree import descendants

_MESSAGE = Regex(r"^(.*body|payload|.*request|form|data|json|message|headers|params)$")
_FLAGS = ("has_", "have_", "is_", "with_")  # `has_signature = "x-signature" in headers`
_OF_SCHEMAS = ("params", "parameters", "inputs", "outputs", "return_annotation", "bind", "bind_partial")


class PresenceConditionedVerification(Rule):
    """A signature or another proof is verified only if the peer has sent one.

    What it does
    ------------
    Finds `if signature and not verify(...)`, `if signature: verify(...)` and the like, with nothing that refuses when the proof
    is absent, and fields of the peer's own message that skip the verification.

    Why it matters
    --------------
    The attacker does not need to forge the signature: he leaves it out.

    Example
    -------

        def accept(message, key):
            signature = message.get("signature")
            if signature and not key.verify(signature, message["body"]):
                raise ValueError("bad signature")
            return message["body"]

    Instead
    -------

        def accept(message, key):
            signature = message.get("signature")
            if not signature or not key.verify(signature, message["body"]):
                raise ValueError("bad signature")
            return message["body"]

    Stays silent when
    -----------------
    Absence is refused on another branch or before; the other branch answers no; the presence of our own key alone decides; an
    option, off by default, allows unsigned messages; the signature is that of a function or a model (`signature.parameters`).

    Fix safety
    ----------
    A suggestion: peers that sign nothing are refused afterwards.

    Known limits
    ------------
    Refusals in another file are not seen.
    """

    code, name, since, severity = "SBL511", "presence-conditioned-verification", "0.1", Severity.ERROR
    overlaps = ()
    needs = (
        (f"%{PROOF.pattern}|(^|_)digest$|(^|_)nonce$|{SKIPS.pattern}",),  # `digest-header` is two words
        (f"%{PROOF_CHECK.pattern}", f"%{SKIPS.pattern}"),
        (asks_for_proof,),
    )
    local = True

    def visit_If(self, node: cst.If) -> None:
        if self.facts.tree.function_of(node) is None:
            return
        proof = self._condition(node)
        asked = any(truth and consents(part, truth) for part, truth in paths.implied(node.test, True))
        if proof is not None and not asked and not self.facts.consent.asked(node):
            self._check(node, proof)

    def _condition(self, node: cst.If) -> cst.CSTNode | None:
        """The proof whose presence decides about the check, in the test or in the body."""
        parts = list(paths.implied(node.test, True))
        if isinstance(node.orelse, cst.Else) and not self._leaves(node.body):
            absent = next((part for part, truth in parts if not truth and self._is_presence(part)), None)
            if absent is not None and any(
                self._is_check(call, self._given(absent)) for call in descendants(node.orelse.body, into_definitions=False)
            ):
                return absent
        present = next((part for part, truth in parts if truth and self._is_presence(part)), None)
        if present is None:
            return None
        proof = self._given(present)
        checks = [part for part, truth in parts if not truth and self._is_check(part, proof)]
        if checks and self._leaves(node.body):
            return present
        body = node.body if isinstance(node.body, cst.IndentedBlock) else None
        if body is not None and any(self._is_check(call, proof) for call in descendants(body, into_definitions=False)):
            return present
        return None

    def _is_presence(self, part: cst.CSTNode) -> bool:
        """`signature`, `signature is not None`, `"signature" in message`, `message.get("signature")`."""
        if isinstance(part, cst.Comparison) and len(part.comparisons) == 1:
            operator, right = part.comparisons[0].operator, part.comparisons[0].comparator
            if isinstance(operator, cst.In):
                return bool(PROOF.search((string(part.left) or "").lower().replace("-", "_")))
            return isinstance(operator, cst.IsNot) and self.facts.is_constant(right, None) and self._is_presence(part.left)
        if isinstance(part, cst.Call):
            key = string(part.args[0].value) if last_name(part.func) == "get" and part.args else None
            return bool(key and PROOF.search(key.lower().replace("-", "_")))
        return (
            isinstance(part, (cst.Name, cst.Attribute))
            and bool(PROOF.search((last_name(part) or "").lower()))
            and not self._is_own(part)
            and not self._is_schema(part)
        )

    def _is_schema(self, part: cst.CSTNode) -> bool:
        """What is called a signature and lists parameters or types: that of a function, or of a model."""
        around = self.facts.tree.function_of(part) or self.facts.tree.module
        read = (node for node in descendants(around) if isinstance(node, cst.Attribute) and node.attr.value in _OF_SCHEMAS)
        return any(last_name(node.value) == last_name(part) for node in read)

    def _is_own(self, part: cst.CSTNode) -> bool:
        """`self.hmac`, `settings.signature`: our configuration decides, not the peer."""
        head = part
        while isinstance(head, cst.Attribute):
            head = head.value
        return (
            isinstance(part, cst.Attribute)
            and isinstance(head, cst.Name)
            and head.value in ("self", "cls", "settings", "config", "conf", "options", "args")
        )

    def _words(self, present: cst.CSTNode) -> frozenset[str]:
        """What the proof is called: the last name, or the key under which it is looked up."""
        if isinstance(present, cst.Comparison):
            present = present.left
        key = string(present) or (string(present.args[0].value) if isinstance(present, cst.Call) and present.args else None)
        return frozenset({key or last_name(present) or ""})

    def _given(self, present: cst.CSTNode) -> frozenset[str]:
        """What a check is given that verifies this proof: the proof, or what carries it."""
        carrier: cst.CSTNode | None = None
        if isinstance(present, cst.Comparison):
            carrier = present.comparisons[0].comparator if isinstance(present.comparisons[0].operator, cst.In) else present.left
        elif isinstance(present, cst.Attribute):
            carrier = present.value
        elif isinstance(present, cst.Call) and isinstance(present.func, cst.Attribute):
            carrier = present.func.value
        elif isinstance(present, cst.Name) and present.value.startswith(_FLAGS):
            told = (name for origin in self.facts.origins.step(present) for name in self._names(origin.node))
            return self._words(present) | frozenset(told)
        return self._words(present) | (frozenset({last_name(carrier) or ""}) if carrier is not None else frozenset())

    def _names(self, node: cst.CSTNode) -> Iterator[str]:
        for part in descendants(node):
            if isinstance(part, cst.Name):
                yield part.value
            elif isinstance(part, cst.Attribute):
                yield part.attr.value
            elif isinstance(part, cst.SimpleString) and (text := string(part)):
                yield text

    def _is_check(self, node: cst.CSTNode, proof: frozenset[str]) -> bool:
        """A call that verifies the proof: it is named so and is given it, or stands on the object that carries it."""
        if isinstance(node, cst.Await):
            node = node.expression
        if not isinstance(node, cst.Call) or not PROOF_CHECK.search((last_name(node.func) or "").lower()):
            return False
        given = {name for arg in node.args for name in self._names(arg.value)}
        return bool(given & proof)

    def _leaves(self, body: cst.CSTNode) -> bool:
        return any(isinstance(node, (cst.Raise, cst.Return, cst.Continue)) for node in descendants(body, into_definitions=False))

    def _check(self, node: cst.If, present: cst.CSTNode) -> None:
        function = self.facts.tree.function_of(node)
        assert function is not None
        flow = self.facts.flow(function)
        absent = any(part is present and not truth for part, truth in paths.implied(node.test, True))
        starts = flow.branches_of(node.test, absent)
        way = paths.find(starts, lambda point: point is flow.returned, avoiding=self._refuses, raising=False)
        if way is None or self._required(node, function, present):
            return
        self.report(
            node.test if isinstance(node.test, cst.BaseExpression) else node,
            f"the proof is verified only if the peer sent one (`{self.facts.code(present)}`): whoever leaves it out "
            f"passes without",
            confidence=Confidence.MEDIUM,
            trace=[(present, "its presence decides whether anything is verified")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"refuse when `{self.facts.code(present)}` is absent wherever a key to verify with is configured",
                self._refused(node, present, absent),
            ),
        )

    def _refused(self, node: cst.If, present: cst.CSTNode, absent: bool) -> tuple[Edit, ...]:
        """Absence counts as a wrong proof where that is refused by the same test, and is refused by its own branch elsewhere."""
        facts, raising = self.facts, 'raise PermissionError("the proof is missing")'
        if absent:
            last = node.body.body[-1]
            return raised_instead(facts, last.body[-1], raising) if isinstance(last, cst.SimpleStatementLine) else ()
        test = node.test
        if isinstance(test, cst.BooleanOperation) and test.left is present and isinstance(test.right, cst.UnaryOperation):
            return (replaced(facts, test, f"{self._absent(present)} or {source_of(facts, test.right)}"),)
        return raised_else(facts, node, present, raising)

    def _absent(self, present: cst.CSTNode) -> str:
        text = source_of(self.facts, present)
        if isinstance(present, cst.Comparison) and len(present.comparisons) == 1:
            left, right = source_of(self.facts, present.left), source_of(self.facts, present.comparisons[0].comparator)
            operator = present.comparisons[0].operator
            if isinstance(operator, (cst.IsNot, cst.In)):
                return f"{left} {'is' if isinstance(operator, cst.IsNot) else 'not in'} {right}"
        return f"not {text}" if isinstance(present, (cst.Name, cst.Attribute, cst.Call, cst.Subscript)) else f"not ({text})"

    def _refuses(self, point: Point) -> bool:
        """`return False`, `return None`, `return error(...)`, `abort(...)`: an answer that does not accept."""
        node = point.node
        if isinstance(node, cst.Return):
            if node.value is None or self.facts.is_constant(node.value, False, None):
                return True
            text = self.facts.code(node.value, 200).lower()
            return any(
                word in text
                for word in ("error", "forbidden", "unauthori", "denied", "reject", "invalid", "401", "403", "400", "fail")
            )
        calls = [call for call in descendants(node) if isinstance(call, cst.Call)] if isinstance(node, cst.Expr) else []
        return any(re.search(r"abort|reject|deny|fail|send_error|close", (last_name(call.func) or "").lower()) for call in calls)

    def _required(self, node: cst.If, function: cst.FunctionDef | cst.Lambda, present: cst.CSTNode) -> bool:
        """Some other test of the function refuses when the proof is absent."""
        proof = self._words(present)
        for other in descendants(function.body, into_definitions=False):
            if not isinstance(other, cst.If) or other is node:
                continue
            absent = [
                part
                for part, truth in self._alternatives(other.test)
                if not truth and proof & {*self._names(part)} and not self._is_check(part, proof)
            ]
            if absent and any(isinstance(n, (cst.Raise, cst.Return)) for n in descendants(other.body, into_definitions=False)):
                return True
        return False

    def _alternatives(self, test: cst.BaseExpression) -> Iterator[tuple[cst.CSTNode, bool]]:
        """The parts of `a or b` as well as of `a and b`, each with what it is when the test holds by it."""
        stack: list[tuple[cst.CSTNode, bool]] = [(test, True)]
        while stack:
            node, truth = stack.pop()
            if isinstance(node, cst.BooleanOperation):
                stack += [(node.left, truth), (node.right, truth)]
            elif isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Not):
                stack.append((node.expression, not truth))
            elif isinstance(node, cst.Comparison) and isinstance(node.comparisons[0].operator, (cst.Is, cst.NotIn, cst.Equal)):
                yield node, not truth
            else:
                yield node, truth

    # -- fields that skip the verification -----------------------------------------------------------------------------

    def visit_Subscript(self, node: cst.Subscript) -> None:
        if len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Index):
            self._check_skip(node, string(node.slice[0].slice.value))

    def visit_Call(self, node: cst.Call) -> None:
        if last_name(node.func) == "get" and node.args and isinstance(node.func, cst.Attribute):
            self._check_skip(node, string(node.args[0].value))

    def _check_skip(self, field: cst.BaseExpression, key: str | None) -> None:
        if key is None or not SKIPS.match(key.lower()):
            return
        test = self.facts.tree.enclosing(field, cst.If)
        source = {name.lower() for name in self._names(field)}
        if test is None or not self.facts.tree.within(field, test.test) or not any(_MESSAGE.match(name) for name in source):
            return
        if not any(isinstance(node, cst.Return) for node in descendants(test.body, into_definitions=False)):
            return
        self.report(
            field,
            f"`{self.facts.code(field)}` is written by the peer and answers the request before anything is verified",
            severity=Severity.WARNING,
            confidence=Confidence.MEDIUM,
            fix=lambda: Fix(Applicability.SUGGESTION, f"verify first, and look at `{self.facts.code(field)}` afterwards"),
        )
