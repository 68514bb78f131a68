"""What words say to the groups of needs of a screen, found out once for each word that is met."""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from safeboundary_lint.core.literals import literals

_REMEMBERED = 200_000  # different words that are remembered


class Group(Protocol):
    """Needs of which one has to be met."""

    bit: int
    exact: Collection[str]  # words that may help to meet one
    patterns: Collection[str]  # regular expressions, in lower case or not, for more of them
    matching: set[str]  # words that were met and match

    @property
    def pattern(self) -> Callable[[str], object] | None:
        """The search for them."""

    @property
    def names(self) -> Callable[[str], object] | None:
        """A search in names of functions and classes."""


class Hint:
    """Words, and patterns for them, that do not meet a group of needs but may help to."""

    names = None

    def __init__(self, bit: int, words: Iterable[str]) -> None:
        self.bit = bit
        several = list(words)
        self.exact = frozenset(word for word in several if not word.startswith("%"))
        self.patterns = [word[1:] for word in several if word.startswith("%")]
        self.pattern = search(self.patterns)
        self.matching: set[str] = set()

    def __bool__(self) -> bool:
        """True when there are any."""
        return bool(self.exact or self.patterns)

    def stands_among(self, words: frozenset[str]) -> bool:
        """True when one of them is there."""
        return not words.isdisjoint(self.exact) or not words.isdisjoint(self.matching)


class Meanings:
    """By word the bits of the groups that it may help to meet."""

    def __init__(self) -> None:
        self.bits: dict[str, int] = {}  # of those that help any
        self._known: set[str] = set()  # the others too
        self._telling: set[str] = set()
        self._exact: dict[str, int] = defaultdict(int)
        self._stems: dict[str, list[Group]] = defaultdict(list)  # by a text of which each match has one
        self._open: list[Group] = []  # no such text is known
        self._names: dict[str, int] = {}
        self._naming: list[Group] = []

    def take(self, group: Group) -> None:
        """Count a further group in: what was said of words before is out of date."""
        self._forget()
        for word in group.exact:
            self._exact[word] |= group.bit
        if group.pattern is not None:
            stems = [literals(pattern) for pattern in group.patterns]
            if None in stems:
                self._open.append(group)
            for stem in frozenset().union(*(one for one in stems if one is not None)) if None not in stems else ():
                self._stems[stem].append(group)
        if group.names is not None:
            self._naming.append(group)

    def _forget(self) -> None:
        for several in (self.bits, self._known, self._telling, self._names):
            several.clear()

    def telling(self, words: frozenset[str]) -> frozenset[str]:
        """Those of some words that may help to meet anything."""
        if len(self._known) > _REMEMBERED:
            self._forget()
        if unknown := words - self._known:  # sets, and no look at each word: nearly all are known, and most say nothing
            for word in unknown & self._exact.keys():
                self.bits[word] = self._exact[word]
            for word, group in self._candidates(unknown):
                if word not in group.matching and group.pattern is not None and group.pattern(word):
                    group.matching.add(word)
                if word in group.matching:
                    self.bits[word] = self.bits.get(word, 0) | group.bit
            self._telling |= unknown & self.bits.keys()
            self._known |= unknown
        return words & self._telling

    def _candidates(self, words: Collection[str]) -> Iterator[tuple[str, Group]]:
        """Words with the groups of which a pattern may match: a plain search in all of them at once is faster than one in each."""
        listed = list(words)
        yield from itertools.product(listed, self._open)
        text = "\n".join(listed).lower()
        starts = [0, *itertools.accumulate(len(word) + 1 for word in text.split("\n"))]
        for stem, groups in self._stems.items():
            at = text.find(stem)
            while at >= 0:
                index = bisect.bisect_right(starts, at) - 1
                yield from ((listed[index], group) for group in groups)
                at = text.find(stem, starts[index + 1])

    def of_names(self, names: Iterable[str]) -> int:
        """The bits of the groups that are met where functions or classes with these names are defined."""
        found = 0
        for name in names if self._naming else ():
            if name not in self._names:
                several = (group.bit for group in self._naming if group.names is not None and group.names(name))
                self._names[name] = functools.reduce(operator.or_, several, 0)
            found |= self._names[name]
        return found


def search(alternatives: Iterable[str]) -> Callable[[str], object] | None:
    """A test whether one of some patterns is found in a word, whatever the case."""
    several = list(alternatives)
    if not several:
        return None
    # The lowered word is searched four times as fast as the engine ignores the case; not so for a pattern with capitals.
    search = re.compile("|".join(f"(?:{one})" for one in several if one == one.lower()) or r"(?!)").search
    if not (written := "|".join(f"(?:{one})" for one in several if one != one.lower())):
        return lambda word: search(word.lower())
    as_written = re.compile(written, re.IGNORECASE).search
    return lambda word: search(word.lower()) or as_written(word)
