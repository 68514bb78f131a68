"""Expressions of a draft: LibCST's nodes made from those of Python's own tree."""

from __future__ import annotations

import ast
import keyword
import re
import sys
from itertools import accumulate
from collections.abc import Callable, Iterable
from typing import Any

import libcst as cst

from safeboundary_lint.core import draft_nodes as nodes
from safeboundary_lint.core.regex import Regex

_LITERAL = Regex(
    r"""(?:'''(?:[^\\']|\\.|'(?!''))*'''|\"{3}(?:[^\\"]|\\.|"(?!""))*\"{3}|'(?:[^\\'\n]|\\.)*'|"(?:[^\\"\n]|\\.)*")""", re.DOTALL
)
_PIECE = Regex(rf"#[^\r\n]*|(\w*{_LITERAL.pattern})", re.DOTALL)
_QUOTE = Regex(r"[\"']")
_RAW_MATTERS = Regex(r"\\|\{\{|\}\}|=\s*[!:}]")  # in an f-string: what Python's tree doesn't give as it is written
_OPENED = Regex(r"(\w*)[\])]?\s*(\S)\s*\Z")  # what stands in front: a word and a parenthesis, if so
_NEAR = 200  # characters in which a parenthesis is looked for
_PLACED_IN_STRINGS = sys.version_info >= (3, 12)  # before, what stands in an f-string has no true place
_NUMBERS: dict[type, Callable[[str], cst.BaseNumber]] = {int: nodes.integer, float: nodes.decimal, complex: nodes.imaginary}


def _shared(several: Iterable[tuple[type[ast.AST], str]]) -> dict[type[ast.AST], Any]:
    """One node for each operator: where an operator stands is never asked."""
    return {operator: nodes.bare(getattr(cst, name)) for operator, name in several}


_ARITHMETIC = {
    ast.Add: "Add", ast.Sub: "Subtract", ast.Mult: "Multiply", ast.MatMult: "MatrixMultiply", ast.Div: "Divide", ast.Mod: "Modulo",
    ast.BitAnd: "BitAnd", ast.BitOr: "BitOr", ast.BitXor: "BitXor", ast.LShift: "LeftShift", ast.RShift: "RightShift",
    ast.Pow: "Power", ast.FloorDiv: "FloorDivide",
}  # fmt: skip
_BINARY = _shared(_ARITHMETIC.items())
AUGMENTED = _shared((operator, f"{name}Assign") for operator, name in _ARITHMETIC.items())
_UNARY = _shared([(ast.Not, "Not"), (ast.USub, "Minus"), (ast.UAdd, "Plus"), (ast.Invert, "BitInvert")])
_BOOLEAN = _shared([(ast.And, "And"), (ast.Or, "Or")])
_COMPARING = _shared(
    [
        (ast.Eq, "Equal"), (ast.Lt, "LessThan"), (ast.LtE, "LessThanEqual"), (ast.Gt, "GreaterThan"),
        (ast.GtE, "GreaterThanEqual"), (ast.Is, "Is"), (ast.IsNot, "IsNot"), (ast.In, "In"), (ast.NotIn, "NotIn"),
    ]
)  # fmt: skip
_COMPARING[ast.NotEq] = nodes.not_equal("!=")


