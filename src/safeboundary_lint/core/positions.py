"""Lines and columns of the few nodes that are reported.

LibCST's PositionProvider renders and visits the whole module: 86 microseconds a line and more. Here Python's own parser tells where
the statement of a node starts, and only that statement is rendered. Where that parser does not know the syntax, LibCST does it all.
"""

from __future__ import annotations

import ast
import warnings

import libcst as cst
from libcst.metadata import CodeRange, PositionProvider
from libcst.metadata.position_provider import PositionProvidingCodegenState

from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.tree import Tree

_NAMED = ((cst.Attribute, "attr"), (cst.Param, "name"), (cst.FunctionDef, "name"))  # names that are no nodes of our tree
_HEADED = (cst.If, cst.While, cst.For, cst.With, cst.FunctionDef, cst.ClassDef)


class Positions:
    """Ranges of nodes, in the text that was parsed: 1-based lines, 0-based columns in characters."""

    def __init__(self, tree: Tree, text: str) -> None:
        self.tree = tree
        self._statements: dict[int, ast.AST] = {}
        self._rendered: dict[tuple[int, bool], tuple[PositionProvider, int]] = {}  # statement, or its head only -> its ranges, and lines to add
        self._offsets: dict[int, int] = {}
        self._module: PositionProvider | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._statements[id(tree.module)] = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._module = self._render(tree.module)

    def range(self, node: cst.CSTNode) -> tuple[int, int, int, int]:
        """First line and column, last line and column (exclusive) of a node."""
        at = node if id(node) in self.tree.order else self._named.get(id(node), node)
        statement = None if self._module is not None else self._statement(at)
        if statement is None:
            self._module = self._module or self._render(self.tree.module)
            return _flat(self._module._computed[node], 0)
        key = (id(statement), statement is not node and self._is_in_head(at, statement))
        if key not in self._rendered:
            drawn = _headed(statement) if key[1] else statement
            provider = self._render(statement, drawn)
            self._rendered[key] = provider, self._line_of(statement) - provider._computed[_anchor(drawn)].start.line
        provider, lines = self._rendered[key]
        return _flat(provider._computed[node], lines)

    @cached_property
    def _named(self) -> dict[int, cst.CSTNode]:
        """What has a name, by `id` of the name."""
        return {id(getattr(owner, field)): owner for kind, field in _NAMED for owner in self.tree.all(kind)}

    def _is_in_head(self, node: cst.CSTNode, statement: cst.CSTNode) -> bool:
        """True for what stands before the body of a compound statement, which need not be rendered then."""
        below, current = node, self.tree.parent(node)
        while current is not None and current is not statement:
            below, current = current, self.tree.parent(current)
        return isinstance(statement, _HEADED) and below is not statement.body and below is not getattr(statement, "orelse", None)

    def _statement(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The innermost statement around a node that stands on lines of its own, `elif` included; None for the module itself."""
        current: cst.CSTNode | None = node
        while current is not None:
            parent = self.tree.parent(current)
            if isinstance(parent, cst.If) and current is parent.test:
                return parent
            if isinstance(parent, (cst.IndentedBlock, cst.Module)):
                return current
            current = parent
        return None

    def _render(self, node: cst.CSTNode, drawn: cst.CSTNode | None = None) -> PositionProvider:
        provider = PositionProvider()
        module = self.tree.module
        state = PositionProvidingCodegenState(module.default_indent, module.default_newline, provider)
        for block in reversed([a for a in self.tree.ancestors(node) if isinstance(a, (cst.IndentedBlock, cst.Match))]):
            state.increase_indent(block.indent if block.indent is not None else module.default_indent)
        try:
            (drawn or node)._codegen(state, **({"is_elif": True} if isinstance(self.tree.parent(node), cst.If) else {}))
        except KeyError as error:  # unwinding, LibCST's recorder hides an interrupt (Ctrl-C) behind an error of its own
            cause: BaseException = error
            while isinstance(cause, KeyError) and cause.__context__ is not None:
                cause = cause.__context__
            raise cause from None
        return provider

    def _line_of(self, statement: cst.CSTNode) -> int:
        found = self._ast_of(statement)
        return found.lineno  # type: ignore[attr-defined]

    def _ast_of(self, statement: cst.CSTNode) -> ast.AST:
        """The same statement in Python's own tree: the two have the same shape."""
        if (known := self._statements.get(id(statement))) is not None:
            return known
        parent = self.tree.parent(statement)
        assert parent is not None
        if isinstance(statement, cst.If) and isinstance(parent, cst.If):  # elif
            found = self._ast_of(parent).orelse[0]  # type: ignore[attr-defined]
        else:
            found = self._body(parent)[self._index(parent, statement)]
        self._statements[id(statement)] = found
        return found

    def _body(self, block: cst.CSTNode) -> list[ast.stmt]:
        if isinstance(block, cst.Module):
            return self._statements[id(block)].body  # type: ignore[attr-defined]
        owner = self.tree.parent(block)
        assert owner is not None
        holder = self.tree.parent(owner)
        assert holder is not None
        if isinstance(owner, cst.Else):
            return self._ast_of(holder).orelse  # type: ignore[attr-defined]
        if isinstance(owner, cst.Finally):
            return self._ast_of(holder).finalbody  # type: ignore[attr-defined]
        if isinstance(owner, (cst.ExceptHandler, cst.ExceptStarHandler)):
            return self._ast_of(holder).handlers[_place(holder.handlers, owner)].body  # type: ignore[attr-defined]
        if isinstance(owner, cst.MatchCase):
            return self._ast_of(holder).cases[_place(holder.cases, owner)].body  # type: ignore[attr-defined]
        return self._ast_of(owner).body  # type: ignore[attr-defined]

    def _index(self, block: cst.CSTNode, statement: cst.CSTNode) -> int:
        """The position in Python's tree of a statement of a block: there each small statement of a line counts."""
        if id(statement) not in self._offsets:
            count = 0
            for sibling in block.body:  # type: ignore[attr-defined]
                self._offsets[id(sibling)] = count
                count += len(sibling.body) if isinstance(sibling, cst.SimpleStatementLine) else 1
        return self._offsets[id(statement)]


def _place(several: tuple[cst.CSTNode, ...], one: cst.CSTNode) -> int:
    return next(index for index, other in enumerate(several) if other is one)


def _headed(statement: cst.CSTNode) -> cst.CSTNode:
    """A compound statement with its head alone: the nodes of the head are the same, the body is nothing."""
    fields: dict[str, object] = {"body": cst.SimpleStatementSuite((cst.Pass(),))}
    if isinstance(statement, (cst.If, cst.For, cst.While)):
        fields["orelse"] = None
    return statement.with_changes(**fields)


def _anchor(statement: cst.CSTNode) -> cst.CSTNode:
    """The node whose start is where Python's tree says the statement starts."""
    return statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else statement


def _flat(found: CodeRange, lines: int) -> tuple[int, int, int, int]:
    return found.start.line + lines, found.start.column, found.end.line + lines, found.end.column
