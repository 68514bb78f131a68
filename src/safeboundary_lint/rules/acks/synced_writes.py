"""A file that is whole on the disk before it gets its name, in the code at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.edits import free_name, lines_before, lines_behind, replaced, source_of
from safeboundary_lint.core.files import FileWrite
from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

Edits = tuple[Edit, ...]
IMPORTS = ("import os",)
_METHODS = {"write_text": "w", "write_bytes": "wb"}


def synced(handle: str) -> tuple[str, str]:
    """What puts the content of an open file on the disk."""
    return f"{handle}.flush()", f"os.fsync({handle}.fileno())"


def block_of(facts: Facts, write: FileWrite) -> cst.With | None:
    """The `with` of its own by which the file is opened and closed; None where there is no such, or something else closes it."""
    block = facts.tree.parent(write.item) if write.item is not None else None
    plain = isinstance(block, cst.With) and block.asynchronous is None and isinstance(block.body, cst.IndentedBlock)
    if not plain or write.handle is None or not write.handle.isidentifier():
        return None
    assert isinstance(block, cst.With)
    calls = (node for node in descendants(block.body, into_definitions=False) if isinstance(node, cst.Call))
    closed = any(
        isinstance(call.func, cst.Attribute) and call.func.attr.value == "close" and last_name(call.func.value) == write.handle
        for call in calls
    )
    return None if closed else block


def leaves(body: cst.CSTNode) -> list[cst.CSTNode]:
    """Where a block is left in the middle."""
    ways = (cst.Return, cst.Break, cst.Continue, cst.Yield)
    return [node for node in descendants(body, into_definitions=False) if isinstance(node, ways)]


def put_in_place(facts: Facts, write: FileWrite) -> tuple[Edits, bool]:
    """The content goes to a file beside it, which takes the name when it is whole; and whether that is all there is to change."""
    block = block_of(facts, write)
    if block is None or len(block.items) != 1 or write.handle is None:
        return (), False
    named, beside = _paths(facts, write.path)
    before = None
    if named is None:
        name = free_name(facts, write.path, "target")
        before = lines_before(facts, block, f"{name} = {source_of(facts, write.path)}")
        named, beside = name, f'f"{{{name}}}.tmp"'
        if before is None:
            return (), False
    lines = (*synced(write.handle), f"os.replace({beside}, {named})")
    ways, last = leaves(block.body), block.body.body[-1]
    if not ways:
        behind = lines_behind(facts, block, *(f"    {line}" for line in lines[:-1]), lines[-1])
    elif isinstance(last, cst.SimpleStatementLine) and ways == [last.body[0]] and isinstance(ways[0], cst.Return):
        behind = lines_before(facts, ways[0], *lines)
    else:
        behind = None
    if behind is None:
        return (), False
    return (*((before,) if before else ()), replaced(facts, write.path, beside), behind), not ways


def copied_in_place(facts: Facts, write: FileWrite) -> Edits:
    """`shutil.copyfile(source, path)`: to a file beside it, which takes the name when it is whole."""
    named, beside = _paths(facts, write.path)
    behind = lines_behind(facts, write.node, f"os.replace({beside}, {named})") if named else None
    return (replaced(facts, write.path, beside), behind) if behind is not None else ()


def written_in_steps(facts: Facts, write: FileWrite, *, replaces: bool) -> Edits:
    """`path.write_text(text)` as an open file, synced before it is closed; with `replaces`, one beside it that takes its name."""
    call = write.node
    mode = _METHODS.get(last_name(call.func) or "") if isinstance(call, cst.Call) else None
    statement = facts.tree.statement_of(call)
    line = facts.tree.parent(statement)
    alone = isinstance(statement, cst.Expr) and statement.value is call and isinstance(line, cst.SimpleStatementLine)
    if mode is None or not alone or not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute) or not call.args:
        return ()
    given, handle = source_of(facts, call.func.value), free_name(facts, call, "file")
    named = not replaces or isinstance(call.func.value, (cst.Name, cst.Attribute))
    path = given if named else free_name(facts, call, "target")
    options = "".join(f", {source_of(facts, arg.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip()}" for arg in call.args[1:])
    target = f'{path}.with_name(f"{{{path}.name}}.tmp")' if replaces else path
    temporary = free_name(facts, call, "temporary") if replaces else path
    indent = " " * (facts.span(statement).column - 1)
    step = facts.tree.module.default_indent
    inside = (f"{handle}.write({source_of(facts, call.args[0].value)})", *synced(handle))
    lines = [
        *(() if named else (f"{path} = {given}",)),
        *((f"{temporary} = {target}",) if replaces else ()),
        f'with {temporary}.open("{mode}"{options}) as {handle}:',
        *(f"{step}{one}" for one in inside),
        *((f"os.replace({temporary}, {path})",) if replaces else ()),
    ]
    return (replaced(facts, statement, f"\n{indent}".join(lines)),)


def _paths(facts: Facts, path: cst.BaseExpression) -> tuple[str | None, str]:
    """How a path and the file beside it are written; no path for what should not be computed twice."""
    text = source_of(facts, path)
    if isinstance(path, cst.SimpleString) and path.quote in ("'", '"') and not path.prefix:
        return text, f"{text[:-1]}.tmp{text[-1]}"
    if isinstance(path, (cst.Name, cst.Attribute)):
        return text, f'f"{{{text}}}.tmp"'
    return None, ""
