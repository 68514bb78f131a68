"""Writes that empty, swallow and take over, told from Python's own tree: what rules about acknowledgements need."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from safeboundary_lint.core import shapes
from safeboundary_lint.core.regex import Regex

_EMPTYING = Regex(r"[rbt+U]*[wW][rbt+U]*")
_MODE = Regex(r"[rax][bt+]*")  # leaves what is there
_NO_MODES = ("encoding", "errors", "newline", "buffering", "closefd", "opener")
DONE_STATES = Regex(
    r"(?:is_|_)?(?:persisted|saved|stored|written|committed|published|delivered|uploaded|synced|flushed|sent|processed|"
    r"completed?|success(?:ful)?|succeeded)"
)
MARK = Regex(
    r"\w*(?:watermark|checkpoint|cursor|high_water|last_(?:id|seen|offset|processed|synced|sequence)|offset|committed_offset)\w*"
)
REMOVES = Regex(r"\w*(?:unlink|remove_local|delete_local|remove_source|delete_source|cleanup_source)\w*")
OUTCOME = Regex(r"err|fail|success|ok|status|result|count")
EXPECTED = Regex(
    r"\w*(?:DoesNotExist|NotFound|Integrity|Duplicate|Unique|AlreadyExists|Conflict|StopIteration|KeyboardInterrupt|Exists)\w*"
)
_LEADING_OUT = (ast.Return, ast.Assign, ast.Continue, ast.Break)
BUFFER_MAKERS = ("list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Counter")
BUFFER_COPIES = ("list", "tuple", "dict", "copy", "deepcopy", "deque", "set")
FLUSHES = Regex(r"flush|drain|persist|save|commit|sync|upload")
BUFFER = Regex(r"buffer|pending|batch|backlog|unsaved|unsent|queued|records|rows|events")
# With what stands behind it when something is bound to it, by itself or in a tuple, or when it is cleared.
_OWN_PLACE = Regex(r"self\s*\.\s*(\w+)(\s*(?:=(?!=)|[,)\]]|\.\s*clear\b))?")


def empties(body: Sequence[ast.AST]) -> bool:
    """Something is opened for writing, or in a mode that is not told here."""
    for node in shapes.walk(body, ast.Call, ast.Attribute):
        if isinstance(node, ast.Attribute):
            if node.attr == "O_TRUNC":
                return True
            continue
        given = shapes.given(node)
        if any(_EMPTYING.fullmatch(shapes.text(one) or "-") for one in given):
            return True
        told = any(_MODE.fullmatch(shapes.text(one) or "") for one in given)
        if not told and "open" in (shapes.last_name(node.func) or ""):
            modes = [*node.args[_modes(node) :], *(keyword.value for keyword in node.keywords if keyword.arg not in _NO_MODES)]
            if any(_may_be_text(one, body) for one in modes):
                return True
    return False


def _may_be_text(mode: ast.expr, body: Sequence[ast.AST]) -> bool:
    """False for a literal, a parameter, and what is only bound by `with` or `for`, or to an object or a foreign function's result."""
    if not isinstance(mode, ast.Name):
        return not isinstance(mode, ast.Constant)
    assigned = shapes.walk(body, ast.Assign, ast.AnnAssign, ast.NamedExpr)
    bound = [node for node in assigned if any(shapes.last_name(one) == mode.id for one in shapes.targets(node))]
    if not bound:
        given = any(one.arg == mode.id for one in shapes.walk(body, ast.arg))
        return not given and not any(name.id == mode.id and isinstance(name.ctx, ast.Store) for name in shapes.walk(body, ast.Name))
    return any(not isinstance(node.value, ast.Call) or shapes.root(node.value.func) in ("self", "cls") or _is_helper(node.value.func) for node in bound)


def _is_helper(func: ast.expr) -> bool:
    return isinstance(func, ast.Name) and not func.id[:1].isupper()


def _modes(opened: ast.Call) -> int:
    """What comes behind the path; all that a path's own `open` is given."""
    return 0 if isinstance(opened.func, ast.Attribute) else 1


def tried(body: Sequence[ast.AST]) -> list[list[ast.stmt]]:
    """What is called with a handler that does not always raise."""
    return [block.body for block in _swallowing(body)]


def swallows(body: Sequence[ast.AST]) -> bool:
    """Something is called with a handler that does not always raise."""
    return any(True for _ in _swallowing(body))


def _swallowing(body: Sequence[ast.AST]) -> Iterator[ast.Try]:
    for node in shapes.walk(body, ast.Try) if shapes.says(body, "except") else ():
        if any(shapes.holds(line, ast.Call) for line in node.body):
            finishing = any(block.finalbody for block in shapes.walk(body, ast.Try))
            if any(not _is_closed(one, finishing) and not _says_expected(one) for one in node.handlers):
                yield node


def _is_closed(handler: ast.ExceptHandler, finishing: bool) -> bool:
    """Nothing of a handler leads on: it raises at last, or answers, and tells of no success on its way."""
    if isinstance(handler.body[-1], ast.Raise) and not shapes.holds(handler, *_LEADING_OUT):
        return True
    if not _ends(handler.body) or finishing or shapes.holds(handler, ast.Break, ast.Continue):
        return False
    return not any(_tells_success(node.value) for node in shapes.walk([handler], ast.Return)) and not any(map(_marks_done, shapes.walk([handler], ast.Assign)))


