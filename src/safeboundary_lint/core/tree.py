"""One walk over the semantic fields of a LibCST tree: parents, an index by node type, source order.

LibCST's own visitors rebuild nodes and walk white space, punctuation and parentheses; measured, that costs ten
times this walk. Nodes are keyed by `id`, because LibCST's identity hash is a Python call.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import libcst as cst

from safeboundary_lint.core.properties import cached_property

Node = TypeVar("Node", bound=cst.CSTNode)
Item = TypeVar("Item")
Function = cst.FunctionDef | cst.Lambda

# Punctuation, white space and what only decorates: never of interest to a rule.
_SYNTAX = frozenset(
    "lpar rpar comma semicolon dot equal colon lbracket rbracket lbrace rbrace header footer indent leading_lines "
    "lines_after_decorators trailing_comma first_colon second_colon posonly_ind separator encoding default_indent "
    "default_newline has_trailing_newline star operator start end conversion type_parameters relative trailing_whitespace "
    "leading_whitespace asynchronous empty_lines first_line last_line parens newline comment".split()
)
# Of these, what says nothing at all; the rest (operators, stars, `async`) matters when two pieces of code are compared.
_LOOKS = _SYNTAX - frozenset("operator star start end conversion type_parameters relative asynchronous".split())
# Where the order of LibCST's fields is not the order in which Python evaluates them.
_EVALUATION_ORDER = {
    "ClassDef": ("decorators", "bases", "keywords", "body"),
    "FunctionDef": ("decorators", "params", "returns", "body"),
    "ExceptHandler": ("type", "name", "body"),
    "ExceptStarHandler": ("type", "name", "body"),
    "Assign": ("value", "targets"),
    "AnnAssign": ("annotation", "value", "target"),
    "AugAssign": ("target", "value"),
    "NamedExpr": ("value", "target"),
    "For": ("iter", "target", "body", "orelse"),
    "Arg": ("value",),
    "Attribute": ("value",),
    "ImportAlias": (),
    "Import": ("names",),
    "ImportFrom": ("names",),
    "Global": (),
    "Nonlocal": (),
    "MatchCase": ("pattern", "guard", "body"),
    "MatchKeywordElement": ("pattern",),
    "Param": ("annotation", "default"),
    "Parameters": ("posonly_params", "params", "star_arg", "kwonly_params", "star_kwarg"),
}


def _concrete(node_type: type[cst.CSTNode]) -> Iterator[type[cst.CSTNode]]:
    yield node_type
    for subtype in node_type.__subclasses__():
        yield from _concrete(subtype)


# LibCST's classes are abstract base classes: `isinstance` against them costs ten times a look into a set of types.
_NODE_TYPES = frozenset(_concrete(cst.CSTNode))
_SEQUENCES = frozenset((tuple, list))
_LEAVES = frozenset((cst.Name, cst.SimpleString, cst.Integer, cst.Float, cst.Imaginary, cst.FormattedStringText))
_DEFINITION_TYPES = frozenset((cst.FunctionDef, cst.ClassDef, cst.Lambda))
_FUNCTION_TYPES = frozenset((cst.FunctionDef, cst.Lambda))
_HOLD_STATEMENTS = frozenset((cst.SimpleStatementLine, cst.SimpleStatementSuite, cst.IndentedBlock, cst.Module))


@functools.cache
def semantic_fields(node_type: type[cst.CSTNode]) -> tuple[str, ...]:
    """Names of the fields that hold what a node means, in evaluation order."""
    if (ordered := _EVALUATION_ORDER.get(node_type.__name__)) is not None:
        return ordered
    if inspect.isabstract(node_type) or not dataclasses.is_dataclass(node_type):
        return ()
    return tuple(
        field.name for field in dataclasses.fields(node_type) if field.name not in _SYNTAX and not field.name.startswith("whitespace")
    )


class _Backwards(dict[type[cst.CSTNode], tuple[str, ...]]):
    """By type the semantic fields from the last one to the first; none of what holds nothing but text."""

    def __missing__(self, node_type: type[cst.CSTNode]) -> tuple[str, ...]:
        found = self[node_type] = () if node_type in _LEAVES else semantic_fields(node_type)[::-1]
        return found


_BACKWARDS = _Backwards()


def children(node: cst.CSTNode) -> list[cst.CSTNode]:
    """The semantic children of a node, in evaluation order."""
    found: list[cst.CSTNode] = []
    for name in semantic_fields(type(node)):
        value = getattr(node, name)
        if type(value) in _SEQUENCES:
            found += value
        elif type(value) in _NODE_TYPES:
            found.append(value)
    return found


@functools.cache
def _fields_of_meaning(node_type: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(node_type) if field.name not in _LOOKS and not field.name.startswith("whitespace"))


def same_code(one: cst.CSTNode, other: cst.CSTNode) -> bool:
    """True when two nodes say the same, whatever the white space, comments and parentheses."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    for name in _fields_of_meaning(type(one)):
        left, right = getattr(one, name), getattr(other, name)
        if type(left) in _SEQUENCES and type(right) in _SEQUENCES:
            if len(left) != len(right) or not all(map(same_code, left, right)):
                return False
        elif type(left) in _NODE_TYPES and type(right) in _NODE_TYPES:
            if not same_code(left, right):
                return False
        elif left != right:
            return False
    return True


