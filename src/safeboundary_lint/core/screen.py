"""Which rules a file could possibly concern, and which of its functions, told from words before LibCST sees anything.

Sound by construction: a rule needs a fact of some kind; a row of that kind can only be met where its last name occurs together
with the top-level module by which its library, or whatever hands its type out, is imported.

Most words are of no interest to any rule. What a word may help to meet is looked up once in a process and kept as a number with a
bit for each group of needs: a function whose words lack a bit is not looked at for it.
"""

from __future__ import annotations

import builtins
import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from safeboundary_lint.core.globs import matcher
from safeboundary_lint.core.meanings import Hint, Meanings
from safeboundary_lint.core.needs import ANY, Anchor, Asked, Group, Needs, Way, Ways, way_of
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.shapes import Shape
from safeboundary_lint.core.words import Words

if TYPE_CHECKING:
    from safeboundary_lint.core.knowledge import Knowledge, Row
    from safeboundary_lint.core.rule import Rule

_BUILTINS = frozenset(dir(builtins))

Question = Callable[[Words, "frozenset[str]"], bool]  # of a part of a file, and those of its words that say something


class Screen:
    """Answers for one set of knowledge and some rules. Pickled, it holds neither, only what it made of them."""

    def __init__(self, knowledge: Knowledge, rules: Iterable[type[Rule]]) -> None:
        self._knowledge = knowledge
        self._producers = _producers(knowledge)
        self._anchors: dict[str, frozenset[Anchor]] = {}
        self._groups: dict[Needs, Group] = {}
        self._meanings = Meanings()
        self._chosen: dict[frozenset[str], list[Asked]] = {}
        self._table: dict[str, dict[str, Ways]] = defaultdict(dict)
        for name, rows in (*knowledge.rows.items(), *((f"*.{last}", rows) for last, rows in knowledge.wild.items())):
            for row in rows:
                self._enter(row, name)
        self._asked = [self._asked_by(rule) for rule in rules]  # all of it is known before the first words are looked up

    def _enter(self, row: Row, name: str) -> None:
        head, _dot, last = name.rpartition(".")
        parameter = row.parameter("option")
        option = parameter.name if parameter is not None and parameter.position is None and not row.get("missing") else ""
        if head == "*":
            anchors = frozenset((module, ANY) for module in row.imports or (ANY,))
            way = functools.partial(way_of, anchors, row.receivers, False, tuple(row.get("text", ())), row.get("program", ""), option)
        else:
            way = functools.partial(way_of, self._anchors_of(head), builtin=head == "builtins", option=option)
        ways = [(last, way)]
        for alias in self._producers.get(("alias", name), ()):
            owner, _dot, last = alias.rpartition(".")
            ways.append((last, functools.partial(way_of, frozenset((_anchor(owner),)), option=option)))
        setting = row.kind in self._knowledge.settings
        for last, way in ways:
            meeting = {row.kind: way(setting=setting), **{f"{row.kind}:{fact}": way() for fact, value in row.facts.items() if value is True}}
            for need, one in meeting.items():
                if one not in (known := self._table[need].get(last, ())):
                    self._table[need][last] = (*known, one)  # shared by all groups of which it is a need

    def _anchors_of(self, dotted: str) -> frozenset[Anchor]:
        """What a file holds that has this module at hand, or a value of this type: its name, or that of a producer."""
        if dotted not in self._anchors:
            self._anchors[dotted] = frozenset((_anchor(dotted),))  # a type that produces itself
            found = {_anchor(dotted)}
            for producer in self._producers.get(("type", dotted), ()):
                if ("type", producer) in self._producers:
                    found |= self._anchors_of(producer)
                    continue
                owner, _dot, last = producer.rpartition(".")
                found.add(_anchor(producer))
                if owner and owner != "*":
                    found.update((module, last) for module, _word in self._anchors_of(owner))
            self._anchors[dotted] = frozenset(found)
        return self._anchors[dotted]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name in ("_meanings", "_asked", "_chosen")}

    def wanted(self, codes: frozenset[str]) -> Sequence[Asked]:
        """What the rules with these codes ask for."""
        if codes not in self._chosen:
            self._chosen[codes] = [asked for asked in self._asked if asked.code in codes]
        return self._chosen[codes]

    def possible(self, wanted: Sequence[Asked], words: Words) -> list[Asked]:
        """The rules that could fire in a file with these words: of each group of their needs, one could be met in it."""
        meant = self.groups_of(words)
        left = [one for one in wanted if meant & one.bits == one.bits and all(self.test(group, words).is_open for group in one.lines)]
        self._narrow(words, functools.reduce(operator.or_, (one.all_bits for one in left), 0))
        return left

    def _narrow(self, file: Words, bits: int) -> None:
        """From now on only what some groups ask for says something in a file."""
        file.bits = {word: left for word, said in file.bits.items() if (left := said & bits)}
        file.telling = frozenset(file.bits)
        file.naming = frozenset(name for name in file.naming if self._meanings.of_names((name,)) & bits)

    def test(self, group: Group, file: Words) -> Test:
        """A test whether parts of a file may meet a need of a group; imports are looked for in the whole file."""
        if (test := file.tests.get(group.bit)) is None:
            self.groups_of(file)
            test = file.tests[group.bit] = Test(self, group, file)
        return test

    def groups_of(self, words: Words, file: Words | None = None) -> int:
        """The bits of the groups that these words could help to meet; of the words of a part, those are asked that tell something in `file`."""
        if words.groups is None:
            named = self._meanings.of_names
            if file is None:
                file = words
                words.bits = self._meanings.of(words)
                words.telling = frozenset(words.bits)
                words.naming = frozenset(name for name in words.defined if named((name,)))
            else:
                self.groups_of(file)
                words.telling = words.all & file.telling
                words.naming = frozenset() if words.all.isdisjoint(file.naming) else words.defined & file.naming
            words.groups = functools.reduce(operator.or_, map(file.bits.__getitem__, words.telling), 0)
            words.groups |= named(words.naming)
        return words.groups

    def names_meet(self, words: Words, bit: int) -> bool:
        """True when one of the functions and classes that are defined here has a name that a group asks for."""
        return bool(self._meanings.of_names(words.naming) & bit)

    def _asked_by(self, rule: type[Rule]) -> Asked:
        groups, mentions = ([self._group(needs) for needs in several] for several in (rule.needs, rule.mentions))
        return Asked(rule, groups, self._group(rule.beside), mentions)

    def _group(self, needs: Needs) -> Group:
        if needs not in self._groups:
            group = self._groups[needs] = Group(self._knowledge, self._table, needs, 1 << len(self._groups))
            for asking in (group, *(hint for _shape, hint in group.shapes)):
                self._meanings.take(asking)
            self._meanings.take_names(group.names)
        return self._groups[needs]


