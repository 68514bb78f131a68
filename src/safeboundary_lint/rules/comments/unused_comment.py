"""SBL001: a comment to this tool that answers no finding."""

from __future__ import annotations

from safeboundary_lint.core.finding import Severity
from safeboundary_lint.core.rule import Rule


class UnusedComment(Rule):
    """A comment to this tool answers nothing.

    What it does
    ------------
    Reports `# safeboundary:` comments, and `# noqa` comments that name only codes of this tool, that silence no finding: the
    finding is gone, the comment covers other lines than its author meant, or the comment can't be understood (no such rule,
    no such contract, an ignore that names no rule).

    Why it matters
    --------------
    The author believes that a risk was seen and accepted. A comment that answers nothing today silently accepts the next
    defect that somebody writes there; one that is misspelt accepts nothing at all.

    Example
    -------

        import time


        def age(started):
            return time.monotonic() - started  # safeboundary: ignore -- only shown

    Instead
    -------

        import time


        def age(started):
            return time.monotonic() - started

    Stays silent when
    -----------------
    * one of the rules that the comment names did not run: deselected, in preview, switched off for tests;
    * the comment is an obligation or a statement (`ack=durable`, `clock=monotonic`, `fallback=none`, `retry=unsafe`);
    * a `noqa` names codes of other tools too, or none;
    * the comment names SBL001 or SBL002 itself.

    Fix safety
    ----------
    There is no automatic fix: the reason in the comment may be worth keeping in other words.

    Known limits
    ------------
    A comment that names several rules is reported only when it answers none of them. Files that Python's tokenizer refuses
    have no comments.
    """

    code, name, since, severity = "SBL001", "unused-comment", "0.1", Severity.WARNING
    overlaps = ("ruff:RUF100",)
    needs = ((),)  # the comments are judged by themselves: no tree is needed
    in_tests = True
