"""Edits as rules write them: from nodes to ranges of the file, so that everything around them stays byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.finding import Edit, Span
from safeboundary_lint.core.source import LINE_END
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_SOMETIMES = (cst.Lambda, cst.GeneratorExp, cst.ListComp, cst.SetComp, cst.DictComp, cst.IfExp, cst.BooleanOperation)
_TEXTS = (cst.SimpleString, cst.FormattedString)
_HEADS = ((cst.If, "test"), (cst.For, "iter"), (cst.With, "items"))


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
    span = facts.span(last)  # ends before the comma
    if len(call.args) > 1 and facts.span(call.args[-2]).end_line < span.line and isinstance(last.comma, cst.Comma):
        line = facts.tree.module.default_indent[:1] * (span.column - 1)  # one argument a line, and so is this one
        return inserted_after(facts, last, f",\n{line}{text}")
    return inserted_after(facts, last, f", {text}")


def argument_removed(facts: Facts, call: cst.Call, argument: cst.Arg) -> Edit:
    """The call without one of its arguments, and without the comma that belonged to it."""
    index = next(i for i, arg in enumerate(call.args) if arg is argument)
    span = facts.span(argument)
    if index + 1 < len(call.args):
        after = facts.span(call.args[index + 1])
        if (kept := _before_comment(argument)) is not None:
            return Edit(Span(span.line, span.column, span.end_line, span.end_column + kept), "")
        return Edit(Span(span.line, span.column, after.line, after.column), "")
    if index:
        before = facts.span(call.args[index - 1])
        return Edit(Span(before.end_line, before.end_column, span.end_line, span.end_column), "")
    end = facts.span(call)
    return Edit(Span(span.line, span.column, end.end_line, end.end_column - 1), "")  # a trailing comma goes too


def _before_comment(argument: cst.Arg) -> int | None:
    """How many characters behind an argument its comma and the space before the comment in its line take; None without one."""
    space = argument.comma.whitespace_after if isinstance(argument.comma, cst.Comma) else None
    if not isinstance(space, cst.ParenthesizedWhitespace) or space.first_line.comment is None:
        return None
    before = argument.comma.whitespace_before  # type: ignore[union-attr]
    return len(before.value) + 1 + len(space.first_line.whitespace.value) if isinstance(before, cst.SimpleWhitespace) else None


def elements_removed(facts: Facts, sequence: cst.List | cst.Tuple, first: int, last: int) -> Edit | None:
    """A list without its elements from `first` to `last`, and without their commas; None where that would end a tuple."""
    elements = sequence.elements
    start, end = facts.span(elements[first].value), facts.span(elements[last].value)
    if last + 1 < len(elements):
        after = facts.span(elements[last + 1].value)
        return Edit(Span(start.line, start.column, after.line, after.column), "")
    if not first:
        emptied = Edit(Span(start.line, start.column, end.end_line, end.end_column), "")
        return emptied if isinstance(sequence, cst.List) and not isinstance(elements[last].comma, cst.Comma) else None
    before = facts.span(elements[first - 1].value)
    return Edit(Span(before.end_line, before.end_column, end.end_line, end.end_column), "")


def indent_of(facts: Facts, node: cst.CSTNode) -> str:
    """The white space in front of a statement, in the file's own kind of indentation."""
    return facts.tree.module.default_indent[:1] * (facts.span(node).column - 1)


def removed_statement(facts: Facts, line: cst.SimpleStatementLine) -> Edit:
    """A statement that has its line for itself, gone with the line; comments above it stay."""
    span = facts.span(line.body[0])
    end = facts.span(line.body[-1]).end_line
    return Edit(Span(span.line, 1, end + 1, 1), "")


def lines_before(facts: Facts, node: cst.CSTNode, *lines: str) -> Edit | None:
    """Statements in front of the one of `node`; None where that has no line of its own. Four spaces mean one block deeper."""
    statement = facts.tree.statement_of(node)
    if not _begins_line(facts, statement):
        return None
    indent = indent_of(facts, statement)
    return inserted_before(facts, statement, "".join(f"{_stepped(facts, line)}\n{indent}" for line in lines))


