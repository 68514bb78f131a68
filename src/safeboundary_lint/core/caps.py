"""Input that is taken in up to a limit: how the code at hand would say so.

The limit is a constant of the file whose name says that it is one, where there is such, or a number to be chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant
from safeboundary_lint.core.edits import awaited, free_name, lines_before, lines_behind, named_first, source_of
from safeboundary_lint.core.finding import Applicability, Edit, Fix
from safeboundary_lint.core.globs import named_like

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

BYTES = "10 * 2**20"
EXPANDED = "100 * 2**20"
ITEMS = "1000"
_LIMITS = ("max_*", "*_max", "*limit", "*limit_*", "*_max_*")
_OF_BYTES = (
    "*body*", "*size*", "*byte*", "*content*", "*document*", "*upload*", "*page*", "*payload*", "*message*", "*frame*", "*file*",
    "*data*",
)  # fmt: skip
_SMALLEST = 1024  # a limit on bytes is no smaller
REFUSAL = 'raise ValueError("the input is too large")'


def byte_cap(facts: Facts, otherwise: str = BYTES) -> str:
    """The file's own limit on bytes, or a number to be chosen."""
    return _own_cap(facts, _OF_BYTES, _SMALLEST) or otherwise


def item_cap(facts: Facts, *named: str) -> str:
    """The file's own limit on what is called like one of these globs, or a number to be chosen."""
    return _own_cap(facts, named, 1) or ITEMS


def _own_cap(facts: Facts, named: tuple[str, ...], smallest: int) -> str | None:
    for name, bindings in facts.names.module_scope.bindings.items():
        if not (named_like(name, *_LIMITS) and named_like(name, *named)) or len(bindings) != 1 or bindings[0].how != "value":
            continue
        try:
            value = facts.constant(bindings[0].source)
        except NotConstant:
            continue
        if isinstance(value, int) and value >= smallest:
            return name
    return None


def capped(words: str, cap: str, edits: tuple[Edit, ...], applicability: Applicability = Applicability.SUGGESTION) -> Fix:
    """A fix by edits that name a limit; the words say where that comes from. Only the words where there are no edits."""
    if not edits:
        return Fix(Applicability.SUGGESTION, words)
    told = f"the limit is `{cap}`" if cap.isidentifier() else f"{cap} is a guess: put the largest honest input in its place"
    return Fix(applicability, f"{words}; {told}", edits)


def refused_above(cap: str, measured: str = "len({})") -> tuple[str, str]:
    """The lines that leave when `measured` is more than the limit."""
    return f"if {measured} > {cap}:", f"    {REFUSAL}"


def read_up_to(facts: Facts, value: cst.BaseExpression, text: str, cap: str, name: str = "data") -> tuple[Edit, ...]:
    """`value`, which takes in everything, given way to by `text`, which takes in one byte more than the limit, and the check."""
    return named_first(facts, awaited(facts, value), name, text, *refused_above(cap))


def gathered(facts: Facts, value: cst.BaseExpression, pieces: str, cap: str, name: str = "data") -> tuple[Edit, ...]:
    """`value`, which takes in everything, given way to by a loop over its pieces that leaves above the limit.

    `pieces` is the head of the loop: `async for piece in request.stream():`.
    """
    loop = [pieces, "    {} += piece", *(f"    {line}" for line in refused_above(cap))]
    return named_first(facts, awaited(facts, value), name, "bytearray()", *loop)


def counted(facts: Facts, adding: cst.CSTNode, value: str, outermost: cst.CSTNode, cap: str) -> tuple[Edit, ...]:
    """What is added in a loop, its size counted before it is added; the count begins before the outermost loop."""
    name = free_name(facts, adding, "size")
    begin = lines_before(facts, outermost, f"{name} = 0")
    check = lines_before(facts, adding, f"{name} += len({value})", *refused_above(cap, name))
    return (begin, check) if begin is not None and check is not None else ()


def measured(facts: Facts, adding: cst.CSTNode, target: str, cap: str, measure: str = "len({})") -> tuple[Edit, ...]:
    """What grows, or is set, looked at behind the statement by which it does."""
    check = lines_behind(facts, adding, *refused_above(cap, measure.format(target)))
    return (check,) if check is not None else ()


def refused_before(facts: Facts, at: cst.CSTNode, number: cst.BaseExpression, cap: str, name: str) -> tuple[Edit, ...]:
    """A number that decides how much is taken in, refused before the statement of `at` when it is negative or above the limit."""
    if isinstance(number, (cst.Name, cst.Attribute)):
        test = f"if not 0 <= {source_of(facts, number)} <= {cap}:"
        check = lines_before(facts, at, test, f"    {REFUSAL}")
        return (check,) if check is not None else ()
    return named_first(facts, number, name, source_of(facts, number), f"if not 0 <= {{}} <= {cap}:", f"    {REFUSAL}")
