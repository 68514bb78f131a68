"""Where a function acknowledges: calls, offsets, `with message.process()`, and helpers of the file that do only that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, argument
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.matching import Match

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

Function = cst.FunctionDef | cst.Lambda | cst.Module


@dataclass(slots=True, eq=False)
class Ack:
    """One place at which a message is acknowledged."""

    node: cst.CSTNode  # the call, or the `with` item whose end acknowledges
    match: Match
    function: Function

    @property
    def cumulative(self) -> bool:
        """True for an offset, which covers the messages before it too."""
        return bool(self.match.row.get("cumulative"))

    @property
    def confidence(self) -> Confidence:
        """How sure it is that this acknowledges."""
        return self.match.confidence


class Acks:
    """The acknowledgements of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def all(self) -> list[Ack]:
        """Every acknowledgement in the file, in source order of the calls."""
        found = [self._at(match.call, match) for match in self.facts.calls("ack") if self.acknowledges(match)]
        for match in self.facts.calls("ack-context"):
            if (item := self.facts.tree.parent(match.call)) is not None and isinstance(item, cst.WithItem):
                found.append(self._at(item, match))
        helpers = {
            id(ack.function): ack for ack in found if isinstance(ack.function, cst.FunctionDef) and self._only_acks(ack.function)
        }
        for ack in list(helpers.values()):
            assert isinstance(ack.function, cst.FunctionDef)
            found += [self._at(call, ack.match) for call in self.facts.types.callers(ack.function)]
        return found

    def acknowledges(self, match: Match) -> bool:
        """False for a call that takes the operation as an argument and is not told to acknowledge."""
        parameter = match.row.parameter("operation")
        if parameter is None:
            return True
        try:
            return self.facts.constant(argument(match.call, parameter)) in match.row.get("operations", ())
        except NotConstant:
            return False

    def points(self, ack: Ack) -> list[Point]:
        """The flow points at which it happens; for a `with` item where it is left without an exception."""
        flow = self.facts.flow(ack.function)
        return flow.exits_of(ack.node) if isinstance(ack.node, cst.WithItem) else flow.points_of(ack.node)

    def _at(self, node: cst.CSTNode, match: Match) -> Ack:
        return Ack(node, match, self.facts.tree.function_of(node) or self.facts.tree.module)

    def _only_acks(self, function: cst.FunctionDef) -> bool:
        """True for a helper such as `_ack(message)` that does no work itself."""
        name = function.name.value.lower()
        return ("ack" in name or "commit" in name or name.startswith(("_delete", "delete", "complete"))) and not any(
            work.match is None or work.match.row.kind != "commit" for work in self.facts.work.of(function)
        )