def descendants(root: cst.CSTNode, *, into_definitions: bool = True) -> Iterator[cst.CSTNode]:
    """`root` and all below it, in evaluation order of statements; optionally without the bodies of nested functions and classes."""
    stack, fields = [root], _BACKWARDS
    while stack:
        node = stack.pop()
        yield node
        kind = type(node)
        if not into_definitions and kind in _DEFINITION_TYPES and node is not root:
            # Decorators and defaults run where the definition stands.
            if type(node) is cst.FunctionDef:
                stack.extend(reversed([*node.decorators, node.params]))
            elif type(node) is cst.ClassDef:
                stack.extend(reversed([*node.decorators, *node.bases]))
            continue
        for name in fields[kind]:
            value = getattr(node, name)
            if (held := type(value)) is tuple or held is list:
                stack += value[::-1]
            elif held in _NODE_TYPES:
                stack.append(value)


class Tree:
    """The walked tree of one file."""

    def __init__(self, module: cst.Module) -> None:
        self.module = module
        self.parents: dict[int, cst.CSTNode] = {}
        self.by_type: dict[type[cst.CSTNode], list[cst.CSTNode]] = defaultdict(list)
        self._nodes: list[cst.CSTNode] = []  # in evaluation order
        self._functions: dict[int, cst.FunctionDef | cst.Lambda | None] = {}
        self._walk()

    def _walk(self) -> None:
        parents, by_type, fields = self.parents, self.by_type, _BACKWARDS
        stack: list[cst.CSTNode] = [self.module]
        push, pop, add = stack.append, stack.pop, self._nodes.append
        while stack:
            node = pop()
            kind = type(node)
            add(node)
            by_type[kind].append(node)
            for name in fields[kind]:
                value = getattr(node, name)
                if (held := type(value)) is tuple or held is list:
                    if value:
                        for child in value:
                            parents[id(child)] = node
                        stack += value[::-1]
                elif held in _NODE_TYPES:
                    parents[id(value)] = node
                    push(value)

    @cached_property
    def order(self) -> dict[int, int]:
        """By `id` the number of each node in evaluation order."""
        return dict(zip(map(id, self._nodes), range(len(self._nodes)), strict=True))

    def all(self, node_type: type[Node]) -> list[Node]:
        """Every node of exactly this type, in evaluation order."""
        return self.by_type.get(node_type, [])  # type: ignore[return-value]

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node that holds this one; None for the module and for nodes that are not of this tree."""
        return self.parents.get(id(node))

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Parent, its parent, and so on up to the module."""
        parent = self.parents.get(id(node))
        while parent is not None:
            yield parent
            parent = self.parents.get(id(parent))

    def enclosing(self, node: cst.CSTNode, *types: type[Node]) -> Node | None:
        """The nearest ancestor of exactly one of these types."""
        parents = self.parents
        ancestor = parents.get(id(node))
        while ancestor is not None:
            if type(ancestor) in types:  # of classes without subclasses: `isinstance` is dear, see _NODE_TYPES
                return ancestor  # type: ignore[return-value]
            ancestor = parents.get(id(ancestor))
        return None

    def function_of(self, node: cst.CSTNode) -> cst.FunctionDef | cst.Lambda | None:
        """The function whose body runs this node. Decorators and defaults belong to the function around."""
        key = id(node)
        if key not in self._functions:
            found, below = None, node
            for ancestor in self.ancestors(node):
                if type(ancestor) in _FUNCTION_TYPES and below is ancestor.body:  # type: ignore[attr-defined]
                    found = ancestor
                    break
                below = ancestor
            if key not in self.parents:
                return found  # type: ignore[return-value]
            self._functions[key] = found  # type: ignore[assignment]
        return self._functions[key]

    def class_of(self, node: cst.CSTNode) -> cst.ClassDef | None:
        """The class a method's node belongs to, also from functions nested in the method."""
        return self.enclosing(node, cst.ClassDef)

    def statement_of(self, node: cst.CSTNode) -> cst.CSTNode:
        """The small or compound statement that holds `node`, or `node` itself."""
        found = node
        for ancestor in (node, *self.ancestors(node)):
            if type(ancestor) in _HOLD_STATEMENTS:
                return found
            found = ancestor
        return found

    def symbol_of(self, node: cst.CSTNode) -> str:
        """Dotted names of the classes and functions around a node, e.g. "Worker.handle"; empty at module level."""
        around = [a for a in (node, *self.ancestors(node)) if isinstance(a, (cst.FunctionDef, cst.ClassDef))]
        return ".".join(definition.name.value for definition in reversed(around))

    def in_order(self, several: Iterable[Item], node_of: Callable[[Item], cst.CSTNode]) -> list[Item]:
        """Things in the order in which their nodes stand. One alone has its order without any node being numbered."""
        found = list(several)
        return sorted(found, key=lambda one: self.order.get(id(node_of(one)), 0)) if len(found) > 1 else found

    def within(self, node: cst.CSTNode, container: cst.CSTNode) -> bool:
        """True when `node` is `container` or stands below it."""
        if node is container:
            return True
        first, last = self.extent(container)
        return first <= self.order.get(id(node), -1) <= last

    def extent(self, node: cst.CSTNode) -> tuple[int, int]:
        """The numbers in `order` of a node and of the last one below it; nothing is between 0 and -1, for nodes that are not of this tree."""
        first = self.order.get(id(node))
        return (first, self._last_below[first]) if first is not None else (0, -1)

    @cached_property
    def _last_below(self) -> list[int]:
        order = self.order
        last = list(range(len(order)))
        for child, number in reversed(order.items()):
            if (parent := self.parents.get(child)) is not None:
                above = order[id(parent)]
                last[above] = max(last[above], last[number])
        return last
