"""A draft of LibCST's tree, made from Python's own: enough to see that a rule does not fire, in a fraction of the time of a parse.

A draft holds LibCST's nodes with the fields that say what the code means; white space, punctuation and parentheses are left unset.
What needs those (edits, comments, exact text) fails on a draft, by AttributeError or `Undecided`: only LibCST's own tree can tell then.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Collection
from typing import Any

import libcst as cst

from safeboundary_lint.core import draft_nodes as nodes
from safeboundary_lint.core.draft_expressions import AUGMENTED, Expressions, Segments
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.finding import Confidence, Span
from safeboundary_lint.core.knowledge import Knowledge

_IN_PARENTHESES = (ast.Tuple, ast.GeneratorExp, ast.ExceptHandler, ast.arg)  # whose place is another one for LibCST


class Undecided(Exception):  # noqa: N818 -- no error: the question is passed on
    """A draft can't tell."""


class Draft:
    """The draft of a text. Raises RecursionError for what is nested too deeply, and what LibCST's parser raises."""

    def __init__(self, text: str, module: ast.Module, dropped: Collection[ast.stmt] = ()) -> None:
        """`module` is Python's tree of `text`; instead of each of the `dropped` definitions there is a `pass`."""
        self.segments = Segments(text)
        self._dropped = frozenset(map(id, dropped))
        self._expressions = Expressions(self.segments)
        self._of = self._expressions.of
        self.places = self._expressions.places  # nodes of Python's tree, by `id` of the expressions, parameters and statements made from them
        self.module = nodes.module(self._statements(module.body))

    def text_of(self, node: cst.CSTNode) -> str:
        """The text of an expression or small statement. Raises Undecided where the parentheses around it may be its own."""
        place: Any = self.places.get(id(node))
        if place is None or type(place) in _COMPOUND or isinstance(place, _IN_PARENTHESES) or self.segments.may_be_in_parentheses(place):
            raise Undecided
        return self.segments.of(place)

    def line_of(self, node: cst.CSTNode) -> int:
        """The 1-based line a node starts at. Raises Undecided for what has no place of its own."""
        place = self.places.get(id(node))
        if place is None:
            raise Undecided
        return place.lineno  # type: ignore[attr-defined]

    # -- statements --------------------------------------------------------------------------------------------------

    def _statements(self, body: list[ast.stmt]) -> tuple[cst.SimpleStatementLine | cst.BaseCompoundStatement, ...]:
        found: list[cst.SimpleStatementLine | cst.BaseCompoundStatement] = []
        line: list[cst.BaseSmallStatement] = []
        end: int | None = 0
        for node in body:
            small = type(node) in _SMALL
            if line and (not small or node.lineno != end):
                found.append(nodes.line(tuple(line)))
                line = []
            if small:
                line.append(self._small_statement(node))
                end = node.end_lineno
            elif id(node) in self._dropped:
                found.append(nodes.line((nodes.pass_(),)))
            else:
                found.append(self._compound_statement(node))
        if line:
            found.append(nodes.line(tuple(line)))
        return tuple(found)

    def _small_statement(self, node: ast.stmt) -> cst.BaseSmallStatement:
        found = _SMALL[type(node)](self, node)
        self.places[id(found)] = node
        return found

    def _compound_statement(self, node: ast.stmt) -> cst.BaseCompoundStatement:
        maker = _COMPOUND.get(type(node))
        if maker is None or getattr(node, "type_params", None):
            return self._parsed(node)
        found = maker(self, node)
        self.places[id(found)] = node
        return found

    def _parsed(self, node: ast.stmt) -> Any:
        """A statement of a kind that is rare, or newer than some Python this runs on: LibCST parses it."""
        if self.segments.before(node).strip():
            return cst.parse_module(self.segments.of(node)).body[0]
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
        return cst.parse_module(textwrap.dedent(self.segments.lines(first, node.end_lineno or node.lineno))).body[0]

    def _block(self, body: list[ast.stmt]) -> cst.BaseSuite:
        if type(body[0]) in _SMALL and self.segments.before(body[0]).strip():  # behind the colon, on the same line
            return nodes.suite(tuple(map(self._small_statement, body)))
        return nodes.block(self._statements(body))

    def _else(self, body: list[ast.stmt]) -> cst.Else | None:
        return nodes.else_(self._block(body)) if body else None

    # -- small statements --------------------------------------------------------------------------------------------

    def _small_Expr(self, node: ast.Expr) -> cst.Expr:
        return nodes.expression(self._of(node.value))

    def _small_Assign(self, node: ast.Assign) -> cst.Assign:
        return nodes.assign(tuple([nodes.target(self._of(target)) for target in node.targets]), self._of(node.value))

    def _small_AnnAssign(self, node: ast.AnnAssign) -> cst.AnnAssign:
        return nodes.annotated_assign(self._of(node.target), self._expressions.annotation(node.annotation), self._expressions.perhaps(node.value))

    def _small_AugAssign(self, node: ast.AugAssign) -> cst.AugAssign:
        return nodes.augmented_assign(self._of(node.target), AUGMENTED[type(node.op)], self._of(node.value))

    def _small_Return(self, node: ast.Return) -> cst.Return:
        return nodes.return_(self._expressions.perhaps(node.value))

    def _small_Raise(self, node: ast.Raise) -> cst.Raise:
        cause = nodes.raised_from(self._of(node.cause)) if node.cause is not None else None
        return nodes.raise_(self._expressions.perhaps(node.exc), cause)

    def _small_Assert(self, node: ast.Assert) -> cst.Assert:
        return nodes.assert_(self._of(node.test), self._expressions.perhaps(node.msg))

    def _small_Delete(self, node: ast.Delete) -> cst.Del:
        several = [self._of(target) for target in node.targets]
        return nodes.del_(nodes.tuple_(tuple(map(nodes.element, several))) if len(several) > 1 else several[0])

    def _small_Pass(self, node: ast.Pass) -> cst.Pass:
        return nodes.pass_()

    def _small_Break(self, node: ast.Break) -> cst.Break:
        return nodes.break_()

    def _small_Continue(self, node: ast.Continue) -> cst.Continue:
        return nodes.continue_()

    def _small_Global(self, node: ast.Global) -> cst.Global:
        return nodes.global_(tuple(nodes.name_item(nodes.name(one)) for one in node.names))

    def _small_Nonlocal(self, node: ast.Nonlocal) -> cst.Nonlocal:
        return nodes.nonlocal_(tuple(nodes.name_item(nodes.name(one)) for one in node.names))

    def _small_Import(self, node: ast.Import) -> cst.Import:
        return nodes.import_(tuple(map(_imported, node.names)))

    def _small_ImportFrom(self, node: ast.ImportFrom) -> cst.ImportFrom:
        names = nodes.import_star() if node.names[0].name == "*" else tuple(map(_imported, node.names))
        return nodes.import_from(nodes.dotted(node.module) if node.module else None, names, (nodes.DOT,) * node.level)

    # -- compound statements -----------------------------------------------------------------------------------------

    def _compound_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> cst.FunctionDef:
        return nodes.function(
            nodes.name(node.name),
            self._expressions.parameters(node.args),
            self._block(node.body),
            self._decorators(node.decorator_list),
            self._expressions.annotation(node.returns),
            nodes.ASYNCHRONOUS if isinstance(node, ast.AsyncFunctionDef) else None,
        )

    _compound_AsyncFunctionDef = _compound_FunctionDef

    def _decorators(self, several: list[ast.expr]) -> tuple[cst.Decorator, ...]:
        return tuple(nodes.decorator(self._of(one)) for one in several)

    def _compound_ClassDef(self, node: ast.ClassDef) -> cst.ClassDef:
        bases, keywords = [], []
        for argument in self._expressions.arguments(node.bases, node.keywords):
            (bases if argument.keyword is None and argument.star != "**" else keywords).append(argument)
        decorators = self._decorators(node.decorator_list)
        return nodes.class_(nodes.name(node.name), self._block(node.body), tuple(bases), tuple(keywords), decorators)

    def _compound_If(self, node: ast.If) -> cst.If:
        following = node.orelse[0] if len(node.orelse) == 1 else None
        is_elif = isinstance(following, ast.If) and self.segments.at(following, 4) == "elif"
        orelse = self._compound_statement(following) if is_elif and following is not None else self._else(node.orelse)
        return nodes.if_(self._of(node.test), self._block(node.body), orelse)

    def _compound_While(self, node: ast.While) -> cst.While:
        return nodes.while_(self._of(node.test), self._block(node.body), self._else(node.orelse))

    def _compound_For(self, node: ast.For | ast.AsyncFor) -> cst.For:
        asynchronous = nodes.ASYNCHRONOUS if isinstance(node, ast.AsyncFor) else None
        return nodes.for_(self._of(node.target), self._of(node.iter), self._block(node.body), self._else(node.orelse), asynchronous)

    _compound_AsyncFor = _compound_For

    def _compound_With(self, node: ast.With | ast.AsyncWith) -> cst.With:
        asynchronous = nodes.ASYNCHRONOUS if isinstance(node, ast.AsyncWith) else None
        return nodes.with_(tuple(map(self._with_item, node.items)), self._block(node.body), asynchronous)

    _compound_AsyncWith = _compound_With

    def _with_item(self, item: ast.withitem) -> cst.WithItem:
        bound = nodes.as_name(self._of(item.optional_vars)) if item.optional_vars is not None else None
        return nodes.with_item(self._of(item.context_expr), bound)

    def _compound_Try(self, node: ast.Try) -> Any:
        starred = not isinstance(node, ast.Try)
        handlers = tuple(self._handler(handler, nodes.except_star if starred else nodes.except_) for handler in node.handlers)
        final = nodes.finally_(self._block(node.finalbody)) if node.finalbody else None
        return (nodes.try_star if starred else nodes.try_)(self._block(node.body), handlers, self._else(node.orelse), final)

    _compound_TryStar = _compound_Try  # of Python 3.11

    def _handler(self, handler: ast.ExceptHandler, maker: Callable[..., cst.CSTNode]) -> cst.CSTNode:
        bound = nodes.as_name(nodes.name(handler.name)) if handler.name else None
        found = maker(self._expressions.perhaps(handler.type), bound, self._block(handler.body))
        self.places[id(found)] = handler
        return found