class Test:
    """Whether parts of one file may meet a group of needs.

    Most tests are only asked whether the file is open to them: what parts are asked is put together when the first one is.
    """

    def __init__(self, screen: Screen, group: Group, file: Words) -> None:
        self.bit = group.bit
        self._screen = screen
        self._group = group
        self._file = file

    @property
    def is_open(self) -> bool:
        """True when anything in the file may meet a need."""
        return self._group.anywhere or bool(self._screen.groups_of(self._file) & self.bit) or bool(self._lines)

    @cached_property
    def _lines(self) -> list[str]:
        return [pattern for pattern in self._group.lines if self._file.holds(pattern)]

    @cached_property
    def everywhere(self) -> bool:
        """True when parts may meet a need whatever words they have."""
        return self._group.anywhere or bool(self._lines)

    def __call__(self, words: Words) -> bool:
        """True when a part of the file may meet a need."""
        groups = words.groups if words.groups is not None else self._screen.groups_of(words, self._file)
        if not groups & self.bit and not self.everywhere:
            return False
        for ask in self._questions:
            if ask(words, words.telling):
                return not any(shape(words.body or ()) for shape in self._group.unless)
        return False

    @cached_property
    def _questions(self) -> list[Question]:
        """What is asked of a part, the cheapest first; nothing that no part of the file could say yes to."""
        group, there = self._group, self._file.telling
        found: list[Question] = []
        plain, mentions, bare, received, told = self._sorted_ways()
        plain |= group.plain & there
        plain |= group.matching & there
        if plain:
            found.append(lambda _words, present: not present.isdisjoint(plain))
        if bare:
            found.append(lambda words, present: not present.isdisjoint(bare) and any(map(words.reads, bare & present)))
        # `set(...)` is no method of a store where nothing else is ever called so.
        own = {last for last in mentions & _BUILTINS if not any(way.builtin for way in group.ways[last]) and self._file.only_calls(last)}
        if others := mentions - own:
            found.append(lambda words, present: not present.isdisjoint(others) and not words.mentions.isdisjoint(others))
        if own:
            found.append(lambda words, present: not present.isdisjoint(own) and not (words.attributes.isdisjoint(own) and words.added.isdisjoint(own)))
        bound = {last for last in group.bound.keys() & there if any(way.open_to(self._file) for way in group.bound[last])}
        if bound:
            found.append(lambda words, present: not present.isdisjoint(bound) and not words.bound.isdisjoint(bound))
        if received:
            found.append(lambda words, present: any(_is_received(words, last, received[last]) for last in received.keys() & present))
        if told:
            found.append(lambda words, present: any(words.tells(way.program, way.texts) for last in told.keys() & present for way in told[last]))
        if statements := group.statements & there:
            found.append(lambda words, present: not present.isdisjoint(statements) and not words.statements.isdisjoint(statements))
        if defined := group.defined & there:
            found.append(lambda words, present: not present.isdisjoint(defined) and not words.defined.isdisjoint(defined))
        if group.names and self._screen.names_meet(self._file, group.bit):
            found.append(lambda words, _present: self._screen.names_meet(words, group.bit))
        found += (functools.partial(_holds, pattern) for pattern in self._lines)
        found += (functools.partial(_has_shape, shape, hint) for shape, hint in group.shapes if not hint or hint.stands_among(there))
        return found

    def _sorted_ways(self) -> tuple[set[str], set[str], set[str], dict[str, tuple[str, ...]], dict[str, list[Way]]]:
        """Names of rows that the file is open to: by what tells them.

        Any such word; one that is mentioned; one that is a builtin; one with a receiver in front of it; one with a text beside it.
        """
        file = self._file
        plain, mentions, bare = set[str](), set[str](), set[str]()
        received: dict[str, tuple[str, ...]] = {}
        told: dict[str, list[Way]] = {}
        for last in self._group.ways.keys() & file.telling:
            ways = self._group.open_ways(last, file)
            if ways.plain:
                plain.add(last)
            elif ways.told:
                told[last] = ways.told
            elif ways.builtin and "builtins" not in file.imported:
                bare.add(last)
            elif ways.receivers:
                received[last] = ways.receivers
            elif ways.any:
                mentions.add(last)
        return plain, mentions, bare, received, told


