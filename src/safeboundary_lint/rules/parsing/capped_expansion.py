"""How compressed data that is expanded whole would be expanded up to a limit."""

from __future__ import annotations


import libcst as cst

from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.caps import EXPANDED, byte_cap, capped, counted, read_up_to, refused_above
from safeboundary_lint.core.edits import awaited, free_name, lines_before, named_first, source_of
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.finding import Applicability, Edit, Fix
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.tree import descendants

_TOO_LARGE = '("the data is cut short, or expands to more than is taken in")'


def called_capped(facts: Facts, match: Match, words: str) -> Fix:
    """A function that expands all of its argument, or a decompressor's method called with no limit."""
    data, cap = argument(match.call, match.row.parameter("data") or ""), byte_cap(facts, EXPANDED)
    if match.row.get("left") is not None:
        return capped(words, cap, _limited(facts, match))
    if data is None or any(arg.star for arg in match.call.args):
        return capped(words, cap, ())
    module, imports = _module_of(facts, match)
    refusal = f"    raise {match.row.get('error', 'ValueError').format(module=module)}{_TOO_LARGE}"
    edits: tuple[Edit, ...] = ()
    if match.row.get("object") is not None:
        edits = _by_object(facts, match, data, module, refusal, cap)
    elif match.row.get("stream") is not None and len(match.call.args) == 1:
        text = f"{module}.{match.row.get('stream')}(io.BytesIO({source_of(facts, data)})).read({cap} + 1)"
        edits = named_first(facts, match.call, "expanded", text, f"if len({{}}) > {cap}:", refusal)
        imports = ("import io", *imports)
    fix = capped(words, cap, edits, Applicability.UNSAFE if "error" in match.row.facts else Applicability.SUGGESTION)
    return fix._replace(imports=imports if edits else ())


def _module_of(facts: Facts, match: Match) -> tuple[str, tuple[str, ...]]:
    """What the module of the called function is called here, and what to import for that."""
    if isinstance(match.call.func, cst.Attribute):
        return source_of(facts, match.call.func.value), ()
    module = match.dotted.rpartition(".")[0]
    return module, (f"import {module}",)


def _by_object(
    facts: Facts, match: Match, data: cst.BaseExpression, module: str, refusal: str, cap: str
) -> tuple[Edit, ...]:
    """The object that expands step by step, made in front of the statement, and asked whether it came to the end."""
    expander = free_name(facts, match.call, "expander")
    others = (arg for arg in match.call.args[:2] if arg.value is not data)
    rest = [arg for arg in others if arg.keyword is None or arg.keyword.value != "bufsize"]
    given = ", ".join(source_of(facts, arg.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for arg in rest)
    made = lines_before(facts, match.call, f"{expander} = {module}.{match.row.get('object')}({given})")
    text = f"{expander}.{match.row.get('step').format(data=source_of(facts, data), cap=cap)}"
    taken = named_first(facts, match.call, "expanded", text, f"if not {expander}.{match.row.get('ended')}:", refusal)
    return (made, *taken) if made is not None and taken else ()


def _limited(facts: Facts, match: Match) -> tuple[Edit, ...]:
    """A decompressor's method given a limit; what that keeps back is refused."""
    limit, func, cap = match.row.parameter("limit"), match.call.func, byte_cap(facts, EXPANDED)
    if limit is None or not isinstance(func, cst.Attribute):
        return ()
    given = argument(match.call, limit)
    alone = [arg.with_changes(comma=cst.MaybeSentinel.DEFAULT) for arg in match.call.args if arg.value is not given]
    arguments = [*(source_of(facts, arg) for arg in alone), f"{limit.name}={cap}"]
    receiver, made = source_of(facts, func.value), None
    if any(isinstance(node, cst.Call) for node in (func.value, *descendants(func.value))):  # what is asked later is the same object
        expander = free_name(facts, match.call, "expander")
        made, receiver = lines_before(facts, match.call, f"{expander} = {receiver}"), expander
        if made is None:
            return ()
    text = f"{receiver}.{func.attr.value}({', '.join(arguments)})"
    check = (f"if {receiver}.{match.row.get('left')}:", refused_above(cap)[1])
    taken = named_first(facts, match.call, "expanded", text, *check)
    return (made, *taken) if made is not None and taken else taken


def read_capped(facts: Facts, call: cst.Call) -> tuple[Edit, ...]:
    """A read of a file object that expands: one byte more than the limit, or the pieces counted where they are kept."""
    cap = byte_cap(facts, EXPANDED)
    loops = facts.counting.loops_around(call)
    if not call.args and isinstance(call.func, cst.Attribute) and call.func.attr.value in ("read", "readall"):
        waits = "await " if isinstance(awaited(facts, call), cst.Await) else ""
        return read_up_to(facts, call, f"{waits}{source_of(facts, call.func.value)}.read({cap} + 1)", cap, "expanded")
    for _, adding in facts.counting.grown(loops[0]) if loops else ():
        if isinstance(adding, cst.Call) and len(adding.args) == 1:
            return counted(facts, adding, source_of(facts, adding.args[0].value), loops[-1], cap)
    return ()


def members_counted(facts: Facts, call: cst.Call, opened: Match) -> tuple[Edit, ...]:
    """The declared sizes of an archive's members, looked at before any of them is taken out."""
    members, size = opened.row.get("members"), opened.row.get("size")
    if members is None or not isinstance(call.func, cst.Attribute):
        return ()
    if isinstance(call.func.value, cst.Call):  # archive.open(name).read()
        return read_capped(facts, call)
    if call.func.attr.value not in ("extractall", "readall", "extract"):
        return ()
    total = f"sum(member.{size} for member in {source_of(facts, call.func.value)}.{members})"
    check = lines_before(facts, call, *refused_above(byte_cap(facts, EXPANDED), total))
    return (check,) if check is not None else ()
