"""How a response that is taken in whole would be taken in piece by piece, up to a limit."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.caps import byte_cap, refused_above
from safeboundary_lint.core.edits import argument_added, awaited, free_name, lines_behind, replaced, source_of
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.tree import descendants

_WHOLE = ("content", "text")


def streamed(facts: Facts, match: Match) -> tuple[Edit, ...]:
    """A fetch that keeps the whole response, rewritten to count its pieces; empty where it is used in other ways too."""
    statement, pieces = facts.tree.statement_of(match.call), match.row.get("pieces")
    if pieces is None or not (isinstance(statement, cst.Assign) and statement.value is awaited(facts, match.call)):
        return ()
    response = statement.targets[0].target
    function = facts.tree.function_of(match.call)
    uses = list(_uses(facts, response, function)) if isinstance(response, cst.Name) and function is not None else []
    if not uses or not isinstance(response, cst.Name):
        return ()
    taken = free_name(facts, statement, "body")
    edits = [_use(facts, use, response.value, taken) for use in uses]
    head = f"{'async ' if isinstance(statement.value, cst.Await) else ''}for piece in {response.value}.{pieces}:"
    loop = (f"{taken} = bytearray()", head, f"    {taken} += piece", *(f"    {line}" for line in _refused(facts, taken)))
    started = _started(facts, match, statement, loop)
    return (*started, *edits) if started and all(edits) else ()  # type: ignore[return-value]


def _refused(facts: Facts, taken: str) -> tuple[str, ...]:
    return tuple(line.replace("{}", taken) for line in refused_above(byte_cap(facts)))


def _started(facts: Facts, match: Match, statement: cst.Assign, loop: tuple[str, ...]) -> tuple[Edit, ...]:
    """The call with its argument for streaming and the loop behind it, or the context manager around the loop."""
    call = match.call
    if (parameter := match.row.parameter("stream")) is not None:
        added, behind = argument_added(facts, call, f"{parameter.name}=True"), lines_behind(facts, statement, *loop)
        return (added, behind) if added is not None and behind is not None else ()
    streaming = match.row.get("streaming")
    if streaming is None or not isinstance(call.func, cst.Attribute):
        return ()
    alone = (arg.with_changes(comma=cst.MaybeSentinel.DEFAULT) for arg in call.args)
    method, arguments = call.func.attr.value.upper(), ", ".join(source_of(facts, arg) for arg in alone)
    prefix = "async " if isinstance(statement.value, cst.Await) else ""
    name = source_of(facts, statement.targets[0].target)
    around = f'{prefix}with {source_of(facts, call.func.value)}.{streaming}("{method}", {arguments}) as {name}:'
    behind = lines_behind(facts, statement, *(f"    {line}" for line in loop))
    return (replaced(facts, statement, around), behind) if behind is not None else ()


def _uses(facts: Facts, response: cst.Name, function: cst.FunctionDef | cst.Lambda) -> Iterator[cst.Name]:
    return (
        node
        for node in descendants(function.body)
        if isinstance(node, cst.Name)
        and node.value == response.value
        and node is not response
        and not _is_attribute_of(facts, node)
    )


def _is_attribute_of(facts: Facts, node: cst.Name) -> bool:
    """True for the `page` of `self.page`, which is no name."""
    parent = facts.tree.parent(node)
    return isinstance(parent, cst.Attribute) and parent.attr is node or isinstance(parent, cst.Arg) and parent.keyword is node


def _use(facts: Facts, use: cst.Name, response: str, taken: str) -> Edit | None:
    """What takes the place of the response's content where it is used; what only asks about the response stays as it is."""
    part = facts.tree.parent(use)
    if not isinstance(part, cst.Attribute) or part.attr.value in ("json", "iter_content", "raw", "read", "aread"):
        return None
    if part.attr.value not in _WHOLE:
        return replaced(facts, use, response)
    return replaced(facts, part, taken if part.attr.value == "content" else f'{taken}.decode({response}.encoding or "utf-8")')
