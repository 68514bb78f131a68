"""What words say to the groups of needs of a screen, found out once for each word that is met."""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from safeboundary_lint.core.words import Words

_REMEMBERED = 200_000  # different words that are remembered
_NUMBERS = ":"  # what is smaller starts with a digit
_SHORT = 5  # so many characters are no short word any more: of shorter numbers there are few


class Way(Protocol):
    """One way to meet a row of the knowledge, that not every file is open to."""

    @property
    def anywhere(self) -> bool:
        """True when any file is open to it."""

    def open_to(self, words: Words) -> bool:
        """True when a file with these words may meet the row."""


class Group(Protocol):
    """Needs of which one has to be met."""

    bit: int
    patterns: Collection[str]  # regular expressions, in lower case or not, for words that may help to meet one
    matching: set[str]  # words that were met and match

    @property
    def sure(self) -> Collection[str]:
        """Words that may help to meet one, whatever else there is."""

    def rows(self) -> Iterable[tuple[str, Way]]:
        """Words that do so in files that are open to these ways."""


class _Search(NamedTuple):
    """One pattern of a group for words in which its text was found, and where the words go that it finds."""

    group: Group
    pattern: str
    plain: bool  # where its text stands, it matches
    found: dict[str, int]

    def ask(self, word: str) -> None:
        """Note a word that it finds something in."""
        matching = self.group.matching
        if word not in matching:
            if not (self.plain or _finder(self.pattern)(word)):
                return
            matching.add(word)
        self.found[word] = self.found.get(word, 0) | self.group.bit


@functools.cache
def _finder(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Whether a pattern finds something in a word, whatever the case; compiled when it is first asked."""
    if pattern == pattern.lower():  # the lowered word is searched four times as fast as the engine ignores the case
        search = re.compile(pattern).search
        return lambda word: search(word.lower())
    return re.compile(pattern, re.IGNORECASE).search


class Hint:
    """Words, and patterns for them, that do not meet a group of needs but may help to."""

    def __init__(self, bit: int, words: Iterable[str]) -> None:
        self.bit = bit
        several = list(words)
        self.sure = frozenset(word for word in several if not word.startswith("%"))
        self.patterns = [word[1:] for word in several if word.startswith("%")]
        self.matching: set[str] = set()

    def rows(self) -> Iterable[tuple[str, Way]]:
        """None: rows meet groups."""
        return ()

    def __bool__(self) -> bool:
        """True when there are any."""
        return bool(self.sure or self.patterns)

    def stands_among(self, words: frozenset[str]) -> bool:
        """True when one of them is there."""
        return not words.isdisjoint(self.sure) or not words.isdisjoint(self.matching)


class Meanings:
    """By word the bits of the groups that it may help to meet."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}  # of those that help in any file
        self._known: set[str] = set()  # the others too
        self._telling: set[str] = set()
        self._sure: dict[str, int] = defaultdict(int)
        self._ways: dict[str, dict[Way, int]] = {}
        self._names: dict[str, int] = {}  # the same for words as names of functions and classes
        self._stems: dict[str, list[_Search]] = defaultdict(list)  # by a text of which each match has one
        self._heads: dict[tuple[str, ...], set[str]] = defaultdict(set)  # these texts by their first three letters, shorter ones by ()
        self._open: list[_Search] = []  # no such text is known

    def take(self, group: Group) -> None:
        """Count a further group in: what was said of words before is out of date."""
        self._forget()
        for word in group.sure:
            self._sure[word] |= group.bit
        for word, way in group.rows():
            if way.anywhere:
                self._sure[word] |= group.bit
            else:
                several = self._ways.setdefault(word, {})
                several[way] = several.get(way, 0) | group.bit
        self._search(group, self._bits)

    def take_names(self, group: Group) -> None:
        """Likewise one that is met where a function or class is defined whose name its patterns match."""
        self._forget()
        self._search(group, self._names)

    def _search(self, group: Group, found: dict[str, int]) -> None:
        """From now on its patterns are searched for in each new word."""
        from safeboundary_lint.core.literals import alternatives, literals  # they take Python's own reader of patterns along

        for pattern in itertools.chain.from_iterable(map(alternatives, group.patterns)):
            stems = literals(pattern)
            asked = _Search(group, pattern, stems == {pattern.lower()}, found)
            if stems is None:
                self._open.append(asked)
            for stem in stems or ():
                self._stems[stem].append(asked)
                self._heads[tuple(stem[:3]) if len(stem) >= 3 else ()].add(stem)

    def _forget(self) -> None:
        for several in (self._bits, self._known, self._telling, self._names):
            several.clear()

    def of(self, file: Words) -> dict[str, int]:
        """By word the bits of the groups that it may help to meet in a file; only words that help any."""
        found: dict[str, int] = {}
        for word in self._those_telling(file.all):
            bits = self._bits.get(word, 0)
            if word in self._ways:
                for way, more in self._ways[word].items():
                    if more & ~bits and way.open_to(file):
                        bits |= more
            if bits:
                found[word] = bits
        return found

    def _those_telling(self, words: frozenset[str]) -> frozenset[str]:
        """Those of some words that may help to meet anything in any file."""
        if len(self._known) > _REMEMBERED:
            self._forget()
        if unknown := words - self._known:  # sets, and no look at each word: nearly all are known, and most say nothing
            for word in unknown & self._sure.keys():
                self._bits[word] = self._sure[word]
            names = {word for word in unknown if word > _NUMBERS or len(word) < _SHORT or not word.isdecimal()}  # a table may have a million
            for word, asked in self._candidates(names) if names else ():
                asked.ask(word)
            self._telling |= unknown & self._bits.keys()
            self._telling |= unknown & self._ways.keys()
            self._known |= names
        return words & self._telling

    def _candidates(self, words: Collection[str]) -> Iterator[tuple[str, _Search]]:
        """Words with the searches that may find something in them: a plain search in all of them at once is faster than one in each."""
        listed = list(words)
        yield from itertools.product(listed, self._open)
        text = "\n".join(listed).lower()
        starts = [0, *itertools.accumulate(len(word) + 1 for word in text.split("\n"))]
        heads = {(), *zip(text, text[1:], text[2:])}  # most texts start with three letters that stand nowhere
        for stem in itertools.chain.from_iterable(map(self._heads.__getitem__, self._heads.keys() & heads)):
            at = text.find(stem)
            while at >= 0:
                index = bisect.bisect_right(starts, at) - 1
                yield from ((listed[index], one) for one in self._stems[stem])
                at = text.find(stem, starts[index + 1])

    def of_names(self, names: Iterable[str]) -> int:
        """The bits of the groups that are met where functions or classes with these names are defined."""
        return functools.reduce(operator.or_, (self._names[name] for name in names if name in self._names), 0)
