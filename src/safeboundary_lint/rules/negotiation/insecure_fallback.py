"""SBL501: after a failure the same thing is tried again without the protection."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.downgrades import Downgrade
from safeboundary_lint.core.edits import replaced, source_of
from safeboundary_lint.core.finding import Applicability, Edit, Fix, Severity
from safeboundary_lint.core.refusals import raised_from
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.negotiation import answers, connects_plainly, falls_back, handles, may_attempt, tries_ways
from safeboundary_lint.core.weakening import PLAINTEXT, PROTOCOL

_WEAKER = (
    "verify-option", "verify-switch=", "verify-off", "unverified-context", "secure-switch=", "plaintext-connect", "weak-protocol",
    "verify-setting", "tls-context", "implicit-tls", "starttls",
)  # fmt: skip
_WITHOUT = {PLAINTEXT: "in plaintext", PROTOCOL: "with a protocol that is broken"}


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
        (*_WEAKER, connects_plainly, tries_ways),
        (*_WEAKER, "%^(http|ws|ldap|ftp)$"),
        ("%https|wss|ssl|tls|ftps|ldaps|secure|verif|cert|hostname",),  # the protection that is given up
        (handles, may_attempt, "verify-option", "implicit-tls", "starttls", "tls-connect"),
        (falls_back,),
    )
    anchored, parts, own = 1, staticmethod(answers), True

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
