"""SBL514: a security option that is a string is used as a truth value."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.edits import replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.negotiation import is_switch, reads_option

_WEAKENS = Regex(r"insecure|disable|skip|ignore|unsafe|allow|debug|no_|trust|permit", re.IGNORECASE)
_PROTECTS = Regex(r"verif|ssl|tls|https|secure|auth|csrf|sign|sandbox|encrypt|permission|access|cert|valid", re.IGNORECASE)
_FLAG = "action=argparse.BooleanOptionalAction"


class TruthyStringOption(Rule):
    """A security option that is read as a string is used as a truth value, and "false" is true.

    What it does
    ------------
    Finds options read from the environment (always strings) that are tested, passed to `bool` or given a boolean default, and
    command-line options with `type=bool`, when their names say that they switch a protection.

    Why it matters
    --------------
    `SKIP_AUTH=false` skips authentication. The operator has written down the opposite, and every look at the configuration
    confirms him.

    Example
    -------

        import os

        SKIP_AUTH = os.getenv("SKIP_AUTH", "false")

        def handle(request, authenticate):
            if SKIP_AUTH:
                return request
            return authenticate(request)

    Instead
    -------

        import os

        SKIP_AUTH = os.getenv("SKIP_AUTH", "false").lower() == "true"

        def handle(request, authenticate):
            if SKIP_AUTH:
                return request
            return authenticate(request)

    Stays silent when
    -----------------
    The string is compared, looked up in a set, or parsed; the option is a path, a name or a number; its name switches no
    protection.

    Fix safety
    ----------
    A suggestion: which words mean yes is for the author to say.

    Known limits
    ------------
    Options that mean "set at all", with no default, have low confidence unless their names say which protection they weaken.
    """

    code, name, since, severity = "SBL514", "truthy-string-option", "0.1", Severity.WARNING
    overlaps = ("pylint:W1508", "ruff:PLW1508")
    needs = (("environment-text", "=add_argument"), (reads_option,))
    local, whole = True, True  # a constant may be tested anywhere

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("environment-text"):
            key = string(match.call.args[0].value) if match.call.args else None
            if key is not None and is_switch(key):
                self._check(match, key)

    def visit_Call(self, node: cst.Call) -> None:
        """`add_argument("--verify", type=bool)`: `bool("False")` is true."""
        if last_name(node.func) != "add_argument" or not node.args:
            return
        key, kind = string(node.args[0].value), argument(node, "type")
        if key is not None and kind is not None and self.facts.names.qualified(kind) == "builtins.bool" and is_switch(key):
            self.report(
                kind,
                f"`{key} False` is true: every text but the empty one is, so that the option can't be switched off",
                confidence=Confidence.HIGH,
                fix=lambda: Fix(
                    Applicability.SUGGESTION,
                    "use `action=argparse.BooleanOptionalAction`, or parse the words that mean yes and no",
                    tuple(replaced(self.facts, arg, _FLAG) for arg in node.args if arg.value is kind),
                    ("import argparse",),
                ),
            )

    def _check(self, match: Match, key: str) -> None:
        parameter = match.row.parameter("default")
        default = argument(match.call, parameter) if parameter is not None else None
        boolean = default is not None and self.facts.is_constant(default, True, False)
        text = string(default) if default is not None else None
        use = self._use(match.call)
        if use is None and not boolean or use is match.call and not boolean and text is None and not _WEAKENS.search(key):
            return
        if text is None and not boolean and not (_WEAKENS.search(key) and _PROTECTS.search(key)):
            confidence = Confidence.LOW
        elif use is not None and (boolean or text):
            confidence = match.confidence
        else:
            confidence = Confidence.weakest(match.confidence, Confidence.MEDIUM if use is not None else Confidence.LOW)
        self.report(
            match.call,
            f"`{key}=false` counts as true: the value is a string, and line {self.facts.line(use or match.call)} uses "
            f"it as a truth value",
            confidence=confidence,
            trace=[(use, "used as a truth value here")] if use is not None and use is not match.call else [],
            fix=lambda: self._compared(match.call, default),
        )

    def _compared(self, call: cst.Call, default: cst.BaseExpression | None) -> Fix:
        """The text compared with the words that mean yes."""
        on = default is not None and self.facts.is_constant(default, True)
        text = string(default)
        absent = source_of(self.facts, default) if text is not None and default is not None else '"true"' if on else '"false"'
        read = f"{source_of(self.facts, call.func)}({source_of(self.facts, call.args[0].value)}, {absent})"
        compared = f'{read}.lower() in ("1", "true", "yes")'
        bare = isinstance(self.facts.tree.parent(call), (cst.Assign, cst.AnnAssign, cst.Arg, cst.If, cst.While, cst.Return))
        edit = replaced(self.facts, call, compared if bare else f"({compared})")
        return Fix(Applicability.SUGGESTION, f"compare the text, as in `{compared}`", (edit,))

    def _use(self, call: cst.Call) -> cst.CSTNode | None:
        """Where the value is tested: the call itself, or the name or attribute it is bound to."""
        if self._is_tested(call):
            return call
        parent = self.facts.tree.parent(call)
        if not isinstance(parent, (cst.Assign, cst.AnnAssign)):
            return None
        target = parent.targets[0].target if isinstance(parent, cst.Assign) else parent.target
        place = self.facts.origins.place(target)
        kind = type(target)
        name = last_name(target)
        for other in self.facts.tree.all(kind) if place is not None else ():
            if (
                last_name(other) == name
                and other is not target
                and self._is_tested(other)
                and self.facts.origins.place(other) == place
            ):
                if any(origin.node is call for origin in self.facts.origins.step(other)):
                    return other
        return None

    def _is_tested(self, node: cst.CSTNode) -> bool:
        parent = self.facts.tree.parent(node)
        if isinstance(parent, (cst.If, cst.While, cst.IfExp)):
            return parent.test is node
        if isinstance(parent, cst.UnaryOperation):
            return isinstance(parent.operator, cst.Not)
        if isinstance(parent, cst.BooleanOperation):
            return isinstance(parent.operator, cst.And) and self._is_tested(parent)
        if isinstance(parent, cst.Arg):
            call = self.facts.tree.parent(parent)
            if isinstance(call, cst.Call) and self.facts.names.qualified(call.func) == "builtins.bool":
                return True
            return parent.keyword is not None and self.facts.security.is_switch("verify-switch", parent.keyword.value)
        return False
