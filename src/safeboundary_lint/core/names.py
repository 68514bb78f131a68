"""Scopes, bindings, imports: what a name in this file stands for, by the file alone and never by what is installed."""

from __future__ import annotations

import builtins
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import libcst as cst

from safeboundary_lint.core.tree import Tree

_COMPREHENSION_TYPES = frozenset((cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp))
_DEFINITION_TYPES = frozenset((cst.FunctionDef, cst.ClassDef, cst.Lambda))
_SCOPE_TYPES = _DEFINITION_TYPES.union(_COMPREHENSION_TYPES)
_REMEMBERED = frozenset((cst.SimpleStatementLine, cst.IndentedBlock))  # on the way up: most that is looked up stands in one of these
_BUILTINS = frozenset(dir(builtins))


@dataclass(slots=True, eq=False)
class Binding:
    """One place that gives a name a value.

    how    `value`: the name is `source`; `item`: an element of iterating or unpacking `source`; `entered`: bound by
           `with source as name`; `augmented`: `name op= source`; `parameter`, `import`, `definition`, `caught`, `deleted`
    index  for `item` out of a tuple target: the position in it, else None
    """

    name: str
    target: cst.CSTNode
    how: str
    source: cst.CSTNode | None
    index: int | None = None
    dotted: str = ""  # for imports


class Scope:
    """The names bound in one module, class, function or comprehension."""

    def __init__(self, node: cst.CSTNode, parent: Scope | None) -> None:
        self.node = node
        self.parent = parent
        self.bindings: dict[str, list[Binding]] = defaultdict(list)
        self.elsewhere: dict[str, Scope] = {}  # names declared global or nonlocal

    def visible(self) -> Iterator[Scope]:
        """This scope and those around it in which a name used here may be bound: class bodies around functions are not."""
        scope: Scope | None = self
        while scope is not None:
            if scope is self or type(scope.node) is not cst.ClassDef:
                yield scope
            scope = scope.parent


