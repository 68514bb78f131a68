"""The control-flow graph of one function (or of a module's body), with exception edges.

A point is one evaluation: a simple statement, a test, an iterable, a context manager's entry or exit, the entry of a
handler. `finally` bodies and context manager exits stand in the graph once for each way of leaving (falling through,
exception, return, break, continue), so that a path through the graph is a path of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import libcst as cst

from safeboundary_lint.core.tree import Tree, descendants

# What a statement without any of these does can't raise in a way that matters to a caller.
_RAISING = frozenset((cst.Await, cst.Subscript, cst.Yield, cst.Raise, cst.Assert, cst.Import, cst.ImportFrom, cst.Del))
_SEVERAL = frozenset((cst.SimpleStatementLine, cst.SimpleStatementSuite, cst.IndentedBlock))
_FUNCTIONS = frozenset((cst.FunctionDef, cst.Lambda))


class Point:
    """One evaluation in a function.

    kind   `statement`, `test`, `iterable`, `next` (a loop takes its next item), `enter` and `exit` (of a `with` item), `handler`,
           `dispatch` (an exception looks for its handler), `subject`, `case`, `branch` (a test's outcome), `entry`, `return`, `raise`
    node   what is evaluated; for `branch` the test; None for `entry`, `return` (the normal exit) and `raise` (the exceptional exit)
    """

    __slots__ = ("index", "kind", "node", "outcome", "preds", "raising", "succs")

    def __init__(self, index: int, kind: str, node: cst.CSTNode | None, outcome: bool | None = None) -> None:
        self.index = index
        self.kind = kind
        self.node = node
        self.outcome = outcome  # branch: which way the test went; exit: True when no exception is passing
        self.succs: list[Point] = []
        self.raising: list[Point] = []  # where an exception of this evaluation goes
        self.preds: list[Point] = []  # of both kinds

    def __repr__(self) -> str:
        return f"<{self.kind} {self.index}{'' if self.outcome is None else f' {self.outcome}'}>"


class Flow:
    """The graph; `points_of` finds the points at which a node is evaluated."""

    def __init__(self, tree: Tree, root: cst.FunctionDef | cst.Lambda | cst.Module, exceptions: ExceptionModel) -> None:
        self.tree = tree
        self.root = root
        self.points: list[Point] = []
        self.by_node: dict[int, list[Point]] = {}
        self.entry = self.point("entry", None)
        self.returned = self.point("return", None)
        self.raised = self.point("raise", None)
        _Builder(self, exceptions).build(root)
        for point in self.points:
            for succ in (*point.succs, *point.raising):
                succ.preds.append(point)
        self._reachable: frozenset[int] | None = None

    def close(self) -> None:
        """Take the points apart, which hold each other."""
        for point in self.points:
            point.succs, point.raising, point.preds = [], [], []

    def point(self, kind: str, node: cst.CSTNode | None, outcome: bool | None = None) -> Point:
        """A new point of this graph."""
        point = Point(len(self.points), kind, node, outcome)
        self.points.append(point)
        if node is not None:
            self.by_node.setdefault(id(node), []).append(point)
        return point

    def points_of(self, node: cst.CSTNode) -> list[Point]:
        """The points at which `node`, or the smallest evaluation that holds it, is evaluated: several inside `finally`.

        Empty for what another function's body holds, and for what no path reaches.
        """
        current: cst.CSTNode | None = node
        while current is not None:
            if (found := self.by_node.get(id(current))) is not None:
                wanted = [p for p in found if p.kind not in ("branch", "exit", "dispatch") and p.index in self.reachable]
                return wanted
            parent = self.tree.parent(current)
            if current is self.root or type(parent) in _FUNCTIONS and current is parent.body and parent is not self.root:
                return []
            current = parent
        return []

    def branches_of(self, test: cst.CSTNode, outcome: bool) -> list[Point]:
        """The points right after a test went this way."""
        return [p for p in self.by_node.get(id(test), ()) if p.kind == "branch" and p.outcome is outcome]

    def exits_of(self, item: cst.WithItem, *, normal: bool = True) -> list[Point]:
        """The points at which a `with` item is left: without an exception passing, or with one."""
        return [p for p in self.by_node.get(id(item), ()) if p.kind == "exit" and p.outcome is normal and p.index in self.reachable]

    @property
    def reachable(self) -> frozenset[int]:
        """Indexes of the points some path from the entry reaches."""
        if self._reachable is None:
            seen, stack = {self.entry.index}, [self.entry]
            while stack:
                for succ in _following(stack.pop()):
                    if succ.index not in seen:
                        seen.add(succ.index)
                        stack.append(succ)
            self._reachable = frozenset(seen)
        return self._reachable

    def __iter__(self) -> Iterator[Point]:
        return (point for point in self.points if point.index in self.reachable)


def _following(point: Point) -> Iterator[Point]:
    yield from point.succs
    yield from point.raising


class ExceptionModel:
    """What the graph needs to know of exceptions; `Facts` gives the answers from imports and knowledge."""

    def __init__(
        self,
        can_raise: Callable[[cst.Call], bool] = lambda call: True,
        catches: Callable[[cst.BaseExpression | None, cst.BaseExpression | None], bool | None] = lambda handler, raised: None,
        swallows: Callable[[cst.BaseExpression], bool] = lambda context: False,
        never_returns: Callable[[cst.Call], bool] = lambda call: False,
    ) -> None:
        self.can_raise = can_raise  # False for calls known not to raise, such as logging
        self.catches = catches  # does a handler of this type catch what is raised (None: anything)? None: can't tell
        self.swallows = swallows  # does this context manager swallow exceptions of its body?
        self.never_returns = never_returns  # sys.exit(), a helper of this file that always raises


class _Frame:
    """Where control goes that leaves a block otherwise than by falling through. `finally` wraps each way once."""

    def __init__(self, ways: dict[str, Point | None], around: _Frame | None = None, wrap: Callable[[str, Point], Point] | None = None) -> None:
        self.ways = ways
        self.around = around
        self.wrap = wrap
        self.made: dict[tuple[str, int], Point] = {}

    def target(self, way: str) -> Point | None:
        if way in self.ways:
            return self.ways[way]
        outer = self.around.target(way) if self.around is not None else None
        if outer is None or self.wrap is None:
            return outer
        key = (way, outer.index)
        if key not in self.made:
            self.made[key] = self.wrap(way, outer)
        return self.made[key]


class _Builder:
    def __init__(self, flow: Flow, exceptions: ExceptionModel) -> None:
        self.flow = flow
        self.exceptions = exceptions
        self.frame = _Frame({"return": flow.returned, "raise": flow.raised})
        self.uncaught: dict[int, _Frame] = {}  # where an exception goes on to that no handler of a dispatch catches

    def build(self, root: cst.FunctionDef | cst.Lambda | cst.Module) -> None:
        if isinstance(root, cst.Lambda):
            ends = self._evaluate("statement", root.body, [self.flow.entry])
        else:
            ends = self._statements([root.body] if isinstance(root, cst.FunctionDef) else list(root.body), [self.flow.entry])
        self._connect(ends, self.flow.returned)
        self.uncaught.clear()  # frames hold the builder

    # Each method takes the points from which control arrives and returns those from which it falls through.

    @staticmethod
    def _connect(points: Iterable[Point], target: Point | None) -> None:
        if target is not None:
            for point in points:
                if target not in point.succs:
                    point.succs.append(target)

    def _evaluate(self, kind: str, node: cst.CSTNode, arrive: list[Point], *, raises: bool | None = None) -> list[Point]:
        point = self.flow.point(kind, node)
        self._connect(arrive, point)
        if self._can_raise(node) if raises is None else raises:
            if (target := self.frame.target("raise")) is not None:
                point.raising.append(target)
        return [point]

    def _can_raise(self, node: cst.CSTNode) -> bool:
        for below in descendants(node, into_definitions=False):
            kind = type(below)
            if kind is cst.Call:
                if self.exceptions.can_raise(below):  # type: ignore[arg-type]
                    return True
            elif kind in _RAISING:
                return True
            elif kind is cst.BinaryOperation and isinstance(below.operator, (cst.Divide, cst.FloorDivide, cst.Modulo)):  # type: ignore[attr-defined]
                return True
        return False

    def _branch(self, test: cst.CSTNode, outcome: bool, arrive: list[Point]) -> list[Point]:
        point = self.flow.point("branch", test, outcome)
        self._connect(arrive, point)
        return [point]

    def _statements(self, statements: Iterable[cst.CSTNode], arrive: list[Point]) -> list[Point]:
        for statement in statements:
            arrive = self._statement(statement, arrive)
        return arrive

    def _statement(self, node: cst.CSTNode, arrive: list[Point]) -> list[Point]:
        if type(node) in _SEVERAL:
            return self._statements(node.body, arrive)  # type: ignore[attr-defined]
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is not None:
            return method(node, arrive)
        return self._evaluate("statement", node, arrive)

    def _expr(self, node: cst.Expr, arrive: list[Point]) -> list[Point]:
        ends = self._evaluate("statement", node, arrive)
        value = node.value.expression if isinstance(node.value, cst.Await) else node.value
        return [] if isinstance(value, cst.Call) and self.exceptions.never_returns(value) else ends

    def _functiondef(self, node: cst.FunctionDef, arrive: list[Point]) -> list[Point]:
        return self._evaluate("statement", node, arrive, raises=False)

    def _classdef(self, node: cst.ClassDef, arrive: list[Point]) -> list[Point]:
        return self._evaluate("statement", node, arrive, raises=False)

    def _jump(self, way: str, node: cst.CSTNode, arrive: list[Point]) -> list[Point]:
        self._connect(self._evaluate("statement", node, arrive), self.frame.target(way))
        return []

    def _return(self, node: cst.Return, arrive: list[Point]) -> list[Point]:
        return self._jump("return", node, arrive)

    def _break(self, node: cst.Break, arrive: list[Point]) -> list[Point]:
        return self._jump("break", node, arrive)

    def _continue(self, node: cst.Continue, arrive: list[Point]) -> list[Point]:
        return self._jump("continue", node, arrive)

    def _raise(self, node: cst.Raise, arrive: list[Point]) -> list[Point]:
        point = self._evaluate("statement", node, arrive, raises=False)[0]
        if (target := self.frame.target("raise")) is not None:
            point.raising += self._caught_by(node, target)
        return []

    def _caught_by(self, node: cst.Raise, dispatch: Point) -> list[Point]:
        """The handler a `raise` of a known type goes to; the whole dispatch when the type says nothing."""
        if node.exc is None or dispatch.kind != "dispatch":
            return [dispatch]
        for handler in dispatch.succs:
            if not isinstance(handler.node, (cst.ExceptHandler, cst.ExceptStarHandler)):
                break
            verdict = self.exceptions.catches(handler.node.type, node.exc)
            if verdict is None:
                return [dispatch]
            if verdict:
                return [handler]
        outward = self.uncaught[dispatch.index].target("raise")
        return self._caught_by(node, outward) if outward is not None else []

    def _if(self, node: cst.If, arrive: list[Point]) -> list[Point]:
        tested = self._evaluate("test", node.test, arrive)
        ends = self._statement(node.body, self._branch(node.test, True, tested))
        otherwise = self._branch(node.test, False, tested)
        if node.orelse is not None:
            otherwise = self._statement(node.orelse if isinstance(node.orelse, cst.If) else node.orelse.body, otherwise)
        return ends + otherwise

    def _while(self, node: cst.While, arrive: list[Point]) -> list[Point]:
        test = self._evaluate("test", node.test, arrive)
        forever = isinstance(node.test, cst.Name) and node.test.value == "True" or isinstance(node.test, cst.Integer) and node.test.value != "0"
        leave = self.flow.point("statement", None)
        outer, self.frame = self.frame, _Frame({"break": leave, "continue": test[0]}, self.frame)
        self._connect(self._statement(node.body, self._branch(node.test, True, test)), test[0])
        self.frame = outer
        otherwise = [] if forever else self._branch(node.test, False, test)
        if node.orelse is not None:
            otherwise = self._statement(node.orelse.body, otherwise)
        self._connect(otherwise, leave)
        return [leave]

    def _for(self, node: cst.For, arrive: list[Point]) -> list[Point]:
        arrive = self._evaluate("iterable", node.iter, arrive)
        head = self._evaluate("next", node, arrive, raises=node.asynchronous is not None or isinstance(node.iter, cst.Call))
        leave = self.flow.point("statement", None)
        outer, self.frame = self.frame, _Frame({"break": leave, "continue": head[0]}, self.frame)
        self._connect(self._statement(node.body, self._branch(node, True, head)), head[0])
        self.frame = outer
        otherwise = self._branch(node, False, head)
        if node.orelse is not None:
            otherwise = self._statement(node.orelse.body, otherwise)
        self._connect(otherwise, leave)
        return [leave]

    def _with(self, node: cst.With, arrive: list[Point]) -> list[Point]:
        return self._with_items(list(node.items), node, arrive)

    def _with_items(self, items: list[cst.WithItem], node: cst.With, arrive: list[Point]) -> list[Point]:
        if not items:
            return self._statement(node.body, arrive)
        item, *rest = items
        arrive = self._evaluate("enter", item, arrive)
        after = self.flow.point("statement", None) if self.exceptions.swallows(item.item) else None

        def leave(way: str, target: Point) -> Point:
            point = self.flow.point("exit", item, way != "raise")
            point.succs.append(target)
            if way == "raise" and after is not None:
                point.succs.append(after)
            elif way != "raise" and (outward := outer.target("raise")) is not None:
                point.raising.append(outward)
            return point

        outer, self.frame = self.frame, _Frame({}, self.frame, leave)
        ends = self._with_items(rest, node, arrive)
        self.frame = outer
        if ends:
            exit_point = self.flow.point("exit", item, True)
            self._connect(ends, exit_point)
            if (outward := outer.target("raise")) is not None:
                exit_point.raising.append(outward)
            ends = [exit_point]
        return [*ends, after] if after is not None else ends

    def _try(self, node: cst.Try | cst.TryStar, arrive: list[Point]) -> list[Point]:
        outer = self.frame
        if node.finalbody is not None:
            self.frame = _Frame({}, outer, lambda way, target: self._finally_copy(node, outer, target))
        around = self.frame
        if node.handlers:
            dispatch, handlers = self._dispatch(node)
            self.frame = _Frame({"raise": dispatch}, around)
        ends = self._statement(node.body, arrive)
        self.frame = around
        if node.orelse is not None:
            ends = self._statement(node.orelse.body, ends)
        if node.handlers:
            for position, handler in enumerate(node.handlers):
                handled = self._statement(handler.body, [handlers[position]])
                ends = ends + handled
                if isinstance(node, cst.TryStar):  # the rest of the group looks further
                    for following in (*handlers[position + 1 :], self.frame.target("raise")):
                        self._connect(handled, following)
        self.frame = outer
        if node.finalbody is not None:
            ends = self._statement(node.finalbody.body, ends) if ends else []
        return ends

    def _dispatch(self, node: cst.Try | cst.TryStar) -> tuple[Point, list[Point]]:
        """Where an exception of the body looks for its handler, and the handlers; made before the body, whose `raise` asks for them."""
        dispatch = self.flow.point("dispatch", node)
        handlers = [self.flow.point("handler", handler) for handler in node.handlers]
        dispatch.succs += handlers
        caught_all = any(self.exceptions.catches(handler.type, None) for handler in node.handlers)
        if not caught_all and (outward := self.frame.target("raise")) is not None:
            dispatch.succs.append(outward)
        self.uncaught[dispatch.index] = self.frame
        return dispatch, handlers

    _trystar = _try

    def _finally_copy(self, node: cst.Try | cst.TryStar, outer: _Frame, target: Point) -> Point:
        assert node.finalbody is not None
        before, self.frame = self.frame, outer
        start = self.flow.point("statement", None)
        self._connect(self._statement(node.finalbody.body, [start]), target)
        self.frame = before
        return start

    def _match(self, node: cst.Match, arrive: list[Point]) -> list[Point]:
        arrive = self._evaluate("subject", node.subject, arrive)
        ends: list[Point] = []
        for case in node.cases:
            tested = self._evaluate("case", case, arrive, raises=case.guard is not None and self._can_raise(case.guard))
            ends += self._statement(case.body, self._branch(case, True, tested))
            irrefutable = case.guard is None and isinstance(case.pattern, cst.MatchAs) and case.pattern.pattern is None
            if irrefutable:
                return ends
            arrive = self._branch(case, False, tested)
        return ends + arrive
