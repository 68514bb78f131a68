"""SBL513: a missing configuration gives a secret that everybody knows."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity, Span
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.refusals import required
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.negotiation import NO_VALUE, PASSWORD_SETTING, SECRET_SETTING, has_default
from safeboundary_lint.core.tree import descendants

_LOOKS_UP = Regex(r"(^|_)(env|environ|getenv|config|setting|settings)(_|$)", re.IGNORECASE)  # helpers of another file
_DEVELOPMENT = ("debug", "dev", "test", "local", "demo", "example", "ci")


class DefaultSecret(Rule):
    """When the configuration names no secret, a constant that is in the source takes its place.

    What it does
    ------------
    Finds secrets, signing keys and salts that are looked up with a constant default: in the environment, a configuration, a
    settings class, a parameter, behind `or`, or set where the lookup has found none.

    Why it matters
    --------------
    One deployment without the variable, one misspelled name, and tokens are signed with a key that anyone reads in the source.
    Nothing fails, so nobody notices.

    Example
    -------

        import os

        SECRET_KEY = os.environ.get("SECRET_KEY", "change-me-please")

    Instead
    -------

        import os

        SECRET_KEY = os.environ["SECRET_KEY"]

    Stays silent when
    -----------------
    The default is empty, None, a path or a reference; it stands under an explicit development flag; the file refuses the
    default elsewhere; the secret is made anew by a random generator.

    Fix safety
    ----------
    A suggestion: a deployment that relied on the default does not start afterwards, which is the point.

    Known limits
    ------------
    Defaults in files of other formats are not read. Passwords with a default have low confidence.
    """

    code, name, since, severity = "SBL513", "default-secret", "0.1", Severity.ERROR
    overlaps = ("ruff:S105", "bandit:B105")
    needs = ((f"%{SECRET_SETTING.pattern}|{PASSWORD_SETTING.pattern}",), (has_default,))
    local, whole = True, True  # the default may be refused anywhere

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("environment-lookup"):
            key = string(match.call.args[0].value) if match.call.args else None
            parameter = match.row.parameter("default")
            default = argument(match.call, parameter) if parameter is not None else None
            if key is not None and default is not None:
                self._check(match.call, key, default)
        for call in self.facts.tree.all(cst.Call):
            if len(call.args) > 1 and _LOOKS_UP.search(last_name(call.func) or "") and self.facts.match(call, "environment-lookup") is None:
                key = string(call.args[0].value)
                if key is not None and key.isupper():
                    self._check(call, key, call.args[1].value)

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:
        """`os.getenv("SECRET_KEY") or "dev"`, `secret or "dev"`."""
        if isinstance(node.operator, cst.Or) and string(node.right) is not None:
            key = self._key(node.left)
            if key is not None:
                self._check(node, key, node.right)

    def visit_If(self, node: cst.If) -> None:
        """`if not secret_key: secret_key = "dev"`."""
        missing = next((part for part, truth in paths.implied(node.test, True) if not truth), None)
        if not isinstance(missing, (cst.Name, cst.Attribute)):
            return
        for line in node.body.body:
            for statement in line.body if isinstance(line, cst.SimpleStatementLine) else ():
                if isinstance(statement, cst.Assign) and self.facts.code(statement.targets[0].target) == self.facts.code(missing):
                    self._check(statement, self._looked_up(missing) or last_name(missing) or "", statement.value)

    def _looked_up(self, missing: cst.BaseExpression) -> str | None:
        """The name under which the configuration has it."""
        calls = (origin.node for origin in self.facts.origins.trail(missing) if isinstance(origin.node, cst.Call))
        found = (call for call in calls if self.facts.match(call, "environment-lookup") is not None and call.args)
        return next((text for call in found if (text := string(call.args[0].value)) is not None), None)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        """A field of a settings class."""
        cls = self.facts.tree.class_of(node)
        if (
            cls is None
            or self.facts.tree.function_of(node) is not None
            or not isinstance(node.target, cst.Name)
            or node.value is None
        ):
            return
        if not re.search(
            r"settings|config", " ".join([cls.name.value, *(last_name(base.value) or "" for base in cls.bases)]).lower()
        ):
            return
        value = node.value
        if isinstance(value, cst.Call):
            value = argument(value, "default", 0) or value
        self._check(node, node.target.value, value)

    def visit_Param(self, node: cst.Param) -> None:
        if node.default is not None:
            self._check(node, node.name.value, node.default)

    def _key(self, left: cst.BaseExpression) -> str | None:
        if isinstance(left, cst.Call):
            return string(left.args[0].value) if left.args else None
        if isinstance(left, cst.Subscript):
            return next((text for index in left.slice for part in descendants(index) if (text := string(part))), None)
        return last_name(left)

    def _check(self, node: cst.CSTNode, key: str, default: cst.CSTNode) -> None:
        text = self._constant(default, spaced=isinstance(node, cst.Call))
        password = PASSWORD_SETTING.search(key) is not None
        if text is None or NO_VALUE.search(text) or not (password or SECRET_SETTING.search(key)) or len(text) < 3:
            return
        if text.lower().replace("-", "_") == key.lower() or self._is_development(node) or self._is_refused(default, text):
            return
        self.report(
            default,
            f"without `{key}` in the configuration the secret is {self.facts.code(default, 24)}, which everybody can "
            f"read in the source: "
            "what it protects can be forged",
            severity=Severity.WARNING if isinstance(node, cst.Param) else self.severity,
            confidence=Confidence.LOW if password or isinstance(node, cst.Param) else Confidence.MEDIUM,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"read `{key}` without a default, so that a deployment without it does not start",
                self._required(node, default),
            ),
        )

    def _required(self, node: cst.CSTNode, default: cst.CSTNode) -> tuple[Edit, ...]:
        """The lookup, the field or the parameter without its default."""
        if isinstance(node, cst.BooleanOperation):
            lookup = required(self.facts, node.left)
            return (Edit(self.facts.span(node), lookup.text),) if lookup is not None else ()
        if isinstance(node, cst.BaseExpression):
            edit = required(self.facts, node)
            return (edit,) if edit is not None else ()
        named = node.annotation if isinstance(node, (cst.AnnAssign, cst.Param)) else None
        kept = named.annotation if named is not None else node.name if isinstance(node, cst.Param) else None
        whole = node.value if isinstance(node, cst.AnnAssign) else default
        if kept is None or whole is not default:
            return ()
        start, end = self.facts.span(kept), self.facts.span(default)
        return (Edit(Span(start.end_line, start.end_column, end.end_line, end.end_column), ""),)

    def _constant(self, default: cst.CSTNode, spaced: bool) -> str | None:
        """A text; one of several words only where nothing but a value can stand, and no description."""
        for origin in self.facts.origins.trail(default)[:3]:
            if (text := string(origin.node)) is not None and (spaced or " " not in text.strip()):
                return text
        return None

    def _is_development(self, node: cst.CSTNode) -> bool:
        """Under a flag that says so, or in a class that is named so."""
        words = [word for test, _outcome in self.facts.consent.conditions(node) for word in self._words(test)]
        words += [a.name.value.lower() for a in self.facts.tree.ancestors(node) if isinstance(a, (cst.ClassDef, cst.FunctionDef))]
        return any(part in word for word in words for part in _DEVELOPMENT if len(part) > 2) or "ci" in words

    def _words(self, test: cst.CSTNode) -> list[str]:
        names = [(last_name(part) or "").lower() for part in descendants(test) if isinstance(part, (cst.Name, cst.Attribute))]
        return names + [text.lower() for part in descendants(test) if (text := string(part)) is not None]

    def _is_refused(self, default: cst.CSTNode, text: str) -> bool:
        """The same text is compared somewhere and the process stops."""
        for comparison in self.facts.tree.all(cst.Comparison):
            values = [string(part) for part in descendants(comparison) if isinstance(part, cst.SimpleString)]
            names = [
                part
                for part in descendants(comparison)
                if isinstance(part, cst.Name) and isinstance(default, cst.Name) and part.value == default.value
            ]
            if text in values or names:
                test = self.facts.tree.enclosing(comparison, cst.If)
                if test is not None and any(isinstance(part, (cst.Raise, cst.Call)) for part in descendants(test.body)):
                    return True
        return False
