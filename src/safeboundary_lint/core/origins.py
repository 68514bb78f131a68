"""Where a value comes from: assignments that reach a use, `self.x` across a class, entries of dicts, results of helpers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, bound_arguments, literal
from safeboundary_lint.core.names import Binding, dotted_text
from safeboundary_lint.core.tree import children

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts
    from safeboundary_lint.core.flow import Flow

_SEARCH_BUDGET = 1500  # points looked at for one use; past it every binding of the name counts
_TOO_MANY = 100  # bindings of one name in one function: what it holds where is not told
_PASSING = frozenset((cst.Subscript, cst.IfExp, cst.BooleanOperation, cst.NamedExpr, cst.Await, cst.Call))
_ROOT_BUDGET = 60  # values looked at for one question


@dataclass(slots=True, eq=False)
class Origin:
    """One thing a value may be.

    how    `value`: `node` itself; `item`: an element of `node` (at `index`, if known); `entered`: bound by `with node as`;
           `parameter`: `node` is the Param; `augmented`: combined with `node`; `caught`, `import`, `definition`, `annotated`
    """

    node: cst.CSTNode
    how: str = "value"
    index: int | None = None


class Origins:
    """Values of one file, followed backwards. Every answer is an over-approximation: what the value may be."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._entries: dict[tuple[str, object], list[Binding]] | None = None
        self._returned: dict[int, list[cst.BaseExpression]] | None = None  # by `id` of the function
        self._bound: dict[tuple[int, str], dict[int, list[Binding]]] = {}

    # -- one step ----------------------------------------------------------------------------------------------------

    def step(self, expression: cst.CSTNode, *, callers: bool = False) -> list[Origin]:
        """What `expression` may directly be; empty when it is its own origin (a call, a literal, arithmetic, something unknown)."""
        kind = type(expression)
        if kind is cst.Name:
            return [origin for binding in self.reaching(expression) for origin in self._of_binding(binding, callers)]  # type: ignore[arg-type]
        if kind is cst.Attribute:
            return [origin for binding in self.attribute_bindings(expression) for origin in self._of_binding(binding, callers)]  # type: ignore[arg-type]
        if kind not in _PASSING:
            return []
        if isinstance(expression, cst.Subscript):
            return [origin for binding in self.entry_bindings(expression) for origin in self._of_binding(binding, callers)]
        if isinstance(expression, cst.IfExp):
            return [Origin(expression.body), Origin(expression.orelse)]
        if isinstance(expression, cst.BooleanOperation):
            return [Origin(expression.left), Origin(expression.right)]
        if isinstance(expression, cst.NamedExpr):
            return [Origin(expression.value)]
        if isinstance(expression, cst.Await):
            return [Origin(expression.expression)]
        if isinstance(expression, cst.Call):
            callee = self.facts.types.callee(expression)
            if callee is not None and not isinstance(self.facts.types.definition(expression.func), cst.ClassDef):
                return [Origin(value) for value in self.returned(callee)]
        return []

    def _of_binding(self, binding: Binding, callers: bool) -> Iterator[Origin]:
        if binding.how == "parameter" and isinstance(binding.source, cst.Param):
            yield Origin(binding.source, "parameter")
            if binding.source.default is not None:
                yield Origin(binding.source.default)
            if callers:
                yield from (Origin(value) for value in self.passed(binding.source))
        elif binding.source is not None:
            yield Origin(binding.source, binding.how, binding.index)

    def reaching(self, name: cst.Name) -> list[Binding]:
        """The bindings of a local name that reach this use, none when it has too many; for names of other scopes all of their bindings."""
        found = self.facts.names.lookup(name)
        if found is None:
            return []
        scope, bindings = found
        if len(bindings) == 1:
            return bindings
        if len(bindings) > _TOO_MANY:
            return []
        if not isinstance(scope.node, (cst.FunctionDef, cst.Lambda)):
            return bindings
        if self.facts.tree.function_of(name) is not scope.node:
            return bindings
        return self._search_back(name, scope.node, bindings)

    def _search_back(self, name: cst.Name, function: cst.FunctionDef | cst.Lambda, bindings: list[Binding]) -> list[Binding]:
        flow = self.facts.flow(function)
        uses = flow.points_of(name)
        if not uses:
            return bindings
        bound_at = self._bound_at(flow, name.value, bindings)
        own = [binding for binding in bindings if binding.target is name]
        earlier = [binding for use in uses for binding in bound_at.get(use.index, ()) if self._precedes(binding, name)]
        found = {id(binding) for binding in (*own, *earlier)}
        if any(self._replaces(binding) for binding in (*own, *earlier)):
            return [binding for binding in bindings if id(binding) in found]
        stack, seen = list(uses), {use.index for use in uses}
        while stack:
            if len(seen) > _SEARCH_BUDGET:
                return bindings
            point = stack.pop()
            if point is flow.entry:
                found.update(id(binding) for binding in bindings if binding.how == "parameter")
            for pred in point.preds:
                here = bound_at.get(pred.index, ())
                if point not in pred.succs:  # by an exception: what fails binds nothing, but a part of it may have
                    here = [binding for binding in here if self._is_walrus(binding)]
                found.update(map(id, here))
                if (point not in pred.succs or not any(map(self._replaces, here))) and pred.index not in seen:
                    seen.add(pred.index)
                    stack.append(pred)
        return [binding for binding in bindings if id(binding) in found]

    def _bound_at(self, flow: Flow, name: str, bindings: list[Binding]) -> dict[int, list[Binding]]:
        """The bindings of a local name by the index of the point after which they hold."""
        key = (id(flow), name)
        if key not in self._bound:
            at: dict[int, list[Binding]] = defaultdict(list)
            for binding in bindings:
                for point in flow.points_of(binding.source if binding.how == "definition" and binding.source else binding.target):
                    # A loop binds when it gets an item, a case when it matches.
                    chosen = point.kind in ("next", "case") and not self._is_walrus(binding)
                    for after in [succ for succ in point.succs if succ.outcome] if chosen else [point]:
                        at[after.index].append(binding)
            self._bound[key] = at
        return self._bound[key]

    def _is_walrus(self, binding: Binding) -> bool:
        return type(self.facts.tree.parent(binding.target)) is cst.NamedExpr

    def _precedes(self, binding: Binding, name: cst.Name) -> bool:
        """True for `(x := ...)` that stands before a use of x in the same evaluation."""
        if not self._is_walrus(binding) or binding.target is name:
            return False
        order = self.facts.tree.order
        return order[id(binding.target)] < order[id(name)]

    def _replaces(self, binding: Binding) -> bool:
        """False for a binding that adds to the value before it, or that may be left out where it stands."""
        if binding.how in ("augmented", "annotated"):
            return False
        if self._is_walrus(binding):
            below: cst.CSTNode = binding.target
            for above in self.facts.tree.ancestors(below):
                if isinstance(above, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
                    break
                if isinstance(above, (cst.BaseComp, cst.MatchCase)) or isinstance(above, cst.BooleanOperation) and below is above.right:
                    return False
                if isinstance(above, cst.IfExp) and below is not above.test or isinstance(above, cst.Comparison) and below in above.comparisons[1:]:
                    return False
                below = above
        return True

    def attribute_bindings(self, attribute: cst.Attribute) -> list[Binding]:
        """Every binding of the attribute in the methods of its class (and the class's bases in this file)."""
        types, name = self.facts.types, attribute.attr.value
        owner = types.of(attribute.value)
        cls = owner.local if owner is not None else types.named_class(attribute.value)
        if cls is None:
            return []
        return [binding for cls in types.local_lineage(cls) for binding in types.attributes_of(cls).get(name, ())]

    def entry_bindings(self, subscript: cst.Subscript) -> list[Binding]:
        """Every assignment to the same constant key of the same dict: `d["k"] = v`, `self.d["k"] = v`, `d = {"k": v}`."""
        if self._entries is None:
            self._entries = self._gather_entries()
        key = self._entry_key(subscript)
        return self._entries.get(key, []) if key is not None else []

    def _gather_entries(self) -> dict[tuple[str, object], list[Binding]]:
        gathered: dict[tuple[str, object], list[Binding]] = {}
        for store in self.facts.names.stores:
            if isinstance(store.target, cst.Subscript) and (key := self._entry_key(store.target)) is not None:
                gathered.setdefault(key, []).append(store)
        for dictionary in self.facts.tree.all(cst.Dict):
            base = self._assigned_base(dictionary)
            for element in dictionary.elements if base else ():
                if isinstance(element, cst.DictElement):
                    try:
                        key = (base or "", literal(element.key))
                    except NotConstant:
                        continue
                    gathered.setdefault(key, []).append(Binding("", element.key, "value", element.value))
        return gathered

    def _assigned_base(self, dictionary: cst.Dict) -> str | None:
        parent = self.facts.tree.parent(dictionary)
        if isinstance(parent, cst.Assign):
            return self.place(parent.targets[0].target)
        return self.place(parent.target) if isinstance(parent, cst.AnnAssign) else None

    def _entry_key(self, subscript: cst.Subscript) -> tuple[str, object] | None:
        if len(subscript.slice) != 1 or not isinstance(subscript.slice[0].slice, cst.Index):
            return None
        base = self.place(subscript.value)
        try:
            return (base, literal(subscript.slice[0].slice.value)) if base is not None else None
        except NotConstant:
            return None

    def place(self, expression: cst.CSTNode) -> str | None:
        """A key of the place an expression names: equal keys are the same variable or the same attribute of the same class."""
        text = dotted_text(expression)
        if text is None:
            return None
        head, _dot, rest = text.partition(".")
        node = expression
        while isinstance(node, cst.Attribute):
            node = node.value
        if rest and (cls := self.facts.types.named_class(node)) is not None:
            return f"{id(self.facts.types.local_lineage(cls)[-1])}.{rest.removeprefix('__class__.')}"
        assert isinstance(node, cst.Name)
        found = self.facts.names.lookup(node)
        return f"{id(found[0]) if found else 0}:{text}"

    def returned(self, function: cst.FunctionDef | cst.Lambda) -> list[cst.BaseExpression]:
        """The expressions a function returns."""
        if isinstance(function, cst.Lambda):
            return [function.body]
        if self._returned is None:
            self._returned = defaultdict(list)
            for node in self.facts.tree.all(cst.Return):
                if node.value is not None:
                    self._returned[id(self.facts.tree.function_of(node))].append(node.value)
        return self._returned.get(id(function), [])

    def passed(self, parameter: cst.Param) -> list[cst.BaseExpression]:
        """What callers in this file pass for a parameter."""
        function = self.facts.tree.enclosing(parameter, cst.FunctionDef, cst.Lambda)
        if function is None:
            return []
        method = self.facts.types.is_bound_method(function)
        pairs = (pair for call in self.facts.types.callers(function) for pair in bound_arguments(call, function, method=method))
        return [value for bound, value in pairs if bound is parameter]

    # -- many steps --------------------------------------------------------------------------------------------------

    def roots(self, expression: cst.CSTNode, *, callers: bool = False) -> list[Origin]:
        """What a value may be in the end: calls, literals, arithmetic, parameters, imports, elements of something."""
        return [origin for origin in self.trail(expression, callers=callers) if origin.how != "value" or not self.step(origin.node)]

    def trail(self, expression: cst.CSTNode, *, callers: bool = False) -> list[Origin]:
        """Every origin on the way back from an expression, itself first, each once."""
        found = [Origin(expression)]
        seen = {id(expression)}
        for origin in found:  # grows while it is walked
            if origin.how in ("value", "augmented") and len(found) < _ROOT_BUDGET:
                for following in self.step(origin.node, callers=callers):
                    if id(following.node) not in seen:
                        seen.add(id(following.node))
                        found.append(following)
        return found

    def derivation(
        self,
        expression: cst.CSTNode,
        is_source: Callable[[cst.CSTNode], bool],
        *,
        callers: bool = True,
        through: Callable[[cst.CSTNode], bool] = lambda node: True,
    ) -> list[cst.CSTNode] | None:
        """The way from `expression` back to a node with `is_source`, through assignments, operators, arguments, receivers and elements.

        `through` can refuse to look into a node (`len(x)` is not the content of x). None when nothing leads to a source.
        """
        before: dict[int, cst.CSTNode | None] = {id(expression): None}
        queue: list[cst.CSTNode] = [expression]
        for node in queue:  # grows while it is walked
            if is_source(node):
                way, current = [], node
                while current is not None:
                    way.append(current)
                    current = before[id(current)]
                return way[::-1]
            if len(queue) > _ROOT_BUDGET * 4 or not through(node):
                continue
            following = [origin.node for origin in self.step(node, callers=callers)] or self._parts(node)
            for part in following:
                if id(part) not in before:
                    before[id(part)] = node
                    queue.append(part)
        return None

    def _parts(self, node: cst.CSTNode) -> list[cst.CSTNode]:
        if isinstance(node, cst.Param):
            return list(self.passed(node))
        if isinstance(node, cst.Call):
            receiver = [node.func.value] if isinstance(node.func, cst.Attribute) else []
            return [*receiver, *(arg.value for arg in node.args)]
        if isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Lambda, cst.Comparison)):
            return []
        if isinstance(node, cst.Subscript):
            return [node.value]
        return list(children(node))
