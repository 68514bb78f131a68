"""Edits as rules write them: from nodes to ranges of the file, so that everything around them stays byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.finding import Edit, Span

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts


def replaced(facts: Facts, node: cst.CSTNode, text: str) -> Edit:
    """`node` replaced by `text`."""
    return Edit(facts.span(node), text)


def inserted_after(facts: Facts, node: cst.CSTNode, text: str) -> Edit:
    """`text` right behind `node`."""
    span = facts.span(node)
    return Edit(Span(span.end_line, span.end_column, span.end_line, span.end_column), text)


def inserted_before(facts: Facts, node: cst.CSTNode, text: str) -> Edit:
    """`text` right in front of `node`."""
    span = facts.span(node)
    return Edit(Span(span.line, span.column, span.line, span.column), text)


def argument_added(facts: Facts, call: cst.Call, text: str) -> Edit | None:
    """One more argument (`timeout=10`) behind the last; None where the call can't take it as it stands (a bare generator)."""
    if not call.args:
        span = facts.span(call)
        return Edit(Span(span.end_line, span.end_column - 1, span.end_line, span.end_column - 1), text)
    last = call.args[-1]
    if len(call.args) == 1 and isinstance(last.value, cst.GeneratorExp) and not last.value.lpar:
        return None
    return inserted_after(facts, last, f", {text}")  # an argument's span ends before its comma


def argument_removed(facts: Facts, call: cst.Call, argument: cst.Arg) -> Edit:
    """The call without one of its arguments, and without the comma that belonged to it."""
    index = next(i for i, arg in enumerate(call.args) if arg is argument)
    span = facts.span(argument)
    if index + 1 < len(call.args):
        after = facts.span(call.args[index + 1])
        return Edit(Span(span.line, span.column, after.line, after.column), "")
    if index:
        before = facts.span(call.args[index - 1].value)
        return Edit(Span(before.end_line, before.end_column, span.end_line, span.end_column), "")
    end = facts.span(call)
    return Edit(Span(span.line, span.column, end.end_line, end.end_column - 1), "")  # a trailing comma goes too


def indent_of(facts: Facts, node: cst.CSTNode) -> str:
    """The white space in front of a statement, in the file's own kind of indentation."""
    return facts.tree.module.default_indent[:1] * (facts.span(node).column - 1)


def removed_statement(facts: Facts, line: cst.SimpleStatementLine) -> Edit:
    """A statement that has its line for itself, gone with the line; comments above it stay."""
    span = facts.span(line.body[0])
    end = facts.span(line.body[-1]).end_line
    return Edit(Span(span.line, 1, end + 1, 1), "")
