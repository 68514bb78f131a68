"""Looks and marks, keys and failures, told from Python's own tree: what rules about repeated requests need."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence

from safeboundary_lint.core import shapes
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.regex import Regex

CONFLICT = ("*exist*", "*unicity*", "*unique*", "*duplicate*", "*conflict*", "*already*")
NO_RECORD = ("*doesnotexist", "*noresult*", "*recordnotfound*", "*objectnotfound*", "*entitynotfound*")
CREATING = ("create", "create_*", "*_create_*", "insert", "insert_*", "*_insert", "_create*", "add_record*", "*_create")
IN_ONE_STEP = ("*or_create*", "*if_not_exists*", "*if_missing*", "*if_absent*")
INTEGRITY = (
    "*integrity*", "*unique*", "*duplicate*", "*conflict*", "*databaseerror*", "*exists*", "*already*", "*pymongoerror*",
    "*writeerror*",
)  # fmt: skip
INSERT = Regex(
    r"\s*(?:with\b.*?\)\s*)?insert\s+into\b(?!.*\bon\s+(?:conflict|duplicate)\b)(?!.*\bnot\s+exists\b)", re.IGNORECASE | re.DOTALL
)
OUTCOME_STATE = ("*status*", "*state*", "*outcome*", "*result*")
MARKING = ("*mark*fail*", "*set*fail*", "*fail_payment*", "*fail_order*", "*payment_failed*")
KEPT_KEYS = ("*hash*", "*digest*", "*checksum*", "*fingerprint*", "*dedup*", "*idempot*", "*etag*", "*cache_key*", "*version_id*")
IDENTIFIERS = ("task_id", "job_id", "message_id", "*_key", "key", "*_id")
KEY_MAKERS = (
    "*cache_path*", "*cache_file*", "*cached_file*", "*cache_key*", "*cachekey*", "*dedup*", "*idempot*", "*fingerprint*",
    "*etag*", "*checksum*", "*lock_key*", "*storage_key*", "*redis_key*",
)  # fmt: skip
KEPT_TEXTS = tuple(glob.strip("*") for glob in (*KEPT_KEYS, *KEY_MAKERS))
PERSISTING = (
    "create", "acreate", "update", "filter", "get_or_create", "update_or_create", "insert_one", "update_one", "find_one",
    "delay", "apply_async", "send_task", "publish", "enqueue", "enqueue_job", "upsert",
)  # fmt: skip
DIGESTS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s")
_CONFLICTING = tuple(glob.strip("*") for glob in CONFLICT)
_MISSING = "|".join(glob.strip("*") for glob in NO_RECORD)
_PLAIN = frozenset("isinstance issubclass getattr setattr hasattr len str int bool list dict tuple zip sorted type super range map min max".split())


def conflicts(name: str | None) -> bool:
    """True for the name of an exception that says that something is there already."""
    return named_like(name, *CONFLICT)


def _handles_conflict(body: Sequence[ast.AST]) -> bool:
    """A function that names, in a handler, what is raised where a record is there already, and has no function in it."""
    if sum(1 for _ in shapes.walk(body, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) != 1:
        return False
    types = [handler.type for handler in shapes.walk(body, ast.ExceptHandler) if handler.type is not None]
    names = (shapes.last_name(one) for part in types for one in (part.elts if isinstance(part, ast.Tuple) else [part]))
    return any(name is not None and not name.isupper() and "_" not in name and named_like(name, *INTEGRITY) for name in names)


def _may_create(call: ast.Call, body: Sequence[ast.AST]) -> bool:
    """False for a call that creates no record by its name or by a statement in it; names are looked up in the body."""
    name, func = shapes.last_name(call.func), call.func
    if isinstance(func, ast.Attribute) and shapes.last_name(func.value) in ("self", "cls") and named_like(name, *CREATING):
        return not named_like(name, *IN_ONE_STEP)
    given = shapes.given(call)
    return bool(given) and named_like(name, "execute", "fetch*", "executemany") and _may_insert(given[0], body)


def _may_insert(statement: ast.expr, body: Sequence[ast.AST]) -> bool:
    """A text in it inserts, or a name or attribute in it may stand for such a text: a parameter stands for none that is known."""
    inner = {id(part.func) for part in shapes.walk([statement], ast.Call)} | {id(part.value) for part in shapes.walk([statement], ast.Attribute)}
    for part in shapes.walk([statement]):
        if INSERT.match(shapes.text_parts(part) or "") or isinstance(part, ast.Attribute) and id(part) not in inner:
            return True
        if isinstance(part, ast.Name) and id(part) not in inner and _may_hold_insert(part.id, body):
            return True
    return False


def _may_hold_insert(name: str, body: Sequence[ast.AST]) -> bool:
    bindings = shapes.walk(body, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)
    values = [node.value for node in bindings if node.value is not None and any(_binds(target, name) for target in shapes.targets(node))]
    if not values:
        bound = any(one.arg == name for one in shapes.walk(body, ast.arg))
        return not bound and not any(part.id == name and isinstance(part.ctx, ast.Store) for part in shapes.walk(body, ast.Name))
    plain = (ast.Constant, ast.JoinedStr, ast.BinOp)
    return any(not isinstance(one, plain) or any(INSERT.match(shapes.text_parts(part) or "") for part in shapes.walk([one])) for one in values)


def _binds(target: ast.expr, name: str) -> bool:
    return any(part.id == name for part in shapes.walk([target], ast.Name))


@shapes.about("except")
def tells_failure(body: Sequence[ast.AST]) -> bool:
    """A handler that lets nothing out returns what may say no, or sets or hands over a state."""
    return any(any(map(_may_tell, shapes.walk(handler.body))) for handler in shapes.walk(body, ast.ExceptHandler) if not _raises(handler))


def _raises(handler: ast.ExceptHandler) -> bool:
    hidden = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    parts = shapes.walk(handler.body)
    return any(isinstance(part, ast.Raise) for part in parts) and not any(isinstance(part, hidden) for part in parts)


def _may_tell(node: ast.AST) -> bool:
    if isinstance(node, ast.Return):
        value = node.value
        return value is not None and (not isinstance(value, ast.Constant) or value.value is False or isinstance(value.value, str))
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Attribute) and named_like(node.targets[0].attr, *OUTCOME_STATE)
    if not isinstance(node, ast.Call):
        return False
    return named_like(shapes.last_name(node.func), *MARKING) or any(named_like(keyword.arg, *OUTCOME_STATE) for keyword in node.keywords)


@shapes.about(f"%{'|'.join(KEPT_TEXTS)}", "%key$|_id$")
def keeps_key(body: Sequence[ast.AST]) -> bool:
    """An attribute or argument that is kept by its name, or a function that is named as a maker of keys."""
    if not shapes.says(body, *KEPT_TEXTS) and not (shapes.says(body, "key", "_id") and shapes.says(body, *PERSISTING)):
        return False
    for node in shapes.walk(body, ast.FunctionDef, ast.AsyncFunctionDef, ast.Attribute, ast.Call):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if named_like(node.name, *KEY_MAKERS):
                return True
        elif isinstance(node, ast.Attribute):
            if isinstance(node.ctx, ast.Store) and named_like(node.attr, *KEPT_KEYS):
                return True
        elif isinstance(node, ast.Call) and node.keywords:
            wanted = (*KEPT_KEYS, *IDENTIFIERS) if named_like(shapes.last_name(node.func), *PERSISTING) else KEPT_KEYS
            if any(named_like(keyword.arg, *wanted) for keyword in node.keywords):
                return True
    return False


@shapes.about("hash", "id")
def hashes_for_others(body: Sequence[ast.AST]) -> bool:
    """`hash(...)` beside digests and names of files, or its remainder: the place of an entry, or a shard."""
    called = {shapes.last_name(node.func) for node in shapes.walk(body, ast.Call)}
    if called.isdisjoint(("hash", "id")):
        return False
    if not called.isdisjoint((*DIGESTS, "Path", "join")):
        return True
    remainders = (node for node in shapes.walk(body, ast.BinOp) if isinstance(node.op, ast.Mod))
    return any(isinstance(part, ast.Name) and part.id == "hash" for node in remainders for part in shapes.walk([node.left]))


def is_special(body: Sequence[ast.AST]) -> bool:
    """A method such as `__hash__`, and no other function in it: what it calls stays in this process."""
    function = body.sole if isinstance(body, shapes.Body) else None
    return function is not None and function.name.startswith("__") and function.name != "__init__"


@shapes.about("%create|insert|add_record|execute|fetch")
def creates(body: Sequence[ast.AST]) -> bool:
    """A call by whose name, or by whose statement, a record is created, behind a question or a refusal."""
    creating = [call for call in shapes.walk(body, ast.Call) if _may_create(call, body)]
    if not creating or _handles_conflict(body):
        return False
    first = min(((node.lineno, node.col_offset) for node in (*_asking(body), *_refusals(body))), default=None)
    return first is not None and any((call.lineno, call.col_offset) > first for call in creating)


@shapes.about("if")
def asks(body: Sequence[ast.AST]) -> bool:
    """An `if` asks what a call found, and leaves, or else calls something."""
    return any(True for _ in _asking(body))


def _asking(body: Sequence[ast.AST]) -> Iterator[ast.If]:
    nodes = list(shapes.walk(body, ast.If, ast.Assign, ast.NamedExpr))
    bound = [(target, node.value) for node in nodes if not isinstance(node, ast.If) for target in shapes.targets(node)]
    found = {target.id for target, value in bound if isinstance(target, ast.Name) and shapes.holds(value, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.If):
            asked = any(isinstance(part, ast.Call) or isinstance(part, ast.Name) and part.id in found for part in shapes.walk([node.test]))
            follows = (ast.Call,) if shapes.is_negated(node.test) else (ast.Raise, ast.Return, ast.Continue)
            if asked and any(shapes.holds(line, *follows) for line in node.body):
                yield node


@shapes.about("if")
def sets_what_it_asks(body: Sequence[ast.AST]) -> bool:
    """What a call found is only asked about, and another call is given the same key and a value."""
    tested = [part for node in shapes.walk(body, ast.If, ast.IfExp) for part in shapes.walk([node.test], ast.Call, ast.Name)]
    if not tested:
        return False
    used = _used(body)
    names = {part.id for part in tested if isinstance(part, ast.Name)} - used
    bound = [(shapes.targets(node)[0], node.value) for node in shapes.walk(body, ast.Assign, ast.NamedExpr)]
    kept = [value for target, value in bound if isinstance(target, ast.Name) and target.id in names]
    asked = [part for part in (*tested, *shapes.walk(kept, ast.Call)) if isinstance(part, ast.Call)]
    keys = {ast.dump(one): call for call in asked if not _is_plain(call) for one in shapes.given(call)}
    setting = (call for call in shapes.walk(body, ast.Call) if not _is_plain(call)) if keys else ()
    return any(keys.get(ast.dump(one), call) is not call for call in setting if len(given := shapes.given(call)) > 1 for one in given)


def _used(body: Sequence[ast.AST]) -> set[str]:
    """Names of what a function returns or looks into: it is no answer to whether something is there. None where functions are nested."""
    function = body.sole if isinstance(body, shapes.Body) else None
    if function is None:
        return set()
    start = function.body[0].lineno  # what stands in front is evaluated elsewhere
    parts = [node.value for node in shapes.walk(body, ast.Return, ast.Attribute, ast.Subscript) if node.lineno >= start]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def _is_plain(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in _PLAIN


@shapes.about(f"%{'|'.join(_CONFLICTING)}")
def refuses_found(body: Sequence[ast.AST]) -> bool:
    """What is found is refused, and an exception says that it isn't there."""
    return any(True for _ in _refusals(body))