def _ends(block: list[ast.stmt]) -> bool:
    """Its last statement raises or returns, on both ways of an `if`."""
    last = block[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _ends(last.body) and _ends(last.orelse)
    return isinstance(last, (ast.Raise, ast.Return))


def _says_expected(handler: ast.ExceptHandler) -> bool:
    """What it catches says by its names that the row is there already, or that there is none: classes, no tuples kept by a name."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = [shapes.last_name(one) or "" for one in caught if one is not None]
    return bool(names) and all(EXPECTED.fullmatch(name) and "_" not in name and not name.isupper() for name in names)


@shapes.about("except")
def swallows_and_tells(body: Sequence[ast.AST]) -> bool:
    """Success is told behind a handler that swallows, not in what it handles; in a loop, before it too."""
    for block in _swallowing(body):
        looped = any(True for _ in shapes.walk(body, ast.For, ast.AsyncFor, ast.While))
        handled = set(map(id, shapes.walk([*block.body, *block.orelse])))
        if any(id(node) not in handled and (looped or node.lineno > block.lineno) for node in _told_success(body, _bound_in(block))):
            return True
    return False


def _bound_in(block: ast.Try) -> set[str]:
    return {part.id for part in shapes.walk([block]) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _told_success(body: Sequence[ast.AST], bound: set[str]) -> Iterator[ast.Return | ast.Assign | ast.Call]:
    """Where something is answered that the block has not bound, marked as done or removed."""
    for node in shapes.walk(body, ast.Return, ast.Assign, ast.Call):
        if isinstance(node, ast.Return):
            answer = node.value
            untouched = isinstance(answer, ast.Name) and answer.id not in bound and OUTCOME.search(answer.id) is None
            tells = untouched or _tells_success(answer)
        elif isinstance(node, ast.Assign):
            tells = _marks_done(node)
        else:
            tells = REMOVES.fullmatch(shapes.last_name(node.func) or "") is not None
        if tells:
            yield node


def _tells_success(answer: ast.expr | None) -> bool:
    if isinstance(answer, ast.Dict):
        return any(shapes.text(key) in ("success", "ok", "status", "saved") for key in answer.keys if key is not None)
    return isinstance(answer, ast.Constant) and answer.value in (True, "ok", "OK", "success", "done")


def _marks_done(node: ast.Assign) -> bool:
    target = node.targets[0]
    return isinstance(target, ast.Attribute) and (DONE_STATES.fullmatch(target.attr) or MARK.fullmatch(target.attr)) is not None


@shapes.about("self", "while")
def takes_over(body: Sequence[ast.AST]) -> bool:
    """A local name is bound to a buffer of the object, which is emptied, or to what is popped off one in a loop."""
    if not _may_take_over(body):
        return False
    taken: set[str | None] = set()
    emptied = {_own(call.func.value) for call in shapes.walk(body, ast.Call) if isinstance(call.func, ast.Attribute) and call.func.attr == "clear"}
    for node in shapes.walk(body, ast.Assign):
        for target, value in _assigned(node):
            if isinstance(target, ast.Name):
                taken.add(_own(_copied(value)))
            elif _is_emptying(value):
                emptied.add(_own(target))
    if not (taken & emptied).issubset((None,)):
        return True
    flushing = any(FLUSHES.search(function.name.lower()) for function in shapes.walk(body, ast.FunctionDef, ast.AsyncFunctionDef))
    return flushing and any(_pops(one.value) for loop in shapes.walk(body, ast.While) for one in shapes.walk([loop], ast.Assign))


def _may_take_over(body: Sequence[ast.AST]) -> bool:
    """False when surely nothing of its object is named twice and bound or cleared, and nothing popped in a loop: told by the text."""
    text = body.text if isinstance(body, shapes.Body) else None
    if text is None or "while" in text and "pop" in text:
        return True
    places = _OWN_PLACE.findall(text)
    emptied = {name for name, bound in places if bound}
    return any([name for name, _bound in places].count(name) > 1 for name in emptied)


def _assigned(node: ast.Assign) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Targets and their values, tuples taken apart."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=False)
    yield from ((one, value) for one in node.targets)


def _copied(value: ast.expr) -> ast.expr:
    """What is copied, by a call or as a slice."""
    if isinstance(value, ast.Call) and shapes.last_name(value.func) in BUFFER_COPIES:
        value = value.args[0] if value.args else value.func.value if isinstance(value.func, ast.Attribute) else value
    return value.value if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice) else value


def _own(value: ast.expr) -> str | None:
    own = isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "self"
    return value.attr if own and isinstance(value, ast.Attribute) else None


def _is_emptying(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return shapes.last_name(value.func) in BUFFER_MAKERS
    return isinstance(value, (ast.List, ast.Set)) and not value.elts or isinstance(value, ast.Dict) and not value.keys


def _pops(value: ast.expr) -> bool:
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in ("pop", "popleft")):
        return False
    return BUFFER.search((shapes.last_name(value.func.value) or "").lstrip("_").lower()) is not None


def goes_on(body: Sequence[ast.AST]) -> bool:
    """A failure is handled without being raised again."""
    return any(not isinstance(handler.body[-1], ast.Raise) for handler in shapes.walk(body, ast.ExceptHandler))
