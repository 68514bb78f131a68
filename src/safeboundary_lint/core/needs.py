"""Needs of rules, taken apart once: which words help to meet a group of them, in which files."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safeboundary_lint.core.meanings import Hint
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes import Unless, words_of
from safeboundary_lint.core.words import Words

if TYPE_CHECKING:
    from safeboundary_lint.core.knowledge import Knowledge
    from safeboundary_lint.core.rule import Rule

LOOPS = ("^for", "^while", "^async")  # the keywords of statements that are loops
ANY = "*"  # in a set of modules: no import is needed
_OWNED = Regex(r"[a-z-]+\.\w+")
_FACT = Regex(r"[a-z-]+#\w+")

Needs = tuple["str | Shape | Unless", ...]
Anchor = tuple[str, str]  # a top-level module that is imported, and a word; ANY for none


@dataclass(eq=False)
class Way:
    """One way to meet a row: a file with one of these anchors, and one of these receivers in front of the name."""

    anchors: frozenset[Anchor]
    receivers: tuple[str, ...] = ()
    builtin: bool = False  # met by its bare name only
    texts: tuple[str, ...] = ()  # one of these has to stand in the file too, whatever the case
    program: str = ""  # and this
    option: str = ""  # the row is about this parameter, which can be given by name only
    setting: bool = False  # any word is enough

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if value or name == "anchors"}  # the others are the class's own

    @property
    def anywhere(self) -> bool:
        """True when any file is open to it."""
        return not self.option and (ANY, ANY) in self.anchors

    @cached_property
    def _by_module(self) -> list[tuple[str, list[str]]]:
        found: dict[str, list[str]] = defaultdict(list)
        for module, word in self.anchors:
            found[module].append(word)
        return list(found.items())

    def open_to(self, words: Words) -> bool:
        """True when the file imports and names what the row asks for; found out once for each file."""
        if (known := words.opened.get(id(self))) is None:
            known = words.opened[id(self)] = self._finds(words.imported, words.all)
        return known

    def _finds(self, imported: Collection[str], there: Collection[str]) -> bool:
        if self.option and self.option not in there:
            return False
        for module, several in self._by_module:
            if module in imported:
                for word in several:
                    if word == ANY or word in there:
                        return True
        return False


way_of = functools.cache(Way)  # equal ways are the same object: they are looked up often
Ways = tuple[Way, ...]


class Group:
    """Needs of which one has to be met, taken apart once.

    A need is a kind, `kind:fact` (of its rows, those for which the fact is true), `=word`, `^keyword` (a statement), `%pattern` (of a
    word, whatever the case), `$pattern` (of the name of a function or class, likewise), `@kind` (a function that is named like one of
    its rows is defined), `kind=` (such a name is bound to something), `kind.name` (the module or class that has a function of this name
    and kind is named), `kind#fact` (a word that one of its rows gives for the fact), `~pattern` (of a line: dear, written so that it
    starts with literal text), or a shape (core.shapes). An `Unless` takes parts out in which the others do not count.
    """

    def __init__(self, knowledge: Knowledge, table: Mapping[str, Mapping[str, Ways]], needs: Needs, bit: int) -> None:
        self.bit = bit
        texts = [need for need in needs if isinstance(need, str)]
        self.shapes = [(need, Hint(bit, words_of(need))) for need in needs if not isinstance(need, (str, Unless))]
        self.unless = [need.shape for need in needs if isinstance(need, Unless)]
        self.lines = [need[1:] for need in texts if need.startswith("~")]
        self.plain = frozenset(need[1:] for need in texts if need.startswith("="))
        self.plain = self.plain.union(*(_given(knowledge, *need.split("#")) for need in texts if _FACT.fullmatch(need)))
        self.statements = frozenset(need[1:] for need in texts if need.startswith("^"))
        self.patterns = [need[1:] for need in texts if need.startswith("%")]
        self.matching: set[str] = set()  # words that were asked about and match it
        self.names = Hint(bit, (f"%{need[1:]}" for need in texts if need.startswith("$")))
        self.defined = frozenset(last for need in texts if need.startswith("@") for last in table.get(need[1:], ()))
        self.ways: dict[str, Ways] = {}
        self.bound: dict[str, Ways] = {}
        for need in texts:
            for last, ways in table.get(need, {}).items():
                self.ways[last] = self.ways[last] + ways if last in self.ways else ways
            for last, ways in table.get(need[:-1], {}).items() if need.endswith("=") else ():
                self.bound[last] = self.bound[last] + ways if last in self.bound else ways
            for top, owner in _owners(knowledge, *need.split(".")) if _OWNED.fullmatch(need) else ():
                self.ways[owner] = (*self.ways.get(owner, ()), way_of(frozenset(((top, ANY),)), setting=True))
        self.anywhere = not all(hint for _shape, hint in self.shapes)  # any file is open to it
        self._open_ways: dict[tuple[object, ...], OpenWays] = {}

    @property
    def sure(self) -> frozenset[str]:
        """The words of which one is enough for a file."""
        return self.plain | self.statements | self.defined

    def rows(self) -> Iterator[tuple[str, Way]]:
        """The names of rows that meet it, with each of their ways."""
        for several in (self.ways, self.bound):
            yield from ((last, way) for last, ways in several.items() for way in ways)

    def open_ways(self, last: str, file: Words) -> OpenWays:
        """The ways to the rows with this name that a file is open to."""
        ways = self.ways[last]
        key = (last, *[way.open_to(file) for way in ways])
        if key not in self._open_ways:
            self._open_ways[key] = OpenWays([one for one, is_open in zip(ways, key[1:], strict=True) if is_open])
        return self._open_ways[key]


class OpenWays:
    """What tells a part of a file that holds the name of a row, given the ways to it that the file is open to."""

    def __init__(self, ways: list[Way]) -> None:
        self.any = bool(ways)
        self.plain = any(way.setting and not way.texts for way in ways)
        self.told = ways if any(way.setting for way in ways) else []
        self.builtin = self.any and all(way.builtin for way in ways)
        self.receivers = tuple(glob for way in ways for glob in way.receivers) if all(way.receivers for way in ways) else ()


class Asked:
    """What a rule asks for, with its needs taken apart: all that is to be known of it until it runs. The rest as `core.rule` says it."""

    def __init__(self, rule: type[Rule], groups: list[Group], beside: Group, mentions: list[Group]) -> None:
        self.code, self.module, self.name = rule.code, rule.__module__, rule.__qualname__
        self.groups = groups
        self.beside = beside if rule.beside else None
        self.local, self.whole, self.own, self.handed = rule.local, rule.whole, rule.own, rule.handed
        self.anchored, self.reach, self.parts = rule.anchored, rule.reach, rule.parts
        self.all_bits = functools.reduce(operator.or_, (group.bit for group in groups), beside.bit)
        self.bits = functools.reduce(operator.or_, (group.bit for group in (*groups, *mentions) if not group.anywhere and not group.lines), 0)
        self.lines = [group for group in groups if group.lines]  # what words do not tell alone


def _given(knowledge: Knowledge, kind: str, fact: str) -> set[str]:
    """The words that rows of a kind give for a fact, such as names of arguments."""
    rows = (row for known in (knowledge.rows, knowledge.wild) for several in known.values() for row in several if row.kind == kind)
    return {word for row in rows for word in row.get(fact, ())}


def _owners(knowledge: Knowledge, kind: str, last: str) -> set[tuple[str, str]]:
    """The modules and classes with a function of this kind and name: the top-level module and the last name of each."""
    known = (name for name, rows in knowledge.rows.items() if name.endswith(f".{last}") and any(row.kind == kind for row in rows))
    names = [name.split(".") for name in known]
    return {(parts[0], parts[-2]) for parts in names if len(parts) > 1}
