"""SBL503: a TLS connection may use a broken protocol version."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.edits import argument_removed, named_first, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_KEYS = ("use_certificate*", "use_privatekey*", "check_privatekey", "load_cert_chain")


class WeakProtocolFloor(Rule):
    """A TLS connection is pinned to a broken protocol version, or may be talked down to one.

    What it does
    ------------
    Finds SSL 2, SSL 3, TLS 1.0 and TLS 1.1 as the version of a context or of a wrapped socket, as `minimum_version`, as a
    default, and contexts for "any version" without a floor (info).

    Why it matters
    --------------
    The peers agree on the best version both allow, and an attacker can spoil the better ones. What is allowed at the bottom is
    what protects the connection in the end.

    Example
    -------

        import ssl

        def context_for(certfile):
            context = ssl.SSLContext(ssl.PROTOCOL_TLSv1)
            context.load_cert_chain(certfile)
            return context

    Instead
    -------

        import ssl

        def context_for(certfile):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certfile)
            return context

    Stays silent when
    -----------------
    The constant is compared, excluded, named in a table of choices, or asked for by an option; the context has a floor
    (`minimum_version`, `OP_NO_TLSv1`), also from a function of the file that it is handed to; the protocol is
    `PROTOCOL_TLS_CLIENT` or `PROTOCOL_TLS_SERVER`; the context only compares a key with its certificate.

    Fix safety
    ----------
    Unsafe: a minimum version is raised to TLS 1.2, a context is made for the newest versions and given that floor, the version of
    a wrapped socket is left out. Very old peers can't connect afterwards, and a client's context checks certificates, which one
    of an old version does not by itself. A suggestion for defaults.

    Known limits
    ------------
    What the system's OpenSSL configuration allows is not known.
    """

    code, name, since, severity = "SBL503", "weak-protocol-floor", "0.1", Severity.ERROR
    overlaps = ("ruff:S502", "ruff:S503", "bandit:B502", "bandit:B503")
    needs = (("weak-protocol", "any-protocol"),)
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        wanted = self.facts.security.words_of("weak-protocol", "any-protocol")
        for found in (*self.facts.tree.all(cst.Attribute), *self.facts.tree.all(cst.Name)):
            if last_name(found) in wanted and (match := self.facts.match(found, "weak-protocol", "any-protocol")) is not None:
                self._check(match)

    def _check(self, match: Match) -> None:
        place = self.facts.security.given_to(match.node)
        if place is None or self.facts.consent.given(match.node) or self.facts.downgrades.holds(place):
            return
        if match.row.kind == "any-protocol":
            made = isinstance(place, cst.Call) and self.facts.match(place, "tls-context") is not None
            if made and not self._has_floor(place) and not self._only_reads_keys(place):
                self._tell_any(match, place)
            return
        if named_ceiling(place):
            return
        version, safe = match.row.get("version"), match.row.get("safe")
        self.report(
            match.node,
            f"`{self.facts.code(match.node)}` allows {version}: an attacker who spoils better versions gets a "
            f"connection that he can read",
            confidence=match.confidence,
            fix=lambda: self._fix(match, place, safe),
        )

    def _fix(self, match: Match, place: cst.CSTNode, safe: str) -> Fix:
        node, call = match.node, place if isinstance(place, cst.Call) else self.facts.tree.parent(place)
        lowest = isinstance(place, cst.Attribute) and place.attr.value == "minimum_version"
        if lowest and isinstance(node, cst.Attribute):
            edit = replaced(self.facts, node.attr, safe.rpartition(".")[2])
            return Fix(Applicability.UNSAFE, f"raise the floor to `{safe}`", (edit,))
        words = f"use `{safe}` with a floor of TLS 1.2 instead of `{self.facts.code(node)}`"
        if isinstance(call, cst.Call) and self.facts.match(call, "tls-context") is not None:
            edits = self._floored(match, call)
            return Fix(Applicability.UNSAFE if edits else Applicability.SUGGESTION, words, edits)
        if isinstance(place, cst.Arg) and isinstance(call, cst.Call) and place.keyword is not None:
            words = f"leave `{self.facts.code(place)}` out, so that the best version is agreed on"
            return Fix(Applicability.UNSAFE, words, (argument_removed(self.facts, call, place),))
        shown = isinstance(node, cst.Attribute) and safe.rpartition(".")[0] == match.dotted.rpartition(".")[0]
        edits = (replaced(self.facts, node.attr, safe.rpartition(".")[2]),) if shown and isinstance(node, cst.Attribute) else ()
        return Fix(Applicability.SUGGESTION, words, edits)

    def _floored(self, match: Match, call: cst.Call) -> tuple[Edit, ...]:
        """The context made for the newest versions, and given a floor before anything else is done with it."""
        node, floor = match.node, match.row.get("floor")
        if floor is None or not isinstance(node, cst.Attribute):
            return ()
        safe = match.row.get("serving" if self._serves(call) else "safe") or match.row.get("safe")
        text = source_of(self.facts, call)
        if safe is not None:
            newer = node.with_changes(attr=cst.Name(safe.rpartition(".")[2]))
            text = source_of(self.facts, call.deep_replace(node, newer))
        line = floor.format(module=source_of(self.facts, node.value))
        return named_first(self.facts, call, "context", text, f"{{}}.{line}")

    def _serves(self, call: cst.Call) -> bool:
        """The function, or whom it belongs to, takes connections instead of making them."""
        function = self.facts.tree.function_of(call) or self.facts.tree.module
        keywords = (node.keyword for node in descendants(function) if isinstance(node, cst.Arg))
        named = named_like(self.facts.tree.symbol_of(call), "*server*", "*listen*", "*serve*", "*accept*")
        return named or any(keyword is not None and keyword.value == "server_side" for keyword in keywords)

    def _tell_any(self, match: Match, call: cst.Call) -> None:
        self.report(
            call,
            f"`{self.facts.code(call)}` allows every version that this OpenSSL still has, and nothing in this function "
            f"sets a floor",
            severity=Severity.INFO,
            confidence=Confidence.MEDIUM,
            fix=lambda: Fix(
                Applicability.UNSAFE if (edits := self._floored(match, call)) else Applicability.SUGGESTION,
                "make the context for a client or a server (`ssl.PROTOCOL_TLS_CLIENT`), or give it a floor of TLS 1.2",
                edits,
            ),
        )

    def _only_reads_keys(self, call: cst.Call) -> bool:
        """A context that loads a key and its certificate to see whether they belong together connects nothing."""
        tree, above = self.facts.tree, self.facts.tree.parent(call)
        target = above.targets[0].target if isinstance(above, cst.Assign) else None
        function = tree.function_of(call)
        if not isinstance(target, cst.Name) or function is None:
            return False
        uses = [n for n in tree.all(cst.Name) if n.value == target.value and n is not target and tree.within(n, function)]
        accessed = [one.attr.value for use in uses if isinstance(one := tree.parent(use), cst.Attribute) and one.value is use]
        return len(accessed) == len(uses) and "check_privatekey" in accessed and all(named_like(name, *_KEYS) for name in accessed)

    def _has_floor(self, call: cst.Call) -> bool:
        """Something in the function, or in one of this file that is given the context, sets the lowest version."""
        function = self.facts.tree.function_of(call)
        words = self.facts.knowledge.words["protocol-floor"] | {"minimum_version"}
        scopes = [function or self.facts.tree.module, *self._given_to(call)]
        return any(
            node.attr.value in words and any(self.facts.tree.within(node, scope) for scope in scopes)
            for node in self.facts.tree.all(cst.Attribute)
        )

    def _given_to(self, call: cst.Call) -> Iterator[cst.CSTNode]:
        """`self.configure(self._context)`: functions of this file that the context is handed to where it is made."""
        tree, above = self.facts.tree, self.facts.tree.parent(call)
        place = self.facts.origins.place(above.targets[0].target) if isinstance(above, cst.Assign) else None
        if place is None:
            return
        for other in self.facts.summaries.calls_of(tree.function_of(call) or tree.module):
            if any(self.facts.origins.place(arg.value) == place for arg in other.args):
                if (callee := self.facts.types.callee(other)) is not None:
                    yield callee


def named_ceiling(place: cst.CSTNode) -> bool:
    """`maximum_version = ...` and `set_max_proto_version(...)` are no floor."""
    if isinstance(place, cst.Call):
        return "max" in (last_name(place.func) or "")
    named = place.keyword if isinstance(place, cst.Arg) else place
    return "max" in (last_name(named) or "")
