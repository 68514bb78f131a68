"""Which quantity is bounded from above where, by a check that leaves when it fails.

A check counts when no path from where the quantity is made to where it is used gets round it. It may stand in a helper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, bound_arguments
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.paths import find, implied
from safeboundary_lint.core.tree import children, descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

NO_BOUND = 2**31 - 1  # a constant from here on bounds nothing that fits into a machine
_VALIDATORS = (
    "*check*",
    "*valid*",
    "*ensure*",
    "*verify*",
    "*limit*",
    "*guard*",
    "*enforce*",
    "*assert*",
    "*require*",
    "*within*",
    "*reject*",
)
_UNSAID = ("read*", "recv*", "unpack*", "parse*", "log*", "debug", "append", "write*", "send*")

Bound = tuple[cst.BaseExpression, cst.BaseExpression]  # what is small, what it is no more than


class Guards:
    """Checks of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._bounds: dict[int, list[tuple[Point, Bound]]] = {}
        self._validated: dict[int, bool] = {}
        self._places: dict[int, frozenset[str]] = {}
        self._checkers: dict[int, cst.FunctionDef | cst.Lambda | bool] = {}  # what a call runs; else whether its name says that it checks
        self._checks: dict[int, tuple[dict[str, list[Point]], dict[str, list[cst.Call]]]] = {}

    def holds(
        self,
        places: Collection[str],
        at: cst.CSTNode,
        *,
        since: cst.CSTNode | None = None,
        counts: Callable[[cst.BaseExpression], bool] = lambda bound: True,
    ) -> bool:
        """True when every path to `at` passes a check that bounds one of `places`.

        `since` is where the quantity is made, when in the same function; `counts` can refuse a bound.
        """
        if self._chosen(places, at, counts):
            return True
        flow = self.facts.flow_around(at)
        guards = {point.index for point in self.points(flow, places, counts)}
        if not guards:
            return False
        uses = flow.points_of(at)
        starts = flow.points_of(since) if since is not None else []
        goals = {point.index for point in uses}
        made_here = bool(starts) and not goals.issubset({start.index for start in starts})
        begin = starts if made_here else [flow.entry]
        return find(begin, lambda point: point.index in goals, avoiding=lambda point: point.index in guards) is None

    def points(
        self, flow: Flow, places: Collection[str], counts: Callable[[cst.BaseExpression], bool] = lambda bound: True
    ) -> Iterator[Point]:
        """Points past which one of `places` is bounded."""
        for point, (small, big) in self._bounds_of(flow):
            if self.mentions(small, places) and not self.mentions(big, places) and self.meaningful(big) and counts(big):
                yield point
        clips, calls = self._checks_of(flow)
        for place in places:
            yield from clips.get(place, ())
            for call in calls.get(place, ()):
                if self.validates(call, places):
                    yield from flow.points_of(call)

    def _checks_of(self, flow: Flow) -> tuple[dict[str, list[Point]], dict[str, list[cst.Call]]]:
        """By place: the points at which it is replaced by a bound, and the calls that are given something made of it."""
        if id(flow) not in self._checks:
            clips: dict[str, list[Point]] = defaultdict(list)
            calls: dict[str, list[cst.Call]] = defaultdict(list)
            for point in flow.points:
                if point.kind == "statement" and isinstance(point.node, cst.Assign) and self._clips(point.node):
                    for target in point.node.targets:
                        if (
                            isinstance(target.target, (cst.Name, cst.Attribute))
                            and (place := self.facts.origins.place(target.target)) is not None
                        ):
                            clips[place].append(point)
            for call in self.facts.summaries.calls_of(flow.root):
                for place in {place for arg in call.args for place in self.places(arg.value)}:
                    calls[place].append(call)
            self._checks[id(flow)] = clips, calls
        return self._checks[id(flow)]

    def mentions(self, expression: cst.CSTNode, places: Collection[str]) -> bool:
        """True when an expression is made of one of these places, directly or through names of the function."""
        return not self.places(expression).isdisjoint(places)

    def places(self, expression: cst.CSTNode) -> frozenset[str]:
        """Keys of the places an expression is made of; see `Origins.place`."""
        key = id(expression)
        if key not in self._places:
            self._places[key] = frozenset()
            found = set(self._direct_places(expression))
            for node in descendants(expression, into_definitions=False):
                if isinstance(node, cst.Name):
                    for origin in self.facts.origins.trail(node)[1:8]:
                        if origin.how in ("value", "augmented") and not isinstance(origin.node, (cst.FunctionDef, cst.ClassDef)):
                            found.update(self._direct_places(origin.node))
            self._places[key] = frozenset(found)
        return self._places[key]

    def _direct_places(self, expression: cst.CSTNode) -> Iterator[str]:
        stack: list[cst.CSTNode] = [expression]
        while stack:
            node = stack.pop()
            if isinstance(node, (cst.Name, cst.Attribute)):
                if isinstance(node, cst.Name) and node.value in ("self", "cls"):
                    continue
                if (place := self.facts.origins.place(node)) is not None:
                    yield place
                    continue
            if isinstance(node, cst.Call):
                stack += [arg.value for arg in node.args]
                if isinstance(node.func, cst.Attribute):
                    stack.append(node.func.value)
            elif not isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Lambda)):
                stack += list(children(node))

    def meaningful(self, bound: cst.BaseExpression) -> bool:
        """False for a bound that no machine reaches, such as sys.maxsize."""
        try:
            value = self.facts.constant(bound)
        except NotConstant:
            return True
        return not isinstance(value, (int, float)) or value < NO_BOUND

    def _clips(self, assign: cst.Assign) -> bool:
        """`size = MAX_SIZE`: the quantity is replaced by a bound."""
        try:
            return isinstance(self.facts.constant(assign.value), int) and self.meaningful(assign.value)
        except NotConstant:
            return isinstance(assign.value, (cst.Name, cst.Attribute)) and named_like(
                last_name(assign.value), "max*", "*_max", "*limit*", "*cap"
            )

    # -- tests -------------------------------------------------------------------------------------------------------

    def _bounds_of(self, flow: Flow) -> list[tuple[Point, Bound]]:
        if id(flow) not in self._bounds:
            found: list[tuple[Point, Bound]] = []
            for point in flow.points:
                if point.kind == "branch" and point.node is not None and point.outcome is not None:
                    found += [(point, bound) for bound in bounds(point.node, point.outcome)]
                elif point.kind == "statement" and isinstance(point.node, cst.Assert):
                    found += [(point, bound) for bound in bounds(point.node.test, True)]
            self._bounds[id(flow)] = found
        return self._bounds[id(flow)]

    def _chosen(self, places: Collection[str], at: cst.CSTNode, counts: Callable[[cst.BaseExpression], bool]) -> bool:
        """`read(n) if n < LIMIT else b""`, `n < LIMIT and read(n)`, `[... for n in sizes if n < LIMIT]`."""
        below: cst.CSTNode = at
        for node in self.facts.tree.ancestors(at):
            known: Iterable[Bound] = ()
            if isinstance(node, cst.IfExp) and below is not node.test:
                known = bounds(node.test, below is node.body)
            elif isinstance(node, cst.BooleanOperation) and below is node.right:
                known = bounds(node.left, isinstance(node.operator, cst.And))
            elif isinstance(node, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
                return False
            if any(self.mentions(small, places) and self.meaningful(big) and counts(big) for small, big in known):
                return True
            below = node
        return False

    # -- helpers that check ------------------------------------------------------------------------------------------

    def validates(self, call: cst.Call, places: Collection[str]) -> bool:
        """`self._check_length(n)`: a helper of this file that raises on a bound of its parameter, or an imported one named so."""
        if id(call) not in self._checkers:
            self._checkers[id(call)] = self.facts.types.callee(call) or self._is_named_checker(call)
        callee = self._checkers[id(call)]
        if callee is False:
            return False
        given = [arg.value for arg in call.args if self.mentions(arg.value, places)]
        if not given or callee is True:
            return bool(given)
        method = self.facts.types.is_bound_method(callee) and isinstance(call.func, cst.Attribute)
        return any(
            self.refuses(callee, parameter)
            for parameter, value in bound_arguments(call, callee, method=method)
            if any(value is one for one in given)
        )

    def _is_named_checker(self, call: cst.Call) -> bool:
        name = last_name(call.func)
        return self.facts.names.qualified(call.func) == "builtins.min" or named_like(name, *_VALIDATORS) and not named_like(name, *_UNSAID)

    def parameter_place(self, function: cst.FunctionDef | cst.Lambda, parameter: cst.Param) -> str | None:
        """The key of the place that a parameter is inside its function."""
        found = self.facts.names.lookup_in(self.facts.names.scope_of(function.body), parameter.name.value)
        return f"{id(found[0])}:{parameter.name.value}" if found is not None else None

    def refuses(self, function: cst.FunctionDef | cst.Lambda, parameter: cst.Param) -> bool:
        """True when a function of this file comes back only when its parameter is within a bound."""
        key = id(parameter)
        if key not in self._validated:
            self._validated[key] = False  # recursion
            place = self.parameter_place(function, parameter)
            flow = self.facts.flow(function)
            guards = {point.index for point in self.points(flow, {place})} if place else set()
            self._validated[key] = bool(guards) and (
                find(
                    [flow.entry],
                    lambda point: point is flow.returned,
                    avoiding=lambda point: point.index in guards,
                    raising=False,
                )
                is None
            )
        return self._validated[key]


def bounds(test: cst.CSTNode, outcome: bool) -> Iterator[Bound]:
    """What is known to be no more than what when a test went this way."""
    for node, truth in implied(test, outcome):
        if isinstance(node, cst.Comparison):
            yield from _of_comparison(node, truth)
        elif isinstance(node, cst.BooleanOperation):
            yield from _with_optional_limit(node, truth)


def _of_comparison(node: cst.Comparison, truth: bool) -> Iterator[Bound]:
    left = node.left
    if not truth and len(node.comparisons) > 1:
        return
    for target in node.comparisons:
        right, operator = target.comparator, target.operator
        if isinstance(operator, (cst.LessThan, cst.LessThanEqual)):
            yield (left, right) if truth else (right, left)
        elif isinstance(operator, (cst.GreaterThan, cst.GreaterThanEqual)):
            yield (right, left) if truth else (left, right)
        elif isinstance(operator, (cst.In, cst.NotIn)):
            if truth is isinstance(operator, cst.In):
                yield left, right
        elif isinstance(operator, (cst.Equal, cst.NotEqual)) and truth is isinstance(operator, cst.Equal):
            yield left, right
            yield right, left
        left = right


def _with_optional_limit(node: cst.BooleanOperation, truth: bool) -> Iterator[Bound]:
    """`limit is not None and n > limit` that is false bounds n, as far as there is a limit; so does `not limit or n <= limit`."""
    if truth is isinstance(node.operator, cst.And):
        return
    for one, other in ((node.left, node.right), (node.right, node.left)):
        for small, big in bounds(one, truth):
            names = {
                text for part in descendants(big) if (text := last_name(part)) and isinstance(part, (cst.Name, cst.Attribute))
            }
            said = {
                text for part in descendants(other) if (text := last_name(part)) and isinstance(part, (cst.Name, cst.Attribute))
            }
            if names & said:
                yield small, big