def lines_behind(facts: Facts, node: cst.CSTNode, *lines: str) -> Edit | None:
    """Statements behind the one of `node`, below its comment; None where that has no line of its own."""
    statement = facts.tree.statement_of(node)
    line = facts.tree.parent(statement)
    if not _begins_line(facts, statement) or (isinstance(line, cst.SimpleStatementLine) and len(line.body) > 1):
        return None
    indent, end = indent_of(facts, statement), facts.span(statement).end_line + 1
    if not facts.tree.module.has_trailing_newline:
        return inserted_after(facts, statement, "".join(f"\n{indent}{_stepped(facts, line)}" for line in lines))
    return Edit(Span(end, 1, end, 1), "".join(f"{indent}{_stepped(facts, line)}\n" for line in lines))


def named_first(facts: Facts, value: cst.BaseExpression, name: str, text: str, *checks: str) -> tuple[Edit, ...]:
    """`value` given way to by `text` and bound to a name, which `checks`, as `{}`, look at before anything else does.

    The name is the one that the statement gives the value anyway, or `name`. Empty where the value is not always reached, or
    is wanted again and again, so that it can't be taken out of its statement.
    """
    statement = facts.tree.statement_of(value)
    if isinstance(statement, cst.Assign) and statement.value is value and isinstance(statement.targets[0].target, cst.Name):
        behind = lines_behind(facts, statement, *(check.replace("{}", statement.targets[0].target.value) for check in checks))
        return (replaced(facts, value, text), behind) if behind is not None else ()
    if not _is_reached_first(facts, value, statement):
        return ()
    name = free_name(facts, value, name)
    before = lines_before(facts, statement, f"{name} = {text}", *(check.replace("{}", name) for check in checks))
    return (before, replaced(facts, value, name)) if before is not None else ()


def free_name(facts: Facts, node: cst.CSTNode, name: str) -> str:
    """`name`, with a number behind it when it means something already where `node` stands."""
    scope = facts.names.scope_of(node)
    several = (name, *(f"{name}_{number}" for number in range(2, 100)))
    return next(one for one in several if facts.names.lookup_in(scope, one) is None)


def rewritten(facts: Facts, node: cst.CSTNode, parts: Mapping[cst.CSTNode, str]) -> str:
    """The text of a node in which some expressions below it, or the node itself, are others."""
    for part, text in parts.items():
        if part is node:
            return text
        node = node.deep_replace(part, cst.parse_expression(text))  # type: ignore[assignment]
    return source_of(facts, node).strip()


def parameter_added(facts: Facts, function: cst.FunctionDef, text: str) -> Edit | None:
    """One more parameter, by keyword only where those before it have defaults; None where there is nothing to put it behind."""
    params = function.params
    gathered = (params.star_arg,) if isinstance(params.star_arg, cst.Param) else ()
    named = [*params.posonly_params, *params.params, *gathered, *params.kwonly_params]
    if not named:
        return None
    last = named[-1]
    end = last.default or (last.annotation.annotation if last.annotation is not None else last.name)
    if end.lpar:  # type: ignore[attr-defined]  # parentheses are not part of an expression's place
        return None
    alone = last.default is not None and "=" not in text and isinstance(params.star_arg, cst.MaybeSentinel)
    return inserted_after(facts, end, f", {'*, ' if alone else ''}{text}")


def moved_behind(facts: Facts, line: cst.SimpleStatementLine, statement: cst.CSTNode) -> tuple[Edit, ...]:
    """A statement that has its line for itself, with its comment, put behind another one. Empty where it can't be taken away."""
    block, comment = facts.tree.parent(line), line.trailing_whitespace.comment
    if len(line.body) != 1 or not isinstance(block, cst.IndentedBlock) or len(block.body) < 2:
        return ()
    text = standing_text(facts, line.body[0]) + (f"  {comment.value}" if comment is not None else "")
    behind = lines_behind(facts, statement, text)
    return (removed_statement(facts, line), behind) if behind is not None else ()


