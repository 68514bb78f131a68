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
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from safeboundary_lint.core.globs import matcher
from safeboundary_lint.core.knowledge import Knowledge, Row
from safeboundary_lint.core.meanings import Hint, Meanings, search
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes import Shape, words_of
from safeboundary_lint.core.words import Words

LOOPS = ("^for", "^while", "^async")  # the keywords of statements that are loops
_OWNED = Regex(r"[a-z-]+\.\w+")
_BUILTINS = frozenset(dir(builtins))
_ANY = "*"  # in a set of modules: no import is needed

Needs = tuple["str | Shape", ...]
Question = Callable[[Words, "frozenset[str]"], bool]  # of a part of a file, and those of its words that say something
Anchor = tuple[str, str]  # a top-level module that is imported, and a word; _ANY for none


@dataclass(eq=False)
class _Way:
    """One way to meet a row: a file with one of these anchors, and one of these receivers in front of the name."""

    anchors: frozenset[Anchor]
    receivers: tuple[str, ...] = ()
    builtin: bool = False  # met by its bare name only
    texts: tuple[str, ...] = ()  # one of these has to stand in the file too, whatever the case
    program: str = ""  # and this
    option: str = ""  # the row is about this parameter, which can be given by name only

    @functools.cached_property
    def anywhere(self) -> bool:
        """True when any file is open to it."""
        return not self.option and (_ANY, _ANY) in self.anchors

    @functools.cached_property
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
                    if word == _ANY or word in there:
                        return True
        return False


_way = functools.cache(_Way)  # equal ways are the same object: they are looked up often


