"""What a function of this file does: the calls of a kind it makes itself or through helpers of this file."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.matching import Match

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_LEVELS = 3


@dataclass(slots=True, eq=False)
class Effect:
    """A call that has an effect of some kind: itself, or through helpers."""

    call: cst.Call  # in the function asked about
    match: Match  # what happens in the end
    via: tuple[cst.FunctionDef | cst.Lambda, ...] = ()  # helpers in between, outermost first


class Summaries:
    """Effects of the functions of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._calls: dict[int, list[cst.Call]] | None = None
        self._effects: dict[tuple[int, tuple[str, ...], int], list[Effect]] = {}

    def calls_of(self, function: cst.CSTNode) -> list[cst.Call]:
        """Calls that a function (or the module) makes itself, nested functions left out, in source order."""
        if self._calls is None:
            self._calls = defaultdict(list)
            tree = self.facts.tree
            for call in tree.all(cst.Call):
                self._calls[id(tree.function_of(call) or tree.module)].append(call)
        return self._calls.get(id(function), [])

    def effects(self, function: cst.CSTNode, *kinds: str, levels: int = _LEVELS) -> list[Effect]:
        """Calls of these kinds that a function makes, also through helpers of this file up to three levels down."""
        key = (id(function), kinds, levels)
        if key not in self._effects:
            self._effects[key] = [effect for call in self.calls_of(function) for effect in self._of_call(call, function, kinds, levels)]
        return self._effects[key]

    def _of_call(self, call: cst.Call, function: cst.CSTNode, kinds: tuple[str, ...], levels: int) -> list[Effect]:
        if (match := self.facts.match(call, *kinds)) is not None:
            return [Effect(call, match)]
        callee = self.facts.types.callee(call) if levels else None
        if callee is None or callee is function:
            return []
        inner = self.effects(callee, *kinds, levels=levels - 1)
        return [Effect(call, inner[0].match, (callee, *inner[0].via))] if inner else []

    def effects_in(self, node: cst.CSTNode, *kinds: str) -> list[Effect]:
        """The effects among the calls that `node` makes when it is evaluated (nested functions left out)."""
        function = self.facts.tree.function_of(node) or self.facts.tree.module
        effects, order = self.effects(function, *kinds), self.facts.tree.order
        first, last = self.facts.tree.extent(node)
        start = bisect_left(effects, first, key=lambda effect: order[id(effect.call)])
        return list(takewhile(lambda effect: order[id(effect.call)] <= last, islice(effects, start, None)))

    def points(self, function: cst.FunctionDef | cst.Lambda | cst.Module, *kinds: str) -> dict[int, list[Effect]]:
        """Effects by index of the flow point at which they happen."""
        flow = self.facts.flow(function)
        found: dict[int, list[Effect]] = defaultdict(list)
        for effect in self.effects(function, *kinds):
            for point in flow.points_of(effect.call):
                found[point.index].append(effect)
        return found

    def always(self, function: cst.FunctionDef | cst.Lambda, *kinds: str) -> bool:
        """True when every normal way through a function has an effect of these kinds."""
        flow = self.facts.flow(function)
        points: list[Point] = [flow.points[index] for index in self.points(function, *kinds)]
        return bool(points) and _passes(flow.entry, flow.returned, {point.index for point in points})


def _passes(start: Point, end: Point, through: set[int]) -> bool:
    seen, stack = {start.index}, [start]
    while stack:
        point = stack.pop()
        if point is end:
            return False
        for succ in point.raising if point.index in through else (*point.succs, *point.raising):
            if succ.index not in seen:
                seen.add(succ.index)
                stack.append(succ)
    return True