def raised_again(facts: Facts, handler: cst.ExceptHandler) -> tuple[Edit, ...]:
    """What was caught goes on to the caller: at the end of the handler, or in place of what leaves it."""
    last = handler.body.body[-1]
    small = last.body[-1] if isinstance(last, (cst.SimpleStatementLine, cst.SimpleStatementSuite)) else last
    if isinstance(small, (cst.Continue, cst.Return, cst.Break, cst.Pass)):
        return (replaced(facts, small, "raise"),)
    behind = lines_behind(facts, small, "raise")
    return (behind,) if behind is not None else ()


def defined_before(facts: Facts, node: cst.CSTNode, *lines: str) -> Edit | None:
    """Statements of the module in front of the definition around a node; None where it has no line of its own."""
    around = [one for one in facts.tree.ancestors(node) if isinstance(one, (cst.FunctionDef, cst.ClassDef))]
    if not around:
        return lines_before(facts, node, *lines)
    definition = around[-1]
    if not isinstance(facts.tree.parent(definition), cst.Module):
        return None
    span = facts.span(definition.decorators[0] if definition.decorators else definition)
    text = "".join(f"{_stepped(facts, line)}\n" for line in lines)
    return Edit(Span(span.line, 1, span.line, 1), f"{text}\n\n")


def put_under(facts: Facts, header: str, statement: cst.CSTNode) -> tuple[Edit, ...]:
    """A statement, one step deeper below a `header` of its own. Lines inside of strings stay as they are."""
    tree, start = facts.tree, facts.span(statement)
    spans = [facts.span(node) for node in descendants(statement) if isinstance(node, _TEXTS)]
    inside = {line for span in spans for line in range(span.line + 1, span.end_line + 1)}
    blank = {line for line, text in enumerate(tree.module.code.split("\n"), start=1) if not text.strip()}
    step, indent = tree.module.default_indent, indent_of(facts, statement)
    deeper = [line for line in range(start.line + 1, start.end_line + 1) if line not in inside | blank]
    return (
        Edit(Span(start.line, 1, start.line, 1), f"{indent}{header}\n{step}"),
        *(Edit(Span(line, 1, line, 1), step) for line in deeper),
    )


def awaited(facts: Facts, call: cst.BaseExpression) -> cst.BaseExpression:
    """The `await` around a call, or the call itself."""
    parent = facts.tree.parent(call)
    return parent if isinstance(parent, cst.Await) else call


def source_of(facts: Facts, node: cst.CSTNode) -> str:
    """The text of a node as it stands in the file."""
    return facts.text(node)


def standing_text(facts: Facts, node: cst.CSTNode) -> str:
    """The text of a statement with the indentation that its lines have where it stands, which `source_of` leaves out."""
    span, lines = facts.span(node), LINE_END.split(facts.tree.module.code)
    several = lines[span.line - 1 : span.end_line]
    several[-1] = several[-1][: span.end_column - 1]
    several[0] = several[0][span.column - 1 :]
    return "\n".join(several)


def _begins_line(facts: Facts, statement: cst.CSTNode) -> bool:
    holder = facts.tree.parent(statement)
    if isinstance(holder, cst.SimpleStatementLine):
        return holder.body[0] is statement
    return isinstance(holder, (cst.IndentedBlock, cst.Module))


def _stepped(facts: Facts, line: str) -> str:
    text = line.lstrip(" ")
    return facts.tree.module.default_indent * ((len(line) - len(text)) // 4) + text


def _is_reached_first(facts: Facts, value: cst.CSTNode, statement: cst.CSTNode) -> bool:
    """True for what a statement evaluates once, whenever it runs, without what the statement itself binds before."""
    below = value
    for above in facts.tree.ancestors(value):
        if isinstance(above, _SOMETIMES):
            return False
        if above is statement:
            break
        below = above
    if any(isinstance(part, cst.NamedExpr) for part in descendants(below)):
        return False
    if not isinstance(statement, cst.BaseCompoundStatement):
        return True
    return any(isinstance(statement, kind) and _is_of(below, getattr(statement, head)) for kind, head in _HEADS)


def _is_of(node: cst.CSTNode, head: object) -> bool:
    return node is head or (isinstance(head, tuple) and bool(head) and node is head[0])
