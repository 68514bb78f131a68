"""Is everything outside the splices still read the same way?

The text outside is the same by construction. That says little: in `a * b` the `a` may give way to `x + y`, a quote may
swallow the rest of the line, a lost indent may end a loop. So both trees are laid over the characters they have in
common, and every node that reaches beyond a splice has to be there twice, over the same characters. What a splice may do:

* be anything inside itself: add, change and remove whole nodes;
* change the type of a node by changing one of its own tokens (`finally` to `else`);
* together with a second splice of the same fix, wrap or unwrap what stands between the two (`f(` and `)`). Whoever needs
  a prefix alone (`not x`) therefore replaces the whole of `x`, and whoever indents a block replaces the whole block.
"""

from __future__ import annotations

import bisect
import itertools
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from safeboundary_lint.core.names import Names
from safeboundary_lint.core.parser import parse
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.source import Source
from safeboundary_lint.core.tree import Tree
from safeboundary_lint.fixes.splice import Kept, Patch, Splice

_WHITE_SPACE = (cst.BaseParenthesizableWhitespace, cst.TrailingWhitespace, cst.EmptyLine, cst.Newline)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A node and the offsets in characters between which it stands."""

    node: cst.CSTNode
    start: int
    end: int

    @property
    def tag(self) -> str:
        """What has to be equal of two nodes over the same characters: the type, and for `a < b < c` that it has two parts."""
        parts = f" {len(self.node.comparisons)}" if isinstance(self.node, cst.Comparison) else ""
        return type(self.node).__name__ + parts


class Parsed:
    """A source with its tree. Raises core.syntax.Unparsable."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.module = parse(source.for_parser[0])

    @cached_property
    def placed(self) -> dict[cst.CSTNode, Placed]:
        """Every node but white space with its place, children before parents."""
        wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
        ranges: dict[cst.CSTNode, CodeRange] = wrapper.resolve(PositionProvider)  # type: ignore[assignment]
        offset = self._offset
        return {
            node: Placed(node, offset(place.start.line, place.start.column), offset(place.end.line, place.end.column))
            for node, place in ranges.items()
            if not isinstance(node, _WHITE_SPACE)
        }

    def _offset(self, line: int, column: int) -> int:
        if line > len(self.source.starts):  # LibCST adds a last line end that is not there
            return len(self.source.text)
        return self.source.starts[line - 1] + column + self.source.for_parser[1].get(line, 0)

    @cached_property
    def names(self) -> Names:
        """The names of the file and what binds them."""
        return Names(Tree(self.module))

    @cached_property
    def comments(self) -> list[Placed]:
        """The comments in order."""
        return [placed for placed in self.placed.values() if isinstance(placed.node, cst.Comment)]

    @cached_property
    def compiles(self) -> bool:
        """True when the running Python compiles it too: it knows rules of the language that the grammar does not."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(self.source.text, "<fixed>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            return False
        return True


def _is_bare_walrus(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.NamedExpr) and not node.lpar


def same_outside(old: Parsed, new: Parsed, changes: Sequence[Sequence[Splice]]) -> bool:
    """True when `new`, which is `old` with all splices of `changes` made, is the same tree outside of them."""
    patch = Patch.of(itertools.chain.from_iterable(changes))
    before, after = Kept.before(patch), Kept.after(patch)
    if _common_comments(old, before) != _common_comments(new, after) or not _holes_filled(old, new, patch, after):
        return False
    if any(isinstance(node, cst.FormattedStringExpression) and _is_bare_walrus(node.expression) for node in new.placed):
        return False  # in `f"{x := 1}"` Python reads x, and `= 1` for its format
    weight = _weights(old, patch, before)
    points: dict[int, set[int]] = defaultdict(set)  # where splices stand -> the changes they belong to
    for number, splices in enumerate(changes):
        for splice in splices:
            points[weight[before(splice.start)]].add(number)
    was = _by_place(old, lambda offset: weight[before(offset)])
    now = _by_place(new, lambda offset: weight[after(offset)])
    for place in was.keys() | now.keys():
        there, here = was.get(place, []), now.get(place, [])
        if [one.tag for one in there] == [one.tag for one in here]:
            continue
        if points.get(place[0], set()) & points.get(place[1], set()):  # between two splices of one change
            if _leaves(there) - Counter(one.tag for one in here):
                return False
        elif len(there) != len(here):
            return False
        elif any(one.tag != two.tag and not _own_token_changed(one, old, patch) for one, two in zip(there, here)):
            return False
    return True


def _holes_filled(old: Parsed, new: Parsed, patch: Patch, after: Kept) -> bool:
    """False when a splice replaces a whole node by text of which a part belongs to what stands beside it."""
    nodes = {(placed.start, placed.end) for placed in old.placed.values()}
    filled = [inserted for splice, inserted in zip(patch.splices, after.removed) if (splice.start, splice.end) in nodes]
    starts = [start for start, _ in filled]

    def inside(offset: int) -> tuple[int, int] | None:
        index = bisect.bisect_left(starts, offset) - 1
        return filled[index] if index >= 0 and offset < filled[index][1] else None

    for placed in new.placed.values():
        first, last = inside(placed.start), inside(placed.end)
        if (first and placed.end > first[1]) or (last and placed.start < last[0]):
            return False
    return True


def _common_comments(parsed: Parsed, kept: Kept) -> set[tuple[int, int]]:
    places = ((kept(comment.start), kept(comment.end)) for comment in parsed.comments)
    return {(start, end) for start, end in places if start < end}


def _weights(old: Parsed, patch: Patch, before: Kept) -> list[int]:
    """For each number of kept characters how many of them are code, so that a block may end before or after a line end."""
    common = Patch(tuple(Splice(splice.start, splice.end, "") for splice in patch.splices)).apply(old.source.text)
    code = bytearray(not character.isspace() for character in common)
    for comment in old.comments:
        start, end = before(comment.start), before(comment.end)
        code[start:end] = bytes(end - start)
    return [0, *itertools.accumulate(code)]


def _by_place(parsed: Parsed, measure: Callable[[int], int]) -> dict[tuple[int, int], list[Placed]]:
    found: dict[tuple[int, int], list[Placed]] = defaultdict(list)
    for placed in parsed.placed.values():
        start, end = measure(placed.start), measure(placed.end)
        if start < end:
            found[start, end].append(placed)
    return found


def _leaves(several: list[Placed]) -> Counter[str]:
    return Counter(one.tag for one in several if all(isinstance(child, _WHITE_SPACE) for child in one.node.children))


def _own_token_changed(one: Placed, old: Parsed, patch: Patch) -> bool:
    children = [old.placed[child] for child in one.node.children if child in old.placed]
    return any(
        one.start <= splice.start
        and splice.end <= one.end
        and not any(child.start <= splice.start and splice.end <= child.end for child in children)
        for splice in patch.splices
    )
