"""Where a clock reading goes: which readings must change clocks together, and what stands in the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.clocks import CONSTANT, DURATION, NOTHING, UNKNOWN, WALL
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Confidence, Edit
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import Binding, last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.steps import assigned

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)
_IDENTITIES = (cst.Is, cst.IsNot)
_KEEPING = ("builtins.int", "builtins.float", "builtins.round")
_STAMP = Regex(r"(^|_)(start|started|begin|since|last|stamp|timestamp|ts|at|date|created|updated|modified|mtime)(_|$)")
_BUDGET = 200


@dataclass(eq=False)
class Closure:
    """Readings that have to change together; `obstacle` is a use that needs the date, with what it is."""

    readings: list[Match] = field(default_factory=list)
    obstacle: tuple[cst.CSTNode, str] | None = None
    local: bool = True  # every value stays in variables of one function
    variables: set[int] = field(default_factory=set)  # those followed already


class Readings:
    """Uses of the clock readings of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._attributes: dict[str, list[cst.Attribute]] | None = None

    # -- where variables and attributes are read --------------------------------------------------------------------------

    def uses(self, target: cst.CSTNode) -> Iterator[cst.Name]:
        """Where a variable of a function is read."""
        if not isinstance(target, cst.Name) or (found := self.facts.names.lookup(target)) is None:
            return
        targets = {id(binding.target) for binding in found[1]}
        yield from (name for name in self._bound.get(id(found[1]), ()) if id(name) not in targets)

    @cached_property
    def _bound(self) -> dict[int, list[cst.Name]]:
        """Names by the list of bindings that they stand for."""
        names: dict[int, list[cst.Name]] = defaultdict(list)
        for node in self.facts.tree.all(cst.Name):
            if (found := self.facts.names.lookup(node)) is not None:
                names[id(found[1])].append(node)
        return names

    def _attributed(self, name: str) -> list[cst.Attribute]:
        if self._attributes is None:
            self._attributes = defaultdict(list)
            for node in self.facts.tree.all(cst.Attribute):
                self._attributes[node.attr.value].append(node)
        return self._attributes.get(name, [])

    # -- what must change together -------------------------------------------------------------------------------------

    def closure(self, readings: Iterable[Match]) -> Closure:
        """All readings that meet these, through variables of one function and private attributes of a class."""
        found = Closure()
        followed: set[int] = set()
        read: set[int] = set()
        queue: list[cst.CSTNode] = []

        def add(several: Iterable[Match]) -> None:
            for match in several:
                if id(match.node) not in read:
                    read.add(id(match.node))
                    found.readings.append(match)
                    queue.append(match.node)

        add(readings)
        for node in queue:  # grows while it is walked
            if id(node) in followed:
                continue
            followed.add(id(node))
            if len(followed) > _BUDGET:
                found.obstacle = (node, "it goes too many ways")
            if found.obstacle is not None:
                break
            self._follow(node, found, queue, add)
        return found

    def _follow(self, node: cst.CSTNode, found: Closure, queue: list[cst.CSTNode], add: object) -> None:
        parent = self.facts.tree.parent(node)
        if isinstance(parent, cst.BinaryOperation) and isinstance(parent.operator, (cst.Add, cst.Subtract)):
            other = parent.right if parent.left is node else parent.left
            met = self._met(other, found, add)
            if met and isinstance(parent.operator, cst.Subtract):
                return
            if not met and self._is_span(other) and (parent.left is node or isinstance(parent.operator, cst.Add)):
                queue.append(parent)
                return
            found.obstacle = found.obstacle or (parent, "meets a value that is not read here")
        elif isinstance(parent, (cst.Comparison, cst.ComparisonTarget)):
            self._follow_comparison(node, parent, found, add)
        elif isinstance(parent, (cst.Assign, cst.AnnAssign)) and parent.value is node:
            for target in assigned(parent):
                self._follow_target(target, found, queue, add)
        elif isinstance(parent, cst.IfExp) and node is not parent.test:
            other = parent.orelse if parent.body is node else parent.body
            if self.facts.is_constant(other, None) or self._met(other, found, add):
                queue.append(parent)
            else:
                found.obstacle = found.obstacle or (parent, "may be another value")
        elif isinstance(parent, cst.Arg) and isinstance(call := self.facts.tree.parent(parent), cst.Call):
            if self.facts.names.qualified(call.func) in _KEEPING:
                queue.append(call)
            else:
                found.obstacle = (parent.value, f"is handed to `{self.facts.code(call.func, 40)}`")
        else:
            found.obstacle = (node, "is used as a date or handed on")

    def _follow_comparison(self, node: cst.CSTNode, parent: cst.CSTNode, found: Closure, add: object) -> None:
        comparison = parent if isinstance(parent, cst.Comparison) else self.facts.tree.parent(parent)
        assert isinstance(comparison, cst.Comparison)
        target = comparison.comparisons[0]
        other = target.comparator if comparison.left is node else comparison.left
        if len(comparison.comparisons) == 1:
            if isinstance(target.operator, _IDENTITIES) and self.facts.is_constant(other, None):
                return
            if isinstance(target.operator, _ORDERINGS) and self._met(other, found, add):
                return
        found.obstacle = found.obstacle or (comparison, "is compared with a value that is not read here")

    def _follow_target(self, target: cst.CSTNode, found: Closure, queue: list[cst.CSTNode], add: object) -> None:
        if (
            isinstance(target, cst.Name)
            and (known := self.facts.names.lookup(target)) is not None
            and isinstance(known[0].node, cst.FunctionDef)
        ):
            bindings: list[Binding] = known[1]
            if id(bindings) in found.variables:
                return
            found.variables.add(id(bindings))
            queue += self.uses(target)
        elif (
            isinstance(target, cst.Attribute)
            and (cls := self.facts.types.named_class(target.value)) is not None
            and _is_private(target.attr.value)
        ):
            found.local = False
            bindings = self.facts.origins.attribute_bindings(target)
            bound = {id(binding.target) for binding in bindings}
            for use in self._attributed(target.attr.value):
                if self.facts.types.named_class(use.value) is not cls:
                    found.obstacle = (use, "is used by another class")
                elif id(use) not in bound:
                    queue.append(use)
        else:
            found.obstacle = (target, "keeps it where other code can reach it")
            return
        for binding in bindings:
            if binding.how == "annotated" or binding.how == "value" and self.facts.is_constant(binding.source, None):
                continue
            if binding.how != "value" or binding.source is None or not self._met(binding.source, found, add):
                found.obstacle = found.obstacle or (binding.target, "is given another value")

    def _met(self, other: cst.CSTNode, found: Closure, add: object) -> bool:
        """True when `other` is a wall reading of this process or None; its readings join the closure then.

        Never for a number: 0 is long ago on one clock and just now on the other.
        """
        values = self.facts.clocks.values(other)
        if not all(value.domain == WALL and value.readings or value.domain == NOTHING for value in values):
            return False
        add([reading for value in values for reading in value.readings])  # type: ignore[operator]
        return any(value.readings for value in values)

    def _is_span(self, other: cst.CSTNode) -> bool:
        """True for a duration, a number, or something unknown that is not named like a moment."""
        known = all(value.domain in (DURATION, CONSTANT, UNKNOWN) for value in self.facts.clocks.values(other))
        return known and not _STAMP.search((last_name(other) or "").lower())

    # -- edits ---------------------------------------------------------------------------------------------------------

    def steadied(self, reading: Match) -> tuple[Edit, tuple[str, ...]] | None:
        """The edit, and the imports, that make a reading one of the clock that only goes forward; None where its kind can't."""
        steady, call = reading.row.get("steady"), reading.node
        if steady is None or reading.confidence is not Confidence.HIGH or not isinstance(call, cst.Call) or call.args:
            return None
        module = reading.dotted.rpartition(".")[0]
        if isinstance(call.func, cst.Attribute):
            return replaced(self.facts, call.func.attr, steady), ()
        bound = self.facts.names.lookup_in(self.facts.names.scope_of(call), steady)
        if bound is not None and any(binding.dotted != f"{module}.{steady}" for binding in bound[1]):
            return None
        return replaced(self.facts, call.func, steady), (f"from {module} import {steady}",)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")