class Screen:
    """Answers for one set of knowledge."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._producers = _producers(knowledge)
        self._anchors: dict[str, frozenset[Anchor]] = {}
        self._groups: dict[Needs, _Group] = {}
        self._meanings = Meanings()
        self._asked: dict[type[Rule], _Asked] = {}
        self._wanted: dict[tuple[type[Rule], ...], list[_Asked]] = {}
        self._table: dict[str, dict[str, set[_Way]]] = defaultdict(lambda: defaultdict(set))
        for name, rows in (*knowledge.rows.items(), *((f"*.{last}", rows) for last, rows in knowledge.wild.items())):
            for row in rows:
                self._enter(row, name)

    def _enter(self, row: Row, name: str) -> None:
        head, _dot, last = name.rpartition(".")
        parameter = row.parameter("option")
        option = parameter.name if parameter is not None and parameter.position is None and not row.get("missing") else ""
        if head == "*":
            anchors = frozenset((module, _ANY) for module in row.imports or (_ANY,))
            way = _way(anchors, row.receivers, False, tuple(row.get("text", ())), row.get("program", ""), option)
        else:
            way = _way(self._anchors_of(head), builtin=head == "builtins", option=option)
        self._table[row.kind][last].add(way)
        for alias in self._producers.get(("alias", name), ()):
            self._table[row.kind][alias.rpartition(".")[2]].add(_way(frozenset((_anchor(alias.rpartition(".")[0]),)), option=option))

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

    def possible(self, rules: Iterable[type[Rule]], words: Words) -> list[type[Rule]]:
        """The rules that could fire in a file with these words: of each group of their needs, one could be met in it."""
        wanted = self._asked_by_all(tuple(rules))
        meant = self.groups_of(words)
        left = [one for one in wanted if meant & one.bits == one.bits and all(self._test(group, words).is_open for group in one.lines)]
        self._narrow(words, functools.reduce(operator.or_, (one.all_bits for one in left), 0))
        return [one.rule for one in left]

    def _narrow(self, file: Words, bits: int) -> None:
        """From now on only what some groups ask for says something in a file."""
        file.bits = {word: left for word, said in file.bits.items() if (left := said & bits)}
        file.telling = frozenset(file.bits)
        file.naming = frozenset(name for name in file.naming if self._meanings.of_names((name,)) & bits)

    def tests(self, rule: type[Rule], file: Words) -> list[Test]:
        """For each group of needs of a rule a test whether parts of a file may meet one; imports are looked for in the whole file."""
        return [self._test(group, file) for group in self._asked_by(rule).groups]

    def beside(self, rule: type[Rule], file: Words) -> Test:
        """Likewise for what counts beside the needs of a rule."""
        return self._test(self._group(rule.beside), file)

    def _test(self, group: _Group, file: Words) -> Test:
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

    def _asked_by_all(self, rules: tuple[type[Rule], ...]) -> list[_Asked]:
        """What each of some rules asks for; all of it is known before the first words are looked up."""
        if rules not in self._wanted:
            self._wanted[rules] = [self._asked_by(rule) for rule in rules]
        return self._wanted[rules]

    def _asked_by(self, rule: type[Rule]) -> _Asked:
        if rule not in self._asked:
            self._asked[rule] = _Asked(rule, [self._group(needs) for needs in rule.needs], self._group(rule.beside))
        return self._asked[rule]

    def _group(self, needs: Needs) -> _Group:
        if needs not in self._groups:
            group = self._groups[needs] = _Group(self._knowledge, self._table, needs, 1 << len(self._groups))
            for asking in (group, *(hint for _shape, hint in group.shapes)):
                self._meanings.take(asking)
            self._meanings.take_names(group.names)
        return self._groups[needs]


class _Group:
    """Needs of which one has to be met, taken apart once.

    A need is a kind, `=word`, `^keyword` (a statement), `%pattern` (of a word, whatever the case), `$pattern` (of the name of a
    function or class, likewise), `@kind` (a function that is named like one of its rows is defined), `kind=` (such a name is bound
    to something), `kind.name` (the module or class that has a function of this name and kind is named), `~pattern` (of a line: dear,
    written so that it starts with literal text), or a shape (core.shapes).
    """

    def __init__(self, knowledge: Knowledge, table: Mapping[str, Mapping[str, set[_Way]]], needs: Needs, bit: int) -> None:
        self.bit = bit
        texts = [need for need in needs if isinstance(need, str)]
        self.shapes = [(need, Hint(bit, words_of(need))) for need in needs if not isinstance(need, str)]
        self.lines = [need[1:] for need in texts if need.startswith("~")]
        self.plain = frozenset(need[1:] for need in texts if need.startswith("="))
        self.statements = frozenset(need[1:] for need in texts if need.startswith("^"))
        self.patterns = [need[1:] for need in texts if need.startswith("%")]
        self.pattern = search(self.patterns)
        self.matching: set[str] = set()  # words that were asked about and match it
        self.names = Hint(bit, (f"%{need[1:]}" for need in texts if need.startswith("$")))
        self.defined = frozenset(last for need in texts if need.startswith("@") for last in table.get(need[1:], ()))
        self.ways: dict[str, list[tuple[_Way, bool]]] = defaultdict(list)  # and whether any word is enough
        self.bound: dict[str, list[_Way]] = defaultdict(list)
        for need in texts:
            for last, ways in table.get(need, {}).items():
                self.ways[last] += [(way, need in knowledge.settings) for way in ways]
            for last, ways in table.get(need[:-1], {}).items() if need.endswith("=") else ():
                self.bound[last] += ways
            for top, owner in _owners(knowledge, *need.split(".")) if _OWNED.fullmatch(need) else ():
                self.ways[owner].append((_way(frozenset(((top, _ANY),))), True))
        self.sure = self.plain | self.statements | self.defined  # one of these is enough for a file
        self.anywhere = not all(hint for _shape, hint in self.shapes)  # any file is open to it
        self.by_way, self.by_binding = frozenset(self.ways), frozenset(self.bound)
        self.by_row = self.by_way | self.by_binding
        self.all_ways = {last: [*(way for way, _setting in self.ways.get(last, ())), *self.bound.get(last, ())] for last in self.by_row}


class _Asked:
    """What a rule asks for."""

    def __init__(self, rule: type[Rule], groups: list[_Group], beside: _Group) -> None:
        self.rule = rule
        self.groups = groups
        self.all_bits = functools.reduce(operator.or_, (group.bit for group in groups), beside.bit)
        self.bits = functools.reduce(operator.or_, (group.bit for group in groups if not group.anywhere and not group.lines), 0)
        self.lines = [group for group in groups if group.lines]  # what words do not tell alone


class Test:
    """Whether parts of one file may meet a group of needs.

    Most tests are only asked whether the file is open to them: what parts are asked is put together when the first one is.
    """

    def __init__(self, screen: Screen, group: _Group, file: Words) -> None:
        self.bit = group.bit
        self._screen = screen
        self._group = group
        self._file = file

    @property
    def is_open(self) -> bool:
        """True when anything in the file may meet a need."""
        return self._group.anywhere or bool(self._screen.groups_of(self._file) & self.bit) or bool(self._lines)

    @functools.cached_property
    def _lines(self) -> list[str]:
        return [pattern for pattern in self._group.lines if self._file.holds(pattern)]

    @functools.cached_property
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
                return True
        return False

    @functools.cached_property
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
            found.append(lambda words, present: not present.isdisjoint(bare) and not words.read.isdisjoint(bare))
        # `set(...)` is no method of a store where nothing else is ever called so.
        own = {last for last in mentions & _BUILTINS if not any(way.builtin for way, _ in group.ways[last]) and self._file.only_calls(last)}
        if others := mentions - own:
            found.append(lambda words, present: not present.isdisjoint(others) and not words.mentions.isdisjoint(others))
        if own:
            found.append(lambda words, present: not present.isdisjoint(own) and not words.attributes.isdisjoint(own))
        bound = {last for last in group.by_binding & there if any(way.open_to(self._file) for way in group.bound[last])}
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

    def _sorted_ways(self) -> tuple[set[str], set[str], set[str], dict[str, tuple[str, ...]], dict[str, list[_Way]]]:
        """Names of rows that the file is open to: by what tells them.

        Any such word; one that is mentioned; one that is a builtin; one with a receiver in front of it; one with a text beside it.
        """
        group, file = self._group, self._file
        plain, mentions, bare = set[str](), set[str](), set[str]()
        received: dict[str, tuple[str, ...]] = {}
        told: dict[str, list[_Way]] = {}
        for last in group.by_way & file.telling:
            open_ways = [(way, setting) for way, setting in group.ways[last] if way.open_to(file)]
            if any(setting and not way.texts for way, setting in open_ways):
                plain.add(last)
            elif any(setting for _way, setting in open_ways):
                told[last] = [way for way, _setting in open_ways]
            elif open_ways and all(way.builtin for way, _setting in open_ways) and "builtins" not in file.imported:
                bare.add(last)
            elif not all(way.receivers for way, _setting in open_ways):
                mentions.add(last)
            elif open_ways:
                received[last] = tuple(glob for way, _setting in open_ways for glob in way.receivers)
        return plain, mentions, bare, received, told


def _is_received(words: Words, last: str, globs: tuple[str, ...]) -> bool:
    if "" in globs and last in words.read:
        return True  # called by its bare name
    return any(map(matcher(globs), words.received(last)))


def _holds(pattern: str, words: Words, _present: Collection[str]) -> bool:
    return words.holds(pattern)


def _has_shape(shape: Shape, hint: Hint, words: Words, present: frozenset[str]) -> bool:
    return (not hint or hint.stands_among(present)) and shape(words.body or ())


def _anchor(dotted: str) -> Anchor:
    top, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
    return (_ANY, _ANY) if top in ("builtins", "") else (_ANY, last) if top == "*" else (top, last)


def _owners(knowledge: Knowledge, kind: str, last: str) -> set[tuple[str, str]]:
    """The modules and classes with a function of this kind and name: the top-level module and the last name of each."""
    known = (name for name, rows in knowledge.rows.items() if name.endswith(f".{last}") and any(row.kind == kind for row in rows))
    names = [name.split(".") for name in known]
    return {(parts[0], parts[-2]) for parts in names if len(parts) > 1}


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


@functools.cache
def screen_of(knowledge: Knowledge) -> Screen:
    """The screen of a set of knowledge, made once."""
    return Screen(knowledge)