class Segments:
    """The text of nodes of Python's tree, whose columns count bytes."""

    def __init__(self, text: str) -> None:
        encoded = text.encode()
        self._text: str | bytes = text if len(encoded) == len(text) else encoded
        self._starts = [0, *accumulate(map(len, encoded.splitlines(keepends=True)))]  # of bytes: at the ends of Python's lines, no others

    def of(self, node: Any) -> str:
        """What stands from the start of a node to its end."""
        starts = self._starts
        piece = self._text[starts[node.lineno - 1] + node.col_offset : starts[node.end_lineno - 1] + node.end_col_offset]
        return piece if type(piece) is str else piece.decode(errors="replace")  # type: ignore[union-attr]

    def before(self, node: ast.stmt) -> str:
        """What stands on the line of a node in front of it."""
        start = self._starts[node.lineno - 1]
        return self._read(start, start + node.col_offset)

    def at(self, node: Any, length: int) -> str:
        """So many characters from the start of a node on."""
        start = self._starts[node.lineno - 1] + node.col_offset
        return self._read(start, start + length)

    def may_be_in_parentheses(self, node: Any) -> bool:
        """True when parentheses may stand around a node that are not those of a call."""
        starts = self._starts
        first, last = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        if not self._read(last, last + _NEAR).lstrip().startswith((")", "#", "\\")):
            return False
        before = self._read(max(0, first - _NEAR), first)
        if "#" in before[before.rstrip().rfind("\n") + 1 :]:
            return True
        opened = _OPENED.search(before)
        return opened is None or opened[2] in "(\\" and (not opened[1] or keyword.iskeyword(opened[1]))

    def lines(self, first: int, last: int) -> str:
        """Lines from a 1-based one to another, that included."""
        return self._read(self._starts[first - 1], self._starts[last] if last < len(self._starts) else len(self._text))

    def _read(self, start: int, end: int) -> str:
        piece = self._text[start:end]
        return piece if isinstance(piece, str) else piece.decode(errors="replace")


