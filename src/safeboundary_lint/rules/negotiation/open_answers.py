"""Answers that let a request pass, told from Python's own tree: which functions SBL506 has to look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from safeboundary_lint.core import decisions, shapes

NOBODY = ("", "anonymous", "guest", "unknown", "nobody", "public", "none", "null", "anon", "-", "n/a", "unauthenticated")
_LEADING_OUT = (ast.Return, ast.Continue, ast.Break)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")  # where statements stand in others


def may_let_pass(body: Sequence[ast.AST]) -> bool:
    """A function that decides by its name has an answer that lets pass, and a handler or a branch for what is missing."""
    owner, sole = None, None
    if isinstance(body, shapes.Body):
        if not body.may_hold(shapes.FUNCTIONS):
            return False
        owner, sole = body.owner, body.sole
    functions = _functions(body, ()) if sole is None else [(sole, ())]
    handling = shapes.says(body, "except")
    for function, around in functions:
        meant = decisions.meanings(function.name, around, owner)
        if (meant or handling) and _may_answer([function] if sole is None else body, meant):
            return True
    return False


def _functions(body: Sequence[ast.AST], around: tuple[str, ...]) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, tuple[str, ...]]]:
    """Each function with the names of those around it, innermost first."""
    for node in body:
        inner = around
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, around
            inner = (node.name, *around)
        if isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case)):
            for block in _BLOCKS:
                yield from _functions(getattr(node, block, ()), inner)


def _may_answer(function: Sequence[ast.AST], meant: frozenset[str]) -> bool:
    handlers, answers, branches = [], [], []
    for node in shapes.walk(function, ast.ExceptHandler, ast.Return, ast.If):
        if isinstance(node, ast.ExceptHandler):
            handlers.append(node)
        elif isinstance(node, ast.Return):
            answers.append(node.value)
        elif isinstance(node, ast.If):
            branches += [line.value for line in node.body if isinstance(line, ast.Return)]
    in_handlers = [node.value for handler in handlers for node in shapes.walk([handler]) if isinstance(node, ast.Return)]
    if any(isinstance(answer, (ast.Attribute, ast.Dict, ast.Call)) and decisions.may_say_yes(answer) for answer in in_handlers):
        return True
    if not meant:
        return False
    if decisions.IDENTITY in meant:
        return any(_stands_in(node) for node in shapes.walk(function, ast.Return, ast.BoolOp, ast.Call))
    if any(decisions.may_allow(meant, answer) for answer in branches):
        return True
    if not any(not isinstance(handler.body[-1], ast.Raise) or shapes.holds(handler, *_LEADING_OUT) for handler in handlers):
        return False
    return decisions.RAISING in meant or any(decisions.may_allow(meant, answer) for answer in answers)


def _stands_in(node: ast.AST) -> bool:
    """A text that takes the place of who asks."""
    if isinstance(node, ast.Return):
        parts = [node.value]
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    else:
        parts = shapes.given(node) if isinstance(node, ast.Call) and shapes.last_name(node.func) in ("getattr", "get") else []
    return any((shapes.text(part) or "").lower() not in NOBODY for part in parts)
