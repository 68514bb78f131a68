"""SBL002: a comment to this tool that gives no reason."""

from __future__ import annotations

from safeboundary_lint.core.finding import Severity
from safeboundary_lint.core.rule import Rule


class CommentWithoutReason(Rule):
    """A comment to this tool gives no reason.

    What it does
    ------------
    Reports `# safeboundary: ignore[...]` and contracts such as `# safeboundary: ack=best-effort` that are not followed by two
    dashes and a reason. The comment is honoured all the same.

    Why it matters
    --------------
    Whether a lost message or a wrong clock can be borne depends on facts outside the code. Without them the next reader can
    neither trust the comment nor remove it, so it stays when it stops being true.

    Example
    -------

        def emit(channel, method):
            channel.basic_ack(method.delivery_tag)  # safeboundary: ack=best-effort

    Instead
    -------

        def emit(channel, method):
            channel.basic_ack(method.delivery_tag)  # safeboundary: ack=best-effort -- metrics, sent again every minute

    Stays silent when
    -----------------
    * the comment is a `noqa`: its form has no place for a reason;
    * the comment is refused anyway, which SBL001 reports.

    Fix safety
    ----------
    There is no automatic fix: only the author knows the reason.

    Known limits
    ------------
    Any text counts as a reason.
    """

    code, name, since, severity = "SBL002", "comment-without-reason", "0.1", Severity.WARNING
    overlaps = ()
    needs = ((),)  # the comments are judged by themselves: no tree is needed
    in_tests = True
