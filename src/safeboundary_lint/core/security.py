"""Which security settings a file turns off, and where: keywords, attributes, defaults, dict entries, constants, contexts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core import defaults
from safeboundary_lint.core.calls import NotConstant, argument, bound_arguments, keyword_names, literal, string, unpacks
from safeboundary_lint.core.contexts import silent_contexts
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.knowledge import Row
from safeboundary_lint.core.matching import named_like
from safeboundary_lint.core.mitigations import Mitigations
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.weakening import CERTIFICATE, HOST_KEY, PLAINTEXT, PROTOCOL, Weakening

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_ENTRIES = ("*cert_reqs", "*verify*", "*ssl_version*", "*tls_version*", "*minimum_version*", "*ssl_protocol*")
_CLIENTS = ("*client", "*session", "*api", "*transport")
_ADDRESSES = frozenset(("base_url", "url", "host", "hostname", "endpoint", "server", "address", "api_url", "base_uri"))
_READERS = ("get", "getattr", "isinstance", "getenv", "print", "append", "index", "debug", "info", "warning", "setdefault", "pop")


class Security:
    """The settings of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        wild = facts.knowledge.wild
        self._switches = {
            kind: {
                name: row
                for name, rows in wild.items()
                for row in rows
                if row.kind == kind and row.accepts(None, facts.names.imported)
            }
            for kind in ("verify-switch", "secure-switch", "host-key-switch")
        }

    @cached_property
    def _mitigations(self) -> Mitigations:
        return Mitigations(self.facts)

    # -- verification of the peer --------------------------------------------------------------------------------------

    @cached_property
    def unverified(self) -> list[Weakening]:
        """Places after which a peer's certificate or host name goes unchecked; one for each object, the others behind it."""
        found = [
            *self._options("verify-option"),
            *self._switched("verify-switch"),
            *self._of_clients(),
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
        found = [one for one in self._switched("verify-switch") if one.passing]
        found += self._locals("verify-switch")
        wanted = self.words_of("weak-protocol")
        for node in (*self.facts.tree.all(cst.Attribute), *self.facts.tree.all(cst.Name)):
            if (
                last_name(node) in wanted
                and (match := self.facts.match(node, "weak-protocol"))
                and (place := self.given_to(node)) is not None
            ):
                found.append(Weakening(place, PROTOCOL, self.facts.code(node), "constant", match.confidence, node, row=match.row))
        return found

    def _locals(self, kind: str) -> Iterator[Weakening]:
        for scope in self.facts.names.scopes():
            for name in scope.bindings.keys() & self._switches[kind].keys() if isinstance(scope.node, cst.FunctionDef) else ():
                row = self._switches[kind][name]
                for binding in scope.bindings[name]:
                    if binding.how == "value" and self.is_off(binding.source, row):
                        yield self._weakening(
                            binding.target, row, f"{name} = {self.facts.code(binding.source)}", "variable", binding.source
                        )

    # -- finding the places --------------------------------------------------------------------------------------------

    @cached_property
    def unprotected(self) -> list[Weakening]:
        """Places that switch the protection of the transport off, or connect without it."""
        found = list(self._switched("secure-switch"))
        found += self._locals("secure-switch")
        for match in self.facts.calls("plaintext-connect"):
            found.append(self._weakening(match.call, match.row, self.facts.code(match.call), "connect", None, call=match.call))
        for one in found:
            one.checks = PLAINTEXT
        return [one for one in found if not self._mitigations.is_local(one)]

    @cached_property
    def unchecked_hosts(self) -> list[Weakening]:
        """Places that let an SSH client accept any host key."""
        found = [*self._options("host-key-option"), *self._switched("host-key-switch")]
        distinct = {id(one.node): one for one in reversed(found)}
        for one in distinct.values():
            one.checks = HOST_KEY
        return [one for one in distinct.values() if not self._mitigations.is_local(one)]

    def is_switch(self, kind: str, name: str) -> bool:
        """True when knowledge knows the name as a switch of this kind, in a file with these imports."""
        return name in self._switches[kind]

    def _switched(self, kind: str) -> Iterator[Weakening]:
        """A name that knowledge knows as a switch, given an off value."""
        switches, tree = self._switches[kind], self.facts.tree
        for arg in tree.all(cst.Arg):
            if arg.keyword is not None and (row := switches.get(arg.keyword.value)) and self.is_off(arg.value, row):
                call = tree.parent(arg)
                if isinstance(call, cst.Call):
                    yield self._weakening(
                        arg, row, f"{arg.keyword.value}={self.facts.code(arg.value)}", "argument", arg.value, call=call
                    )
        yield from self._by_position(switches)
        for call in tree.all(cst.Call):
            if (
                last_name(call.func) == "setdefault"
                and len(call.args) == 2
                and (row := switches.get(string(call.args[0].value) or ""))
            ):
                if self.is_off(call.args[1].value, row):
                    yield self._weakening(call, row, self.facts.code(call), "entry", call.args[1].value)
        for store in self.facts.names.stores:
            target = store.target
            name = target.attr.value if isinstance(target, cst.Attribute) else self._key(target)
            if name is not None and (row := switches.get(name)) and store.how == "value" and self.is_off(store.source, row):
                text = f"{self.facts.code(target)} = {self.facts.code(store.source)}"
                owner = self.facts.origins.place(target.value)
                passing = self._set_otherwise(target, row)
                yield self._weakening(target, row, text, "attribute", store.source, owner=owner, passing=passing)
        for parameter in tree.all(cst.Param):
            if (
                (row := switches.get(parameter.name.value))
                and self.is_off(parameter.default, row)
                and defaults.is_named_enough(self.facts, parameter, row)
            ):
                one = self._weakening(
                    parameter, row, f"{parameter.name.value}={self.facts.code(parameter.default)}", "default", parameter.default
                )
                if not self.facts.is_constant(parameter.default, True, False) or defaults.is_always_given(self.facts, parameter):
                    one.confidence = (
                        Confidence.LOW
                    )  # "not said" is looked up elsewhere, a server may ask nothing of its clients, the callers may decide
                yield one
        for element in tree.all(cst.DictElement):
            key = string(element.key)
            if key is not None and (row := switches.get(key)) and self.is_off(element.value, row):
                yield self._weakening(element, row, f'"{key}": {self.facts.code(element.value)}', "entry", element.value)
        yield from self._variables(switches)

    def _of_clients(self) -> Iterator[Weakening]:
        """`ArchiveClient(base_url=..., verify=False)`: a client of the project, with the keyword of the library behind it."""
        row = next((row for row in self.facts.knowledge.wild.get("verify", ()) if row.kind == "verify-switch"), None)
        if row is None or self.is_switch("verify-switch", "verify"):
            return
        for arg in self.facts.tree.all(cst.Arg):
            call = self.facts.tree.parent(arg)
            given = arg.keyword is not None and arg.keyword.value == "verify" and self.is_off(arg.value, row)
            if given and isinstance(call, cst.Call) and named_like(last_name(call.func), *_CLIENTS) and keyword_names(call) & _ADDRESSES:
                one = self._weakening(arg, row, f"verify={self.facts.code(arg.value)}", "argument", arg.value, call=call)
                one.confidence = Confidence.MEDIUM
                yield one

    def _by_position(self, switches: dict[str, Row]) -> Iterator[Weakening]:
        """`fetch(url, False)`, where the parameter of this file's `fetch` is a switch."""
        for arg in self.facts.tree.all(cst.Arg):
            if arg.keyword is None and isinstance(arg.value, cst.Name) and arg.value.value in ("True", "False"):
                call = self.facts.tree.parent(arg)
                callee = self.facts.types.callee(call) if isinstance(call, cst.Call) else None
                if callee is None or not isinstance(call, cst.Call):
                    continue
                for parameter, value in bound_arguments(call, callee, method=self.facts.types.is_bound_method(callee)):
                    if value is arg.value and (row := switches.get(parameter.name.value)) and self.is_off(value, row):
                        yield self._weakening(arg, row, f"{parameter.name.value}={value.value}", "position", value, call=call)

    def _variables(self, switches: dict[str, Row]) -> Iterator[Weakening]:
        for scope in self.facts.names.scopes():
            if isinstance(scope.node, (cst.FunctionDef, cst.Lambda)):
                continue
            for name in scope.bindings.keys() & switches.keys():
                row, bindings = switches[name], [b for b in scope.bindings[name] if b.how == "value"]
                if not row.imports and bindings and all(self.is_off(b.source, row) for b in bindings):
                    text = f"{name} = {self.facts.code(bindings[0].source)}"
                    yield self._weakening(bindings[0].target, row, text, "variable", bindings[0].source)

    def _weakening(
        self, node: cst.CSTNode, row: Row, text: str, form: str, value: cst.CSTNode | None, **more: object
    ) -> Weakening:
        checks, safe = row.get("checks", CERTIFICATE), row.get("safe")
        return Weakening(node, checks, text, form, row.confidence, value, safe, row=row, **more)  # type: ignore[arg-type]

    def _key(self, target: cst.CSTNode) -> str | None:
        if isinstance(target, cst.Subscript) and len(target.slice) == 1 and isinstance(target.slice[0].slice, cst.Index):
            return string(target.slice[0].slice.value)
        return None

    def _set_otherwise(self, target: cst.CSTNode, row: Row) -> bool:
        """`self.verify_ssl = False` beside `self.verify_ssl = config.verify`: the first is only a start."""
        if (
            not isinstance(target, cst.Attribute)
            or not isinstance(target.value, cst.Name)
            or target.value.value not in ("self", "cls")
        ):
            return False
        others = (b for b in self.facts.origins.attribute_bindings(target) if b.how == "value" and not self.is_off(b.source, row))
        return any(not self._in_other_branch(target, b.target) for b in others)

    def _in_other_branch(self, target: cst.CSTNode, other: cst.CSTNode) -> bool:
        """`if https: self.verify = False` with `else: self.verify = True`: neither is the start of the other."""
        tree, around = self.facts.tree, self.facts.tree.enclosing(other, cst.If, cst.FunctionDef)
        while isinstance(around, cst.If) and not tree.within(target, around):
            around = tree.enclosing(around, cst.If, cst.FunctionDef)
        return isinstance(around, cst.If) and tree.within(target, around.body) is not tree.within(other, around.body)

    def is_off(self, value: cst.CSTNode | None, row: Row) -> bool:
        """True when the value is one that a row calls off: a literal, a constant of that name, a name for one."""
        wanted = row.get("off", ())
        if value is None:
            return False
        if isinstance(value, (cst.Name, cst.Attribute)) and last_name(value) in wanted and last_name(value) != "None":
            return True
        if isinstance(value, cst.Name) and value.value not in self._switches["verify-switch"]:
            steps = self.facts.origins.step(value)  # VERIFY = False
            value = steps[0].node if len(steps) == 1 and steps[0].how == "value" else value
        try:
            found = literal(value)
        except NotConstant:
            return False
        return any((None if one == "None" else one) == found and (found is None or type(one) is type(found)) for one in wanted)

    def _options(self, kind: str) -> Iterator[Weakening]:
        """A known callable whose parameter is given an off value, or left out where that is off."""
        for match in self.facts.calls(kind):
            option = match.row.parameter("option")
            assert option is not None
            value = argument(match.call, option)
            if value is not None and self.is_off(value, match.row):
                arg = next(arg for arg in match.call.args if arg.value is value)
                text = f"{option.name}={self.facts.code(value)}"
                yield self._weakening(arg, match.row, text, "argument", value, call=match.call)
            elif (
                value is None
                and match.row.get("missing")
                and not unpacks(match.call)
                and "server_side" not in keyword_names(match.call)
            ):
                text = f"{self.facts.code(match.call.func)}() without {option.name}"
                yield self._weakening(match.call, match.row, text, "missing", None, call=match.call)

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
                    or not self.is_off(call.args[index + 1].value, match.row)
                ):
                    continue
                text = f"{self.facts.code(node)}, {self.facts.code(call.args[index + 1].value)}"
                yield self._weakening(call, match.row, text, "constant", call.args[index + 1].value, call=call)
                continue
            if call is not None and last_name(call.func) in ("int", "str", "print", "VerifyMode"):
                continue
            text = (
                f"{self.facts.code(place)} = {self.facts.code(node)}"
                if isinstance(place, (cst.Attribute, cst.Name))
                else self.facts.code(place)
            )
            one = self._weakening(
                place, match.row, text, "default" if isinstance(place, cst.Param) else "constant", node, call=call, owner=owner
            )
            if isinstance(place, cst.Param) or isinstance(place, cst.Name) and self._is_parameter(place):
                one.confidence = Confidence.LOW  # it may as well say what a server asks of its clients, or what the caller said
            yield one

    def _is_parameter(self, name: cst.Name) -> bool:
        found = self.facts.names.lookup(name)
        return found is not None and any(binding.how == "parameter" for binding in found[1])

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
            if named_like(self._key(target), *_ENTRIES):
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
            yield self._weakening(
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
                one = self._weakening(match.call, match.row, text, "missing", value, call=match.call)
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
