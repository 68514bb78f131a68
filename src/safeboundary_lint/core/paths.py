"""Questions about a control-flow graph: is there a path, does A come before B on every path, which tests guard a point.

Each answer is one breadth-first search or one dominator computation, linear in the size of the function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

import libcst as cst

from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.properties import cached_property


def find(
    starts: Iterable[Point],
    goal: Callable[[Point], bool],
    *,
    avoiding: Callable[[Point], bool] = lambda point: False,
    raising: bool = True,
    leaving: str = "any",
) -> list[Point] | None:
    """The shortest path from one of `starts` to a point with `goal`, not through points to avoid; None when there is none.

    The start itself is no goal unless a path comes back to it. `raising=False` follows no exception edges. `leaving` says how the
    start is left: "normally" (it has had its effect), "raising" (it failed), or "any".
    """
    before: dict[int, Point | None] = {}
    queue: deque[Point] = deque()
    for start in starts:
        succs = [] if leaving == "raising" else start.succs
        raised = start.raising if raising and leaving != "normally" else []
        for succ in (*succs, *raised):
            if succ.index not in before and not avoiding(succ):
                before[succ.index] = start
                queue.append(succ)
    origins = {start.index for start in starts}
    while queue:
        point = queue.popleft()
        if goal(point):
            return _walk_back(point, before, origins)
        for succ in (*point.succs, *(point.raising if raising else ())):
            if succ.index not in before and not avoiding(succ):
                before[succ.index] = point
                queue.append(succ)
    return None


def _walk_back(point: Point, before: dict[int, Point | None], origins: Collection[int]) -> list[Point]:
    path = [point]
    while (previous := before.get(path[-1].index)) is not None:
        path.append(previous)
        if previous.index in origins:
            break
    return path[::-1]


def reachable_from(starts: Iterable[Point], *, avoiding: Callable[[Point], bool] = lambda point: False, raising: bool = True) -> set[int]:
    """Indexes of all points on paths from `starts`, the starts themselves only when a path comes back."""
    seen: set[int] = set()
    stack = list(starts)
    while stack:
        point = stack.pop()
        for succ in (*point.succs, *(point.raising if raising else ())):
            if succ.index not in seen and not avoiding(succ):
                seen.add(succ.index)
                stack.append(succ)
    return seen


def always_before(flow: Flow, firsts: Collection[Point], then: Point) -> bool:
    """True when every path from the entry to `then` passes one of `firsts` (and leaves it without an exception)."""
    indexes = {point.index for point in firsts}
    if then.index in indexes:
        return False
    seen = {flow.entry.index}
    stack = [flow.entry]
    while stack:
        point = stack.pop()
        succs = point.raising if point.index in indexes else (*point.succs, *point.raising)
        for succ in succs:
            if succ.index == then.index:
                return False
            if succ.index not in seen:
                seen.add(succ.index)
                stack.append(succ)
    return True


class Dominators:
    """The dominator tree of a flow graph (Cooper, Harvey and Kennedy's iterative algorithm)."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        order = _reverse_postorder(flow.entry)
        self.rank = {point.index: rank for rank, point in enumerate(order)}
        self.parent: dict[int, Point] = {flow.entry.index: flow.entry}
        changed = True
        while changed:
            changed = False
            for point in order[1:]:
                done = [pred for pred in point.preds if pred.index in self.parent]
                best = done[0]
                for pred in done[1:]:
                    best = self._meet(best, pred)
                if self.parent.get(point.index) is not best:
                    self.parent[point.index] = best
                    changed = True

    def _meet(self, one: Point, other: Point) -> Point:
        rank, parent = self.rank, self.parent
        while one is not other:
            while rank[one.index] > rank[other.index]:
                one = parent[one.index]
            while rank[other.index] > rank[one.index]:
                other = parent[other.index]
        return one

    def of(self, point: Point) -> Iterator[Point]:
        """The points every path to `point` passes, nearest first, without `point`."""
        while (above := self.parent.get(point.index)) is not None and above is not point:
            yield above
            point = above

    def dominates(self, first: Point, then: Point) -> bool:
        """True when every path to `then` passes `first`."""
        return first is then or any(above is first for above in self.of(then))

    def guards(self, point: Point) -> Iterator[tuple[cst.CSTNode, bool]]:
        """Tests with known outcome at `point`, nearest first: every path to it passed that outcome."""
        above = point if point.kind == "branch" else self._branch_above.get(point.index)
        while above is not None:
            if above.node is not None and above.outcome is not None:
                yield above.node, above.outcome
            above = self._branch_above.get(above.index)

    @cached_property
    def _branch_above(self) -> dict[int, Point | None]:
        """The nearest branch among the dominators of each point: chains of dominators are as long as the function, those of branches as it is deep."""
        found: dict[int, Point | None] = {self.flow.entry.index: None}
        for index in sorted(self.parent, key=self.rank.__getitem__):
            above = self.parent[index]
            if above.index != index:
                found[index] = above if above.kind == "branch" else found[above.index]
        return found


def _reverse_postorder(entry: Point) -> list[Point]:
    seen = {entry.index}
    finished: list[Point] = []
    stack: list[tuple[Point, Iterator[Point]]] = [(entry, iter((*entry.succs, *entry.raising)))]
    while stack:
        point, following = stack[-1]
        for succ in following:
            if succ.index not in seen:
                seen.add(succ.index)
                stack.append((succ, iter((*succ.succs, *succ.raising))))
                break
        else:
            finished.append(point)
            stack.pop()
    return finished[::-1]


def implied(test: cst.CSTNode, outcome: bool) -> Iterator[tuple[cst.CSTNode, bool]]:
    """What is certain when a test went this way: both sides of a true `and`, of a false `or`, through `not`."""
    stack = [(test, outcome)]
    while stack:
        node, truth = stack.pop()
        if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Not):
            stack.append((node.expression, not truth))
        elif isinstance(node, cst.BooleanOperation) and isinstance(node.operator, cst.And if truth else cst.Or):
            stack += [(node.right, truth), (node.left, truth)]
        elif isinstance(node, cst.NamedExpr):
            yield node, truth
            stack.append((node.value, truth))
        else:
            yield node, truth
