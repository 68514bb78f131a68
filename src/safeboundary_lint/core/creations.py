"""Which calls create a record, and whether a conflict of two that create the same one is handled."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core import shapes
from safeboundary_lint.core.calls import string_parts
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_CREATING = ("create", "create_*", "*_create_*", "insert", "insert_*", "*_insert", "_create*", "add_record*", "*_create")
_IN_ONE_STEP = ("*or_create*", "*if_not_exists*", "*if_missing*", "*if_absent*")
_INTEGRITY = (
    "*integrity*", "*unique*", "*duplicate*", "*conflict*", "*databaseerror*", "*exists*", "*already*", "*pymongoerror*",
    "*writeerror*",
)  # fmt: skip
_INSERT = Regex(
    r"\s*(?:with\b.*?\)\s*)?insert\s+into\b(?!.*\bon\s+(?:conflict|duplicate)\b)(?!.*\bnot\s+exists\b)", re.IGNORECASE | re.DOTALL
)


class Creations:
    """The creations of records in one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def after(self, node: cst.CSTNode, function: cst.FunctionDef) -> cst.Call | None:
        """The first call behind a node that creates a record; None where a conflict of two creations is handled."""
        order = self.facts.tree.order
        for call in self.facts.summaries.calls_of(function):
            if order[id(call)] > order[id(node)] and self.creates(call):
                return None if self.conflict_handled(call, function) else call
        return None

    def creates(self, call: cst.Call) -> bool:
        """True for a call that creates a record, by its row, its name or its statement."""
        if self.facts.match(call, "record-creation") is not None:
            return True
        receiver = last_name(call.func.value) if isinstance(call.func, cst.Attribute) else None
        if receiver in ("self", "cls") and named_like(last_name(call.func), *_CREATING):
            return not named_like(last_name(call.func), *_IN_ONE_STEP)
        if not named_like(last_name(call.func), "execute", "fetch*", "executemany") or not call.args:
            return False
        parts = [n for n in descendants(call.args[0].value) if isinstance(n, (cst.Name, cst.Attribute, cst.BaseString))]
        texts = (string_parts(origin.node) for part in parts for origin in self.facts.origins.trail(part))
        return any(_INSERT.match(text) for text in texts if text)

    def saves_new(self, call: cst.Call, handler: cst.ExceptHandler) -> bool:
        """`record = Record(...); record.save()` in a handler."""
        record = call.func.value if isinstance(call.func, cst.Attribute) and call.func.attr.value in ("save", "asave") else None
        made = [b.source for b in self.facts.origins.reaching(record)] if isinstance(record, cst.Name) else []
        return bool(made) and all(isinstance(one, cst.Call) and self.facts.tree.within(one, handler) for one in made)

    def conflict_handled(self, call: cst.Call, function: cst.FunctionDef) -> bool:
        """True where the function handles it that the record is there already."""
        handlers = [h for h in self.facts.tree.all(cst.ExceptHandler) if self.facts.tree.within(h, function)]
        return any(self._is_conflict(handler) for handler in handlers)

    def _is_conflict(self, handler: cst.ExceptHandler) -> bool:
        names = self.facts.exceptions.classes(handler.type) or [last_name(handler.type) or ""]
        return self.facts.exceptions.catches_all(handler.type) and not self._only_logs(handler) or any(
            named_like(name.rpartition(".")[2], *_INTEGRITY) for name in names
        )

    def _only_logs(self, handler: cst.ExceptHandler) -> bool:
        """Whatever goes wrong is logged and told as nothing, a conflict of two creations with it."""
        for line in handler.body.body:
            for statement in line.body if isinstance(line, cst.SimpleStatementLine) else (line,):
                call = statement.value if isinstance(statement, cst.Expr) else None
                logs = isinstance(call, cst.Call) and not self.facts.exceptions.can_raise(call)
                nothing = isinstance(statement, cst.Return) and last_name(statement.value) in ("None", None)
                if not logs and not nothing and not isinstance(statement, cst.Pass):
                    return False
        return any(isinstance(node, cst.Return) for node in descendants(handler.body))


def handles_conflict(body: Sequence[ast.AST]) -> bool:
    """A function that names, in a handler, what is raised where a record is there already, and has no function in it."""
    if sum(1 for _ in shapes.walk(body, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) != 1:
        return False
    types = [handler.type for handler in shapes.walk(body, ast.ExceptHandler) if handler.type is not None]
    names = (shapes.last_name(one) for part in types for one in (part.elts if isinstance(part, ast.Tuple) else [part]))
    return any(name is not None and not name.isupper() and "_" not in name and named_like(name, *_INTEGRITY) for name in names)


def may_create(call: ast.Call, body: Sequence[ast.AST]) -> bool:
    """False for a call that creates no record by its name or by a statement in it; names are looked up in the body."""
    name, func = shapes.last_name(call.func), call.func
    if isinstance(func, ast.Attribute) and shapes.last_name(func.value) in ("self", "cls") and named_like(name, *_CREATING):
        return not named_like(name, *_IN_ONE_STEP)
    given = shapes.given(call)
    return bool(given) and named_like(name, "execute", "fetch*", "executemany") and _may_insert(given[0], body)


def _may_insert(statement: ast.expr, body: Sequence[ast.AST]) -> bool:
    """A text in it inserts, or a name or attribute in it may stand for such a text: a parameter stands for none that is known."""
    inner = {id(part.func) for part in shapes.walk([statement], ast.Call)} | {id(part.value) for part in shapes.walk([statement], ast.Attribute)}
    for part in shapes.walk([statement]):
        if _INSERT.match(shapes.text_parts(part) or "") or isinstance(part, ast.Attribute) and id(part) not in inner:
            return True
        if isinstance(part, ast.Name) and id(part) not in inner and _may_hold_insert(part.id, body):
            return True
    return False


def _may_hold_insert(name: str, body: Sequence[ast.AST]) -> bool:
    bindings = shapes.walk(body, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)
    values = [node.value for node in bindings if node.value is not None and any(_binds(target, name) for target in shapes.targets(node))]
    if not values:
        bound = any(one.arg == name for one in shapes.walk(body, ast.arg))
        return not bound and not any(part.id == name and isinstance(part.ctx, ast.Store) for part in shapes.walk(body, ast.Name))
    plain = (ast.Constant, ast.JoinedStr, ast.BinOp)
    return any(not isinstance(one, plain) or any(_INSERT.match(shapes.text_parts(part) or "") for part in shapes.walk([one])) for one in values)


def _binds(target: ast.expr, name: str) -> bool:
    return any(part.id == name for part in shapes.walk([target], ast.Name))
