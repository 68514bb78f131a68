"""SBL507: an SSH host key that nobody knows is accepted."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.calls import argument, unpacks
from safeboundary_lint.core.commands import option_texts, without_option
from safeboundary_lint.core.edits import argument_removed, lines_before, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.weakening import Weakening
from safeboundary_lint.core.tree import descendants


class TrustOnFirstUse(Rule):
    """An SSH client accepts a host key that nobody has checked.

    What it does
    ------------
    Finds policies that accept unknown host keys (added automatically, warned about, or not looked at), clients told that there
    are no known hosts, connections that are given no host key to expect, and options such as `StrictHostKeyChecking=no`.

    Why it matters
    --------------
    The first connection decides whom every later one trusts, and with no memory every connection is the first. Whoever answers
    in the host's place gets the password, the commands and the files.

    Example
    -------

        import paramiko

        def run(host, user, command):
            client = paramiko.SSHClient()
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(host, username=user)
            return client.exec_command(command)

    Instead
    -------

        import paramiko

        def run(host, user, command):
            client = paramiko.SSHClient()
            client.load_system_host_keys()
            client.set_missing_host_key_policy(paramiko.RejectPolicy())
            client.connect(host, username=user)
            return client.exec_command(command)

    Stays silent when
    -----------------
    Unknown keys are rejected; a policy of the project's own can refuse; the host key is read and compared; an option, off by
    default, asks for it; the peer is this machine.

    Fix safety
    ----------
    Unsafe: hosts that are in no known-hosts file are refused afterwards. The policy becomes the rejecting one, with the known
    hosts loaded where nothing loads them; arguments and options are removed. A suggestion for policies of the project's own, and
    in words for keys that have to be given.

    Known limits
    ------------
    Policies that are chosen by a configuration file are the operator's decision and are not reported.
    """

    code, name, since, severity = "SBL507", "trust-on-first-use", "0.1", Severity.ERROR
    overlaps = ("ruff:S507", "bandit:B507")
    needs = (("host-key-policy-setter", "host-key-option", "host-key-switch", "host-key-text"),)
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("host-key-policy-setter"):
            self._check_policy(match)
        for one in (*self.facts.security.unchecked_hosts, *option_texts(self.facts, "host-key-text")):
            if not self.facts.consent.given(one.value or one.node) and not self._compares_key(one):
                self._tell(one)

    def _check_policy(self, match: Match) -> None:
        parameter = match.row.parameter("policy")
        policy = argument(match.call, parameter) if parameter is not None else None
        if policy is None or unpacks(match.call) or self.facts.consent.given(match.call):
            return
        for origin in self.facts.origins.trail(policy):
            named = origin.node.func if isinstance(origin.node, cst.Call) else origin.node
            if self._accepts(named) and not self.facts.consent.given(origin.node):
                self._tell_policy(match, named, origin.node)
                return

    def _accepts(self, named: cst.CSTNode) -> bool:
        """A policy that lets unknown keys pass: a library's, or one of this file whose method never refuses."""
        if not isinstance(named, (cst.Name, cst.Attribute)):
            return False
        definition = self.facts.names.definition(named)
        if isinstance(definition, cst.ClassDef):
            trusting = any(
                self.facts.knowledge.of_kind(base, "trusting-host-key-policy")
                for base in self.facts.types.foreign_bases(definition)
            )
            return trusting and not any(isinstance(node, cst.Raise) for node in descendants(definition.body))
        return self.facts.match(named, "trusting-host-key-policy") is not None

    def _tell_policy(self, match: Match, named: cst.CSTNode, made: cst.CSTNode) -> None:
        trace = [] if self.facts.tree.within(made, match.call) else [(made, f"`{self.facts.code(named)}` is chosen here")]
        row = self.facts.match(named, "trusting-host-key-policy")
        fix = self._rejecting(match, named, made, row or self._base(named))
        self.report(
            match.call,
            f"`{self.facts.code(named)}` accepts the key of a host that nobody knows: whoever answers in its place gets "
            f"the login and the commands",
            confidence=match.confidence if row is not None else Confidence.MEDIUM,
            trace=trace,
            fix=fix,
        )

    def _base(self, named: cst.CSTNode) -> Match | None:
        """The policy of a library that a class of this file derives from."""
        definition = self.facts.names.definition(named) if isinstance(named, (cst.Name, cst.Attribute)) else None
        bases = definition.bases if isinstance(definition, cst.ClassDef) else ()
        found = (self.facts.match(base.value, "trusting-host-key-policy") for base in bases)
        return next((one for one in found if one is not None), None)

    def _rejecting(self, match: Match, named: cst.CSTNode, made: cst.CSTNode, trusting: Match | None) -> Fix:
        """The policy that refuses, where the trusting one is made, and the known hosts loaded where nothing loads them."""
        words = f"load the known hosts and reject the others instead of `{self.facts.code(named)}`"
        if trusting is None or not isinstance(named, (cst.Name, cst.Attribute)):
            return Fix(Applicability.SUGGESTION, words)
        safe, imports = trusting.row.get("safe"), ()
        known = trusting.node if trusting.node is not named else named
        if isinstance(known, cst.Attribute):
            text = f"{source_of(self.facts, known.value)}.{safe}"
        else:
            text, imports = safe, (f"from {trusting.dotted.rpartition('.')[0]} import {safe}",)
        edits = [replaced(self.facts, named, text)]
        if (loaded := self._loaded_first(match.call, trusting.row.get("loads"))) is not None:
            edits.append(loaded)
        own = trusting.node is not named
        return Fix(Applicability.SUGGESTION if own else Applicability.UNSAFE, words, tuple(edits), imports)

    def _loaded_first(self, call: cst.Call, loads: str) -> Edit | None:
        receiver, tree = call.func.value if isinstance(call.func, cst.Attribute) else None, self.facts.tree
        around = tree.class_of(call) or tree.function_of(call) or tree.module
        loaded = any("host_keys" in node.attr.value and tree.within(node, around) for node in tree.all(cst.Attribute))
        if loaded or not isinstance(receiver, (cst.Name, cst.Attribute)):
            return None
        return lines_before(self.facts, call, f"{source_of(self.facts, receiver)}.{loads}()")

    def _compares_key(self, one: Weakening) -> bool:
        function = self.facts.tree.function_of(one.node) or self.facts.tree.module
        return bool(self.facts.summaries.effects(function, "host-key-read"))

    def _tell(self, one: Weakening) -> None:
        edits: tuple[Edit, ...] = ()
        if one.form == "argument" and one.call is not None and isinstance(one.node, cst.Arg):
            edits = (argument_removed(self.facts, one.call, one.node),)
        elif one.form == "option" and (edit := without_option(self.facts, one.node, one.text)) is not None:
            edits = (edit,)
        first_use = one.row is not None and one.row.get("first_use")
        self.report(
            one.node,
            f"`{one.text}` accepts {'the first key that a new host shows' if first_use else 'whatever host key is shown'}: "
            "whoever answers in the host's place gets the login and the commands",
            severity=Severity.INFO if first_use else Severity.WARNING if one.form == "option" else Severity.ERROR,
            confidence=one.confidence,
            fix=lambda: Fix(Applicability.UNSAFE if edits else Applicability.SUGGESTION, self._advice(one), edits),
        )

    def _advice(self, one: Weakening) -> str:
        if one.form == "missing":
            return f"pass the key that the host is expected to show, instead of `{one.text}`"
        return f"remove `{one.text}` and provision the known hosts"
