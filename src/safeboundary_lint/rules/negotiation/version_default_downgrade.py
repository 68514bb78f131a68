"""SBL509: a missing or unknown version leads to the oldest branch, and none refuses."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.edits import lines_behind, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.paths import implied
from safeboundary_lint.core.refusals import required
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.negotiation import VERSIONS, defaults_version
from safeboundary_lint.core.tree import descendants

_PROTECTS = Regex(
    r"verif|sign|hmac|mac\b|digest|checksum|integrity|decrypt|encrypt|auth|nonce|validate|compare", re.IGNORECASE
)
_OTHERS = (cst.NotEqual, cst.NotIn)
_INCLUSIVE = (cst.Equal, cst.NotEqual, cst.GreaterThanEqual, cst.LessThanEqual)


class VersionDefaultDowngrade(Rule):
    """A message without a version, or with an unknown one, is handled as the oldest, and no branch refuses it.

    What it does
    ------------
    Finds a version that is looked up in received data with a constant default and then compared in a chain of branches of
    which none refuses what is unknown. Where a branch holds a security step that the default goes without, it is a warning;
    otherwise information.

    Why it matters
    --------------
    The sender chooses the branch by leaving the field out. What newer versions have added, a signature or a checksum, is then
    not asked for.

    Example
    -------

        def read(envelope, key):
            version = envelope.get("version", 1)
            if version >= 2:
                key.verify(envelope["body"], envelope["signature"])
            return envelope["body"]

    Instead
    -------

        def read(envelope, key):
            version = envelope["version"]
            if version != 2:
                raise ValueError(f"unsupported version {version}")
            key.verify(envelope["body"], envelope["signature"])
            return envelope["body"]

    Stays silent when
    -----------------
    A branch raises or returns an error for what is unknown, or an answer that holds nothing of the message; the version is
    checked against the supported ones; it is only stored or shown.

    Fix safety
    ----------
    A suggestion: which versions are still to be read is for the author to say.

    Known limits
    ------------
    Tables of handlers by version are not looked into.
    """

    code, name, since, severity = "SBL509", "version-default-downgrade", "0.1", Severity.WARNING
    overlaps = ()
    needs = (tuple(f"={name}" for name in VERSIONS), ("=get", "=getattr"), ("^if", "^elif"), (defaults_version,))
    local = True

    def visit_Call(self, node: cst.Call) -> None:
        """`data.get("version", 1)`, `getattr(message, "version", 1)`."""
        name = last_name(node.func)
        if name == "get" and isinstance(node.func, cst.Attribute) and len(node.args) == 2:
            key, default = string(node.args[0].value), node.args[1].value
        elif name == "getattr" and len(node.args) == 3:
            key, default = string(node.args[1].value), node.args[2].value
        else:
            return
        if (
            key is None
            or key not in VERSIONS
            and key.rpartition("-")[2] not in VERSIONS
            or not isinstance(default, (cst.SimpleString, cst.Integer, cst.Float))
        ):
            return
        if isinstance(default, cst.SimpleString) and not any(digit.isdigit() for digit in default.value):
            return
        self._check(node, default)

    def _check(self, lookup: cst.Call, default: cst.BaseExpression) -> None:
        parent = self.facts.tree.parent(lookup)
        function = self.facts.tree.function_of(lookup)
        while isinstance(parent, (cst.Arg, cst.Call)):  # int(data.get("version", 1))
            parent = self.facts.tree.parent(parent)
        if not isinstance(parent, cst.Assign) or function is None or not isinstance(parent.targets[0].target, cst.Name):
            return
        name = parent.targets[0].target.value
        tests = [
            node
            for node in descendants(function.body, into_definitions=False)
            if isinstance(node, cst.If) and self._compares(node.test, name)
        ]
        refused = any(self._refuses(test) or self._is_answered_empty(test, name) for test in tests)
        if not tests or refused or self._is_asserted(function, name):
            return
        protected = next((test for test in tests if self._protects(test)), None)
        self.report(
            lookup,
            f"a message that leaves the version out is handled as {self.facts.code(default)}, and an unknown version by "
            f"no branch at all (line "
            f"{self.facts.line(tests[0])})"
            + (
                f": line {self.facts.line(protected)} protects only those who ask for it" if protected else ": nothing refuses it"
            ),
            severity=Severity.WARNING if protected is not None else Severity.INFO,
            confidence=Confidence.MEDIUM,
            trace=[(lookup, "the sender may leave it out"), (protected or tests[0], "and chooses the branch by that")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"refuse what is missing or not supported before `{self.facts.code(tests[0].test)}`",
                self._refused(lookup, name, default, tests),
            ),
        )

    def _refused(
        self, lookup: cst.Call, name: str, default: cst.BaseExpression, tests: list[cst.If]
    ) -> tuple[Edit, ...]:
        """A version that is missing raises at once, one that no branch knows right behind."""
        compared = [node.comparisons[0] for test in tests for node in descendants(test.test) if isinstance(node, cst.Comparison)]
        constants = [default, *(one.comparator for one in compared if isinstance(one.operator, _INCLUSIVE))]
        known = dict.fromkeys(source_of(self.facts, one) for one in constants if isinstance(one, (cst.SimpleString, cst.Integer)))
        if len(known) < 2 and (edit := required(self.facts, lookup)) is not None:
            return (edit,)
        lines = (f"if {name} not in ({', '.join(known)}):", f'    raise ValueError(f"version {{{name}!r}} is not supported")')
        edits = (required(self.facts, lookup), lines_behind(self.facts, lookup, *lines))
        return tuple(edit for edit in edits if edit is not None) if all(edits) else ()

    def _compares(self, test: cst.BaseExpression, name: str) -> bool:
        """The test compares the version with a constant."""
        for node in descendants(test):
            if isinstance(node, cst.Comparison) and isinstance(node.left, cst.Name) and node.left.value == name:
                return not self.facts.is_constant(node.comparisons[0].comparator, None)
        return False

    def _refuses(self, test: cst.If) -> bool:
        """A branch of the chain that raises, or answers with an error."""
        branches: list[cst.CSTNode] = [test.body]
        last = test.orelse
        while isinstance(last, cst.If):
            branches.append(last.body)
            last = last.orelse
        if last is not None:
            branches.append(last.body)
        return any(self._leaves(branch) for branch in branches)

    def _is_answered_empty(self, test: cst.If, name: str) -> bool:
        """`if version != "1.0": return Preview({}, None)`: the other versions get an answer with nothing of theirs in it."""
        parts = [part for part, _ in implied(test.test, True)]
        last = test.body.body[-1] if test.body.body else None
        left = last.body[-1] if isinstance(last, cst.SimpleStatementLine) else None
        if not isinstance(left, cst.Return) or not isinstance(left.value, cst.Call):
            return False
        called = {id(node) for node in descendants(left.value.func)}
        used = [n for n in descendants(left.value) if isinstance(n, cst.Name) and id(n) not in called]
        empty = all(one.value in ("None", "True", "False") for one in used)
        return empty and all(
            isinstance(part, cst.Comparison) and self._compares(part, name) and isinstance(part.comparisons[0].operator, _OTHERS)
            for part in parts
        )

    def _leaves(self, branch: cst.CSTNode) -> bool:
        for node in descendants(branch, into_definitions=False):
            if isinstance(node, cst.Raise) or isinstance(node, cst.Call) and self.facts.exceptions.never_returns(node):
                return True
            if isinstance(node, cst.Return) and (node.value is None or self.facts.is_constant(node.value, None, False)):
                return True
            if isinstance(node, cst.Return) and re.search(
                r"error|unsupported|reject|invalid|abort", self.facts.code(node, 200), re.IGNORECASE
            ):
                return True
        return False

    def _is_asserted(self, function: cst.FunctionDef | cst.Lambda, name: str) -> bool:
        for node in descendants(function.body, into_definitions=False):
            if isinstance(node, cst.Assert) and self._compares(node.test, name):
                return True
            if isinstance(node, cst.Call) and re.search(
                r"check|validate|ensure|require|supported", (last_name(node.func) or "").lower()
            ):
                if any(isinstance(arg.value, cst.Name) and arg.value.value == name for arg in node.args):
                    return True
        return False

    def _protects(self, test: cst.If) -> bool:
        calls = [node for node in descendants(test.body, into_definitions=False) if isinstance(node, cst.Call)]
        return any(_PROTECTS.search(last_name(call.func) or "") for call in calls)
