"""Shapes of code that a rule needs, told from Python's own tree: a second look, dearer than words and much cheaper than LibCST.

A shape is a function in the needs of a rule. It may say yes too often, and never too seldom.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

from safeboundary_lint.core.limits import ATTEMPT
from safeboundary_lint.core.matching import named_like

Shape = Callable[[Sequence[ast.AST]], bool]

_COUNTING = ("range", "xrange", "count", "repeat")
_WAITING = (*ATTEMPT, "*delay*", "*wait*", "*sleep*")


def retry_loop(body: Sequence[ast.AST]) -> bool:
    """A `while`, or a `for` over a count, in which failures are handled."""
    loops = (node for node in walk(body) if isinstance(node, ast.While) or isinstance(node, ast.For) and _counts(node))
    return any(isinstance(node, ast.ExceptHandler) for loop in loops for node in ast.walk(loop))


def restart(body: Sequence[ast.AST]) -> bool:
    """A function that calls itself."""
    functions = (node for node in walk(body) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return any(isinstance(node, ast.Call) and _is_call_of(node, function.name) for function in functions for node in ast.walk(function))


def _is_call_of(call: ast.Call, name: str) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id == name
    owner = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr == name else None
    return isinstance(owner, ast.Name) and (owner.id in ("self", "cls") or owner.id[:1].isupper())


def _counts(loop: ast.For) -> bool:
    iterable = loop.iter
    if isinstance(iterable, ast.Call) and last_name(iterable.func) == "enumerate" and iterable.args:
        iterable = iterable.args[0]
    if isinstance(iterable, ast.Call) and last_name(iterable.func) in _COUNTING:
        return True
    targets = [node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)]
    if all(named_like(name, *_WAITING) for name in targets) or named_like(last_name(iterable), *_WAITING):
        return True
    elements = iterable.elts if isinstance(iterable, (ast.Tuple, ast.List)) else ()
    return any(isinstance(element, ast.Constant) and isinstance(element.value, (int, float)) for element in elements)


def last_name(node: ast.expr) -> str | None:
    """As `core.names.last_name` says it of LibCST's nodes."""
    while isinstance(node, (ast.Call, ast.Subscript, ast.Await)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def walk(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Every node of these trees."""
    for node in body:
        yield from ast.walk(node)

