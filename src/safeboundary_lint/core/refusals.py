"""Code that went on and now refuses: a branch that raises, a handler that lets the failure out, a raise in the place of a statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.edits import lines_before, lines_behind, replaced, source_of
from safeboundary_lint.core.finding import Edit

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
    edit = lines_before(facts, branch, f"if {source_of(facts, others[0])} and not ({source_of(facts, asked)}):", f"    {raising}")
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
