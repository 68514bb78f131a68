"""Functions of a library that are called by another way than their name: out of a table, by `getattr`, by who they are handed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_RUNNERS = ("submit", "run_in_executor", "to_thread", "run_sync", "*_in_thread", "*_in_executor", "wait*", "retry*", "call_with*", "*_with_retry")
SIBLINGS = ("get", "post")  # stand for all that `getattr` may take


class Dispatch:
    """Calls by another way in one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def calls(self, kind: str) -> Iterator[Match]:
        """`table[verb](url)` and `getattr(library, verb)(url)`, also through a name, of what a row of this kind explains."""
        for call in self.facts.tree.all(cst.Call):
            if isinstance(call.func, cst.Attribute) or self._is_plain(call.func) or self.facts.match(call, kind) is not None:
                continue
            meant = next(self._meant(call.func, kind), None)
            if meant is not None:
                yield Match(call, meant.row, meant.confidence, meant.dotted)

    def handed(self, kind: str) -> Iterator[Match]:
        """`pool.submit(function, url)`: the call that will call it with what stands behind it."""
        for call in self.facts.tree.all(cst.Call):
            if not named_like(last_name(call.func), *_RUNNERS):
                continue
            for arg, following in zip(call.args, call.args[1:], strict=False):
                plain = isinstance(arg.value, (cst.Name, cst.Attribute)) and arg.keyword is None and not arg.star and following.keyword is None
                found = self.facts.match(arg.value, kind) if plain else None
                if found is not None:
                    yield Match(call, found.row, found.confidence, found.dotted)
                    break

    def _is_plain(self, func: cst.BaseExpression) -> bool:
        """A name that stands for what was defined or imported under it, or is built in, as most names that are called do."""
        found = self.facts.names.lookup(func) if isinstance(func, cst.Name) else None
        return isinstance(func, cst.Name) and (found is None or all(binding.how in ("definition", "import") for binding in found[1]))

    def _meant(self, func: cst.BaseExpression, kind: str) -> Iterator[Match]:
        for origin in [func, *(one.node for one in self.facts.origins.trail(func))]:
            if isinstance(origin, cst.Subscript):
                for table in [origin.value, *(one.node for one in self.facts.origins.trail(origin.value))]:
                    values = (one.value for one in table.elements if isinstance(one, cst.DictElement)) if isinstance(table, cst.Dict) else ()
                    yield from (found for value in values if (found := self.facts.match(value, kind)) is not None)
            elif isinstance(origin, cst.Call) and self.facts.names.qualified(origin.func) == "builtins.getattr" and len(origin.args) == 2:
                module = self.facts.names.qualified(origin.args[0].value)
                rows = ((name, row) for one in SIBLINGS for name in [f"{module}.{one}"] for row in self.facts.knowledge.rows.get(name, ()))
                yield from (Match(origin, row, row.confidence, name) for name, row in rows if module and row.kind == kind)
