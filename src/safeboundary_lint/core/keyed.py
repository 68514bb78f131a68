"""Maps that live as long as the process: what writes to them by which key, and what takes entries out again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import Binding, last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.shapes.parsing import INITIALISERS

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_PLAIN = ("dict", "defaultdict", "OrderedDict", "Counter")
_REMOVING = ("pop", "popitem", "clear")
_BY_HAND = (
    "*reset*",
    "clear*",
    "*_for_test*",
    "*shutdown*",
    "close*",
    "stop*",
    "*teardown*",
    "__exit__",
    "__del__",
    "disconnect_all",
)


@dataclass(slots=True, eq=False)
class Keyed:
    """A map: the binding that makes it, its place, and the writes to it as pairs of node and key."""

    binding: Binding
    place: str
    writes: tuple[tuple[cst.CSTNode, cst.BaseExpression], ...]

    @property
    def name(self) -> str:
        """Its last name."""
        return last_name(self.binding.target) or ""


class KeyedMaps:
    """Maps of classes and of the module in one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @cached_property
    def all(self) -> list[Keyed]:
        """Every map kept in `self.x` or in a global of this file that is written to by a key that is no constant."""
        made = {place: binding for binding in self._made() if (place := self.facts.origins.place(binding.target)) is not None}
        writes: dict[str, list[tuple[cst.CSTNode, cst.BaseExpression]]] = {place: [] for place in made}
        for node, holder, key in self._accesses():
            place = self.facts.origins.place(holder)
            if place in writes and (
                self._is_default(made[place]) or not isinstance(node, cst.Subscript) or self._is_target(node)
            ):
                writes[place].append((node, key))
        return [Keyed(made[place], place, tuple(found)) for place, found in writes.items() if found]

    def _made(self) -> Iterator[Binding]:
        for bindings in self.facts.names.module_scope.bindings.values():
            yield from (binding for binding in bindings if self._is_map(binding.source))
        for store in self.facts.names.stores:
            target = store.target
            if (
                isinstance(target, cst.Attribute)
                and isinstance(target.value, cst.Name)
                and target.value.value in ("self", "cls")
                and self._is_map(store.source)
            ):
                if self._is_made_in(store):
                    yield store
        for cls in self.facts.tree.all(cst.ClassDef):
            for bindings in self.facts.names.scope_of(cls.body).bindings.values():
                yield from (
                    binding
                    for binding in bindings
                    if binding.how == "value" and self._is_map(binding.source) and isinstance(binding.target, cst.Name)
                )

    def _is_made_in(self, store: Binding) -> bool:
        """The attribute is bound where an object is made, not later."""
        function = self.facts.tree.function_of(store.target)
        return isinstance(function, cst.FunctionDef) and function.name.value in INITIALISERS

    def _is_map(self, source: cst.CSTNode | None) -> bool:
        if isinstance(source, cst.Dict):
            return not source.elements
        return (
            isinstance(source, cst.Call)
            and last_name(source.func) in _PLAIN
            and (last_name(source.func) == "defaultdict" or not source.args)
        )

    @staticmethod
    def _is_default(binding: Binding) -> bool:
        return isinstance(binding.source, cst.Call) and last_name(binding.source.func) == "defaultdict"

    def _is_target(self, node: cst.CSTNode) -> bool:
        parent = self.facts.tree.parent(node)
        return (
            isinstance(parent, (cst.AssignTarget, cst.AnnAssign)) or isinstance(parent, cst.AugAssign) and parent.target is node
        )

    def _accesses(self) -> Iterator[tuple[cst.CSTNode, cst.BaseExpression, cst.BaseExpression]]:
        for node in self.facts.tree.all(cst.Subscript):
            if (
                len(node.slice) == 1
                and isinstance(node.slice[0].slice, cst.Index)
                and isinstance(node.value, (cst.Name, cst.Attribute))
            ):
                yield node, node.value, node.slice[0].slice.value
        for call in self.facts.tree.all(cst.Call):
            if isinstance(call.func, cst.Attribute) and call.func.attr.value == "setdefault" and call.args:
                yield call, call.func.value, call.args[0].value

    def is_pruned(self, keyed: Keyed) -> bool:
        """True when keys are taken out, the map is replaced, or its number of keys is compared, other than by hand."""
        return any(self._happens(node) for node in self._prunings(keyed.place))

    def _prunings(self, place: str) -> Iterator[cst.CSTNode]:
        at = self.facts.origins.place
        for node in self.facts.tree.all(cst.Del):
            targets = [element.value for element in node.target.elements] if isinstance(node.target, cst.Tuple) else [node.target]
            yield from (node for target in targets if isinstance(target, cst.Subscript) and at(target.value) == place)
        for call in self.facts.tree.all(cst.Call):
            if isinstance(call.func, cst.Attribute) and call.func.attr.value in _REMOVING and at(call.func.value) == place:
                yield call
            elif self.facts.names.qualified(call.func) == "builtins.len" and call.args and at(call.args[0].value) == place:
                if isinstance(self.facts.tree.parent(call), (cst.Comparison, cst.ComparisonTarget)):
                    yield call
            elif (
                any(at(arg.value) == place for arg in call.args)
                and self.facts.names.qualified(call.func) is None
                and named_like(
                    last_name(call.func), "*prune*", "*evict*", "*clean*", "*trim*", "*expire*", "*sweep*", "*purge*", "*gc*"
                )
            ):
                yield call
        for binding in self.facts.names.stores:
            if at(binding.target) == place and not (self._is_map(binding.source) and self._is_made_in(binding)):
                yield binding.target
        for binding in (b for several in self.facts.names.module_scope.bindings.values() for b in several):
            if binding.how == "value" and at(binding.target) == place and not self._is_map(binding.source):
                yield binding.target

    def _happens(self, node: cst.CSTNode) -> bool:
        """Not in a method for tests or maintenance that nothing in this file calls."""
        function = self.facts.tree.function_of(node)
        if not isinstance(function, cst.FunctionDef) or not named_like(function.name.value, *_BY_HAND):
            return True
        return bool(self.facts.types.callers(function))
