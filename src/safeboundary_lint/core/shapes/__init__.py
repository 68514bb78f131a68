"""Shapes of code that a rule needs, told from Python's own tree: a second look, dearer than words and much cheaper than LibCST.

A shape is a function in the needs of a rule. It may say yes too often, and never too seldom.
"""

from __future__ import annotations

import ast
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex

_NO_CONSTANTS = (ast.Call, ast.Subscript, ast.Compare, ast.BoolOp, ast.IfExp, ast.Dict, ast.Lambda, ast.Await)
Shape = Callable[[Sequence[ast.AST]], bool]

_DEFINED = Regex(r"def(?<!\wdef)[ \t\\\r\n]+(\w+)")
_BACKWARDS_WORD = Regex(r"\w*")
_NEAR = 60  # characters in which what stands in front of a dot is looked for
# What stands in the text wherever there is a node of a kind. Not so for imports: those of a module are left out of the text around.
_MARKS: dict[type[ast.AST], str] = {
    ast.Assert: "assert", ast.AsyncFor: "for", ast.AsyncFunctionDef: "def", ast.AsyncWith: "with", ast.Attribute: ".", ast.Await: "await",
    ast.Break: "break", ast.Call: "(", ast.ClassDef: "class", ast.Continue: "continue", ast.Delete: "del", ast.Dict: "{",
    ast.ExceptHandler: "except", ast.For: "for", ast.FunctionDef: "def", ast.Global: "global", ast.If: "if", ast.IfExp: "if", ast.Lambda: "lambda",
    ast.NamedExpr: ":=", ast.Raise: "raise", ast.Return: "return", ast.Subscript: "[", ast.Try: "try", ast.While: "while", ast.With: "with",
    ast.Yield: "yield", ast.YieldFrom: "yield", ast.comprehension: "for",
}  # fmt: skip
_EMPTY = (Regex(r"\[(?:[\s\\]|#[^\n]*\n)*\]"), Regex(r"\{(?:[\s\\]|#[^\n]*\n)*\}"), Regex(r"set(?<!\wset)\b"))
FUNCTIONS = frozenset((ast.FunctionDef, ast.AsyncFunctionDef))
_NO_NODES = frozenset("ctx op ops id attr arg kind name names rest kwd_attrs type_comment simple is_async asname module level conversion".split())
GROWING = ("append", "extend", "write", "add", "appendleft", "insert", "put", "put_nowait", "feed")


class Unless(NamedTuple):
    """In a group of needs: what would meet one of them does not count in a part where this shape is, which says yes only if it is sure."""

    shape: Shape


def about(*words: str) -> Callable[[Shape], Shape]:
    """Says of a shape that it can only be met where one of these words stands, which is cheaper to tell; `%pattern` for many."""

    def say(shape: Shape) -> Shape:
        _WORDS[shape] = frozenset(words)
        return shape

    return say


def words_of(shape: Shape) -> frozenset[str]:
    """The words, or patterns for them, of which one stands wherever a shape is met; none for a shape that may be met without."""
    return _WORDS.get(shape, frozenset())


_WORDS: dict[Shape, frozenset[str]] = {}


@about("getattr")
def chosen_attribute(body: Sequence[ast.AST]) -> bool:
    """`getattr(module, name)` without a default, where the name is only known when it runs."""
    calls = (node for node in walk(body, ast.Call) if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) == 2)
    return any(isinstance(call.args[0], ast.Name) and not isinstance(call.args[1], ast.Constant) for call in calls)


def last_name(node: ast.expr) -> str | None:
    """As `core.names.last_name` says it of LibCST's nodes."""
    while isinstance(node, (ast.Call, ast.Subscript, ast.Await)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def text(node: ast.AST | None) -> str | None:
    """The value of a string literal; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def text_parts(node: ast.AST) -> str | None:
    """The literal text of a string or f-string, with `{}` where an expression stands; None for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) or "{}" for part in node.values)
    return text(node)


def given(call: ast.Call) -> list[ast.expr]:
    """What is passed, by position and by keyword, in the order in which it stands."""
    if not call.keywords:
        return call.args
    return sorted([*call.args, *(keyword.value for keyword in call.keywords)], key=lambda value: (value.lineno, value.col_offset))


def targets(node: ast.AST) -> list[ast.expr]:
    """What an assignment of any kind binds."""
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) else []


def grown(node: ast.AST) -> ast.expr | None:
    """What a statement or call makes larger by something that is no literal, as `core.counting` says it of LibCST's nodes."""
    if isinstance(node, ast.AugAssign):
        return node.target if isinstance(node.op, ast.Add) and not isinstance(node.value, ast.Constant) else None
    if isinstance(node, ast.Call):
        added = given(node) if isinstance(node.func, ast.Attribute) and node.func.attr in GROWING else []
        return node.func.value if added and not isinstance(added[-1], ast.Constant) else None
    value = node.value if isinstance(node, ast.Assign) else None
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) and ast.unparse(value.left) == ast.unparse(node.targets[0]):
        return node.targets[0]
    return None


