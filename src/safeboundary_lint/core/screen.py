"""Which rules a file could possibly concern, told from the words in its bytes before anything is parsed.

Sound by construction: a rule needs a fact of some kind; a row of that kind can only be met where its last name occurs together
with the top-level module by which its library, or whatever hands its type out, is imported.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from safeboundary_lint.core.knowledge import Knowledge, Row
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes import Shape, bound_names, last_name, walk

_WORD = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*")
# A word in the shape of a mention: behind a dot, in front of a parenthesis, or in an import statement. Only whole words are
# tried, for else the time grows with the square of their length, and data in source makes words of megabytes.
_MENTION = re.compile(
    rb"(?<=\.)\s*[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*"
    rb"|(?<![A-Za-z0-9_\x80-\xff])[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*(?![A-Za-z0-9_\x80-\xff])(?=[ \t]*\()"
    rb"|\bimport\b[ \t]*\([^)]*|\b(?:from|import)\b[^\n(]*"
)
LOOPS = ("^for", "^while", "^async")  # the keywords of statements that are loops
_STATEMENT = re.compile(rb"^[ \t]*([a-z]+)\b", re.MULTILINE)
_DEFINED = re.compile(rb"\b(?:def|class)[ \t]+([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)")
_STAR_IMPORT = re.compile(rb"\bimport[ \t]*\*")
_IMPORT = re.compile(rb"(?:^|[;:\r])[ \t\f]*(?:from[ \t\\\r\n]*(\.*[\w\x80-\xff]*)|import\b((?:[^\r\n#;\\]|\\\r?\n)+))", re.MULTILINE)
_ANY = "*"  # in a set of modules: no import is needed
_LAST_WORD = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*\Z")
_REMEMBERED = 100_000  # different words of which a pattern remembers whether it is found in them
_NAME_LENGTH = 120  # bytes in front of a dot in which the receiver's name is looked for


class Words:
    """The identifier-like words of a text, those in strings and comments included, and its shapes."""

    def __init__(self, source: bytes, body: Sequence[ast.AST] | None = None) -> None:
        self.source = source
        self.body = body  # Python's own tree, where somebody has made it already
        self.all = decoded(_WORD.findall(source))
        self.tests: dict[tuple[str | Shape, ...], Callable[[Words], bool]] = {}  # made by a screen for parts of this file
        self.added: frozenset[str] = frozenset()  # words that others stand for
        self._receivers: dict[str, frozenset[str]] = {}

    @functools.cached_property
    def mentions(self) -> frozenset[str]:
        """Words that could name something called, an attribute or an import; all words after a star import."""
        if self.star_import:
            return self.all
        return decoded(_WORD.findall(b" ".join(set(_MENTION.findall(self.source)))))

    @functools.cached_property
    def star_import(self) -> bool:
        """True when names come from a star import, so that a bare word may be any of them."""
        return _STAR_IMPORT.search(self.source) is not None

    def add(self, meant: Iterable[str]) -> None:
        """Take in words that are meant by other ones: what an alias stands for."""
        if several := frozenset(meant):
            self.added |= several
            self.mentions, self.all = self.mentions | several, self.all | several

    @functools.cached_property
    def imported(self) -> frozenset[str]:
        """Top-level modules that are imported anywhere."""
        tops: set[bytes] = set()
        for origin, several in _IMPORT.findall(self.source):
            tops.update(_WORD.findall(several) or [origin])
        return decoded(tops)

    def receivers(self, name: str) -> frozenset[str]:
        """What stands in front of `.name`, lowered and without leading underscores; `_ANY` for more than a name where that isn't told."""
        if self.body is not None:
            return self._receivers_by_name.get(name, frozenset())
        if name not in self._receivers:
            ends = (match.start() for match in _compiled(rf"\.\s*{name}\b").finditer(self.source))
            heads = (self.source[max(0, end - _NAME_LENGTH) : end].rstrip(b" \t\r\n\\") for end in ends)
            found = (match[0] if (match := _LAST_WORD.search(head)) else _ANY.encode() for head in heads)
            self._receivers[name] = frozenset(word.lower().lstrip("_") for word in decoded(found))
        return self._receivers[name]

    @functools.cached_property
    def _receivers_by_name(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for node in walk(self.body or ()):
            if isinstance(node, ast.Attribute):
                found[node.attr].add((last_name(node.value) or "").lower().lstrip("_"))
        return {name: frozenset(several) for name, several in found.items()}

    @functools.cached_property
    def read(self) -> frozenset[str]:
        """Names of variables that are called, or read and not bound here: what may be built in. Only for what has a `body`."""
        called = {node.func.id for node in walk(self.body or ()) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        names = {node.id for node in walk(self.body or ()) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        meant = frozenset(word for word in self.added if word not in names)
        return frozenset(called | (names - self.bound) | meant)

    @functools.cached_property
    def bound(self) -> frozenset[str]:
        """Names that something is bound to: variables, attributes, keys, parameters and keywords. Only for what has a `body`."""
        return bound_names(self.body or ())

    def tells(self, program: str, texts: Iterable[str]) -> bool:
        """True when a text stands here, whatever the case, and the name of the program that reads it."""
        return program in self._lowered and any(text in self._lowered for text in texts)

    @functools.cached_property
    def _lowered(self) -> str:
        return self.source.decode("utf-8", "replace").lower().replace(",", " ")

    @functools.cached_property
    def statements(self) -> frozenset[str]:
        """The words with which lines start: the keywords of statements among them."""
        return decoded(_STATEMENT.findall(self.source))

    @functools.cached_property
    def defined(self) -> frozenset[str]:
        """Names of the functions and classes that are defined here."""
        return decoded(_DEFINED.findall(self.source))

    def holds(self, pattern: str) -> bool:
        """True when a line-wise regular expression is found."""
        return _compiled(pattern).search(self.source) is not None


class _WordPattern:
    """A regular expression, whatever the case, looked for in words; each different word is judged once in a process."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern, re.IGNORECASE)
        self._judged: set[str] = set()
        self._matching: set[str] = set()

    def found_in(self, words: frozenset[str]) -> bool:
        if len(self._judged) > _REMEMBERED:
            self._judged, self._matching = set(), set()
        new = words - self._judged
        self._judged |= new
        self._matching.update(word for word in new if self._pattern.search(word))
        return not words.isdisjoint(self._matching)


_word_pattern = functools.cache(_WordPattern)


def decoded(words: Iterable[bytes]) -> frozenset[str]:
    """The different ones of these words, as text."""
    return frozenset(word.decode("utf-8", "replace") for word in set(words))


@functools.cache
def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.MULTILINE)


Anchor = tuple[str, str]  # a top-level module that is imported, and a word; _ANY for none


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to meet a row: a file with one of these anchors, and one of these receivers in front of the name."""

    anchors: frozenset[Anchor]
    receivers: tuple[str, ...] = ()
    builtin: bool = False  # met by its bare name only
    texts: tuple[str, ...] = ()  # one of these has to stand in the file too, whatever the case
    program: str = ""  # and this

    def open_to(self, words: Words) -> bool:
        """True when the file imports and names what the row asks for."""
        return any(
            (module == _ANY or module in words.imported) and (word == _ANY or word in words.all) for module, word in self.anchors
        )


class Screen:
    """Answers for one set of knowledge."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._producers = _producers(knowledge)
        self._anchors: dict[str, frozenset[Anchor]] = {}
        self._groups: dict[tuple[str | Shape, ...], _Group] = {}
        self._table: dict[str, dict[str, set[_Way]]] = defaultdict(lambda: defaultdict(set))
        for name, rows in (*knowledge.rows.items(), *((f"*.{last}", rows) for last, rows in knowledge.wild.items())):
            for row in rows:
                self._enter(row, name)

    def _enter(self, row: Row, name: str) -> None:
        head, _dot, last = name.rpartition(".")
        if head == "*":
            way = _Way(frozenset((module, _ANY) for module in row.imports or (_ANY,)), row.receivers, False, tuple(row.get("text", ())), row.get("program", ""))
        else:
            way = _Way(self._anchors_of(head), builtin=head == "builtins")
        self._table[row.kind][last].add(way)
        for alias in self._producers.get(("alias", name), ()):
            self._table[row.kind][alias.rpartition(".")[2]].add(_Way(frozenset((_anchor(alias.rpartition(".")[0]),))))

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
        """The rules that could fire in a file with these words: of each group of their needs, one is met."""
        known: dict[tuple[str | Shape, ...], bool] = {}

        def met(group: tuple[str | Shape, ...]) -> bool:
            if group not in known:
                known[group] = self.test(group, words)(words)
            return known[group]

        return [rule for rule in rules if all(map(met, rule.needs))]

    def test(self, group: tuple[str | Shape, ...], file: Words) -> Callable[[Words], bool]:
        """A test whether a part of a file (or all of it) may meet one of these needs; imports are looked for in the whole file."""
        if group not in file.tests:
            file.tests[group] = self._test(group, file)
        return file.tests[group]

    def _test(self, group: tuple[str | Shape, ...], file: Words) -> Callable[[Words], bool]:
        if group not in self._groups:
            self._groups[group] = _Group(self._knowledge, self._table, group)
        return self._groups[group].test(file)


class _Group:
    """Needs of which one has to be met, taken apart once.

    A need is a kind, `=word`, `^keyword` (a statement), `%pattern` (of a word, whatever the case), `$pattern` (of the name of a
    function or class, likewise), `@kind` (a function that is named like one of its rows is defined), `kind=` (such a name is bound
    to something), `~pattern` (of a line: dear, written so that it starts with literal text), or a shape (core.shapes).
    """

    def __init__(self, knowledge: Knowledge, table: Mapping[str, Mapping[str, set[_Way]]], needs: Iterable[str | Shape]) -> None:
        texts = [need for need in needs if isinstance(need, str)]
        self._shapes = [need for need in needs if not isinstance(need, str)]
        self._plain = frozenset(need[1:] for need in texts if need.startswith("="))
        self._statements = frozenset(need[1:] for need in texts if need.startswith("^"))
        self._words = [_word_pattern(need[1:]) for need in texts if need.startswith("%")]
        self._names = [_word_pattern(need[1:]) for need in texts if need.startswith("$")]
        self._lines = [need[1:] for need in texts if need.startswith("~")]
        self._defined = frozenset(last for need in texts if need.startswith("@") for last in table.get(need[1:], ()))
        self._ways: dict[str, list[tuple[_Way, bool]]] = defaultdict(list)  # and whether any word is enough
        for need in texts:
            for last, ways in table.get(need, {}).items():
                self._ways[last] += [(way, need in knowledge.settings) for way in ways]
        self._bound: dict[str, list[_Way]] = defaultdict(list)
        for need in texts:
            for last, ways in table.get(need[:-1], {}).items() if need.endswith("=") else ():
                self._bound[last] += ways
        self._lasts, self._bound_lasts = frozenset(self._ways), frozenset(self._bound)

    def test(self, file: Words) -> Callable[[Words], bool]:
        """A test for the parts of a file."""
        plain, mentions, bare, received, told = set(self._plain), set(), set(), {}, {}
        bound = frozenset(last for last in self._bound_lasts & file.all if any(way.open_to(file) for way in self._bound[last]))
        for last in self._lasts & file.all:
            open_ways = [(way, setting) for way, setting in self._ways[last] if way.open_to(file)]
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
        return functools.partial(self._meets, frozenset(plain), frozenset(mentions), frozenset(bare), received, told, bound)

    def _meets(
        self,
        plain: frozenset[str],
        mentions: frozenset[str],
        bare: frozenset[str],
        received: Mapping[str, tuple[str, ...]],
        told: Mapping[str, list[_Way]],
        bound: frozenset[str],
        words: Words,
    ) -> bool:
        present = words.all
        if not present.isdisjoint(bare) and (words.body is None and not words.mentions.isdisjoint(bare) or not words.read.isdisjoint(bare)):
            return True
        if any(words.tells(way.program, way.texts) for last in told.keys() & present for way in told[last]):
            return True
        if not present.isdisjoint(bound) and (words.body is None or not words.bound.isdisjoint(bound)):
            return True
        if not present.isdisjoint(plain) or (not present.isdisjoint(mentions) and not words.mentions.isdisjoint(mentions)):
            return True
        if not present.isdisjoint(received) and any(_is_received(words, last, received[last]) for last in received.keys() & present):
            return True
        if not present.isdisjoint(self._statements) and not words.statements.isdisjoint(self._statements):
            return True
        if any(pattern.found_in(present) for pattern in self._words) or any(pattern.found_in(words.defined) for pattern in self._names):
            return True
        if not present.isdisjoint(self._defined) and not words.defined.isdisjoint(self._defined):
            return True
        if any(words.holds(pattern) for pattern in self._lines):
            return True
        return bool(self._shapes) and (words.body is None or any(shape(words.body) for shape in self._shapes))


def _is_received(words: Words, last: str, globs: tuple[str, ...]) -> bool:
    if "" in globs and last in words.mentions:
        return True  # called by its bare name
    receivers = words.receivers(last)
    return _ANY in receivers or any(_globs(globs).match(receiver) for receiver in receivers)


@functools.cache
def _globs(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, dict.fromkeys(globs))))


def _anchor(dotted: str) -> Anchor:
    top, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
    return (_ANY, _ANY) if top in ("builtins", "") else (_ANY, last) if top == "*" else (top, last)


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
