"""Which security settings a file turns off, and where: keywords, attributes, defaults, dict entries, constants, contexts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument, keyword_names, string, unpacks
from safeboundary_lint.core.contexts import silent_contexts
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.mitigations import Mitigations
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.switches import Switches, key_of
from safeboundary_lint.core.weakening import HOST_KEY, PLAINTEXT, PROTOCOL, Weakening, weakened

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_ENTRIES = ("*cert_reqs", "*verify*", "*ssl_version*", "*tls_version*", "*minimum_version*", "*ssl_protocol*")
_READERS = ("get", "getattr", "isinstance", "getenv", "print", "append", "index", "debug", "info", "warning", "setdefault", "pop")


class Security:
    """The settings of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._switches = Switches(facts)

    @cached_property
    def _mitigations(self) -> Mitigations:
        return Mitigations(self.facts)

    # -- verification of the peer --------------------------------------------------------------------------------------

    @cached_property
    def unverified(self) -> list[Weakening]:
        """Places after which a peer's certificate or host name goes unchecked; one for each object, the others behind it."""
        found = [
            *self._options("verify-option"),
            *self._switches.given_off("verify-switch"),
            *self._switches.of_clients(),
            *self._constants(),
            *self._contexts(),
            *silent_contexts(self.facts),
            *self._without_context(),
        ]
        distinct = {id(one.node): one for one in reversed(found)}
        order = self.facts.tree.order
        lasting = [one for one in distinct.values() if not one.passing]
        grouped = list(_grouped(sorted(lasting, key=lambda one: order.get(id(one.node), 0)), self))
        return [one for one in grouped if not self._mitigations.answers(one)]

    @cached_property
    def passing(self) -> list[Weakening]:
        """Switches of verification set for a while, protocol versions that are named: weaker attempts, if they follow a failure."""
        found = [one for one in self._switches.given_off("verify-switch") if one.passing]
        found += self._switches.locals_off("verify-switch")
        wanted = self.words_of("weak-protocol")
        for node in (*self.facts.tree.all(cst.Attribute), *self.facts.tree.all(cst.Name)):
            if (
                last_name(node) in wanted
                and (match := self.facts.match(node, "weak-protocol"))
                and (place := self.given_to(node)) is not None
            ):
                found.append(Weakening(place, PROTOCOL, self.facts.code(node), "constant", match.confidence, node, row=match.row))
        return found

    # -- finding the places --------------------------------------------------------------------------------------------

    @cached_property
    def unprotected(self) -> list[Weakening]:
        """Places that switch the protection of the transport off, or connect without it."""
        found = list(self._switches.given_off("secure-switch"))
        found += self._switches.locals_off("secure-switch")
        for match in self.facts.calls("plaintext-connect"):
            found.append(weakened(match.call, match.row, self.facts.code(match.call), "connect", None, call=match.call))
        for one in found:
            one.checks = PLAINTEXT
        return [one for one in found if not self._mitigations.is_local(one)]

    @cached_property
    def unchecked_hosts(self) -> list[Weakening]:
        """Places that let an SSH client accept any host key."""
        found = [*self._options("host-key-option"), *self._switches.given_off("host-key-switch")]
        distinct = {id(one.node): one for one in reversed(found)}
        for one in distinct.values():
            one.checks = HOST_KEY
        return [one for one in distinct.values() if not self._mitigations.is_local(one)]

    def _options(self, kind: str) -> Iterator[Weakening]:
        """A known callable whose parameter is given an off value, or left out where that is off."""
        for match in self.facts.calls(kind):
            option = match.row.parameter("option")
            assert option is not None
            value = argument(match.call, option)
            if value is not None and self._switches.is_off(value, match.row):
                arg = next(arg for arg in match.call.args if arg.value is value)
                text = f"{option.name}={self.facts.code(value)}"
                yield weakened(arg, match.row, text, "argument", value, call=match.call)
            elif (
                value is None
                and match.row.get("missing")
                and not unpacks(match.call)
                and "server_side" not in keyword_names(match.call)
            ):
                text = f"{self.facts.code(match.call.func)}() without {option.name}"
                yield weakened(match.call, match.row, text, "missing", None, call=match.call)

    def _constants(self) -> Iterator[Weakening]:
        """Constants such as `CERT_NONE` where they are passed, assigned, or a default."""
        tree, wanted = self.facts.tree, self.words_of("verify-off", "verify-setting")
        for node in (*tree.all(cst.Name), *tree.all(cst.Attribute)):
            if last_name(node) not in wanted or (match := self.facts.match(node, "verify-off", "verify-setting")) is None:
                continue
            used = self._used(node)
            if used is None:
                continue
            place, call, owner = used
            if match.row.kind == "verify-setting":
                index = next((i for i, arg in enumerate(call.args) if arg.value is node), None) if call is not None else None
                if (
                    call is None
                    or index is None
                    or index + 1 >= len(call.args)
                    or not self._switches.is_off(call.args[index + 1].value, match.row)
                ):
                    continue
                text = f"{self.facts.code(node)}, {self.facts.code(call.args[index + 1].value)}"
                yield weakened(call, match.row, text, "constant", call.args[index + 1].value, call=call)
                continue
            if call is not None and last_name(call.func) in ("int", "str", "print", "VerifyMode"):
                continue
            text = (
                f"{self.facts.code(place)} = {self.facts.code(node)}"
                if isinstance(place, (cst.Attribute, cst.Name))
                else self.facts.code(place)
            )
            one = weakened(
                place, match.row, text, "default" if isinstance(place, cst.Param) else "constant", node, call=call, owner=owner
            )
            if isinstance(place, cst.Param) or isinstance(place, cst.Name) and self._is_parameter(place):
                one.confidence = Confidence.LOW  # it may as well say what a server asks of its clients, or what the caller said
            yield one

    def _is_parameter(self, name: cst.Name) -> bool:
        found = self.facts.names.lookup(name)
        return found is not None and any(binding.how == "parameter" for binding in found[1])

    def is_switch(self, kind: str, name: str) -> bool:
        """True when knowledge knows the name as a switch of this kind, in a file with these imports."""
        return self._switches.is_switch(kind, name)

    def given_to(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The argument, call, attribute or parameter that a constant is given to; None for comparisons, tables and the like."""
        used = self._used(node)
        return used[0] if used is not None else None

    def _used(self, node: cst.CSTNode) -> tuple[cst.CSTNode, cst.Call | None, str | None] | None:
        """What a constant is given to: an argument of a call, an attribute, a default; None for comparisons and tables."""
        below, above = node, self.facts.tree.parent(node)
        while isinstance(above, (cst.IfExp, cst.BooleanOperation)) and not (isinstance(above, cst.IfExp) and below is above.test):
            below, above = above, self.facts.tree.parent(above)
        if isinstance(above, cst.Arg):
            call = self.facts.tree.parent(above)
            if isinstance(call, cst.Call) and last_name(call.func) not in _READERS:
                owner = self.facts.origins.place(call.func.value) if isinstance(call.func, cst.Attribute) else None
                return (above if above.keyword is not None else call), call, owner
        elif isinstance(above, cst.Assign):
            target = above.targets[0].target
            if isinstance(target, cst.Attribute):
                return target, None, self.facts.origins.place(target.value)
            if isinstance(target, cst.Name) and named_like(
                target.value, "*req*", "*verify*", "*mode*", "*ssl*", "*tls*", "*protocol*"
            ):
                return target, None, None
            if named_like(key_of(target), *_ENTRIES):
                return target, None, None
        elif isinstance(above, cst.Param):
            return above, None, None
        elif isinstance(above, cst.DictElement) and named_like(string(above.key), *_ENTRIES):
            return above, None, None
        return None

    def _contexts(self) -> Iterator[Weakening]:
        """Unverified contexts made, or put in the place of the verified default."""
        tree, wanted = self.facts.tree, self.words_of("unverified-context")
        for node in (*tree.all(cst.Name), *tree.all(cst.Attribute)):
            if last_name(node) not in wanted or (match := self.facts.match(node, "unverified-context")) is None:
                continue
            above = tree.parent(node)
            call = above if isinstance(above, cst.Call) and above.func is node else None
            if call is None and not (
                isinstance(above, cst.Assign) and above.value is node and isinstance(above.targets[0].target, cst.Attribute)
            ):
                continue
            statement = tree.parent(call) if call is not None else None
            owner = self.facts.origins.place(statement.targets[0].target) if isinstance(statement, cst.Assign) else None
            yield weakened(
                call or above, match.row, self.facts.code(call or above), "context", node, call=call, owner=owner
            )

    def _without_context(self) -> Iterator[Weakening]:
        """STARTTLS and implicit TLS of clients that check nothing unless a context is given."""
        for match in self.facts.calls("starttls", "implicit-tls"):
            context = match.row.parameter("context")
            if context is None or unpacks(match.call):
                continue
            value = argument(match.call, context)
            if value is None or self.facts.is_constant(value, None):
                text = f"{self.facts.code(match.call.func)}() without {context.name}"
                one = weakened(match.call, match.row, text, "missing", value, call=match.call)
                one.confidence = match.confidence
                yield one

    def words_of(self, *kinds: str) -> frozenset[str]:
        """Names by which this file may mention rows of these kinds, its own aliases included."""
        words = frozenset().union(*(self.facts.knowledge.words.get(kind, frozenset()) for kind in kinds))
        scope = self.facts.names.module_scope
        aliases = {
            n
            for n, several in scope.bindings.items()
            for b in several
            if b.how == "import" and b.dotted.rpartition(".")[2] in words
        }
        return words | aliases


def _grouped(found: list[Weakening], security: Security) -> Iterator[Weakening]:
    """Settings of one object in one function are one cause: the first stands for all."""
    groups: dict[tuple[int, str], Weakening] = {}
    for one in found:
        if one.owner is None:
            yield one
            continue
        key = (id(security.facts.tree.function_of(one.node)), one.owner)
        if key not in groups:
            groups[key] = one
            yield one
        else:
            groups[key].others.append(one)