def _makers(prefix: str) -> dict[type[ast.AST], Callable[[Draft, Any], Any]]:
    methods = ((kind, getattr(Draft, prefix + kind.__name__, None)) for kind in ast.stmt.__subclasses__())
    return {kind: method for kind, method in methods if method is not None}


_SMALL, _COMPOUND = _makers("_small_"), _makers("_compound_")


class DraftFacts(Facts):
    """What can be told from a draft. Raises Undecided for the rest."""

    def __init__(self, draft: Draft, knowledge: Knowledge, path: str, shown: Confidence = Confidence.LOW) -> None:
        """What is less sure than `shown` is only counted."""
        super().__init__(draft.module, knowledge, path)
        self._draft = draft
        self._shown = shown

    def in_full(self, confidence: Confidence) -> bool:
        if confidence.at_least(self._shown):
            raise Undecided
        return False

    def span(self, node: cst.CSTNode) -> Span:
        raise Undecided

    def line(self, node: cst.CSTNode) -> int:
        return self._draft.line_of(node)

    def text(self, node: cst.CSTNode) -> str:
        return self._draft.text_of(node)


def _imported(alias: ast.alias) -> cst.ImportAlias:
    bound = nodes.as_name(nodes.name(alias.asname)) if alias.asname else None
    return nodes.import_alias(nodes.dotted(alias.name), bound)
