"""What type an expression has: constructors, factories, annotations, `with ... as`, `self.x` set in any method.

Nothing is installed or imported to find out. A type is a canonical dotted name, a class of this file, or both through
the bases of the class.
"""

from __future__ import annotations

from collections import defaultdict

import libcst as cst

from safeboundary_lint.core.annotations import Annotations, Type
from safeboundary_lint.core.calls import argument, bound_arguments
from safeboundary_lint.core.classes import Classes
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.knowledge import Knowledge
from safeboundary_lint.core.names import Binding, Names, last_name, parameters
from safeboundary_lint.core.tree import Tree, descendants

_DEPTH = 8
_ANSWERS = frozenset((cst.Return, cst.Yield))
_COMPOSED = frozenset((cst.Await, cst.NamedExpr, cst.IfExp, cst.BooleanOperation, cst.BinaryOperation, cst.Subscript))


class Types(Classes):
    """Types of the expressions of one file, and what they stand for."""

    def __init__(self, tree: Tree, names: Names, knowledge: Knowledge) -> None:
        super().__init__(tree, names, knowledge)
        self._annotations = Annotations(names, knowledge)
        self._types: dict[int, Type | None] = {}
        self._named: dict[int, Type | None] = {}  # of names, by their list of bindings
        self._pending = 0  # questions being answered
        self._callbacks: dict[int, tuple[str, ...]] = {}
        self._callers: dict[int, list[cst.Call]] = defaultdict(list)
        self._prepared = False
        self._candidates: dict[int, tuple[tuple[str, ...], Confidence, bool]] = {}

    # -- types -------------------------------------------------------------------------------------------------------

    def of(self, expression: cst.CSTNode | None, depth: int = _DEPTH) -> Type | None:
        """The type of an expression, or None."""
        if expression is None or depth == 0:
            return None
        key = id(expression)
        if key not in self._types:
            self._types[key] = None  # a value that is made of itself
            self._pending += 1
            found = self._compute(expression, depth - 1)
            self._pending -= 1
            if found is not None and found.dotted:
                found = Type(self.knowledge.canonical(found.dotted), found.local, found.confidence)
            self._types[key] = found
        return self._types[key]

    def _compute(self, expression: cst.CSTNode, depth: int) -> Type | None:
        kind = type(expression)
        if kind is cst.Call:
            return self._of_call(expression, depth)  # type: ignore[arg-type]
        if kind is cst.Name:
            return self._of_name(expression, depth)  # type: ignore[arg-type]
        if kind is cst.Attribute:
            return self._of_attribute(expression, depth)  # type: ignore[arg-type]
        if kind not in _COMPOSED:
            return None
        if isinstance(expression, cst.Await):
            return self.of(expression.expression, depth)
        if isinstance(expression, cst.NamedExpr):
            return self.of(expression.value, depth)
        if isinstance(expression, cst.IfExp):
            return self.of(expression.body, depth) or self.of(expression.orelse, depth)
        if isinstance(expression, cst.BooleanOperation):
            return self.of(expression.left, depth) or self.of(expression.right, depth)
        if isinstance(expression, cst.BinaryOperation) and isinstance(expression.operator, cst.Divide):
            return self._returned(self.of(expression.left, depth), "__truediv__")
        if isinstance(expression, cst.Subscript):
            container = self.of(expression.value, depth)
            return self._returned(container, "__getitem__") or self._item_of(expression.value, depth)
        return None

    def _of_call(self, call: cst.Call, depth: int) -> Type | None:
        if (definition := self.definition(call.func)) is not None:
            if isinstance(definition, cst.ClassDef):
                return Type("", definition)
            return self._returned_by(definition, depth)
        if isinstance(call.func, cst.Name) and call.func.value == "super" and (cls := self.tree.class_of(call)) is not None:
            return next((Type(base) for base in self.foreign_bases(cls)), None)
        names, confidence, _known = self.candidates(call.func)
        for name in names:
            row = self.knowledge.of_kind(name, "pass-through")
            if row and (passed := row.parameter("value")) and (value := argument(call, passed)) is not None:
                return self.of(value, depth)
            if (returned := self.knowledge.returns.get(name)) is not None:
                return Type(returned, None, confidence)
        if names and names[0].rpartition(".")[2][:1].isupper():
            return Type(names[0], None, confidence)
        return None

    def _returned_by(self, function: cst.FunctionDef | cst.Lambda, depth: int) -> Type | None:
        if isinstance(function, cst.Lambda):
            return self.of(function.body, depth)
        if function.returns is not None and (annotated := self._annotations.type_of(function.returns.annotation)) is not None:
            return annotated
        for node in descendants(function.body, into_definitions=False):
            if type(node) in _ANSWERS and (value := node.value) is not None and type(value) is not cst.From:  # type: ignore[attr-defined]
                if (found := self.of(value, depth)) is not None:
                    return found
        return None

    def _of_name(self, name: cst.Name, depth: int) -> Type | None:
        found = self.names.lookup(name)
        if found is None:
            return None
        key = id(found[1])
        if key in self._named:
            return self._named[key]
        type_ = self._of_bindings(found[1], depth)
        if self._pending == 1:  # in the middle of another question the answer may lack what that one is about
            self._named[key] = type_
        return type_

    def _of_bindings(self, bindings: list[Binding], depth: int) -> Type | None:
        types = [found for binding in bindings if (found := self._of_binding(binding, depth)) is not None]
        if not types:
            return None
        same = all(t.dotted == types[0].dotted and t.local is types[0].local for t in types)
        # Of a library's class and a class of this file, the latter is its double for tests and development.
        best = types[0] if same else next((t for t in types if t.dotted), types[0])
        return best if same else Type(best.dotted, best.local, Confidence.MEDIUM)

    def _of_binding(self, binding: Binding, depth: int) -> Type | None:
        if binding.how == "parameter":
            return self._of_parameter(binding, depth)
        parent = self.tree.parent(binding.target)
        if type(parent) is cst.AnnAssign and (annotated := self._annotations.type_of(parent.annotation.annotation)) is not None:
            return annotated
        if binding.how == "annotated":
            return self._annotations.type_of(binding.source)
        if binding.how == "value":
            return self.of(binding.source, depth)
        if binding.how == "entered":
            entered = self.of(binding.source, depth)
            if entered is not None and entered.dotted in self.knowledge.enters:
                return Type(self.knowledge.enters[entered.dotted], None, entered.confidence)
            return entered
        if binding.how == "item":
            if binding.index is not None and (unpacked := self._returned(self.of(binding.source, depth), f"[{binding.index}]")) is not None:
                return unpacked
            return self._item_of(binding.source, depth)
        if binding.how == "caught" and binding.source is not None:
            dotted = self.names.qualified(binding.source)
            return Type(dotted) if dotted else None
        return None

    def _of_parameter(self, binding: Binding, depth: int) -> Type | None:
        parameter = binding.source
        assert isinstance(parameter, cst.Param)
        if parameter.annotation is not None and (annotated := self._annotations.type_of(parameter.annotation.annotation)) is not None:
            return annotated
        function = self.tree.enclosing(parameter, cst.FunctionDef, cst.Lambda)
        if function is None:
            return None
        position = list(parameters(function)).index(parameter)
        if isinstance(function, cst.FunctionDef) and position == 0 and (cls := self.method_class(function)) is not None:
            return Type("", cls)
        gives = self.callbacks.get(id(function), ())
        shift = 1 if self.is_bound_method(function) else 0
        if 0 <= position - shift < len(gives) and gives[position - shift]:
            return Type(gives[position - shift])
        if parameter.default is not None and (default := self.of(parameter.default, depth)) is not None:
            return default
        for call in self.callers(function)[:8]:
            for bound, value in bound_arguments(call, function, method=bool(shift)):
                if bound is parameter and (found := self.of(value, min(depth, 3))) is not None:
                    return Type(found.dotted, found.local, Confidence.weakest(found.confidence, Confidence.MEDIUM))
        return None

    def _of_attribute(self, attribute: cst.Attribute, depth: int) -> Type | None:
        dotted = self.names.qualified(attribute)
        if dotted is not None:
            return self._returned_from(self.knowledge.canonical(dotted))
        base = self.of(attribute.value, depth)
        if base is None:
            return None
        if attribute.attr.value == "__class__":
            return base
        if base.local is not None:
            bindings = [binding for cls in self.local_lineage(base.local) for binding in self.attributes_of(cls).get(attribute.attr.value, ())]
            if bindings and (found := self._of_bindings(bindings, depth)) is not None:
                return found
            method = self.method(base.local, attribute.attr.value)
            if method is not None and any(last_name(d.decorator) in ("property", "cached_property") for d in method.decorators):
                return self._returned_by(method, depth)
        return self._returned(base, attribute.attr.value)

    def _returned(self, base: Type | None, attribute: str) -> Type | None:
        if base is None:
            return None
        for dotted in self.lineage(base):
            if (returned := self.knowledge.returns.get(f"{dotted}.{attribute}")) is not None:
                return Type(returned, None, base.confidence)
        return None

    def _returned_from(self, dotted: str) -> Type | None:
        returned = self.knowledge.returns.get(dotted)
        return Type(returned) if returned else None

    def _item_of(self, iterable: cst.CSTNode | None, depth: int) -> Type | None:
        if iterable is None:
            return None
        container = self.of(iterable, depth)
        for dotted in self.lineage(container) if container else ():
            if (item := self.knowledge.items.get(dotted)) is not None:
                return Type(item, None, container.confidence if container else Confidence.HIGH)
        if isinstance(iterable, cst.Call):
            for name in self.candidates(iterable.func)[0]:
                if (item := self.knowledge.items.get(name)) is not None:
                    return Type(item)
        return self._annotations.item_of(iterable)

    def lineage(self, type_: Type) -> list[str]:
        """Dotted names under which the attributes of a type are known, nearest first."""
        found = self.knowledge.lineage(type_.dotted) if type_.dotted else []
        return found + self.foreign_bases(type_.local) if type_.local is not None else found

    def is_a(self, expression: cst.CSTNode | None, *dotted: str) -> bool:
        """True when the type of the expression is known to be, or to derive from, one of these."""
        found = self.of(expression)
        return found is not None and any(self.knowledge.canonical(one) in self.lineage(found) for one in dotted)

    # -- definitions -------------------------------------------------------------------------------------------------

    def definition(self, expression: cst.CSTNode) -> cst.FunctionDef | cst.ClassDef | cst.Lambda | None:
        """The function or class of this file that an expression stands for: `f`, `self.method`, `Class.method`, `obj.method`."""
        if type(expression) is cst.Attribute:
            base = self.names.definition(expression.value)
            if base is None:
                found = self.of(expression.value)
                base = found.local if found is not None else None
            if type(base) is not cst.ClassDef:
                return None
            return self.method(base, expression.attr.value) or self.inner_class(base, expression.attr.value)
        found_here = self.names.definition(expression)
        if found_here is None and type(expression) is cst.Name and (bound := self.names.lookup(expression)) is not None:
            # an alias of a method: `write = self._write`
            if len(bound[1]) == 1 and bound[1][0].how == "value" and isinstance(bound[1][0].source, cst.Attribute):
                return self.definition(bound[1][0].source)
        return found_here

    def callee(self, call: cst.Call) -> cst.FunctionDef | cst.Lambda | None:
        """The function of this file that a call runs; for a class its `__init__`."""
        found = self.definition(call.func)
        return self.method(found, "__init__") if type(found) is cst.ClassDef else found  # type: ignore[return-value]

    def callers(self, function: cst.FunctionDef | cst.Lambda) -> list[cst.Call]:
        """Calls of a function in this file."""
        self._prepare()
        return self._callers.get(id(function), [])

    @property
    def callbacks(self) -> dict[int, tuple[str, ...]]:
        """Functions handed to a library that calls them: types of the arguments it passes."""
        self._prepare()
        return self._callbacks

    def _prepare(self) -> None:
        """Find out who calls what, when that is asked first: what is told on the way, without knowing it, is forgotten.

        So an answer does not hang on what was asked before.
        """
        if self._prepared:
            return
        self._prepared = True
        told, pending = (self._types, self._named, self._candidates), self._pending
        for find in (self._find_callers, self._find_callbacks):
            self._types, self._named, self._candidates, self._pending = {}, {}, {}, 0
            find()
        (self._types, self._named, self._candidates), self._pending = told, pending

    def _find_callers(self) -> None:
        local = {f.name.value for f in (*self.tree.all(cst.FunctionDef), *self.tree.all(cst.ClassDef))}
        for call in self.names.calls_of({*local, "cls"}):
            found = self.named_class(call.func) or self.definition(call.func)
            if type(found) is cst.ClassDef:
                found = self.method(found, "__init__")
            if found is not None:
                self._callers[id(found)].append(call)

    def _find_callbacks(self) -> None:
        last_names = {name.rpartition(".")[2] for name in self.knowledge.callbacks}
        for call in self.names.calls_of(last_names):
            names = [*self.candidates(call.func)[0], f"*.{last_name(call.func)}"]
            for row in (row for name in names for row in self.knowledge.callbacks.get(name, ())):
                handed = argument(call, row.get("parameter", ""), row.get("position"))
                if handed is not None and (function := self.definition(handed)) is not None:
                    self._callbacks.setdefault(id(function), tuple(row["gives"]))

    # -- dotted names ------------------------------------------------------------------------------------------------

    def candidates(self, expression: cst.CSTNode) -> tuple[tuple[str, ...], Confidence, bool]:
        """Canonical dotted names an expression may stand for, nearest first; how sure; and whether its head is known at all."""
        key = id(expression)
        if key not in self._candidates:
            self._candidates[key] = ((), Confidence.LOW, True)  # a value that is made of itself
            self._candidates[key] = self._find_candidates(expression)
        return self._candidates[key]

    def _find_candidates(self, expression: cst.CSTNode) -> tuple[tuple[str, ...], Confidence, bool]:
        if (dotted := self.names.qualified(expression)) is not None:
            canonical = self.knowledge.canonical(dotted)
            head, _dot, attribute = canonical.rpartition(".")
            inherited = [f"{base}.{attribute}" for base in self.knowledge.lineage(head)[1:]] if head in self.knowledge.bases else []
            return (canonical, *inherited), Confidence.HIGH, True
        if type(expression) is cst.Attribute:
            base = self.of(expression.value)
            if base is None:
                return (), Confidence.MEDIUM, False
            attribute = expression.attr.value
            names = tuple(self.knowledge.canonical(f"{dotted}.{attribute}") for dotted in self.lineage(base))
            # A local class without foreign bases is known through and through; with them, only what they are known for.
            return names, base.confidence, True
        if type(expression) is cst.Name and (found := self.names.lookup(expression)) is not None:
            bindings = [binding for binding in found[1] if binding.how == "value"]
            if len(bindings) == 1 and isinstance(bindings[0].source, (cst.Attribute, cst.Name)):
                return self.candidates(bindings[0].source)  # an alias: `write = container.append`
            if len(bindings) == 1 and (bound_to := self._partially(bindings[0].source)) is not None:
                return self.candidates(bound_to)
        return (), Confidence.MEDIUM, False

    def _partially(self, source: cst.CSTNode | None) -> cst.BaseExpression | None:
        """The function that `partial(function, ...)` calls, also where a function of this file returns it."""
        if type(source) is not cst.Call:
            return None
        if last_name(source.func) in ("partial", "partialmethod") and source.args and self.names.qualified(source.func) is not None:
            return source.args[0].value
        made_by = self.definition(source.func)
        if isinstance(made_by, cst.FunctionDef):
            for node in descendants(made_by.body, into_definitions=False):
                if type(node) is cst.Return and type(node.value) is cst.Call and last_name(node.value.func) == "partial":
                    return self._partially(node.value)
        return None
