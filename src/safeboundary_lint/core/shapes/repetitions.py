"""Loops and functions that may repeat what failed, told from Python's own tree: what rules about retries need."""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from safeboundary_lint.core import shapes
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.words import STATUSES

ATTEMPT = ("*attempt*", "*retry*", "*retrie[sd]*", "*tries*", "*try_*", "try", "*backoff*", "*trial*", "*delays*", "*failures*")
# Raised by work on data and by collisions: repeating on them is no repetition of something at the boundary.
DATA_ERRORS = (
    "builtins.StopIteration", "builtins.StopAsyncIteration", "builtins.LookupError", "builtins.ValueError", "builtins.TypeError",
    "builtins.AttributeError", "builtins.NameError", "builtins.InterruptedError", "builtins.BlockingIOError",
    "builtins.FileExistsError",
    "builtins.FileNotFoundError", "builtins.EOFError", "builtins.KeyboardInterrupt", "builtins.ImportError",
    "builtins.ArithmeticError",
    "builtins.AssertionError", "builtins.PermissionError", "builtins.IsADirectoryError", "builtins.NotADirectoryError",
    "builtins.MemoryError",
    "builtins.SyntaxError", "builtins.RecursionError",
)  # fmt: skip
_COUNTING = ("range", "xrange", "count", "repeat")
_ENDING = ("range", "xrange", "enumerate", "reversed", "sorted", "zip", "list", "tuple")
_WAITING = (*ATTEMPT, "*delay*", "*wait*", "*sleep*")
_LOOPS = (ast.While, ast.For, ast.AsyncFor)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)
_DATA = tuple(getattr(builtins, name.rpartition(".")[2]) for name in DATA_ERRORS)
_OF_DATA = frozenset(name for name, one in vars(builtins).items() if isinstance(one, type) and issubclass(one, _DATA))


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop that may repeat: `handlers` are those after which it goes round again, `outside` is what stands in none of its own."""

    node: ast.While | ast.For | ast.AsyncFor
    outside: list[ast.AST]
    handlers: list[ast.ExceptHandler]
    leaves: bool  # when its work succeeded
    broken: bool  # a handler leaves it
    tried: bool

    @property
    def is_telling(self) -> bool:
        """Its names say that it counts attempts."""
        if isinstance(self.node, ast.While):
            told = [self.node.test, *(node.target for node in self.outside if isinstance(node, ast.AugAssign))]
            told += [node.target for one in self.handlers for node in shapes.walk([one], ast.AugAssign)]
        else:
            told = [self.node.target, self.node.iter]
        return any(named_like(shapes.last_name(part), *ATTEMPT) for part in shapes.walk(told) if isinstance(part, (ast.Name, ast.Attribute)))


def retry_loop(body: Sequence[ast.AST]) -> bool:
    """A `while`, or a `for` over a count, in which failures are handled or a status tells one, after which it goes round again."""
    if not shapes.may_loop(body):
        return False
    failing = any(_tells_failure(branch.test) for branch in shapes.walk(body, ast.If))
    return any(loop.handlers or failing and any(isinstance(node, ast.If) and _tells_failure(node.test) for node in loop.outside) for loop in _loops(body))


@shapes.about("except")
def endless(body: Sequence[ast.AST]) -> bool:
    """A retry loop that runs until it is left, or until one flag or result is there."""
    for loop in _loops(body) if _handles(body) else ():
        test = loop.node.test if isinstance(loop.node, ast.While) else None
        if test is None:
            until = isinstance(loop.node.iter, ast.Call) and shapes.last_name(loop.node.iter.func) not in _ENDING
        else:
            until = isinstance(test, ast.Constant) or _asks_once(test)
        if loop.handlers and until and (loop.leaves or test is not None and not isinstance(test, ast.Constant)):
            return True
    return False


@shapes.about("return", "break")
def runs_out(body: Sequence[ast.AST]) -> bool:
    """A loop of a function that ends after some rounds, or by a handler, and that success may leave before."""
    if not (shapes.may_loop(body) and any(True for _ in shapes.walk(body, *_FUNCTIONS))):
        return False
    return any(
        loop.leaves and (loop.broken or not isinstance(loop.node, ast.While) or shapes.holds(loop.node.test, ast.Compare)) for loop in _loops(body)
    )


@shapes.about("except")
def tries_again(body: Sequence[ast.AST]) -> bool:
    """A loop that goes round after failures which it swallows, or that counts attempts by its names."""
    return _handles(body) and any(
        loop.tried and (loop.is_telling or any(not _lets_out(handler) for handler in loop.handlers)) for loop in _loops(body)
    )


@shapes.about("except")
def unended(body: Sequence[ast.AST]) -> bool:
    """A loop that goes round after failures, and that no success leaves."""
    return _handles(body) and any(loop.handlers and not loop.leaves for loop in _loops(body))


@shapes.about("except", *STATUSES, "%status_code|too_many|rate_limit|retry")
def restart(body: Sequence[ast.AST]) -> bool:
    """A function that calls itself after a failure: in a handler, or where a status tells it, with what it was given itself."""
    if not shapes.calls_itself(body):
        return False
    called: dict[str, list[ast.Call]] = defaultdict(list)
    for call in shapes.walk(body, ast.Call):
        called[_called(call)].append(call)
    for function in shapes.walk(body, *_FUNCTIONS):
        again = {id(call) for call in called.get(function.name, ()) if _gives_the_same(call, function)}
        branches = shapes.walk([function], ast.ExceptHandler, ast.If) if again else ()
        failing = (node for node in branches if (_is_failure(node) if isinstance(node, ast.ExceptHandler) else _tells_failure(node.test)))
        if any(id(node) in again for part in failing for node in shapes.walk([part], ast.Call)):
            return True
    return False


@shapes.about("%retry")
def hands_to_retry(body: Sequence[ast.AST]) -> bool:
    """Something by whose name it tries again is given what may be a function."""
    calls = (call for call in shapes.walk(body, ast.Call) if named_like(shapes.last_name(call.func), "*retry*"))
    return any(isinstance(value, (ast.Name, ast.Attribute)) for call in calls for value in shapes.given(call))


@shapes.about("while", "for")
def keeps_going(body: Sequence[ast.AST]) -> bool:
    """A loop that may go round until something is there."""
    return any(True for _ in _loops(body))


def _handles(body: Sequence[ast.AST]) -> bool:
    return shapes.may_loop(body) and any(True for _ in shapes.walk(body, ast.ExceptHandler))


def _loops(body: Sequence[ast.AST]) -> Iterator[_Loop]:
    """The loops of which one may be a retry loop: those that count or wait, and give nothing away round by round."""
    for loop in shapes.walk(body, *_LOOPS) if shapes.may_loop(body) else ():
        if isinstance(loop, ast.While) or _counts(loop):
            outside, handlers, leaves = _parts(loop)
            inside = [node for handler in handlers for node in shapes.walk([handler])]
            if not any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in outside):
                broken = any(isinstance(node, ast.Break) for node in inside)
                tried = any(isinstance(node, ast.Try) for node in outside)
                yield _Loop(loop, outside, [one for one in handlers if _is_failure(one) and _goes_round(one)], leaves, broken, tried)


def _parts(loop: ast.While | ast.For | ast.AsyncFor) -> tuple[list[ast.AST], list[ast.ExceptHandler], bool]:
    """What a loop does outside of its own handlers, and these, those in inner loops left out; and whether anything outside leaves it."""
    outside: list[ast.AST] = []
    handlers: list[ast.ExceptHandler] = []
    leaves = False
    stack: list[tuple[ast.AST, bool]] = [(node, True) for node in loop.body]
    while stack:
        node, own = stack.pop()
        outside.append(node)
        leaves = leaves or isinstance(node, ast.Return) or own and isinstance(node, ast.Break)
        if own and isinstance(node, ast.Try):
            handlers += node.handlers
            stack += [(line, True) for line in (*node.body, *node.orelse, *node.finalbody)]
        elif not isinstance(node, _DEFINITIONS):
            below = own and not isinstance(node, _LOOPS)
            stack += [(part, below) for part in shapes.children(node)]
    return outside, handlers, leaves


def _counts(loop: ast.For | ast.AsyncFor) -> bool:
    iterable = loop.iter
    if isinstance(iterable, ast.Call) and shapes.last_name(iterable.func) == "enumerate" and iterable.args:
        iterable = iterable.args[0]
    if isinstance(iterable, ast.Call) and shapes.last_name(iterable.func) in _COUNTING:
        return True
    targets = [node.id for node in shapes.walk([loop.target]) if isinstance(node, ast.Name)]
    if all(named_like(name, *_WAITING) for name in targets) or named_like(shapes.last_name(iterable), *_WAITING):
        return True
    elements = iterable.elts if isinstance(iterable, (ast.Tuple, ast.List)) else ()
    return any(isinstance(element, ast.Constant) and isinstance(element.value, (int, float)) for element in elements)


def _asks_once(test: ast.expr) -> bool:
    """`x`, `not x`, `x is None`, `x == y`: one flag or result is all that is asked about."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test = test.operand
    elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Is, ast.Eq, ast.NotEq)):
        test = test.left
    return isinstance(test, (ast.Name, ast.Attribute))


