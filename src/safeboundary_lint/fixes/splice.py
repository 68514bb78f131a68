"""Edits as splices of a text: in order, without overlaps, all or none."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.source import LINE_END, Source


class Conflict(ValueError):
    """Splices that cannot be made together."""


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """The characters from `start` up to `end` give way to `text`."""

    start: int
    end: int
    text: str

    @classmethod
    def of(cls, edit: Edit, source: Source) -> Splice:
        """The splice of an edit, with the line ends used around it. Raises ValueError for a place the source does not have."""
        start, end = source.extent(edit.span)
        return cls(start, end, LINE_END.sub(source.line_end_at(start), edit.text))

    def meets(self, other: Splice) -> bool:
        """True when both change the same characters, or one inserts where the other starts, ends or inserts."""
        if self.start == self.end or other.start == other.end:
            return self.start <= other.end and other.start <= self.end
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Patch:
    """Splices in order. Several insertions at one place keep the order they came in."""

    splices: tuple[Splice, ...]

    @classmethod
    def of(cls, splices: Iterable[Splice]) -> Patch:
        """The patch of these splices. Raises Conflict when two of them change the same characters."""
        ordered = sorted(splices, key=lambda splice: (splice.start, splice.end))
        for before, after in zip(ordered, ordered[1:]):
            if after.start < before.end:
                raise Conflict("its edits overlap")
        return cls(tuple(ordered))

    def apply(self, text: str) -> str:
        """`text` with every splice made."""
        parts, done = [], 0
        for splice in self.splices:
            parts += [text[done : splice.start], splice.text]
            done = splice.end
        return "".join([*parts, text[done:]])

    def moved(self, offset: int) -> int:
        """Where the character at `offset` of the old text stands in the new one; of one that is gone, where its splice starts."""
        shift = 0
        for splice in self.splices:
            if splice.end > offset:
                return min(offset, splice.start) + shift
            shift += len(splice.text) - (splice.end - splice.start)
        return offset + shift


class Kept:
    """What old and new text have in common: the characters outside the splices, counted from 0.

    Both texts are measured in these, so that a node of the old tree and one of the new tree can be compared. All of
    a splice, its edges included, is the one point where it stood.
    """

    def __init__(self, removed: Sequence[tuple[int, int]]) -> None:
        self.removed = removed
        self._starts = [start for start, _ in removed]
        self._ends = [end for _, end in removed]
        self._gone = [0]
        for start, end in removed:
            self._gone.append(self._gone[-1] + end - start)

    @classmethod
    def before(cls, patch: Patch) -> Kept:
        """Measures the old text."""
        return cls([(splice.start, splice.end) for splice in patch.splices])

    @classmethod
    def after(cls, patch: Patch) -> Kept:
        """Measures the new text."""
        removed, shift = [], 0
        for splice in patch.splices:
            removed.append((splice.start + shift, splice.start + shift + len(splice.text)))
            shift += len(splice.text) - (splice.end - splice.start)
        return cls(removed)

    def __call__(self, offset: int) -> int:
        """The number of kept characters before `offset`: equal for all offsets of one splice."""
        index = bisect.bisect_right(self._starts, offset)
        if index and offset < self._ends[index - 1]:
            return self._starts[index - 1] - self._gone[index - 1]
        return offset - self._gone[index]
