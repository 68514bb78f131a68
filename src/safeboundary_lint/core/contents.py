"""What the containers and records that one file makes hold: entries of dicts, elements of lists and queues, fields of objects.

Only containers that this process fills are followed: what was loaded, received or handed in may hold anything.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, literal, string
from safeboundary_lint.core.names import Binding, last_name

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_ADDING = frozenset("append appendleft add put put_nowait push insert setdefault".split())
_TAKING = frozenset("get pop popleft get_nowait popitem setdefault".split())
_COPYING = frozenset("list tuple sorted reversed set iter dict copy deepcopy".split())
_CONTAINERS = frozenset(
    "dict list set tuple deque defaultdict OrderedDict Counter Queue LifoQueue PriorityQueue SimpleQueue WeakKeyDictionary "
    "WeakValueDictionary WeakSet local".split()
)
_LITERALS = (cst.Dict, cst.List, cst.Set, cst.Tuple, cst.ListComp, cst.DictComp, cst.SetComp)
_BUDGET = 40
_NO_KEY = object()


@dataclass(slots=True, eq=False)
class _Entry:
    key: object  # `_NO_KEY` for one that is not constant
    value: cst.CSTNode


class Contents:
    """Contents of the containers of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._stored: dict[str, list[_Entry]] | None = None
        self._fields: dict[str, list[Binding]] | None = None
        self._constructions: dict[int, list[cst.Call]] | None = None
        self._values: dict[int, list[cst.CSTNode]] = {}

    # -- questions -----------------------------------------------------------------------------------------------------

    def read(self, expression: cst.CSTNode) -> list[cst.CSTNode]:
        """What `d[k]`, `d.get(k)`, `queue.popleft()` or `record.field` may give; empty where that is not known."""
        if (
            isinstance(expression, cst.Subscript)
            and len(expression.slice) == 1
            and isinstance(expression.slice[0].slice, cst.Index)
        ):
            return self._entry(expression.value, _key(expression.slice[0].slice.value))
        if isinstance(expression, cst.Attribute):
            return [value for record in self.values(expression.value) for value in self._field(record, expression.attr.value)]
        if isinstance(expression, cst.Call):
            called = last_name(expression.func)
            if called == "heappop" and expression.args:
                return self.held(expression.args[0].value)
            if called in _TAKING and isinstance(expression.func, cst.Attribute):
                keyed = called in ("get", "pop", "setdefault") and expression.args
                found = self._entry(expression.func.value, _key(expression.args[0].value) if keyed else _NO_KEY)
                return found + [arg.value for arg in expression.args[1:2]] if found else []
        return []

    def item(self, source: cst.CSTNode, index: int | None) -> list[cst.CSTNode]:
        """What a name bound by unpacking or iterating `source` may be; `index` is its place in the tuple of targets."""
        parent = self.facts.tree.parent(source)
        if isinstance(parent, (cst.For, cst.CompFor)) and parent.iter is source:
            return self.iterated(source, index)
        return self._selected(self.values(source), index) if index is not None else []

    def values(self, expression: cst.CSTNode) -> list[cst.CSTNode]:
        """The literals, calls and other expressions that `expression` is in the end, also out of containers."""
        key = id(expression)
        if key not in self._values:
            self._values[key] = []  # a container that holds itself
            self._values[key] = self._resolve(expression)
        return self._values[key]

    # -- following -----------------------------------------------------------------------------------------------------

    def _resolve(self, expression: cst.CSTNode) -> list[cst.CSTNode]:
        queue, ends, seen = [expression], [], {id(expression)}
        for node in queue:  # grows while it is walked
            following: list[cst.CSTNode] = []
            for origin in self.facts.origins.step(node):
                following += self.item(origin.node, origin.index) if origin.how == "item" else [origin.node]
            following = following or self.read(node)
            if not following:
                ends.append(node)
            for one in following:
                if id(one) not in seen and len(queue) < _BUDGET:
                    seen.add(id(one))
                    queue.append(one)
        return ends

    def iterated(self, source: cst.CSTNode, index: int | None = None) -> list[cst.CSTNode]:
        """What iterating gives; with `index`, that part of each tuple."""
        if isinstance(source, cst.Call):
            called = last_name(source.func)
            if called in ("items", "values") and isinstance(source.func, cst.Attribute):
                held = self.held(source.func.value)
                if called == "items":
                    return held if index == 1 else []
                return self._selected(held, index) if index is not None else held
            if called == "enumerate" and source.args:
                return self.iterated(source.args[0].value, None) if index == 1 else []
            if called in _COPYING and source.args:
                return self.iterated(source.args[0].value, index)
        held = self.held(source)
        return self._selected(held, index) if index is not None else held

    def _selected(self, held: list[cst.CSTNode], key: object) -> list[cst.CSTNode]:
        return [found for one in held for value in self.values(one) for found in _part(value, key)]

    def _entry(self, container: cst.CSTNode, key: object) -> list[cst.CSTNode]:
        found = [entry.value for entry in self._entries_of(container) if _NO_KEY in (key, entry.key) or entry.key == key]
        if key is _NO_KEY or found:
            return found
        return self._selected([container], key)

    def held(self, container: cst.CSTNode) -> list[cst.CSTNode]:
        """What the container that a variable or attribute stands for may hold, under any key."""
        return [entry.value for entry in self._entries_of(_original(container))]

    def _field(self, record: cst.CSTNode, name: str) -> list[cst.CSTNode]:
        if not isinstance(record, cst.Call):
            return []
        definition = self.facts.types.definition(record.func)
        if isinstance(definition, cst.ClassDef):
            return self.field_values(definition, name)
        fields = self._tuple_fields(record.func)
        if name in fields and len(record.args) > fields.index(name) and not any(arg.star or arg.keyword for arg in record.args):
            return [record.args[fields.index(name)].value]
        return [arg.value for arg in record.args if arg.keyword is not None and arg.keyword.value == name]

    def _tuple_fields(self, maker: cst.CSTNode) -> list[str]:
        """Fields of `Entry = namedtuple("Entry", "value expires")`."""
        for origin in self.facts.origins.step(maker):
            made = origin.node
            if isinstance(made, cst.Call) and last_name(made.func) == "namedtuple" and len(made.args) > 1:
                fields = made.args[1].value
                if isinstance(fields, (cst.List, cst.Tuple)):
                    return [string(element.value) or "" for element in fields.elements]
                return (string(fields) or "").replace(",", " ").split()
        return []

    def field_values(self, cls: cst.ClassDef, name: str) -> list[cst.CSTNode]:
        """What this file stores in a field of the records of one of its classes: in methods, from outside, by construction."""
        types = self.facts.types
        bound = [binding for one in types.local_lineage(cls) for binding in types.attributes_of(one).get(name, ())]
        found = [binding.source for binding in bound if binding.how == "value" and binding.source is not None]
        found += [
            binding.source
            for binding in self._fields_by_name().get(name, ())
            if binding.how == "value" and binding.source is not None
        ]
        if types.method(cls, "__init__") is None:
            fields = _declared_fields(cls)
            for call in self._constructed().get(id(cls), ()):
                for position, arg in enumerate(call.args):
                    known = (
                        arg.keyword.value
                        if arg.keyword is not None
                        else fields[position]
                        if not arg.star and position < len(fields)
                        else None
                    )
                    if known == name:
                        found.append(arg.value)
        return found

    # -- indexes -------------------------------------------------------------------------------------------------------

    def _entries_of(self, container: cst.CSTNode) -> list[_Entry]:
        place = self.facts.origins.place(container)
        if place is None or not self.is_own(container):
            return []
        if self._stored is None:
            self._stored = self._gather()
        return self._stored.get(place, [])

    def is_own(self, container: cst.CSTNode) -> bool:
        """True for a variable or attribute that only ever holds containers made here."""
        origins = self.facts.origins.step(container)
        return bool(origins) and all(origin.how in ("value", "annotated") and _is_container(origin) for origin in origins)

    def _gather(self) -> dict[str, list[_Entry]]:
        found: dict[str, list[_Entry]] = defaultdict(list)
        origins, tree = self.facts.origins, self.facts.tree
        for store in self.facts.names.stores:
            target = store.target
            if (
                isinstance(target, cst.Subscript)
                and store.source is not None
                and (place := origins.place(target.value)) is not None
            ):
                index = target.slice[0].slice
                found[place].append(_Entry(_key(index.value) if isinstance(index, cst.Index) else _NO_KEY, store.source))
        for call in tree.all(cst.Call):
            called = last_name(call.func)
            if called in _ADDING and isinstance(call.func, cst.Attribute) and call.args:
                if (place := origins.place(call.func.value)) is not None:
                    found[place].append(_Entry(_NO_KEY, call.args[-1].value))
            elif (
                called in ("heappush", "heappushpop")
                and len(call.args) == 2
                and (place := origins.place(call.args[0].value)) is not None
            ):
                found[place].append(_Entry(_NO_KEY, call.args[1].value))
        for kind in _LITERALS:
            for node in tree.all(kind):
                parent = tree.parent(node)
                target = (
                    parent.targets[0].target
                    if isinstance(parent, cst.Assign)
                    else parent.target
                    if isinstance(parent, cst.AnnAssign)
                    else None
                )
                if target is not None and (place := origins.place(target)) is not None:
                    found[place] += _literal_entries(node)
        return found

    def _fields_by_name(self) -> dict[str, list[Binding]]:
        """`peer.last_seen = ...`: stores through anything but self, by attribute."""
        if self._fields is None:
            self._fields = defaultdict(list)
            for store in self.facts.names.stores:
                target = store.target
                if isinstance(target, cst.Attribute) and not (
                    isinstance(target.value, cst.Name) and target.value.value in ("self", "cls")
                ):
                    self._fields[target.attr.value].append(store)
        return self._fields

    def stores_of(self, attribute: str) -> list[Binding]:
        """Every `x.attribute = ...` of the file in which x is not `self`."""
        return self._fields_by_name().get(attribute, [])

    def _constructed(self) -> dict[int, list[cst.Call]]:
        if self._constructions is None:
            self._constructions = defaultdict(list)
            local = {cls.name.value for cls in self.facts.tree.all(cst.ClassDef)}
            for call in self.facts.tree.all(cst.Call):
                if last_name(call.func) in local and isinstance(cls := self.facts.types.definition(call.func), cst.ClassDef):
                    self._constructions[id(cls)].append(call)
        return self._constructions


