"""Arguments of a call, and literals."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator

import libcst as cst

from safeboundary_lint.core.knowledge import Parameter
from safeboundary_lint.core.names import parameters


def argument(call: cst.Call, parameter: Parameter | str, position: int | None = None) -> cst.BaseExpression | None:
    """The expression passed for a parameter, by keyword or by 0-based position; None when it is not passed visibly."""
    if isinstance(parameter, Parameter):
        parameter, position = parameter.name, parameter.position if position is None else position
    for index, arg in enumerate(call.args):
        if arg.star == "*":
            position = None  # what follows has no known position
        elif arg.star == "" and arg.keyword is not None and arg.keyword.value == parameter:
            return arg.value
        elif arg.star == "" and arg.keyword is None and index == position:
            return arg.value
    return None


def unpacks(call: cst.Call) -> bool:
    """True when `*args` or `**kwargs` hides arguments: nothing can be said about a missing one then."""
    return any(arg.star for arg in call.args)


def keyword_names(call: cst.Call) -> frozenset[str]:
    """Names of the keyword arguments that are visible."""
    return frozenset(arg.keyword.value for arg in call.args if arg.keyword is not None)


def bound_arguments(call: cst.Call, function: cst.FunctionDef | cst.Lambda, *, method: bool) -> Iterator[tuple[cst.Param, cst.BaseExpression]]:
    """Pairs of parameter and argument when `call` calls `function`; `method` leaves out the first parameter."""
    positional = [*function.params.posonly_params, *function.params.params][1 if method else 0 :]
    by_name = {parameter.name.value: parameter for parameter in parameters(function)}
    for index, arg in enumerate(call.args):
        if arg.star:
            return
        if arg.keyword is not None:
            if (named := by_name.get(arg.keyword.value)) is not None:
                yield named, arg.value
        elif index < len(positional):
            yield positional[index], arg.value


def _written(text: str) -> object:
    """The value of a string literal; most say what they are without Python's parser."""
    if text[0] not in "\"'" or "\\" in text or "\r" in text:
        return ast.literal_eval(text)
    width = 3 if text.startswith(('"""', "'''")) else 1
    return text[width:-width]


_STRINGS = frozenset((cst.SimpleString, cst.ConcatenatedString, cst.FormattedString))


def string(node: cst.CSTNode | None) -> str | None:
    """The value of a plain or concatenated string literal; None for anything else, f-strings included."""
    if type(node) not in _STRINGS:
        return None
    if isinstance(node, cst.SimpleString):
        value = _written(node.value)
        return value if isinstance(value, str) else None
    if isinstance(node, cst.ConcatenatedString):
        left, right = string(node.left), string(node.right)
        return left + right if left is not None and right is not None else None
    return None


def string_parts(node: cst.CSTNode | None) -> str | None:
    """The literal text of a string or f-string, with `{}` where an expression stands; None for anything else."""
    if type(node) not in _STRINGS:
        return None
    if isinstance(node, cst.FormattedString):
        return "".join(part.value if isinstance(part, cst.FormattedStringText) else "{}" for part in node.parts)
    if isinstance(node, cst.ConcatenatedString):
        left, right = string_parts(node.left), string_parts(node.right)
        return left + right if left is not None and right is not None else None
    return string(node)


class NotConstant(Exception):
    """Raised by `literal` for an expression that is not one."""


_OPERATORS: dict[type[cst.BaseBinaryOp], Callable[[object, object], object]] = {
    cst.Add: operator.add,
    cst.Subtract: operator.sub,
    cst.Multiply: operator.mul,
    cst.FloorDivide: operator.floordiv,
    cst.Divide: operator.truediv,
    cst.LeftShift: operator.lshift,
    cst.Power: operator.pow,
    cst.BitOr: operator.or_,
}


_CONSTANTS = {"None": None, "True": True, "False": False}
_LITERAL = frozenset(
    (cst.Integer, cst.Float, cst.SimpleString, cst.ConcatenatedString, cst.FormattedString, cst.Name, cst.UnaryOperation, cst.BinaryOperation)
)


def literal(node: cst.CSTNode | None, depth: int = 20) -> object:
    """The Python value of a literal or of arithmetic on number literals. Raises NotConstant."""
    if depth == 0 or node is None:
        raise NotConstant
    if type(node) not in _LITERAL:
        raise NotConstant
    kind = type(node)
    if kind is cst.Name:
        if node.value in _CONSTANTS:  # type: ignore[attr-defined]
            return _CONSTANTS[node.value]  # type: ignore[attr-defined]
        raise NotConstant
    if kind is cst.SimpleString:
        return _written(node.value)  # type: ignore[attr-defined]
    if isinstance(node, cst.Integer):
        return int(node.value, 0)
    if isinstance(node, cst.Float):
        return float(node.value)
    if isinstance(node, (cst.ConcatenatedString, cst.FormattedString)):
        if (text := string(node)) is None:
            raise NotConstant
        return text
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
        value = literal(node.expression, depth - 1)
        if isinstance(value, (int, float)):
            return -value
    if isinstance(node, cst.BinaryOperation) and (operate := _OPERATORS.get(type(node.operator))) is not None:
        left, right = literal(node.left, depth - 1), literal(node.right, depth - 1)
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if numbers and (not isinstance(node.operator, (cst.Power, cst.LeftShift)) or (abs(right) < 100 and abs(left) < 2**64)):
            try:
                return operate(left, right)
            except (ArithmeticError, TypeError, ValueError):
                raise NotConstant from None
    raise NotConstant
