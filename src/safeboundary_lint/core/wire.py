"""Which expressions hold a number that the peer wrote: a length, a count, an offset out of bytes or text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.boundary import OWN, PEER, SHARED
from safeboundary_lint.core.calls import NotConstant, argument, string
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.shapes.parsing import DECLARED
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_NARROW = "cbB?hHxsp"  # fields of at most two bytes, and those that are no numbers
_NARROW_BYTES = 3
_BUDGET = 80
_KEEPING = ("builtins.int", "builtins.abs", "builtins.max", "builtins.round", "typing.cast", "operator.index")
_CAPPING_OPERATORS = (cst.Modulo, cst.BitAnd, cst.Divide)


@dataclass(slots=True, eq=False)
class WireNumber:
    """A number of the peer: where it is made of bytes, how sure that is, and the expressions from its use back to there."""

    source: cst.CSTNode
    confidence: Confidence
    route: tuple[cst.CSTNode, ...] = field(default=())
    is_text: bool = False  # made of text: `int(line, 16)`


class Wire:
    """Numbers of the peer in one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._known: dict[int, list[WireNumber]] = {}

    def numbers(self, expression: cst.CSTNode) -> list[WireNumber]:
        """The unbounded numbers of the peer that a value may be made of; none for `min(n, LIMIT)`, `n & 0xff`, narrow fields."""
        key = id(expression)
        if key not in self._known:
            self._known[key] = []
            self._known[key] = list(self._search(expression))
        return self._known[key]

    def _search(self, expression: cst.CSTNode) -> Iterator[WireNumber]:
        before: dict[int, cst.CSTNode | None] = {id(expression): None}
        queue: list[tuple[cst.CSTNode, int | None]] = [(expression, None)]
        for node, index in queue:  # grows while it is walked
            if len(queue) > _BUDGET:
                return
            match = self.facts.match(node, "wire-integer", "text-integer") if isinstance(node, cst.Call) else None
            if match is not None and (confidence := self._wide(match, index)) is not None:
                yield WireNumber(node, confidence, tuple(_way(node, before)), match.row.kind == "text-integer")
                continue
            if match is not None and match.row.kind == "wire-integer":
                continue
            if match is None and isinstance(node, cst.Call) and self._is_named_so(node):
                yield WireNumber(node, Confidence.MEDIUM, tuple(_way(node, before)))
                continue
            if isinstance(node, cst.Name) and self._is_of_header(node):
                yield WireNumber(node, Confidence.MEDIUM, tuple(_way(node, before)))
                continue
            if isinstance(node, cst.Subscript) and self._declares(node):
                yield WireNumber(node, Confidence.MEDIUM, tuple(_way(node, before)))
                continue
            for following, position in self._following(node, index):
                if id(following) not in before:
                    before[id(following)] = node
                    queue.append((following, position))

    def _is_named_so(self, call: cst.Call) -> bool:
        """A helper of this file that is named like those that put numbers together byte by byte, and shifts to do so."""
        rows = self.facts.knowledge.wild.get(last_name(call.func) or "", ())
        callee = self.facts.types.callee(call) if any(row.kind == "wire-integer" for row in rows) else None
        return callee is not None and any(
            isinstance(node, cst.LeftShift) or isinstance(node, cst.LeftShiftAssign) for node in _operators(callee)
        )

    def _is_of_header(self, name: cst.Name) -> bool:
        """`kind, length = parse_frame_header(data)`, by a helper of another file: a length among what a header says."""
        if last_name(name) not in DECLARED:
            return False
        made = [origin.node for origin in self.facts.origins.step(name) if origin.how == "item" and isinstance(origin.node, cst.Call)]
        return any(
            named_like(last_name(call.func), "parse_*header", "unpack_*header", "decode_*header", "read_*header")
            and self.facts.types.callee(call) is None
            and any(self.facts.boundary.source(arg.value).writer not in (OWN, SHARED) for arg in call.args)
            for call in made
        )

    def _following(self, node: cst.CSTNode, index: int | None) -> Iterator[tuple[cst.CSTNode, int | None]]:
        """What the value is made of, and which element of it."""
        if isinstance(node, cst.BinaryOperation):
            if not isinstance(node.operator, _CAPPING_OPERATORS):
                yield from ((part, None) for part in (node.left, node.right))
        elif isinstance(node, cst.Param):
            yield from ((value, None) for value in self.facts.origins.passed(node))
        elif isinstance(node, cst.Call) and self.facts.names.qualified(node.func) in _KEEPING:
            yield from ((arg.value, None) for arg in node.args)
        elif isinstance(node, cst.Subscript) and not self.facts.origins.entry_bindings(node):
            yield node.value, _constant_index(self.facts, node)
        elif isinstance(node, cst.Tuple) and index is not None and index < len(node.elements):
            yield node.elements[index].value, None
        elif isinstance(node, cst.UnaryOperation):
            yield node.expression, None
        else:
            for origin in self.facts.origins.step(node):
                if origin.how in ("value", "augmented", "parameter"):
                    yield origin.node, index
                elif origin.how == "item":
                    yield origin.node, origin.index if origin.index is not None else index

    def _wide(self, match: Match, index: int | None) -> Confidence | None:
        """How sure it is that a call gives an unbounded number of the peer; None when it doesn't."""
        call = match.call
        parameter = match.row.parameter("data")
        data = argument(call, parameter) if parameter is not None else None
        if data is not None and self._is_narrow(match, data, index):
            return None
        if match.row.kind == "text-integer":
            return self._text_number(match, data)
        if data is None:
            return match.confidence
        source = self.facts.boundary.source(data)
        if source.writer in (OWN, SHARED):
            return None
        return Confidence.weakest(match.confidence, Confidence.HIGH if source.writer == PEER else Confidence.MEDIUM)

    def _text_number(self, match: Match, data: cst.BaseExpression | None) -> Confidence | None:
        """`int(text)`: hexadecimal text is a protocol's; other text must be seen to be the peer's. Content-Length is SBL401's."""
        if data is None:
            return None
        base = match.row.parameter("base")
        hexadecimal = base is not None and self.facts.is_constant(argument(match.call, base), 16)
        source = self.facts.boundary.source(data)
        if source.writer in (OWN, SHARED) or names_content_length(data):
            return None
        if source.writer == PEER:
            return Confidence.weakest(source.confidence, Confidence.MEDIUM)
        return Confidence.MEDIUM if hexadecimal else None

    def _is_narrow(self, match: Match, data: cst.BaseExpression, index: int | None) -> bool:
        text = self._format(match)
        if text is not None:
            fields = _fields(text)
            if index is not None and index < len(fields):
                return fields[index] in _NARROW
            return bool(fields) and all(one in _NARROW for one in fields)
        if last_name(match.call.func) == "from_bytes":
            return (width := _width(self.facts, data)) is not None and width <= _NARROW_BYTES
        return False

    def _format(self, match: Match) -> str | None:
        """The format string of struct.unpack, or of the Struct object it is a method of."""
        parameter = match.row.parameter("format")
        given = argument(match.call, parameter) if parameter is not None else None
        func = match.call.func
        if given is None and isinstance(func, cst.Attribute):
            for origin in self.facts.origins.trail(func.value):
                if isinstance(origin.node, cst.Call) and last_name(origin.node.func) == "Struct" and origin.node.args:
                    given = origin.node.args[0].value
        for origin in self.facts.origins.trail(given) if given is not None else ():
            try:
                value = self.facts.constant(origin.node)
            except NotConstant:
                continue
            return value.decode("ascii", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else None
        return None

    def _declares(self, node: cst.Subscript) -> bool:
        """`data["Length"]`, where the mapping was filled with what a parser of this function read from its input."""
        key = node.slice[0].slice.value if node.slice and isinstance(node.slice[0].slice, cst.Index) else None
        text = string(key) if key is not None else None
        word = (text or last_name(key) or "").lower().strip("/_") if key is not None else ""
        if word not in DECLARED and not any(word.endswith(f"_{one}") for one in DECLARED):
            return False
        place = self.facts.origins.place(node.value)
        function = self.facts.tree.function_of(node)
        return place is not None and any(
            isinstance(store.target, cst.Subscript)
            and self.facts.origins.place(store.target.value) == place
            and self.facts.tree.function_of(store.target) is function
            and self._is_parsed(store.source)
            for store in self.facts.names.stores
        )

    def _is_parsed(self, value: cst.CSTNode | None) -> bool:
        calls = (
            [origin.node for origin in self.facts.origins.trail(value) if isinstance(origin.node, cst.Call)]
            if value is not None
            else []
        )
        return any(
            (last_name(call.func) or "").lower().lstrip("_").startswith(("read", "parse", "decode", "load", "unpack"))
            for call in calls
        )


def names_content_length(expression: cst.CSTNode) -> bool:
    """True when the text is looked up under the name of a body's declared length."""
    texts = (string(node) for node in descendants(expression) if isinstance(node, (cst.SimpleString, cst.ConcatenatedString)))
    return any(text is not None and text.lower().replace("_", "-").endswith("content-length") for text in texts)


def _operators(function: cst.FunctionDef | cst.Lambda) -> Iterator[cst.CSTNode]:
    for node in descendants(function.body):
        if isinstance(node, (cst.BinaryOperation, cst.AugAssign)):
            yield node.operator


def _fields(text: str) -> list[str]:
    """One letter for each value that a struct format gives."""
    found: list[str] = []
    count = ""
    for letter in text.lstrip("@=<>!"):
        if letter.isdigit():
            count += letter
        elif not letter.isspace():
            repeat = int(count) if count else 1
            found += [] if letter == "x" else [letter] if letter in "sp" else [letter] * min(repeat, 64)
            count = ""
    return found


def _constant_index(facts: Facts, node: cst.Subscript) -> int | None:
    inner = node.slice[0].slice if len(node.slice) == 1 else None
    try:
        value = facts.constant(inner.value) if isinstance(inner, cst.Index) else None
    except NotConstant:
        return None
    return value if isinstance(value, int) and value >= 0 else None


def _width(facts: Facts, data: cst.CSTNode) -> int | None:
    """How many bytes long data is: a slice with constant ends, or a read of a constant size."""
    for origin in facts.origins.trail(data):
        node = origin.node
        try:
            if isinstance(node, cst.Subscript) and isinstance(node.slice[0].slice, cst.Slice):
                return _slice_width(facts, node.slice[0].slice)
            if isinstance(node, cst.Call) and node.args and isinstance(value := facts.constant(node.args[-1].value), int):
                return value
        except NotConstant:
            continue
    return None


def _slice_width(facts: Facts, piece: cst.Slice) -> int | None:
    upper = piece.upper
    if upper is None:
        return None
    if (
        piece.lower is not None
        and isinstance(upper, cst.BinaryOperation)
        and isinstance(upper.operator, cst.Add)
        and same_code(upper.left, piece.lower)
    ):
        value = facts.constant(upper.right)  # data[pos : pos + 2]
    else:
        low = facts.constant(piece.lower) if piece.lower is not None else 0
        high = facts.constant(upper)
        value = high - low if isinstance(high, int) and isinstance(low, int) else None
    return value if isinstance(value, int) and value >= 0 else None


def _way(node: cst.CSTNode, before: dict[int, cst.CSTNode | None]) -> Iterator[cst.CSTNode]:
    way: list[cst.CSTNode] = []
    current: cst.CSTNode | None = node
    while current is not None:
        way.append(current)
        current = before[id(current)]
    yield from reversed(way)
