"""Code that went on and now refuses: a branch that raises, a handler that lets the failure out, a raise for a statement."""

from __future__ import annotations

import io
import textwrap
import tokenize
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.edits import indent_of, lines_before, lines_behind, replaced, source_of
from safeboundary_lint.core.finding import Edit, Span
from safeboundary_lint.core.names import last_name

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_IDLE = (cst.Pass, cst.Return, cst.Continue, cst.Break)


def raised_else(facts: Facts, branch: cst.If, asked: cst.CSTNode, raising: str) -> tuple[Edit, ...]:
    """What `branch` does is done or refused: the way on which `asked` is not so raises, where nothing stands there yet.

    Where `asked` is one part of the test, the refusal stands before it, on condition of the other part.
    """
    last: cst.If | cst.Else | None = branch
    while isinstance(last, cst.If) and last.orelse is not None:
        last = last.orelse
    if last is not branch:
        return ()
    if not isinstance(branch.test, cst.BooleanOperation):
        edit = lines_behind(facts, branch, "else:", f"    {raising}")
        return (edit,) if edit is not None else ()
    others = [side for side in (branch.test.left, branch.test.right) if not facts.tree.within(asked, side)]
    if len(others) != 1 or not isinstance(branch.test.operator, cst.And) or isinstance(facts.tree.parent(branch), cst.If):
        return ()
    text = source_of(facts, asked)
    negated = f"not {text}" if isinstance(asked, (cst.Name, cst.Attribute, cst.Call, cst.Subscript)) else f"not ({text})"
    edit = lines_before(facts, branch, f"if {source_of(facts, others[0])} and {negated}:", f"    {raising}")
    return (edit,) if edit is not None else ()


def let_out(facts: Facts, handler: cst.ExceptHandler) -> tuple[Edit, ...]:
    """The handler raises again what it has caught, at its end."""
    last = handler.body.body[-1]
    small = last.body[-1] if isinstance(last, cst.SimpleStatementLine) else last
    if isinstance(small, _IDLE):
        return (replaced(facts, small, "raise"),)
    if not isinstance(last, cst.BaseStatement):
        return ()
    behind = lines_behind(facts, small, "raise")
    return (behind,) if behind is not None else ()


def raised_instead(facts: Facts, node: cst.CSTNode, raising: str) -> tuple[Edit, ...]:
    """The simple statement of `node` gives way to one that raises; nothing where it is the head of a block."""
    statement = facts.tree.statement_of(node)
    return (replaced(facts, statement, raising),) if isinstance(statement, cst.BaseSmallStatement) else ()


def raised_from(facts: Facts, node: cst.CSTNode, raising: str) -> tuple[Edit, ...]:
    """The statement of `node`, and all behind it in its block, gives way to a raise. Their comments stay, below it."""
    statement = facts.tree.statement_of(node)
    holder = facts.tree.parent(statement)
    first = holder if isinstance(holder, cst.SimpleStatementLine) else statement
    block = facts.tree.parent(first)
    if not isinstance(block, cst.IndentedBlock) or (isinstance(first, cst.FunctionDef) and first.decorators):
        return ()
    gone = block.body[next(i for i, one in enumerate(block.body) if one is first) :]
    last = gone[-1]
    start, end = facts.span(statement), facts.span(last.body[-1] if isinstance(last, cst.SimpleStatementLine) else last)
    kept = _comments("".join(source_of(facts, one) for one in gone))
    if isinstance(last, cst.SimpleStatementLine) and last.trailing_whitespace.comment is not None:
        kept.pop()  # stands behind what is replaced
    text = f"\n{indent_of(facts, statement)}".join([raising, *kept])
    return (Edit(Span(start.line, start.column, end.end_line, end.end_column), text),)


def _comments(text: str) -> list[str]:
    lines = io.StringIO(textwrap.dedent(text)).readline
    try:
        return [token.string for token in tokenize.generate_tokens(lines) if token.type == tokenize.COMMENT]
    except (tokenize.TokenError, IndentationError):
        return []


def required(facts: Facts, lookup: cst.BaseExpression) -> Edit | None:
    """A lookup that fails instead of giving a default: `d.get("k", 1)` becomes `d["k"]`, `getattr(o, "k", 1)` `o.k`."""
    if isinstance(lookup, cst.BooleanOperation):
        return required(facts, lookup.left)
    if not isinstance(lookup, cst.Call) or not lookup.args or any(arg.star or arg.keyword for arg in lookup.args):
        return None
    name, key = last_name(lookup.func), source_of(facts, lookup.args[0].value)
    if name == "getattr" and len(lookup.args) == 3:
        attribute = string(lookup.args[1].value) or ""
        return replaced(facts, lookup, f"{key}.{attribute}") if attribute.isidentifier() else None
    if not isinstance(lookup.func, cst.Attribute) or name not in ("get", "getenv"):
        return None
    holder = source_of(facts, lookup.func.value)
    return replaced(facts, lookup, f"{holder}.environ[{key}]" if name == "getenv" else f"{holder}[{key}]")
