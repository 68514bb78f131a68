"""An acknowledgement put where the work ends, in the code at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.edits import argument_added, lines_behind, replaced, source_of
from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

Edits = tuple[Edit, ...]
_GIVEN_BACK = ("basic_nack", "nack", "nak", "requeue", "abandon")


def acknowledged_by_hand(facts: Facts, match: Match, name: str, value: cst.BaseExpression | None) -> Edits:
    """The consumer's automatic acknowledgement off, and one behind the work where the callback or the loop is in sight."""
    weak = match.row.get("on", [True])
    off = "True" if False in weak else "False"
    switch = replaced(facts, value, off) if value is not None else argument_added(facts, match.call, f"{name}={off}")
    if switch is None:
        return ()
    handed = (facts.types.definition(arg.value) for arg in match.call.args if isinstance(arg.value, (cst.Name, cst.Attribute)))
    function = next((one for one in handed if isinstance(one, cst.FunctionDef)), None)
    behind = _behind_callback(facts, function) if function is not None else _behind_loop(facts, match.call)
    return (switch, behind) if behind is not None else (switch,)


def worked_off_from_a_copy(facts: Facts, match: Match) -> Edits:
    """A value moved to a list of what is being worked on, and taken from there behind the work; for literal keys only."""
    call, method = match.call, match.dotted.rpartition(".")[2]
    statement = facts.tree.parent(call)
    key = string(call.args[0].value)
    loop = facts.tree.enclosing(call, cst.While, cst.For)
    if not isinstance(statement, cst.Assign) or key is None or loop is None or not isinstance(call.func, cst.Attribute):
        return ()
    target, blocking = statement.targets[0].target, method.startswith("b")
    if blocking:  # the answer is a pair of the list's name and the value
        if not (isinstance(target, cst.Tuple) and len(target.elements) == 2):
            return ()
        value = target.elements[1].value
    else:
        value = target
    if not isinstance(value, cst.Name):
        return ()
    client, taken = source_of(facts, call.func.value), source_of(facts, call.args[0].value)
    running = f'"{key}:running"'
    side = '"LEFT", "RIGHT"' if "lpop" in method else '"RIGHT", "LEFT"'
    wait = argument(call, "timeout", 1) if blocking else None
    waiting = f"{source_of(facts, wait) if wait is not None else 0}, " if blocking else ""
    moved = f"{client}.{'blmove' if blocking else 'lmove'}({taken}, {running}, {waiting}{side})"
    done = lines_behind(facts, _last(loop.body), f"{client}.lrem({running}, 1, {value.value})")
    edits = (replaced(facts, target, value.value), replaced(facts, call, moved))
    return (*edits, done) if done is not None else ()


def given_back(facts: Facts, match: Match) -> str | None:
    """The call that gives a message back which `match` acknowledges: of the same receiver, with the same arguments."""
    call, base = match.node, match.dotted.rpartition(".")[0]
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute) or base == "*":
        return None
    name = next((one for one in _GIVEN_BACK if facts.knowledge.of_kind(f"{base}.{one}", "nack") is not None), None)
    return f"{source_of(facts, call.with_changes(func=call.func.with_changes(attr=cst.Name(name))))}" if name else None


def handed_over_done(facts: Facts, call: cst.Call) -> Edits:
    """Work that a task or a thread would do, done here: `await work()`, `work(message)`. None for what is put into a queue."""
    match = facts.match(call, "hand-over")
    parameter = match.row.parameter("work") if match is not None else None
    work = argument(call, parameter) if parameter is not None else None
    function = facts.tree.function_of(call)
    statement = facts.tree.statement_of(call)
    if work is None or parameter is None or parameter.name == "item" or not isinstance(statement, cst.Expr):
        return ()
    if isinstance(work, cst.Call):
        waits = isinstance(function, cst.FunctionDef) and function.asynchronous is not None
        return (replaced(facts, call, f"await {source_of(facts, work)}"),) if waits else ()
    if parameter.name == "target" and isinstance(given := argument(call, "args"), cst.Tuple):  # `Thread(...).start()`
        handed = ", ".join(source_of(facts, element.value) for element in given.elements)
        return (replaced(facts, statement.value, f"{source_of(facts, work)}({handed})"),)
    if parameter.name not in ("fn", "func", "function") or call.args[0].value is not work:
        return ()
    rest = ", ".join(source_of(facts, arg.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip() for arg in call.args[1:])
    return (replaced(facts, call, f"{source_of(facts, work)}({rest})"),)


def _behind_callback(facts: Facts, function: cst.FunctionDef) -> Edit | None:
    """What a callback gets tells how it acknowledges: channel and method, body and message, or the message."""
    if any(isinstance(node, (cst.Return, cst.Yield)) for node in descendants(function.body, into_definitions=False)):
        return None
    names = [parameter.name.value for parameter in function.params.params]
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    if len(names) == 4:
        text = f"{names[0]}.basic_ack({names[1]}.delivery_tag)"
    elif len(names) in (1, 2):
        text = f"{names[-1]}.ack()"
    else:
        return None
    return lines_behind(facts, _last(function.body), f"await {text}" if function.asynchronous is not None else text)


def _behind_loop(facts: Facts, made: cst.Call) -> Edit | None:
    """`for message in consumer:` ends with a commit."""
    parent = facts.tree.parent(made)
    if not isinstance(parent, cst.Assign) or (name := last_name(parent.targets[0].target)) is None:
        return None
    function = facts.tree.function_of(made) or facts.tree.module
    for loop in facts.tree.all(cst.For):
        here = (facts.tree.function_of(loop) or facts.tree.module) is function
        if not here or not isinstance(loop.iter, cst.Name) or loop.iter.value != name:
            continue
        if not facts.summaries.effects_in(loop.body, "hand-over"):
            waits = "await " if loop.asynchronous is not None else ""
            return lines_behind(facts, _last(loop.body), f"{waits}{name}.commit()")
    return None


def _last(body: cst.BaseSuite) -> cst.CSTNode:
    last = body.body[-1]
    return last.body[-1] if isinstance(last, cst.SimpleStatementLine) else last
