"""Which functions of this file call each other in a circle, and what keeps the depth bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_DEPTH = ("*depth*", "*level*", "*nest*", "*recurs*", "*remaining*", "*budget*", "*max_*")


@dataclass(slots=True, eq=False)
class Circle:
    """Functions that reach each other, the one most of the calls go to first, and the calls between them."""

    functions: tuple[cst.FunctionDef, ...]
    calls: tuple[cst.Call, ...]

    @property
    def hub(self) -> cst.FunctionDef:
        """The function that most of the calls go to."""
        return self.functions[0]


class Circles:
    """Circles of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @cached_property
    def all(self) -> list[Circle]:
        """Every set of functions that call each other in a circle, in source order."""
        functions = [f for f in self.facts.tree.all(cst.FunctionDef)]
        self._by_name: dict[str, list[cst.FunctionDef]] = {}
        for function in functions:
            self._by_name.setdefault(function.name.value, []).append(function)
        edges = {id(function): list(self._calls(function)) for function in functions}
        found = []
        for component in _components(functions, {key: [callee for _, callee in pairs] for key, pairs in edges.items()}):
            members = {id(function) for function in component}
            inner = [(call, callee) for function in component for call, callee in edges[id(function)] if id(callee) in members]
            if inner:
                called = [id(callee) for _, callee in inner]
                ordered = sorted(component, key=lambda f: (-called.count(id(f)), self.facts.tree.order[id(f)]))
                found.append(Circle(tuple(ordered), tuple(call for call, _ in inner)))
        return found

    def _calls(self, function: cst.FunctionDef) -> Iterator[tuple[cst.Call, cst.FunctionDef]]:
        for call in self.facts.summaries.calls_of(function):
            callee = self.facts.types.callee(call)
            if isinstance(callee, cst.FunctionDef):
                yield call, callee
                continue
            if isinstance(call.func, cst.Attribute) and self._is_same_method(function, call.func):
                yield call, function  # `child.flatten()` inside `flatten`
                continue
            for target in self._dispatched(call):
                yield call, target

    def _is_same_method(self, function: cst.FunctionDef, func: cst.Attribute) -> bool:
        """A method calls the method of its own name on another object, which it takes from what it holds."""
        if func.attr.value != function.name.value or self.facts.types.method_class(function) is None:
            return False
        base = func.value
        if not isinstance(base, cst.Name) or base.value in ("self", "cls", "super"):
            return False
        own = [self_name.name.value for self_name in list(parameters(function))[:1]]
        items = [o for o in self.facts.origins.step(base) if o.how == "item"]
        return any(
            isinstance(o.node, cst.Attribute) and isinstance(o.node.value, cst.Name) and o.node.value.value in own for o in items
        )

    def _dispatched(self, call: cst.Call) -> Iterator[cst.FunctionDef]:
        """`table[kind](...)`, also through a name: the functions of a table of this file."""
        if not isinstance(call.func, (cst.Name, cst.Subscript)):
            return
        for origin in self.facts.origins.trail(call.func)[:6]:
            if isinstance(origin.node, cst.Subscript):
                for table in self.facts.origins.trail(origin.node.value)[:6]:
                    if isinstance(table.node, cst.Dict):
                        for element in table.node.elements:
                            target = self.facts.types.definition(element.value) if isinstance(element, cst.DictElement) else None
                            if isinstance(target, cst.FunctionDef):
                                yield target

    def is_bounded(self, circle: Circle) -> bool:
        """True when a depth is counted and compared in the circle, or running out of stack is handled."""
        for function in circle.functions:
            if any(named_like(parameter.name.value, *_DEPTH) for parameter in parameters(function)):
                return True
            for node in descendants(function.body):
                if isinstance(node, cst.Comparison) and any(
                    named_like(last_name(part), *_DEPTH)
                    for part in descendants(node)
                    if isinstance(part, (cst.Name, cst.Attribute))
                ):
                    return True
                if isinstance(node, cst.ExceptHandler) and "builtins.RecursionError" in self.facts.exceptions.classes(node.type):
                    return True
                if isinstance(node, cst.Call) and named_like(last_name(node.func), "*depth*", "*recurs*", "*nesting*"):
                    return True
        return False


def _components(functions: list[cst.FunctionDef], edges: dict[int, list[cst.FunctionDef]]) -> list[list[cst.FunctionDef]]:
    """Strongly connected components (Tarjan's algorithm, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[cst.FunctionDef] = []
    on_stack: set[int] = set()
    found: list[list[cst.FunctionDef]] = []
    for root in functions:
        if id(root) in index:
            continue
        work: list[tuple[cst.FunctionDef, Iterator[cst.FunctionDef]]] = [(root, iter(edges[id(root)]))]
        index[id(root)] = low[id(root)] = len(index)
        stack.append(root)
        on_stack.add(id(root))
        while work:
            node, following = work[-1]
            for callee in following:
                if id(callee) not in index:
                    index[id(callee)] = low[id(callee)] = len(index)
                    stack.append(callee)
                    on_stack.add(id(callee))
                    work.append((callee, iter(edges.get(id(callee), []))))
                    break
                if id(callee) in on_stack:
                    low[id(node)] = min(low[id(node)], index[id(callee)])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[id(above)] = min(low[id(above)], low[id(node)])
                if low[id(node)] == index[id(node)]:
                    component: list[cst.FunctionDef] = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(id(member))
                        component.append(member)
                        if member is node:
                            break
                    found.append(component)
    return found
