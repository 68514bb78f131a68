"""What an identifier is put together from, and whether a clock is all that tells it from the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant
from safeboundary_lint.core.clocks import FILE_TIME, WALL, ClockValue
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes.ordering import is_identity, snake

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_CHANGES = Regex(r"(^|_)(version|revision|generation|etag)$")
_UNIQUE = Regex(
    r"uuid|ulid|rand|token|secret|urandom|counter|count|seq|next|getpid|pid|index|idx|hash|hex|digest|sha\d|md5|choice|"
    r"shortuuid|nanoid|unique|suffix|salt|serial|checksum"
)
_FORMATTING = Regex(r"iso|format|stamp|date|time|str|int|encode|quote|slug|hex|b64|hash|md5|sha")
_KEPT = frozenset("str int float round repr format hex bytes bytearray".split())
_METHODS = frozenset(
    "strftime isoformat timestamp replace encode decode hexdigest digest lower upper strip zfill rjust ljust format join "
    "astimezone date".split()
)
_BUDGET = 60


@dataclass(eq=False)
class Recipe:
    """Parts of an identifier: clock readings, parts that make it unique, whether it is kept in order or names a period."""

    stamps: list[tuple[cst.CSTNode, ClockValue]]
    unique: list[cst.CSTNode]
    guarded: bool = False
    period: bool = False
    named: int = 0  # other parts that vary, without being unique
    identified: bool = False  # one of those is itself an identifier


class Identities:
    """Identifiers of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def recipe(self, expression: cst.CSTNode) -> Recipe:
        """What the value is put together from."""
        found = Recipe([], [])
        queue, seen = [expression], {id(expression)}
        for node in queue:  # grows while it is walked
            if len(queue) > _BUDGET:
                break
            for part in self._parts(node, found):
                if id(part) not in seen:
                    seen.add(id(part))
                    queue.append(part)
        return found

    def _parts(self, node: cst.CSTNode, found: Recipe) -> Iterator[cst.CSTNode]:
        if isinstance(node, cst.FormattedString):
            yield from (part.expression for part in node.parts if isinstance(part, cst.FormattedStringExpression))
        elif isinstance(node, cst.ConcatenatedString):
            yield from (node.left, node.right)
        elif isinstance(node, cst.BinaryOperation):
            yield from self._operands(node, found)
        elif isinstance(node, (cst.Tuple, cst.List)):
            yield from (element.value for element in node.elements)
        elif isinstance(node, cst.Call):
            yield from self._of_call(node, found)
        else:
            origins = self.facts.origins.step(node)
            if any(self._is_successor(origin.node) for origin in origins):
                found.guarded = True
            if origins:
                self._note_unique(node, found)
                found.identified |= len(origins) > 1 and is_identity(last_name(node) or "")
                yield from (origin.node for origin in origins if origin.how in ("value", "augmented"))
            else:
                self._leaf(node, found)

    def _operands(self, node: cst.BinaryOperation, found: Recipe) -> Iterator[cst.CSTNode]:
        if (
            isinstance(node.operator, (cst.FloorDivide, cst.Divide, cst.Modulo))
            and not self._is_unit(node.right)
            and self._is_number(node.right)
        ):
            found.period = True  # the number of a period, the same for all who ask in it
        elif isinstance(node.operator, (cst.Subtract, cst.Divide)) and not self._is_number(node.right):
            found.period = True  # a span, a rate
        else:
            yield from (node.left, node.right)

    def _of_call(self, call: cst.Call, found: Recipe) -> Iterator[cst.CSTNode]:
        values = [value for domain in (WALL, FILE_TIME) if (value := self.facts.clocks.own_reading(call, domain)) is not None]
        called = (last_name(call.func) or "").lower()
        if self.facts.names.qualified(call.func) == "builtins.max" and len(call.args) > 1:
            found.guarded = True
        elif values and any(reading.node is call for reading in values[0].readings):
            found.stamps.append((call, values[0]))
        elif isinstance(call.func, cst.Attribute) and call.func.attr.value in _METHODS:
            yield from (call.func.value, *(arg.value for arg in call.args))
        elif _UNIQUE.search(called):
            found.unique.append(call)
            yield from (arg.value for arg in call.args)
        elif (origins := self.facts.origins.step(call)) and not call.args:
            yield from (origin.node for origin in origins)
        elif called in _KEPT or len(call.args) == 1 and _FORMATTING.search(called):
            yield from (arg.value for arg in call.args)
        else:
            self._leaf(call, found)

    def _leaf(self, node: cst.CSTNode, found: Recipe) -> None:
        values = [value for domain in (WALL, FILE_TIME) if (value := self.facts.clocks.own_reading(node, domain)) is not None]
        if values:
            found.stamps.append((node, values[0]))
        elif not self._note_unique(node, found):
            try:
                self.facts.constant(node)
            except NotConstant:
                found.named += 1
                found.identified |= is_identity(last_name(node) or "")

    def _note_unique(self, node: cst.CSTNode, found: Recipe) -> bool:
        name = (last_name(node) or "").lower()
        if _UNIQUE.search(name) or name in ("i", "n", "k"):
            found.unique.append(node)
            return True
        return False

    def _is_successor(self, node: cst.CSTNode) -> bool:
        """`last + 1`: the value is kept above the one before."""
        return (
            (
                isinstance(node, cst.BinaryOperation)
                and isinstance(node.operator, cst.Add)
                and self._is_number(node.right)
                and self.facts.clocks.own_reading(node.left) is None
            )
            or isinstance(node, cst.Call)
            and bool(node.args)
            and self._is_successor(node.args[0].value)
        )

    def _is_number(self, node: cst.CSTNode) -> bool:
        try:
            return isinstance(self.facts.constant(node), (int, float))
        except NotConstant:
            return False

    def _is_unit(self, node: cst.CSTNode) -> bool:
        try:
            value = self.facts.constant(node)
        except NotConstant:
            return False
        return isinstance(value, (int, float)) and value in (1, 1000, 1_000_000, 1_000_000_000)

    def is_kept_in_order(self, target: cst.CSTNode) -> bool:
        """True when a variable is only the proposal: it goes through `max`, or is compared with the one before by its order."""
        tree = self.facts.tree
        for use in self.facts.readings.uses(target):
            parent = tree.parent(use)
            if (
                isinstance(parent, cst.Arg)
                and isinstance(call := tree.parent(parent), cst.Call)
                and self.facts.names.qualified(call.func) == "builtins.max"
            ):
                return True
            comparison = (
                parent
                if isinstance(parent, cst.Comparison)
                else tree.parent(parent)
                if isinstance(parent, cst.ComparisonTarget)
                else None
            )
            if isinstance(comparison, cst.Comparison) and not isinstance(
                comparison.comparisons[0].operator, (cst.Equal, cst.NotEqual, cst.Is, cst.IsNot)
            ):
                return True
        return False


def is_version(name: str) -> bool:
    """True for a name of something that only has to change when the thing does."""
    return bool(_CHANGES.search(snake(name).replace("-", "_")))
