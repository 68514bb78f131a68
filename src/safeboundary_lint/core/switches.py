"""Names that knowledge knows as switches of a protection, and where a file gives them a value that turns it off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core import defaults
from safeboundary_lint.core.calls import NotConstant, bound_arguments, keyword_names, literal, string
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import Row
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.weakening import Weakening, weakened

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_CLIENTS = ("*client", "*session", "*api", "*transport")
_ADDRESSES = frozenset(("base_url", "url", "host", "hostname", "endpoint", "server", "address", "api_url", "base_uri"))


class Switches:
    """The switches of one file: keywords, attributes, parameters, entries of dicts and variables."""

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

    def is_switch(self, kind: str, name: str) -> bool:
        """True when knowledge knows the name as a switch of this kind, in a file with these imports."""
        return name in self._switches[kind]

    def given_off(self, kind: str) -> Iterator[Weakening]:
        """A name that knowledge knows as a switch, given an off value."""
        switches, tree = self._switches[kind], self.facts.tree
        for arg in tree.all(cst.Arg):
            if arg.keyword is not None and (row := switches.get(arg.keyword.value)) and self.is_off(arg.value, row):
                call = tree.parent(arg)
                if isinstance(call, cst.Call):
                    yield weakened(
                        arg, row, f"{arg.keyword.value}={self.facts.code(arg.value)}", "argument", arg.value, call=call
                    )
        yield from self._by_position(switches)
        for call in self.facts.names.calls_of({"setdefault"}):
            if (
                len(call.args) == 2
                and (row := switches.get(string(call.args[0].value) or ""))
            ):
                if self.is_off(call.args[1].value, row):
                    yield weakened(call, row, self.facts.code(call), "entry", call.args[1].value)
        for store in self.facts.names.stores:
            target = store.target
            name = target.attr.value if isinstance(target, cst.Attribute) else key_of(target)
            if name is not None and (row := switches.get(name)) and store.how == "value" and self.is_off(store.source, row):
                text = f"{self.facts.code(target)} = {self.facts.code(store.source)}"
                owner = self.facts.origins.place(target.value)
                passing = self._set_otherwise(target, row)
                yield weakened(target, row, text, "attribute", store.source, owner=owner, passing=passing)
        for parameter in tree.all(cst.Param):
            if (
                (row := switches.get(parameter.name.value))
                and self.is_off(parameter.default, row)
                and defaults.is_named_enough(self.facts, parameter, row)
            ):
                one = weakened(
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
                yield weakened(element, row, f'"{key}": {self.facts.code(element.value)}', "entry", element.value)
        yield from self._variables(switches)

    def locals_off(self, kind: str) -> Iterator[Weakening]:
        """A variable of a function that is called like a switch, given an off value."""
        for scope in self.facts.names.scopes():
            for name in scope.bindings.keys() & self._switches[kind].keys() if isinstance(scope.node, cst.FunctionDef) else ():
                row = self._switches[kind][name]
                for binding in scope.bindings[name]:
                    if binding.how == "value" and self.is_off(binding.source, row):
                        yield weakened(
                            binding.target, row, f"{name} = {self.facts.code(binding.source)}", "variable", binding.source
                        )

    def of_clients(self) -> Iterator[Weakening]:
        """`ArchiveClient(base_url=..., verify=False)`: a client of the project, with the keyword of the library behind it."""
        row = next((row for row in self.facts.knowledge.wild.get("verify", ()) if row.kind == "verify-switch"), None)
        if row is None or self.is_switch("verify-switch", "verify"):
            return
        for arg in self.facts.tree.all(cst.Arg):
            call = self.facts.tree.parent(arg)
            given = arg.keyword is not None and arg.keyword.value == "verify" and self.is_off(arg.value, row)
            if given and isinstance(call, cst.Call) and named_like(last_name(call.func), *_CLIENTS) and keyword_names(call) & _ADDRESSES:
                one = weakened(arg, row, f"verify={self.facts.code(arg.value)}", "argument", arg.value, call=call)
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
                        yield weakened(arg, row, f"{parameter.name.value}={value.value}", "position", value, call=call)

    def _variables(self, switches: dict[str, Row]) -> Iterator[Weakening]:
        for scope in self.facts.names.scopes():
            if isinstance(scope.node, (cst.FunctionDef, cst.Lambda)):
                continue
            for name in scope.bindings.keys() & switches.keys():
                row, bindings = switches[name], [b for b in scope.bindings[name] if b.how == "value"]
                if not row.imports and bindings and all(self.is_off(b.source, row) for b in bindings):
                    text = f"{name} = {self.facts.code(bindings[0].source)}"
                    yield weakened(bindings[0].target, row, text, "variable", bindings[0].source)

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


def key_of(target: cst.CSTNode) -> str | None:
    """The key of an entry that is set, where it is a literal."""
    if isinstance(target, cst.Subscript) and len(target.slice) == 1 and isinstance(target.slice[0].slice, cst.Index):
        return string(target.slice[0].slice.value)
    return None