def _original(container: cst.CSTNode) -> cst.CSTNode:
    """`self.held` for `self.held.copy()` and `dict(self.held)`: a copy holds the same."""
    while isinstance(container, cst.Call):
        if isinstance(container.func, cst.Attribute) and container.func.attr.value == "copy" and not container.args:
            container = container.func.value
        elif last_name(container.func) in ("dict", "copy", "deepcopy") and len(container.args) == 1 and not container.args[0].star:
            container = container.args[0].value
        else:
            break
    return container


def _key(expression: cst.CSTNode) -> object:
    try:
        return literal(expression)
    except NotConstant:
        return _NO_KEY


def _is_container(origin: object) -> bool:
    node = origin.node  # type: ignore[attr-defined]
    if origin.how == "annotated":  # type: ignore[attr-defined]
        return True
    if isinstance(node, _LITERALS) or isinstance(node, cst.Name) and node.value == "None":
        return True
    if not isinstance(node, cst.Call):
        return False
    if last_name(node.func) == "field":
        return True
    return last_name(node.func) in _CONTAINERS and not any(isinstance(arg.value, cst.Call) for arg in node.args)


def _literal_entries(node: cst.CSTNode) -> list[_Entry]:
    if isinstance(node, cst.Dict):
        return [_Entry(_key(element.key), element.value) for element in node.elements if isinstance(element, cst.DictElement)]
    if isinstance(node, cst.DictComp):
        return [_Entry(_NO_KEY, node.value)]
    if isinstance(node, (cst.ListComp, cst.SetComp)):
        return [_Entry(_NO_KEY, node.elt)]
    if isinstance(node, (cst.List, cst.Tuple)):
        return [_Entry(position, element.value) for position, element in enumerate(node.elements)]
    return [_Entry(_NO_KEY, element.value) for element in node.elements] if isinstance(node, cst.Set) else []


def _part(value: cst.CSTNode, key: object) -> list[cst.CSTNode]:
    """The part of a literal, or of a call that makes a record, under an index or key."""
    if isinstance(value, cst.Call):
        return [arg.value for arg in value.args if arg.keyword is not None and arg.keyword.value == key]
    if isinstance(value, cst.Tuple) and isinstance(key, int) and key < 0:
        key += len(value.elements)
    return [entry.value for entry in _literal_entries(value) if entry.key is not _NO_KEY and entry.key == key]


def _declared_fields(cls: cst.ClassDef) -> list[str]:
    """Fields of a dataclass or named tuple, in the order of its constructor."""
    lines = [line for line in cls.body.body if isinstance(line, cst.SimpleStatementLine)]
    declared = (small for line in lines for small in line.body if isinstance(small, cst.AnnAssign))
    return [
        one.target.value
        for one in declared
        if isinstance(one.target, cst.Name) and last_name(one.annotation.annotation) != "ClassVar"
    ]