class Expressions:
    """Makes expressions, and remembers where each stands."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self.places: dict[int, ast.AST] = {}  # by `id` of the node that was made
        self._placed = True

    def of(self, node: ast.expr) -> cst.BaseExpression:
        """The same expression as LibCST has it."""
        found = nodes.name(node.id) if type(node) is ast.Name else _MAKERS[type(node)](self, node)
        if self._placed:
            self.places[id(found)] = node
        return found

    def perhaps(self, node: ast.expr | None) -> cst.BaseExpression | None:
        """An expression that may be left out."""
        return self.of(node) if node is not None else None

    def _parsed(self, node: ast.expr) -> cst.BaseExpression:
        """What is left to LibCST's parser: rare, or known by its exact text only."""
        return cst.parse_expression(f"({self._segments.of(node)})" if self._placed else ast.unparse(node))

    # -- names, calls ------------------------------------------------------------------------------------------------

    def _Attribute(self, node: ast.Attribute) -> cst.Attribute:
        return nodes.attribute(self.of(node.value), nodes.name(node.attr))

    def _Call(self, node: ast.Call) -> cst.Call:
        return nodes.call(self.of(node.func), self.arguments(node.args, node.keywords) if node.args or node.keywords else ())

    def arguments(self, positional: list[ast.expr], keywords: list[ast.keyword]) -> tuple[cst.Arg, ...]:
        """Arguments in the order in which they stand."""
        several: list[ast.expr | ast.keyword] = [*positional, *keywords]
        if keywords and any(isinstance(one, ast.Starred) for one in positional):
            several.sort(key=lambda one: (one.lineno, one.col_offset))
        return tuple([self._argument(one) for one in several])

    def _argument(self, node: ast.expr | ast.keyword) -> cst.Arg:
        if isinstance(node, ast.keyword):
            named = nodes.name(node.arg) if node.arg is not None else None
            return nodes.argument(self.of(node.value), named, "**" if named is None else "")
        if isinstance(node, ast.Starred):
            return nodes.argument(self.of(node.value), None, "*")
        return nodes.argument(self.of(node), None, "")

    def _Starred(self, node: ast.Starred) -> Any:
        return nodes.starred(self.of(node.value))

    def _Subscript(self, node: ast.Subscript) -> cst.BaseExpression:
        several = [node.slice]
        if isinstance(node.slice, ast.Tuple) and node.slice.elts:
            text = self._segments.of(node.slice) if self._placed else "()"
            if text[0] == "(" and text[-1] == ")":  # one tuple, or several things of which the first and the last are in parentheses
                return self._parsed(node)
            several = node.slice.elts
        return nodes.subscript(self.of(node.value), tuple([nodes.subscript_element(self._index(one)) for one in several]))

    def _index(self, node: ast.expr) -> cst.BaseSlice:
        if isinstance(node, ast.Slice):
            return nodes.extent(self.perhaps(node.lower), self.perhaps(node.upper), self.perhaps(node.step))
        if isinstance(node, ast.Starred):
            return nodes.index(self.of(node.value), "*")
        return nodes.index(self.of(node), None)

    # -- constants ---------------------------------------------------------------------------------------------------

    def _Constant(self, node: ast.Constant) -> cst.BaseExpression:
        kind = type(node.value)
        if kind is str or kind is bytes:
            text = self._segments.of(node) if self._placed else repr(node.value)
            return nodes.string(text) if _is_one(text) else _put_together(text)
        if kind in _NUMBERS:
            return _NUMBERS[kind](self._segments.of(node) if self._placed else repr(node.value))
        return nodes.ellipsis() if node.value is ... else nodes.name(repr(node.value))

    def _JoinedStr(self, node: ast.JoinedStr) -> cst.BaseExpression:
        text = self._segments.of(node) if self._placed else ""
        if not text or not _is_one(text) or _RAW_MATTERS.search(text):
            return self._parsed(node)
        self._placed = _PLACED_IN_STRINGS
        try:
            return nodes.formatted_string(tuple(map(self._part, node.values)))
        finally:
            self._placed = True

    def _part(self, node: ast.expr) -> cst.BaseFormattedStringContent:
        if isinstance(node, ast.Constant):
            return nodes.formatted_text(node.value)
        assert isinstance(node, ast.FormattedValue)
        specified = node.format_spec
        return nodes.formatted_expression(self.of(node.value), tuple(map(self._part, specified.values)) if isinstance(specified, ast.JoinedStr) else None)

    # -- operators ---------------------------------------------------------------------------------------------------

    def _BinOp(self, node: ast.BinOp) -> cst.BinaryOperation:
        return nodes.binary(self.of(node.left), _BINARY[type(node.op)], self.of(node.right))

    def _UnaryOp(self, node: ast.UnaryOp) -> cst.UnaryOperation:
        return nodes.unary(_UNARY[type(node.op)], self.of(node.operand))

    def _BoolOp(self, node: ast.BoolOp) -> cst.BaseExpression:
        found = self.of(node.values[0])
        for value in node.values[1:]:
            found = nodes.boolean(found, _BOOLEAN[type(node.op)], self.of(value))
        return found

    def _Compare(self, node: ast.Compare) -> cst.Comparison:
        pairs = zip(node.ops, node.comparators, strict=True)
        return nodes.comparison(self.of(node.left), tuple([nodes.comparison_target(_COMPARING[type(how)], self.of(what)) for how, what in pairs]))

    def _IfExp(self, node: ast.IfExp) -> cst.IfExp:
        return nodes.conditional(self.of(node.test), self.of(node.body), self.of(node.orelse))

    def _NamedExpr(self, node: ast.NamedExpr) -> cst.NamedExpr:
        return nodes.named(self.of(node.target), self.of(node.value))

    def _Await(self, node: ast.Await) -> cst.Await:
        return nodes.awaited(self.of(node.value))

    def _Yield(self, node: ast.Yield) -> cst.Yield:
        return nodes.yielded(self.perhaps(node.value))

    def _YieldFrom(self, node: ast.YieldFrom) -> cst.Yield:
        return nodes.yielded(nodes.yielded_from(self.of(node.value)))

    def _Lambda(self, node: ast.Lambda) -> cst.Lambda:
        return nodes.lambda_(self.parameters(node.args), self.of(node.body))

    # -- containers --------------------------------------------------------------------------------------------------

    def _List(self, node: ast.List) -> cst.List:
        return nodes.list_(tuple([self._element(one) for one in node.elts]))

    def _Tuple(self, node: ast.Tuple) -> cst.Tuple:
        return nodes.tuple_(tuple([self._element(one) for one in node.elts]))

    def _Set(self, node: ast.Set) -> cst.Set:
        return nodes.set_(tuple([self._element(one) for one in node.elts]))

    def _element(self, node: ast.expr) -> cst.BaseElement:
        return nodes.starred(self.of(node.value)) if isinstance(node, ast.Starred) else nodes.element(self.of(node))

    def _Dict(self, node: ast.Dict) -> cst.Dict:
        pairs = zip(node.keys, node.values, strict=True)
        return nodes.dict_(tuple([nodes.entry(self.of(key), self.of(value)) if key is not None else nodes.starred_entry(self.of(value)) for key, value in pairs]))

    def _ListComp(self, node: ast.ListComp) -> cst.ListComp:
        return nodes.list_comprehension(self.of(node.elt), self._rounds(node.generators))

    def _SetComp(self, node: ast.SetComp) -> cst.SetComp:
        return nodes.set_comprehension(self.of(node.elt), self._rounds(node.generators))

    def _GeneratorExp(self, node: ast.GeneratorExp) -> cst.GeneratorExp:
        return nodes.generator(self.of(node.elt), self._rounds(node.generators))

    def _DictComp(self, node: ast.DictComp) -> cst.DictComp:
        return nodes.dict_comprehension(self.of(node.key), self.of(node.value), self._rounds(node.generators))

    def _rounds(self, several: list[ast.comprehension]) -> cst.CompFor | None:
        inner: cst.CompFor | None = None
        for one in reversed(several):
            tests = tuple(nodes.condition(self.of(test)) for test in one.ifs)
            inner = nodes.comprehension(self.of(one.target), self.of(one.iter), tests, inner, nodes.ASYNCHRONOUS if one.is_async else None)
        return inner

    # -- parameters --------------------------------------------------------------------------------------------------

    def parameters(self, given: ast.arguments) -> cst.Parameters:
        """The parameters of a function or lambda."""
        plain, count = [*given.posonlyargs, *given.args], len(given.posonlyargs)
        defaults = [*[None] * (len(plain) - len(given.defaults)), *given.defaults]
        several = [self._parameter(*pair) for pair in zip(plain, defaults, strict=True)]
        star: cst.Param | cst.ParamStar | cst.MaybeSentinel = cst.MaybeSentinel.DEFAULT
        if given.vararg is not None:
            star = self._parameter(given.vararg, None, "*")
        elif given.kwonlyargs:
            star = nodes.star()
        by_name = tuple(self._parameter(*pair) for pair in zip(given.kwonlyargs, given.kw_defaults, strict=True))
        rest = self._parameter(given.kwarg, None, "**") if given.kwarg is not None else None
        return nodes.parameters(tuple(several[:count]), tuple(several[count:]), star, by_name, rest)

    def _parameter(self, given: ast.arg, default: ast.expr | None, star: str = "") -> cst.Param:
        found = nodes.parameter(nodes.name(given.arg), self.annotation(given.annotation), self.perhaps(default), star)
        if self._placed:
            self.places[id(found)] = given
        return found

    def annotation(self, given: ast.expr | None) -> cst.Annotation | None:
        """An annotation, if there is one."""
        return nodes.annotation(self.of(given)) if given is not None else None


def _is_one(text: str) -> bool:
    """True for the text of one string literal, false for several that are put together by standing side by side."""
    quote = text[0]
    if text[-1] == quote and text.count(quote) == 2:  # most of them
        return True
    if text[:3] == text[-3:] == (three := quote * 3) != text[-4:-1] and text.count(three) == 2:  # docstrings
        return True
    found = _QUOTE.search(text)
    if found is None or text[-1] != found.group():
        return False
    if text.count(found.group(), found.start()) == 2:
        return True
    literal = _LITERAL.match(text, found.start())
    return literal is not None and literal.end() == len(text)


def _put_together(text: str) -> cst.BaseExpression:
    """Several string literals side by side, with what white space and comments there may be between them."""
    *several, found = [nodes.string(piece[1]) for piece in _PIECE.finditer(text) if piece[1]]
    for one in reversed(several):
        found = nodes.concatenated(one, found)
    return found


_MAKERS: dict[type[ast.AST], Callable[[Expressions, Any], cst.BaseExpression]] = {
    kind: getattr(Expressions, f"_{kind.__name__}", Expressions._parsed) for kind in ast.expr.__subclasses__()
}
