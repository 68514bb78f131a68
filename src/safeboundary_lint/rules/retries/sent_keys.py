"""An idempotency key in the code at hand: made once outside what is repeated, handed down, sent with each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument, unpacks
from safeboundary_lint.core.edits import (
    argument_added, free_name, inserted_before, lines_before, parameter_added, replaced, source_of,
)  # fmt: skip
from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.retries import Region

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

HEADER = "Idempotency-Key"
MADE = "str(uuid.uuid4())"

Edits = tuple[Edit, ...]


def sent(facts: Facts, match: Match, key: str) -> Edit | None:
    """The call sends `key`: in the parameter its service has for it, else in a header. None where it takes neither in sight."""
    call, keys = match.call, match.row.get("keys", ())
    if keys:
        return argument_added(facts, call, f"{keys[0]}={key}")
    headers = argument(call, "headers")
    if match.row.kind == "side-effect" or match.row.parameter("body") is not None or headers is None and unpacks(call):
        return None
    if headers is None:
        return argument_added(facts, call, f'headers={{"{HEADER}": {key}}}')
    if isinstance(headers, cst.Dict) and headers.elements:
        return inserted_before(facts, headers.elements[0], f'"{HEADER}": {key}, ')
    return replaced(facts, headers, f'{{**{source_of(facts, headers)}, "{HEADER}": {key}}}')


def from_outside(facts: Facts, region: Region, name: str, made: str) -> tuple[str, Edits] | None:
    """What the key is called in what is repeated, and the edits that bring it there; None where it can't be brought."""
    site, function = region.site, region.function
    if region.how == "rescheduling":  # the id of a task is the same in all of its runs
        task = site.func.value if isinstance(site, cst.Call) and isinstance(site.func, cst.Attribute) else None
        return (f"{source_of(facts, task)}.request.id", ()) if isinstance(task, cst.Name) and task.value == "self" else None
    looped = isinstance(site, (cst.For, cst.While)) or isinstance(facts.tree.parent(site), (cst.For, cst.WithItem))
    if looped or isinstance(function, cst.Lambda):
        name = free_name(facts, site, name)
        before = lines_before(facts, site, f"{name} = {made}")
        return (name, (before,)) if before is not None else None
    if not isinstance(function, cst.FunctionDef):
        return None
    if region.how == "recursion" and isinstance(site, cst.Call):
        edits = _kept(facts, function, site, name, made)
    else:
        callers = facts.types.callers(function)
        if isinstance(site, cst.Call) and not facts.tree.within(site, function):
            callers = [*callers, site]
        handed = (argument_added(facts, caller, f"{name}={made}") for caller in callers)
        edits = _complete(parameter_added(facts, function, name), *handed)
    return (name, edits) if edits else None


def through(facts: Facts, helper: cst.FunctionDef | cst.Lambda, call: cst.Call, key: str, name: str) -> Edits:
    """The edits that hand `key` to a helper which only this call asks; none where others do too."""
    if not isinstance(helper, cst.FunctionDef) or len(facts.types.callers(helper)) != 1:
        return ()
    return _complete(parameter_added(facts, helper, name), argument_added(facts, call, f"{name}={key}"))


def imports(edits: Edits) -> tuple[str, ...]:
    """What the made key needs, where these edits make one."""
    return ("import uuid",) if any(MADE in edit.text for edit in edits) else ()


def _kept(facts: Facts, function: cst.FunctionDef, again: cst.Call, name: str, made: str) -> Edits:
    """A function that starts over: the first call makes the key, the others get it."""
    first = next((line for line in function.body.body if not _is_text(line)), function.body.body[-1])
    statement = first.body[0] if isinstance(first, cst.SimpleStatementLine) else first
    return _complete(
        parameter_added(facts, function, f"{name}=None"),
        lines_before(facts, statement, f"{name} = {name} or {made}"),
        argument_added(facts, again, f"{name}={name}"),
    )


def _complete(*several: Edit | None) -> Edits:
    return tuple(one for one in several if one is not None) if None not in several else ()


def _is_text(line: cst.CSTNode) -> bool:
    statement = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
    return isinstance(statement, cst.Expr) and isinstance(statement.value, (cst.SimpleString, cst.ConcatenatedString))