def root(node: ast.expr) -> str | None:
    """The name with which a chain of attributes starts."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def holds(node: ast.AST, *kinds: type[ast.AST]) -> bool:
    """True when a node of one of these kinds is in this one, or is it."""
    return any(isinstance(part, kinds) for part in _below([node]))


def is_negated(test: ast.expr) -> bool:
    """`not x`, `x is None`, `x is False`."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return True
    right = test.comparators[0] if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is) else None
    return isinstance(right, ast.Constant) and right.value in (None, False)


def bound_names(body: Sequence[ast.AST]) -> frozenset[str]:
    """The last names and the keys that a constant or a name may be bound to, parameters included."""
    found: set[str | None] = set()
    for node in walk(body, ast.arg, ast.keyword, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.For, ast.AsyncFor, ast.Dict, ast.Call):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(getattr(node, "value", None), _NO_CONSTANTS):
            continue
        elif isinstance(node, ast.keyword):
            found.add(node.arg)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.For, ast.AsyncFor)):
            several = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = [part for target in several for part in (target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target])]
            found.update(text(part.slice) if isinstance(part, ast.Subscript) else last_name(part) for part in parts)
        elif isinstance(node, ast.Dict):
            found.update(text(key) for key, value in zip(node.keys, node.values, strict=True) if not isinstance(value, _NO_CONSTANTS))
        elif isinstance(node, ast.Call) and last_name(node.func) == "setdefault":
            found.update(map(text, given(node)[:1]))
    return frozenset(filter(None, found))


def bound_values(body: Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """The last names and the keys that something but a constant is bound to, by an assignment, a keyword or an entry, with it."""
    for node in walk(body, ast.Dict, ast.keyword, ast.Assign, ast.AnnAssign):
        if isinstance(node, ast.Dict):
            pairs = [(text(key), value) for key, value in zip(node.keys, node.values, strict=True) if not isinstance(value, ast.Constant)]
        elif node.value is None or isinstance(node.value, ast.Constant):
            continue
        elif isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        else:
            given = [pair for one in targets(node) for pair in _taken_apart(one, node.value)]
            pairs = [(text(one.slice) if isinstance(one, ast.Subscript) else last_name(one), value) for one, value in given]
        yield from ((name, value) for name, value in pairs if name)


def _taken_apart(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """What is given to what: `a, b = x, y` gives two pairs."""
    several = (ast.Tuple, ast.List)
    if isinstance(target, several) and isinstance(value, several) and len(target.elts) == len(value.elts):
        return [(one, other) for one, other in zip(target.elts, value.elts, strict=True) if not isinstance(other, ast.Constant)]
    return [(target, value)]


def only_given(body: Sequence[ast.AST], *, fixed: bool = False) -> set[str]:
    """Parameters that have no default (`fixed`: none but a literal) and are bound to nothing else: what they are, only callers say."""
    given = {node.arg for node in walk(body, ast.arg)}
    pairs = [pair for arguments in walk(body, ast.arguments) for pair in defaults(arguments)]
    given -= {name.arg for name, default in pairs if not (fixed and isinstance(default, ast.Constant))}
    return given - {node.id for node in walk(body, ast.Name) if not isinstance(node.ctx, ast.Load)}


def defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr]]:
    """The parameters that have a default, each with it."""
    positional = [*arguments.posonlyargs, *arguments.args]
    yield from zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    yield from ((name, default) for name, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is not None)