def _is_received(words: Words, last: str, globs: tuple[str, ...]) -> bool:
    if "" in globs and words.reads(last):
        return True  # called by its bare name
    return any(map(matcher(globs), words.received(last)))


def _holds(pattern: str, words: Words, _present: Collection[str]) -> bool:
    return words.holds(pattern)


def _has_shape(shape: Shape, hint: Hint, words: Words, present: frozenset[str]) -> bool:
    return (not hint or hint.stands_among(present)) and shape(words.body or ())


def _anchor(dotted: str) -> Anchor:
    top, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
    return (ANY, ANY) if top in ("builtins", "") else (ANY, last) if top == "*" else (top, last)


def _producers(knowledge: Knowledge) -> dict[tuple[str, str], list[str]]:
    """("type", T) -> names by which values of type T are had; ("alias", N) -> other names of N."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for mapping in (knowledge.returns, knowledge.enters, knowledge.items):
        for producer, produced in mapping.items():
            found["type", knowledge.canonical(produced)].append(knowledge.canonical(producer))
    for subclass, bases in knowledge.bases.items():
        for base in bases:
            found["type", knowledge.canonical(base)].append(subclass)
    for name, rows in knowledge.callbacks.items():
        for row in rows:
            for produced in row["gives"]:
                found["type", knowledge.canonical(produced)].append(knowledge.canonical(name))
    for alias in knowledge.aliases:
        canonical = knowledge.canonical(alias)
        found["alias", canonical].append(alias)
        found["type", canonical].append(alias)
    return found
