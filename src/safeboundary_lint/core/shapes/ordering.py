"""Stamps, spans of time and identities, told from Python's own tree: what rules about order and time need."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Collection, Sequence

from safeboundary_lint.core import shapes
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.sql import is_statement, skips_tied_rows

_IDENTITY = Regex(
    r"(^|_)(id|uid|guid|uuid|nonce|version|seq|seqno|seqnum|sequence|sequence_number|revision|generation|serial|serial_number|"
    r"etag|"
    r"dedup_key|dedupe_key|idempotency_key|object_key|file_key|s3_key|blob_name|object_name)$"
)
_BOOT = Regex(r"(^|_)boot_?id$")  # protocols ask for the time of the start, which grows from one to the next
STAMP_COPIES = Regex(r"(^|_)(replicas?|copies|conflicts?|siblings|peers|divergent|contenders|votes)(_|$)")
CURSOR = Regex(r"(^|_)(last|cursor|watermark|checkpoint|bookmark|high_water|resume|since|after|offset)(_|$)")
_NO_MOMENTS = ("len", "timedelta", "ord", "id")


def snake(name: str) -> str:
    """`requestId` as `request_id`, `DBLock` as `db_lock`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().lstrip("_")


def _identity_words() -> str:
    """A pattern for the words of which one stands in each text that `is_identity` knows; a key may have hyphens for underscores."""
    names = _IDENTITY.pattern.partition("(^|_)(")[2].removesuffix(")$").split("|")
    parts = {name.partition("_")[0] for name in names if "_" in name}
    return f"(?:{'|'.join(name.replace('_', '_?') for name in names)})$|^(?:{'|'.join(sorted(parts))})$"


@functools.lru_cache(maxsize=10_000)
def is_identity(name: str) -> bool:
    """True for a name that says that its value tells one thing from all others, or one state from the next."""
    plain = snake(name).replace("-", "_")
    return bool(_IDENTITY.search(plain)) and _BOOT.search(plain) is None


def compares_stamps(body: Sequence[ast.AST]) -> bool:
    """A statement that asks for what is later, two stamps or a stamp and a cursor compared, the newest of several copies."""
    for node in shapes.walk(body, ast.Compare, ast.Call, ast.Dict, ast.Constant, ast.JoinedStr):
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            text = shapes.text_parts(node)
            if text is not None and is_statement(text) and skips_tied_rows(text) is not None:
                return True
        elif isinstance(node, ast.Compare):
            if len(node.ops) == 1 and isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
                one, other = _stamp_of(node.left), _stamp_of(node.comparators[0])
                cursor = isinstance(node.ops[0], ast.Gt) and CURSOR.search(snake(shapes.last_name(node.comparators[0]) or ""))
                if one is not None and (one == other or cursor):
                    return True
        elif isinstance(node, ast.Call):
            named = [keyword.arg or "" for keyword in node.keywords]
            if shapes.last_name(node.func) == "filter" and any(name.endswith("__gt") for name in named):
                return True
            if "key" in named and STAMP_COPIES.search(snake(shapes.last_name(shapes.given(node)[0]) or "")):
                return True
        elif isinstance(node, ast.Dict) and any(shapes.text(key) == "$gt" for key in node.keys):
            return True
    return False


def _stamp_of(node: ast.expr) -> str | None:
    """The name by which something is read from an object or a record."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return shapes.text(node.slice)
    key = shapes.given(node)[:1] if isinstance(node, ast.Call) else []
    return shapes.text(key[0]) if key else None


def spans(body: Sequence[ast.AST]) -> bool:
    """Two values that may be moments are compared, or one is taken from the other."""
    counts: set[str] | None = None
    for node in shapes.walk(body, ast.BinOp, ast.Compare) if shapes.says(body, "-", "<", ">") else ():
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            sides = (node.left, node.right)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            sides = (node.left, node.comparators[0])
        else:
            continue
        if not any(_is_no_moment(side) for side in sides):
            counts = _counts(body) if counts is None else counts
            if not any(isinstance(side, ast.Name) and side.id in counts for side in sides):
                return True
    return False


def _is_no_moment(value: ast.AST) -> bool:
    return isinstance(value, ast.Constant) or isinstance(value, ast.Call) and shapes.last_name(value.func) in _NO_MOMENTS


def _counts(body: Sequence[ast.AST]) -> set[str]:
    """Variables of a function, with no other in it, that are bound to lengths, spans and literals only."""
    if not isinstance(body, shapes.Body) or body.sole is None or any(True for _ in shapes.walk(body, ast.Global, ast.Match)):
        return set()
    plain = [node.targets[0] for node in shapes.walk(body, ast.Assign) if len(node.targets) == 1 and _is_no_moment(node.value)]
    known = set(map(id, plain))
    others = {node.id for node in shapes.walk(body, ast.Name) if not isinstance(node.ctx, ast.Load) and id(node) not in known}
    others.update(node.arg for node in shapes.walk(body, ast.arg))
    return {node.id for node in plain if isinstance(node, ast.Name)} - others


@shapes.about(f"%{_identity_words()}")
def identifies(body: Sequence[ast.AST]) -> bool:
    """Something that holds more than bare parameters is bound to the name of an identity, or a function that is called one answers so."""
    values = [value for name, value in shapes.bound_values(body) if is_identity(name)]
    if any(is_identity(node.name) for node in shapes.walk(body, ast.FunctionDef, ast.AsyncFunctionDef)):
        values += [node.value for node in shapes.walk(body, ast.Return) if node.value is not None]
    given = shapes.only_given(body, fixed=True) if values else set()
    return any(_may_be_read(value, given) for value in values)


def _may_be_read(value: ast.AST, given: Collection[str]) -> bool:
    """False for what is surely put together without a clock: callers are not followed, as `core.identity` has it."""
    if isinstance(value, ast.Name):
        return value.id not in given
    if isinstance(value, ast.BinOp):
        return _may_be_read(value.left, given) or _may_be_read(value.right, given)
    if isinstance(value, ast.JoinedStr):
        return any(_may_be_read(part.value, given) for part in value.values if isinstance(part, ast.FormattedValue))
    if isinstance(value, (ast.Tuple, ast.List)):
        return any(_may_be_read(part, given) for part in value.elts)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("str", "int", "repr"):
        return any(_may_be_read(part, given) for part in shapes.given(value))
    return not isinstance(value, ast.Constant)