class Body(list[ast.AST]):
    """Statements whose nodes several shapes ask for: they are gone through once. `owner` is the class of a method, "" for none."""

    def __init__(self, nodes: Iterable[ast.AST], owner: str | None = None) -> None:
        super().__init__(nodes)
        self.owner = owner
        self.text: str | None = None  # the source of all of it

    @cached_property
    def lowered(self) -> str | None:
        """The source in lower case, without the arrows of annotations: what looks for `-` or `>` means operators."""
        return self.text.lower().replace("->", " ") if self.text is not None else None

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node, outer ones first."""
        return _below(self)

    @cached_property
    def by_kind(self) -> dict[type[ast.AST], list[ast.AST]]:
        """The nodes of each kind."""
        found: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in self.nodes:
            found[type(node)].append(node)
        return found

    def may_hold(self, kinds: Iterable[type[ast.AST]]) -> bool:
        """False when the source surely shows no node of these kinds, which is cheaper to tell than to go through them."""
        text = self.text
        if text is None:
            return True
        for kind in kinds:
            if _MARKS.get(kind, "") in text:
                return True
        return False

    @cached_property
    def loops(self) -> bool:
        """False when surely no line starts a loop, as a comprehension doesn't: cheaper to tell than to go through the nodes."""
        return self.text is None or _starts_line(self.text, "for") or _starts_line(self.text, "while")

    @cached_property
    def sole(self) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function that a body is, where its source shows no other one in it; None for any other body."""
        node = self[0] if len(self) == 1 else None
        if self.text is None or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or len(_DEFINED.findall(self.text)) != 1:
            return None
        return node


def may_loop(body: Sequence[ast.AST]) -> bool:
    """False when surely no statement of a body is a loop."""
    return not isinstance(body, Body) or body.loops


def _starts_line(text: str, keyword: str) -> bool:
    at = text.find(keyword)
    while at >= 0:
        if text[text.rfind("\n", 0, at) + 1 : at].strip() in ("", "async"):
            return True
        at = text.find(keyword, at + 1)
    return False


def says(body: Sequence[ast.AST], *texts: str) -> bool:
    """False when surely none of these texts, in lower case, stands there, whatever the case: cheaper to tell than any node."""
    lowered = body.lowered if isinstance(body, Body) else None
    if lowered is None:
        return True
    for one in texts:  # asked of each function by several shapes: no generator
        if one in lowered:
            return True
    return False


def may_be_empty(body: Sequence[ast.AST]) -> bool:
    """False when surely no empty list, map or set is made in a body."""
    if not isinstance(body, Body) or body.text is None:
        return True
    return says(body, "dict", "list", "deque", "counter") or any(one.search(body.text) is not None for one in _EMPTY)


def calls_itself(body: Sequence[ast.AST]) -> bool:
    """False when surely none of the functions of a body is called there."""
    if not isinstance(body, Body) or body.text is None:
        return True
    return any(_may_call(body.text, name) for name in _DEFINED.findall(body.text))


def _may_call(text: str, name: str) -> bool:
    """False when a function with this name is surely called neither bare, nor through its object or class."""
    at = text.find(name)
    while at >= 0:
        following = text[at + len(name) : at + len(name) + 1]
        if following in ("(", " ", "\t", "\\") and _may_be_own(text, at):
            return True
        at = text.find(name, at + 1)
    return False


def _may_be_own(text: str, at: int) -> bool:
    """False for what stands behind a dot that no name of its own object or class is in front of, or behind `def`."""
    before = text[at - 1] if at else ""
    if before == ".":
        owner = _BACKWARDS_WORD.match(text[max(0, at - _NEAR) : at - 1].rstrip("\\ \t\r\n\f")[::-1])
        name = owner[0][::-1] if owner is not None else ""
        return name in ("self", "cls") or "A" <= name[:1] <= "Z"
    return not (before.isalnum() or before == "_") and text[max(0, at - 4) : at] != "def "


def walk(body: Sequence[ast.AST], *kinds: type[ast.AST]) -> Iterable[ast.AST]:
    """Every node of these trees, or those of some kinds, outer ones first; contexts and operators are left out."""
    if not kinds:
        return body.nodes if isinstance(body, Body) else _below(body)
    if isinstance(body, Body):
        if "by_kind" not in body.__dict__:
            if not body.may_hold(kinds):
                return ()
            if FUNCTIONS.issuperset(kinds) and body.sole is not None:
                return [body.sole] if isinstance(body.sole, kinds) else []
        return itertools.chain.from_iterable([body.by_kind.get(kind, ()) for kind in kinds])
    return (node for node in _below(body) if isinstance(node, kinds))


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below one, contexts and operators left out."""
    found: list[ast.AST] = []
    for value in map(node.__dict__.get, _FIELDS[type(node)]):
        if type(value) is list:
            found += filter(None, value)
        elif value is not None:
            found.append(value)
    return found


def _below(body: Iterable[ast.AST]) -> list[ast.AST]:
    found: list[ast.AST] = []
    level = list(body)
    while level:
        found += level
        below: list[ast.AST | list[ast.AST] | None] = []
        for node in level:
            if fields := _FIELDS[type(node)]:
                below += map(node.__dict__.get, fields)
        level = []
        for value in below:
            if type(value) is list:
                level += value if None not in value else filter(None, value)
            elif value is not None:
                level.append(value)
    return found


class _Fields(dict[type[ast.AST], tuple[str, ...]]):
    """By kind of node the fields that hold nodes."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        leaf = kind in (ast.Constant, ast.MatchSingleton)
        self[kind] = fields = () if leaf else tuple(name for name in kind._fields if name not in _NO_NODES)
        return fields


_FIELDS = _Fields()
