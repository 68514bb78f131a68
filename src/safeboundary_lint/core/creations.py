"""Which calls create a record, and whether a conflict of two that create the same one is handled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string_parts
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.shapes.retries import CREATING, INSERT, INTEGRITY, IN_ONE_STEP
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts


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
        if receiver in ("self", "cls") and named_like(last_name(call.func), *CREATING):
            return not named_like(last_name(call.func), *IN_ONE_STEP)
        if not named_like(last_name(call.func), "execute", "fetch*", "executemany") or not call.args:
            return False
        parts = [n for n in descendants(call.args[0].value) if isinstance(n, (cst.Name, cst.Attribute, cst.BaseString))]
        texts = (string_parts(origin.node) for part in parts for origin in self.facts.origins.trail(part))
        return any(INSERT.match(text) for text in texts if text)

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
            named_like(name.rpartition(".")[2], *INTEGRITY) for name in names
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
