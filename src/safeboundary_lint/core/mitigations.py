"""What makes up for a check that is off: set back, done by the code itself, the other side's task, a peer on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import keyword_names, string
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.weakening import HOSTNAME, Weakening

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "host.docker.internal")
_OWN_CHECK = ("fingerprint", "getpeercert", "thumbprint", "pinned", "spki")
_SERVER_NAMES = ("*server*", "*listen*", "*serve*", "*accept*")


class Mitigations:
    """Answers about the weakenings of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def answers(self, one: Weakening) -> bool:
        """Checked in another way: set back, done by the server's side, by a fingerprint, or for this very machine."""
        at = one.value or one.node
        if isinstance(one.node, cst.Attribute) and self._is_own_field(one.node):
            return True
        if one.owner is not None and (self._server_side(one) or self._set_back(one)):
            return True
        return self._own_check(at) or self.is_local(one)

    def _set_back(self, one: Weakening) -> bool:
        """`verify_mode = CERT_REQUIRED` on the same object, in the same function."""
        function = self.facts.tree.function_of(one.node)
        for store in self.facts.names.stores:
            target = store.target
            if (
                not isinstance(target, cst.Attribute)
                or target.attr.value != "verify_mode"
                or self.facts.origins.place(target.value) != one.owner
            ):
                continue
            if self.facts.tree.function_of(target) is function and not self._is_off(store.source):
                return not (one.checks == HOSTNAME and not one.others) or self._private_authority(one)
        return False

    def _private_authority(self, one: Weakening) -> bool:
        function = self.facts.tree.function_of(one.node) or self.facts.tree.module
        calls = self.facts.summaries.calls_of(function)
        return any(
            last_name(call.func) == "load_verify_locations" or keyword_names(call) & {"cafile", "cadata", "capath"}
            for call in calls
        )

    def _server_side(self, one: Weakening) -> bool:
        """The context accepts connections, so that it is the client who would be checked."""
        if any(
            named_like(f.name.value, *_SERVER_NAMES)
            for f in (one.node, *self.facts.tree.ancestors(one.node))
            if isinstance(f, cst.FunctionDef)
        ):
            return True
        value = one.node.value if isinstance(one.node, cst.Attribute) else one.call
        for origin in self.facts.origins.trail(value) if value is not None else ():
            if isinstance(origin.node, cst.Call) and (match := self.facts.match(origin.node, "tls-context")) is not None:
                named = {self.facts.names.qualified(arg.value) for arg in origin.node.args}
                if named & set(match.row.get("server", ())):
                    return True
        return False

    def _own_check(self, node: cst.CSTNode) -> bool:
        around = [self.facts.tree.function_of(node), self.facts.tree.class_of(node)]
        return any(id(one) in self._own_checks for one in around if one is not None)

    @cached_property
    def _own_checks(self) -> set[int]:
        found: set[int] = set()
        tree = self.facts.tree
        for node in (*tree.all(cst.Name), *tree.all(cst.Attribute), *tree.all(cst.Arg)):
            name = (
                node.keyword.value
                if isinstance(node, cst.Arg) and node.keyword
                else last_name(node) if not isinstance(node, cst.Arg) else None
            )
            if name is not None and any(part in name.lower() for part in _OWN_CHECK):
                found |= {id(around) for around in (tree.function_of(node), tree.class_of(node)) if around is not None}
        return found

    def _is_own_field(self, target: cst.Attribute) -> bool:
        """`self.check_hostname = False` in a class that is a TLS context itself: its start value."""
        cls = self.facts.tree.class_of(target)
        own = isinstance(target.value, cst.Name) and target.value.value == "self"
        return (
            own
            and cls is not None
            and "context" in cls.name.value.lower()
            and target.attr.value in ("check_hostname", "verify_mode")
        )

    def is_local(self, one: Weakening) -> bool:
        texts = [text for arg in one.call.args if (text := self._text(arg.value))] if one.call is not None else []
        return any(host in text for text in texts for host in _LOOPBACK)

    def _text(self, node: cst.CSTNode) -> str:
        for origin in self.facts.origins.trail(node)[:6]:
            for part in descendants(origin.node):
                if isinstance(part, cst.FormattedStringText):
                    return part.value
                if (text := string(part)) is not None:
                    return text
        return ""

    def _is_off(self, node: cst.CSTNode | None) -> bool:
        return isinstance(node, (cst.Name, cst.Attribute)) and self.facts.match(node, "verify-off") is not None
