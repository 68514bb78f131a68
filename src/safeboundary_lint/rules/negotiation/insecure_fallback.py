"""SBL501: after a failure the same thing is tried again without the protection."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence

import libcst as cst

from safeboundary_lint.core import shapes
from safeboundary_lint.core.downgrades import NO_CONNECTING, PLAIN, Downgrade, is_plain_address, may_attempt, may_probe
from safeboundary_lint.core.edits import replaced, source_of
from safeboundary_lint.core.finding import Applicability, Edit, Fix, Severity
from safeboundary_lint.core.refusals import raised_from
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.weakening import PLAINTEXT, PROTOCOL

_WEAKER = (
    "verify-option", "verify-switch=", "verify-off", "unverified-context", "secure-switch=", "plaintext-connect", "weak-protocol",
    "verify-setting", "tls-context", "implicit-tls", "starttls",
)  # fmt: skip
_ASKING = (ast.If, ast.IfExp, ast.While, ast.BoolOp, ast.Assert, ast.match_case)
_BUILTINS = frozenset(dir(builtins))
_WITHOUT = {PLAINTEXT: "in plaintext", PROTOCOL: "with a protocol that is broken"}


@shapes.about("except", "if", "while", "and", "or", "assert", "case")
def _falls_back(body: Sequence[ast.AST]) -> bool:
    """A failure is handled, or a test may ask how an attempt went."""
    return any(True for _ in shapes.walk(body, ast.ExceptHandler)) or _asks(body)


def _asks(body: Sequence[ast.AST]) -> bool:
    """A test may ask how an attempt went that was made here, or elsewhere and kept or given back."""
    asked = shapes.walk([getattr(node, "test", node) for node in shapes.walk(body, *_ASKING)])
    if any(isinstance(part, ast.Attribute) and not isinstance(part.value, ast.Call) for part in asked):
        return True
    if not asked or not any(map(may_probe, shapes.walk(body))):
        return False
    bindings = shapes.walk(body, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.For, ast.AsyncFor, ast.withitem)
    telling = [node for node in bindings if any(map(_may_tell, shapes.walk([node])))]
    made = {part.id for part in shapes.walk(telling, ast.Name) if isinstance(part.ctx, ast.Store)}
    own = {part.arg for part in shapes.walk(body, ast.arg)} | {part.id for part in shapes.walk(body, ast.Name) if isinstance(part.ctx, ast.Store)}
    names = {part.id for part in asked if isinstance(part, ast.Name)}
    return not names <= (own | _BUILTINS) - made or may_attempt(body)


def _may_tell(part: ast.AST) -> bool:
    """What a name is bound to may be how an attempt went."""
    return isinstance(part, (ast.Call, ast.Attribute)) or isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)


@shapes.about("except")
def _tries_ways(body: Sequence[ast.AST]) -> bool:
    """A loop over ways that a name or a helper may stand for, with a handler that goes on to the next one."""
    for loop in shapes.walk(body, ast.For):
        if isinstance(loop.target, ast.Name) and not (isinstance(loop.iter, ast.Call) and shapes.last_name(loop.iter) in _BUILTINS):
            for handler in shapes.walk([loop], ast.ExceptHandler):
                if not any(isinstance(line, (ast.Raise, ast.Return, ast.Break)) for line in handler.body):
                    return True
    return False


def _answers(body: Sequence[ast.AST]) -> list[list[ast.stmt]]:
    """What follows a failure: handlers, loops around them, and all of a function that asks how an attempt went."""
    loops = [[loop] for loop in shapes.walk(body, ast.For, ast.AsyncFor) if shapes.holds(loop, ast.ExceptHandler)]
    return [*(handler.body for handler in shapes.walk(body, ast.ExceptHandler)), *loops, *([list(body)] if _asks(body) else [])]


@shapes.about("except")
def _handles(body: Sequence[ast.AST]) -> bool:
    return any(True for _ in shapes.walk(body, ast.ExceptHandler))


@shapes.about("%^(http|ws|ldap|ftp)$")
def _connects_plainly(body: Sequence[ast.AST]) -> bool:
    """The text of an unprotected address, or of its scheme, that is not only looked for, told or compared."""
    unused: set[int] | None = None
    for node in shapes.walk(body, ast.Constant, ast.JoinedStr):
        text = (shapes.text_parts(node) or "").lower()
        if text in PLAIN or is_plain_address(text):
            if unused is None:
                unused = _unused(body)
            if id(node) not in unused:
                return True
    return False


def _unused(body: Sequence[ast.AST]) -> set[int]:
    """Texts that stand by themselves, in a comparison or an error, or are given to what looks for them or tells them."""
    if any(shapes.last_name(call.func) == "replace" for call in shapes.walk(body, ast.Call)):
        return set()
    apart: list[ast.AST] = [node.value for node in shapes.walk(body, ast.Expr) if isinstance(node.value, ast.Constant)]
    apart += shapes.walk(body, ast.Raise, ast.Assert, ast.Compare)
    apart += [call for call in shapes.walk(body, ast.Call) if shapes.last_name(call.func) in NO_CONNECTING]
    return {id(part) for part in shapes.walk(apart, ast.Constant, ast.JoinedStr)}


class InsecureFallback(Rule):
    """After a failed handshake or connection the same thing is done again without the protection.

    What it does
    ------------
    Finds handlers, error branches and loops that answer a failed TLS connection with a weaker one: `verify=False`, `CERT_NONE`,
    `http://` after `https://`, `use_ssl = False`, an older protocol, a call of the same function with the flag off.

    Why it matters
    --------------
    An attacker on the path needs no broken cipher: he drops or disturbs the first connection, and the client itself takes the
    protection off. The fallback makes the protected way as weak as the unprotected one.

    Example
    -------

        import requests

        def fetch(url):
            try:
                return requests.get(url, timeout=10)
            except requests.exceptions.SSLError:
                return requests.get(url, timeout=10, verify=False)

    Instead
    -------

        import requests

        def fetch(url, ca_bundle=None):
            return requests.get(url, timeout=10, verify=ca_bundle or True)

    Stays silent when
    -----------------
    An explicit option asks for the fallback, and without it the failure is raised; the unprotected address is this machine; the
    handler answers something that says nothing about the peer, such as a missing module.

    Fix safety
    ----------
    A suggestion: what a failed connection means for the caller is for the author to say.

    Known limits
    ------------
    A fallback that is spread over several files, or chosen by a configuration that changes at run time, is not seen.
    """

    code, name, since, severity = "SBL501", "insecure-fallback", "0.1", Severity.ERROR
    overlaps = ()
    needs = (
        (*_WEAKER, _connects_plainly, _tries_ways),
        (*_WEAKER, "%^(http|ws|ldap|ftp)$"),
        ("%https|wss|ssl|tls|ftps|ldaps|secure|verif|cert|hostname",),  # the protection that is given up
        (_handles, may_attempt, "verify-option", "implicit-tls", "starttls", "tls-connect"),
        (_falls_back,),
    )
    anchored, parts, own = 1, staticmethod(_answers), True

    def visit_Module(self, node: cst.Module) -> None:
        for downgrade in self.facts.downgrades.all:
            self._tell(downgrade)

    def _tell(self, downgrade: Downgrade) -> None:
        one, after = downgrade.weakening, downgrade.after
        without = _WITHOUT.get(one.checks, "without checking the peer")
        trace = [(downgrade.first, "this attempt fails, or is made to fail")] if downgrade.first is not None else []
        trace.append((after, "the failure is answered here"))
        trace.append((one.node, f"`{one.text}`: the second attempt goes on {without}"))
        self.report(
            one.node,
            f"after the failure met in line {self.facts.line(after)} the code goes on {without} (`{one.text}`): "
            "an attacker only has to disturb the first connection",
            confidence=downgrade.confidence,
            trace=trace,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"raise the failure instead of going on with `{one.text}`, or do so only behind an option that is off by default",
                self._raised(one.node, after),
            ),
        )

    def _raised(self, node: cst.CSTNode, after: cst.CSTNode) -> tuple[Edit, ...]:
        """The second attempt gives way to a raise: of what the handler has caught, or of an error where a test has met it."""
        tree = self.facts.tree
        loop = tree.statement_of(node)
        if isinstance(loop, cst.For) and isinstance(loop.iter, cst.Tuple) and len(loop.iter.elements) == 2 and loop.iter.lpar:
            return (replaced(self.facts, loop.iter, f"{source_of(self.facts, loop.iter.elements[0].value)},"),)
        around = tree.enclosing(node, cst.ExceptHandler, cst.If, cst.FunctionDef, cst.Lambda)
        if isinstance(around, cst.ExceptHandler):
            return raised_from(self.facts, node, "raise")
        if isinstance(around, cst.If) and tree.within(after, around) and not tree.within(node, around.test):
            return raised_from(self.facts, node, 'raise ConnectionError("the protected connection failed")')
        return ()
