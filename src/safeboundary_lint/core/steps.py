"""What a single statement does: calls, assigns, tells something, raises an alarm, sweeps an entry, starts a count over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex

TELLING = Regex(
    r"(^|_)(log|logs|logged|logging|logger|print|pprint|report|reported|stats?|statistics|recon|progress|metrics?|gauge|"
    r"histogram|observe|telemetry|echo|trace|warn|warned|warning|warnings|debug|info)(_|$)"
)
_ALARM = Regex(r"^(warn|warning|error|exception|critical|fatal)$")
_LOGGER = Regex(r"(^|_)(log|logger|logging|console|metrics|statsd|stats)(_(obj|object|client))?$")
_COUNTED = Regex(r"backoff|delay|(^|_)(wait|pause)_|attempt|retr(y|ies)|tries|failures|restarts")


def assigned(statement: cst.CSTNode) -> list[cst.CSTNode]:
    """The targets of an assignment."""
    if isinstance(statement, cst.Assign):
        return [target.target for target in statement.targets]
    return [statement.target]  # type: ignore[attr-defined]


def statements_of(body: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The statements of a body, those that share a line one by one."""
    for one in body.body:  # type: ignore[attr-defined]
        if isinstance(one, cst.SimpleStatementLine):
            yield from one.body
        else:
            yield one


def branches_of(statement: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The bodies of an `if` and what follows it, or of a `try` and its handlers."""
    if isinstance(statement, (cst.If, cst.Else, cst.Try, cst.ExceptHandler)):
        yield statement.body
    if isinstance(statement, (cst.If, cst.Try)):
        after = [statement.orelse, *(statement.handlers if isinstance(statement, cst.Try) else ())]
        yield from itertools.chain.from_iterable(map(branches_of, filter(None, after)))


def called_by(statement: cst.CSTNode) -> cst.Call | None:
    """The call that a statement is, or whose answer it keeps, awaited or not."""
    call = statement.value if isinstance(statement, (cst.Expr, cst.Assign)) else None
    call = call.expression if isinstance(call, cst.Await) else call
    return call if isinstance(call, cst.Call) else None


def starts_over(branch: cst.If) -> bool:
    """`if time.time() - began > long_enough: backoff = 0`: only the pause before the next try, or a count of tries, hangs on it."""
    steps = [one for one in statements_of(branch.body) if isinstance(one, cst.If) or not tells(one)]
    return (
        branch.orelse is None
        and bool(steps)
        and all(
            isinstance(one, cst.Assign)
            and isinstance(one.value, (cst.Integer, cst.Float))
            and bool(_COUNTED.search((last_name(one.targets[0].target) or "").lower()))
            for one in steps
        )
    )


def sweeps(statement: cst.CSTNode) -> bool:
    """`del kept[key]`, `kept.pop(key, None)`."""
    return isinstance(statement, cst.Del) or last_name(getattr(called_by(statement), "func", None)) in ("pop", "discard", "remove")


def alarms(statement: cst.CSTNode) -> bool:
    """`warn(...)`, `self.log.error(...)`."""
    call = statement.value if isinstance(statement, cst.Expr) else None
    return isinstance(call, cst.Call) and bool(_ALARM.search(last_name(call.func) or ""))


def tells(statement: cst.CSTNode) -> bool:
    """`logger.info(...)`, `print(...)`, `self._report_stats()`, `await bar.progress(...)`, `figures = self.collect_stats()`."""
    if isinstance(statement, cst.If):
        return True  # judged as a branch of its own
    if (call := called_by(statement)) is None:
        return False
    receiver = last_name(call.func.value) if isinstance(call.func, cst.Attribute) else None
    return bool(TELLING.search((last_name(call.func) or "").lower()) or _LOGGER.search((receiver or "").lower()))
