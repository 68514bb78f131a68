"""A reading of the clock that only goes forward, kept beside one that is needed as a date; in the code at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.edits import free_name, lines_behind, replaced, rewritten, source_of
from safeboundary_lint.core.finding import Edit, Span
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

STEADY = "time.monotonic()"
IMPORTS = ("import time",)

Edits = tuple[Edit, ...]


def kept_beside(facts: Facts, use: cst.BaseExpression, readings: Sequence[Match]) -> Edits:
    """`use` measures by second readings, taken where the variables in it are set. Empty where one is not set in sight."""
    parts: dict[cst.CSTNode, str] = {}
    edits: list[Edit] = []
    names: dict[str, str] = {}
    for reading in readings:
        if facts.tree.within(reading.node, use):
            parts[reading.node] = STEADY
            continue
        statement = facts.tree.statement_of(reading.node)
        if not isinstance(statement, cst.Assign) or not isinstance(statement.targets[0].target, (cst.Name, cst.Attribute)):
            return ()
        kept = source_of(facts, statement.targets[0].target)
        plain = statement.value is reading.node
        used = [n for n in descendants(use) if isinstance(n, (cst.Name, cst.Attribute)) and source_of(facts, n) == kept]
        if not used or not plain and not _adds(statement.value, reading.node):
            return ()
        if kept not in names:
            holder, dot, name = kept.rpartition(".")
            names[kept] = f"{holder}{dot}{name}_ticks" if dot else free_name(facts, use, f"{name}_ticks")
        behind = lines_behind(facts, statement, f"{names[kept]} = {rewritten(facts, statement.value, {reading.node: STEADY})}")
        if behind is None:
            return ()
        edits.append(behind)
        parts |= {node: names[kept] for node in used}
    if any(facts.tree.within(a, b) for a in parts for b in parts if a is not b) or not all(
        any(facts.tree.within(part, side) for part in parts) for side in _sides(use)
    ):
        return ()
    return (*edits, *(replaced(facts, node, text) for node, text in parts.items()))


def read_steadily(facts: Facts, readings: Sequence[Match]) -> Edits:
    """Every reading by the steady clock; the difference is its own `total_seconds()` then, other spans have to be adapted."""
    spans: list[Edit] = []
    for reading in readings:
        difference = next((a for a in facts.tree.ancestors(reading.node) if isinstance(a, cst.BinaryOperation)), None)
        method = facts.tree.parent(difference) if difference is not None else None
        call = facts.tree.parent(method) if isinstance(method, cst.Attribute) else None
        if isinstance(method, cst.Attribute) and method.attr.value == "total_seconds" and isinstance(call, cst.Call):
            span, end = facts.span(difference), facts.span(call)  # type: ignore[arg-type]
            closing = len(difference.rpar)  # type: ignore[union-attr]
            spans.append(Edit(Span(span.end_line, span.end_column + closing, end.end_line, end.end_column), ""))
    return (*(replaced(facts, reading.node, STEADY) for reading in readings), *dict.fromkeys(spans))


def read_as_dates(facts: Facts, readings: Sequence[Match]) -> Edits:
    """Every reading by the wall clock, in the same unit."""
    calls = [reading.node for reading in readings if isinstance(reading.node, cst.Call)]
    counted = {call: "time.time_ns()" if (last_name(call.func) or "").endswith("_ns") else "time.time()" for call in calls}
    return tuple(replaced(facts, call, text) for call, text in counted.items())


def _sides(use: cst.BaseExpression) -> tuple[cst.CSTNode, ...]:
    """What is subtracted or compared: a moment of the one clock on each side."""
    if isinstance(use, cst.BinaryOperation):
        return use.left, use.right
    return (use.left, use.comparisons[0].comparator) if isinstance(use, cst.Comparison) else (use,)


def _adds(value: cst.BaseExpression, reading: cst.CSTNode) -> bool:
    """`time.time() + timeout`: a deadline."""
    return isinstance(value, cst.BinaryOperation) and isinstance(value.operator, cst.Add) and reading in (value.left, value.right)
