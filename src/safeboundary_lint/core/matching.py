"""Which knowledge rows explain an expression of one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.knowledge import Knowledge, Row
from safeboundary_lint.core.names import Names, last_name
from safeboundary_lint.core.types import Types

_INTERFACES = ("typing.Protocol.", "typing_extensions.Protocol.", "abc.ABC.", "typing.Generic.")


@dataclass(slots=True, eq=False)
class Match:
    """An expression that a knowledge row explains."""

    node: cst.BaseExpression  # the call, or the name or attribute itself where it isn't called
    row: Row
    confidence: Confidence
    dotted: str

    @property
    def call(self) -> cst.Call:
        """The call; only for matches of calls."""
        assert isinstance(self.node, cst.Call)
        return self.node


class Matcher:
    """Finds rows by what names, attributes and called expressions stand for."""

    def __init__(self, names: Names, types: Types, knowledge: Knowledge) -> None:
        self.names, self.types, self.knowledge = names, types, knowledge
        self._rows: dict[int, list[tuple[Row, Confidence, str]]] = {}

    def rows(self, expression: cst.CSTNode) -> list[tuple[Row, Confidence, str]]:
        """The knowledge rows that explain a name, attribute or called expression, with how sure that is."""
        if (found := self._rows.get(id(expression))) is None:
            found = self._rows[id(expression)] = list(self._find_rows(expression))
        return found

    def _find_rows(self, expression: cst.CSTNode) -> Iterator[tuple[Row, Confidence, str]]:
        names, confidence, known = self.types.candidates(expression)
        seen = False
        for name in names:
            for row in self.knowledge.rows.get(name, ()):
                seen = True
                yield row, Confidence.weakest(confidence, row.confidence), name
        kind = type(expression)
        last = last_name(expression) if kind is cst.Name or kind is cst.Attribute else None
        if seen or last is None or (wild := self.knowledge.wild.get(last)) is None or not self._may_be_wild(names, known):
            return
        receiver = last_name(expression.value) if kind is cst.Attribute else None  # type: ignore[attr-defined]
        for row in wild:
            if row.accepts(receiver, self.names.imported):
                yield row, row.confidence, f"*.{last}"

    def _may_be_wild(self, names: tuple[str, ...], known: bool) -> bool:
        """A "*.name" row speaks only of receivers nothing else is known about: not of libraries with rows of their own.

        An interface of this file (a protocol, an abstract class) says nothing of what will stand behind it.
        """
        if not known:
            return True
        own = self.knowledge.libraries | {"builtins"}
        return bool(names) and all(
            name.startswith((".", *_INTERFACES)) or name.partition(".")[0] not in own for name in names
        )

    def match(self, expression: cst.CSTNode, *kinds: str) -> Match | None:
        """The row of one of these kinds that explains a call (by what it calls) or a name; the surest first."""
        target = expression.func if type(expression) is cst.Call else expression
        if type(target) is cst.Attribute and target.attr.value not in self.knowledge.words_of(kinds):
            return None
        found = [Match(expression, row, confidence, name) for row, confidence, name in self.rows(target) if row.kind in kinds]  # type: ignore[arg-type]
        return min(found, key=lambda match: match.confidence.rank, default=None)