class Names:
    """Resolves names of one file."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.module_scope = Scope(tree.module, None)
        self._scopes: dict[int, Scope] = {id(tree.module): self.module_scope}
        self._scope_at: dict[int, Scope] = {}
        self.star_imports: list[str] = []
        self.stores: list[Binding] = []  # bindings of attributes and subscripts: `self.x = ...`, `d["k"] = ...`
        self._lookups: dict[tuple[int, str], tuple[Scope, list[Binding]] | None] = {}
        self._qualified: dict[int, str | None] = {}
        self._defined: dict[int, tuple[cst.FunctionDef | cst.ClassDef | None, cst.CSTNode | None]] = {}  # by list of bindings
        self._calls: dict[str | None, list[tuple[int, cst.Call]]] | None = None  # with their numbers, in evaluation order
        self._nonlocals: list[tuple[Scope, str]] = []
        self._bind_all()
        self._move_nonlocals()
        self.imported = frozenset(
            binding.dotted.partition(".")[0]
            for scope in self._scopes.values()
            for several in scope.bindings.values()
            for binding in several
            if binding.how == "import"
        ) | frozenset(module.partition(".")[0] for module in self.star_imports)

    # -- building ----------------------------------------------------------------------------------------------------

    def _scope_for(self, node: cst.CSTNode) -> Scope:
        if (scope := self._scopes.get(id(node))) is None:
            scope = self._scopes[id(node)] = Scope(node, self.scope_of(node))
        return scope

    def scope_of(self, node: cst.CSTNode) -> Scope:
        """The scope in which a name used at `node` is looked up first. Decorators, bases and defaults belong outside."""
        known, parents = self._scope_at, self.tree.parents
        if (found := known.get(id(node))) is not None:
            return found
        below, scope = node, self.module_scope
        way = [id(node)] if id(node) in parents else []  # not what is of no tree and may be gone tomorrow
        while (current := parents.get(id(below))) is not None:
            if type(below) in _REMEMBERED:
                if (found := known.get(id(below))) is not None:
                    scope = found
                    break
                way.append(id(below))
            kind = type(current)
            if kind in _SCOPE_TYPES and (kind not in _DEFINITION_TYPES or below is current.body):  # type: ignore[attr-defined]
                scope = self._scope_for(current)
                break
            # the first iterable of a comprehension is evaluated outside
            outside = kind is cst.CompFor and below is current.iter and type(around := parents[id(current)]) in _COMPREHENSION_TYPES  # type: ignore[attr-defined]
            below = around if outside else current
        for key in way:
            known[key] = scope
        return scope

    def _bind_all(self) -> None:
        tree = self.tree
        for function in (*tree.all(cst.FunctionDef), *tree.all(cst.Lambda)):
            self._bind_parameters(function)
        for node_type in (cst.Global, cst.Nonlocal):
            for declaration in tree.all(node_type):
                self._declare_elsewhere(declaration)
        for definition in (*tree.all(cst.FunctionDef), *tree.all(cst.ClassDef)):
            self._bind(definition, definition.name.value, Binding(definition.name.value, definition.name, "definition", definition))
        for node in (*tree.all(cst.Import), *tree.all(cst.ImportFrom)):
            self._bind_imports(node)
        for node in tree.all(cst.Assign):
            for target in node.targets:
                self._bind_target(target.target, "value", node.value)
        for node in tree.all(cst.AnnAssign):
            self._bind_target(node.target, "value" if node.value is not None else "annotated", node.value or node.annotation.annotation)
        for node in tree.all(cst.AugAssign):
            self._bind_target(node.target, "augmented", node.value)
        for node in tree.all(cst.NamedExpr):
            self._bind_target(node.target, "value", node.value)
        for node in (*tree.all(cst.For), *tree.all(cst.CompFor)):
            self._bind_target(node.target, "item", node.iter)
        for node in tree.all(cst.WithItem):
            if node.asname is not None:
                self._bind_target(node.asname.name, "entered", node.item)
        for handler_type in (cst.ExceptHandler, cst.ExceptStarHandler):
            for node in tree.all(handler_type):
                if node.name is not None:
                    self._bind_target(node.name.name, "caught", node.type)
        for node in tree.all(cst.Del):
            if isinstance(node.target, cst.Name):
                self._bind_target(node.target, "deleted", None)
        for node in tree.all(cst.MatchMapping):
            if node.rest is not None:
                match = tree.enclosing(node, cst.Match)
                self._bind_target(node.rest, "item", match.subject if match else None)
        for node_type in (cst.MatchAs, cst.MatchStar):
            for node in tree.all(node_type):
                if node.name is not None:
                    match = tree.enclosing(node, cst.Match)
                    whole = isinstance(node, cst.MatchAs) and isinstance(tree.parent(node), cst.MatchCase)
                    self._bind(node, node.name.value, Binding(node.name.value, node.name, "value" if whole else "item", match.subject if match else None))

    def _bind(self, at: cst.CSTNode, name: str, binding: Binding) -> None:
        parent = self.tree.parent(at)
        scope = self.scope_of(parent) if parent is not None else self.module_scope
        if type(parent) is cst.NamedExpr and type(at) is cst.Name and type(scope.node) in _COMPREHENSION_TYPES:
            scope = next(s for s in scope.visible() if type(s.node) not in _COMPREHENSION_TYPES)
        scope = scope.elsewhere.get(name, scope)
        scope.bindings[name].append(binding)

    def _bind_target(self, target: cst.CSTNode, how: str, source: cst.CSTNode | None, index: int | None = None) -> None:
        kind = type(target)
        if kind is cst.Name:
            self._bind(target, target.value, Binding(target.value, target, how, source, index))  # type: ignore[attr-defined]
        elif kind is cst.Attribute or kind is cst.Subscript:
            self.stores.append(Binding("", target, how, source, index))
        elif isinstance(target, (cst.Tuple, cst.List)):
            starred = any(type(element) is cst.StarredElement for element in target.elements)
            whole = source if how == "value" and isinstance(source, (cst.Tuple, cst.List)) and not starred else None
            for position, element in enumerate(target.elements):
                if whole is not None and len(whole.elements) == len(target.elements):
                    self._bind_target(element.value, "value", whole.elements[position].value)
                else:
                    self._bind_target(element.value, "item", source, None if starred or how == "item" and index is not None else position)

    def _bind_parameters(self, function: cst.FunctionDef | cst.Lambda) -> None:
        scope = self._scope_for(function)
        for parameter in parameters(function):
            name = parameter.name.value
            scope.bindings[name].append(Binding(name, parameter.name, "parameter", parameter))

    def _declare_elsewhere(self, declaration: cst.Global | cst.Nonlocal) -> None:
        scope = self.scope_of(declaration)
        for item in declaration.names:
            if isinstance(declaration, cst.Global):
                scope.elsewhere[item.name.value] = self.module_scope
            else:
                self._nonlocals.append((scope, item.name.value))

    def _move_nonlocals(self) -> None:
        """Give nonlocal names to the function around that binds them: only now is it known which one does."""
        for scope, name in sorted(self._nonlocals, key=lambda one: len(list(one[0].visible()))):
            around = (outer for outer in list(scope.visible())[1:] if isinstance(outer.node, (cst.FunctionDef, cst.Lambda)))
            owner = next((outer.elsewhere.get(name, outer) for outer in around if name in outer.bindings or name in outer.elsewhere), None)
            if owner is not None and owner is not scope:
                owner.bindings[name] += scope.bindings.pop(name, [])
                scope.elsewhere[name] = owner

    def _bind_imports(self, node: cst.Import | cst.ImportFrom) -> None:
        module = ""
        if isinstance(node, cst.ImportFrom):
            module = "." * len(node.relative) + (dotted_text(node.module) or "" if node.module else "")
            if isinstance(node.names, cst.ImportStar):
                self.star_imports.append(module)
                return
        for alias in node.names:
            path = dotted_text(alias.name) or ""
            bound = alias.asname.name.value if alias.asname is not None and isinstance(alias.asname.name, cst.Name) else None
            if isinstance(node, cst.ImportFrom):
                joined = f"{module}{path}" if module.endswith(".") else f"{module}.{path}"
                name, dotted = bound or path, joined
            else:
                name, dotted = (bound, path) if bound else (path.partition(".")[0],) * 2
            self._bind(node, name, Binding(name, alias, "import", alias, None, dotted))

    def scopes(self) -> Iterator[Scope]:
        """Every scope that binds a name."""
        yield from self._scopes.values()

    # -- asking ------------------------------------------------------------------------------------------------------

    def calls_of(self, names: Collection[str]) -> list[cst.Call]:
        """The calls of what has one of these last names, in evaluation order."""
        if self._calls is None:
            self._calls = defaultdict(list)
            for numbered in enumerate(self.tree.all(cst.Call)):
                self._calls[last_name(numbered[1].func)].append(numbered)
        several = [self._calls[name] for name in self._calls.keys() & names]
        return [call for _number, call in (several[0] if len(several) == 1 else sorted(itertools.chain.from_iterable(several)))]

    def lookup(self, name: cst.Name) -> tuple[Scope, list[Binding]] | None:
        """The scope that binds the name used here, and all of its bindings there; None when this file binds it nowhere."""
        return self.lookup_in(self.scope_of(name), name.value)

    def lookup_in(self, scope: Scope, name: str) -> tuple[Scope, list[Binding]] | None:
        """The same for a name used in `scope`."""
        key = (id(scope), name)
        if key not in self._lookups:
            found = None
            for candidate in scope.visible():
                candidate = candidate.elsewhere.get(name, candidate)
                if name in candidate.bindings:
                    found = (candidate, candidate.bindings[name])
                    break
            self._lookups[key] = found
        return self._lookups[key]

    def qualified(self, expression: cst.CSTNode) -> str | None:
        """The dotted name of a name or attribute chain whose head is imported or a builtin ("builtins.open"), else None.

        A call or subscript inside the chain ends it: `foo("x").bar` is not `foo.bar`. Relative imports keep their dots.
        """
        key = id(expression)
        if key in self._qualified:
            return self._qualified[key]
        found = self._find_qualified(expression)
        if key in self.tree.parents:
            self._qualified[key] = found
        return found

    def _find_qualified(self, expression: cst.CSTNode) -> str | None:
        tail: list[str] = []
        while type(expression) is cst.Attribute:
            tail.append(expression.attr.value)
            expression = expression.value
        if type(expression) is not cst.Name:
            return None
        found = self.lookup(expression)
        if found is None:
            head = self._unbound(expression.value)
        else:
            imports = [binding for binding in found[1] if binding.how == "import"]
            others = [b for b in found[1] if b.how not in ("import", "deleted") and not (type(b.source) is cst.Name and b.source.value == "None")]
            # `try: import fast as x / except ImportError: import slow as x` means the first, and so does a fallback class.
            head = imports[0].dotted if imports and all(self._is_fallback(other) for other in others) else None
        return ".".join([head, *reversed(tail)]) if head else None

    def _is_fallback(self, binding: Binding) -> bool:
        at = binding.source if binding.how == "definition" and binding.source is not None else binding.target
        return self.tree.enclosing(at, cst.ExceptHandler, cst.FunctionDef) is not None and binding.how != "parameter"

    def _unbound(self, name: str) -> str | None:
        if len(self.star_imports) == 1 and name not in _BUILTINS:
            return f"{self.star_imports[0]}.{name}"
        return f"builtins.{name}" if name in _BUILTINS else None

    def definition(self, expression: cst.CSTNode) -> cst.FunctionDef | cst.ClassDef | cst.Lambda | None:
        """The function or class of this file that a plain name stands for, also through a few aliases (`run = _run`)."""
        for _ in range(4):
            if type(expression) is cst.Lambda:
                return expression
            if type(expression) is not cst.Name or (found := self.lookup(expression)) is None:
                return None
            if id(found[1]) not in self._defined:
                self._defined[id(found[1])] = _defined(found[1])
            definition, alias = self._defined[id(found[1])]
            if alias is None:
                return definition
            expression = alias
        return None


def _defined(bindings: list[Binding]) -> tuple[cst.FunctionDef | cst.ClassDef | None, cst.CSTNode | None]:
    """The last definition among the bindings of a name, or the one value that it is another name for."""
    left = [binding for binding in bindings if binding.how != "deleted"]
    definitions = [binding.source for binding in left if binding.how == "definition"]
    if definitions:
        return definitions[-1], None  # type: ignore[return-value]
    return None, left[0].source if len(left) == 1 and left[0].how == "value" else None


def dotted_text(node: cst.CSTNode | None) -> str | None:
    """"a.b.c" for a chain of names and attributes, else None."""
    parts: list[str] = []
    while type(node) is cst.Attribute:
        parts.append(node.attr.value)
        node = node.value
    if type(node) is not cst.Name:
        return None
    return ".".join([node.value, *reversed(parts)])


def last_name(node: cst.CSTNode | None) -> str | None:
    """`c` for `c`, `b.c` and `f(x).c`; through calls and subscripts (`f(x)[0]` gives `f`); None for what has no name."""
    while True:
        kind = type(node)  # asked so often that `isinstance`, a call of Python's abstract base classes, is felt
        if kind is cst.Name:
            return node.value  # type: ignore[union-attr]
        if kind is cst.Attribute:
            return node.attr.value  # type: ignore[union-attr]
        if kind is cst.Call:
            node = node.func  # type: ignore[union-attr]
        elif kind is cst.Subscript:
            node = node.value  # type: ignore[union-attr]
        elif kind is cst.Await:
            node = node.expression  # type: ignore[union-attr]
        else:
            return None


def parameters(function: cst.FunctionDef | cst.Lambda) -> Iterator[cst.Param]:
    """All parameters of a function in the order of its signature, `*args` and `**kwargs` included."""
    signature = function.params
    yield from signature.posonly_params
    yield from signature.params
    if type(signature.star_arg) is cst.Param:
        yield signature.star_arg
    yield from signature.kwonly_params
    if signature.star_kwarg is not None:
        yield signature.star_kwarg