def _is_failure(handler: ast.ExceptHandler) -> bool:
    """False for a handler of errors of data only, by Python's own names for them."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return not caught or any(not isinstance(one, ast.Name) or one.id not in _OF_DATA for one in caught)


def _goes_round(handler: ast.ExceptHandler) -> bool:
    return not isinstance(handler.body[-1], (ast.Raise, ast.Return, ast.Break)) or shapes.holds(handler, ast.Continue)


def _lets_out(handler: ast.ExceptHandler) -> bool:
    """It raises or returns whatever it is about; one that looks at the exception may raise some only."""
    outside = [node for node in shapes.walk(handler.body) if isinstance(node, (ast.Raise, ast.Return))]
    hidden = any(True for _ in shapes.walk(handler.body, *_DEFINITIONS))
    return bool(outside) and not hidden and handler.name is None


def _tells_failure(test: ast.expr) -> bool:
    parts = shapes.walk([test], ast.Name, ast.Attribute, ast.Constant)
    return any(
        (isinstance(part.value, int) and 401 <= part.value <= 599)
        if isinstance(part, ast.Constant)
        else named_like(shapes.last_name(part), "*status_code*", "*too_many*", "*rate_limit*", "*retry*")
        for part in parts
    )


def _called(call: ast.Call) -> str:
    """The name that is called, bare, or through its object or class; "" for anything else."""
    func = call.func
    if isinstance(func, ast.Name):
        return func.id
    owner = func.value if isinstance(func, ast.Attribute) else None
    return func.attr if isinstance(owner, ast.Name) and (owner.id in ("self", "cls") or owner.id[:1].isupper()) else ""


def _gives_the_same(call: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """What is passed may be the parameters themselves, constants, or what is counted on."""
    arguments = function.args
    own = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg) if one is not None}
    given = shapes.given(call)
    if any(isinstance(one, ast.Starred) for one in given) or any(keyword.arg is None for keyword in call.keywords):
        return True
    return all(
        one.id in own if isinstance(one, ast.Name) else isinstance(one, (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Call, ast.Await)) for one in given
    )