def _refusals(body: Sequence[ast.AST]) -> Iterator[ast.Raise]:
    lowered = body.lowered if isinstance(body, shapes.Body) else None
    if lowered is not None and ((at := lowered.find("raise")) < 0 or all(lowered.find(text, at) < 0 for text in _CONFLICTING)):
        return  # no node has to be looked at
    blocks = (node for node in shapes.walk(body, ast.Try) if node.handlers)
    raised = (part for block in blocks for line in block.body for part in shapes.walk([line], ast.Raise))
    yield from (part for part in raised if part.exc is not None and conflicts(shapes.last_name(part.exc)))


@shapes.about(f"%{_MISSING}")
def acts_on_missing(body: Sequence[ast.AST]) -> bool:
    """Something is called where an exception says that there is no record."""
    return any(True for _ in _on_missing(body)) and not _handles_conflict(body)


@shapes.about(f"%{_MISSING}")
def creates_missing(body: Sequence[ast.AST]) -> bool:
    """Likewise, and it creates or saves a record."""
    calls = _on_missing(body)
    return any(shapes.last_name(call.func) in ("save", "asave") or _may_create(call, body) for call in calls) and not _handles_conflict(body)


def _on_missing(body: Sequence[ast.AST]) -> Iterator[ast.Call]:
    """Calls in handlers of what may be such an exception, by its own name or by another one."""
    for handler in shapes.walk(body, ast.ExceptHandler):
        if handler.type is not None and not isinstance(handler.body[-1], ast.Raise):
            names = map(shapes.last_name, shapes.walk([handler.type], ast.Name, ast.Attribute))
            if any(not hasattr(builtins, name) for name in names if name):
                yield from shapes.walk([handler], ast.Call)


def never_left(body: Sequence[ast.AST]) -> bool:
    """A `while True` with handlers and neither `break` nor `return`."""
    return any(
        isinstance(node.test, ast.Constant)
        and shapes.holds(node, ast.ExceptHandler)
        and not shapes.holds(node, ast.Break, ast.Return)
        for node in shapes.walk(body, ast.While)
    )
