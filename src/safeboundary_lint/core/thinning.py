"""A file's text with the definitions of no interest blanked out, line for line, so that every position holds.

LibCST parses a small part of a large file in a small part of the time. What stays: the module's and the classes' own statements,
each function that could be part of a finding, and with it, again and again, what it names in this file: helpers, the methods that
share the attributes it uses, and the functions that call it.
"""

from __future__ import annotations

import ast
import collections
import functools
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.screen import Screen, Test
from safeboundary_lint.core.shapes import Body
from safeboundary_lint.core.words import WORD, Words

_COMMENT = re.compile(r"#[^\n\"']*$", re.MULTILINE)
_OWN_ATTRIBUTE = re.compile(r"\b(?:self|cls)\s*\.\s*(\w+)")
_ATTRIBUTE = re.compile(r"\.\s*([^\W\d]\w*)")
_GLOBAL = re.compile(r"^[ \t]*global[ \t]+([^\n;#]+)", re.MULTILINE)
_Key = TypeVar("_Key")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Mentioning a class is mentioning these of its methods.
_IMPLIED = frozenset("__init__ __new__ __post_init__ __call__ __enter__ __exit__ __aenter__ __aexit__ __getitem__ __iter__ __next__".split())


_CONTAINERS = frozenset("dict list set defaultdict OrderedDict Counter deque WeakValueDictionary WeakSet Queue".split())


@dataclass(eq=False)
class Unit:
    """A function at the top of the module or of a class: what is blanked or stays as a whole."""

    name: str
    owner: str  # the class, or ""
    first: int  # 0-based line of the definition or of its first decorator
    last: int  # exclusive
    words: Words  # without comments and docstring

    @functools.cached_property
    def attributes(self) -> frozenset[str]:
        """Attributes of self or cls that the function mentions."""
        return frozenset(_OWN_ATTRIBUTE.findall(self.words.source))

    @functools.cached_property
    def named_attributes(self) -> frozenset[str]:
        """Attributes of anything that the function mentions."""
        return frozenset(_ATTRIBUTE.findall(self.words.source))


class Outline:
    """The units of a text, and the words in each and around them. Raises SyntaxError for what the running Python can't parse."""

    def __init__(self, text: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._module = ast.parse(text)
        self.lines = re.split(r"\r\n|\r|\n", text) if "\r" in text else text.split("\n")
        self._bases: dict[str, list[str]] = {}
        self._met: dict[Test, tuple[set[int], bool]] = {}
        self.units = list(self._units(self._module.body, ""))
        around, end = [], 0
        imports = [(node.lineno - 1, node.end_lineno or node.lineno) for node in self._module.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        plain = [(first, last) for first, last in imports if not any(";" in line for line in self.lines[first:last])]
        for first, last in sorted([*((unit.first, unit.last) for unit in self.units), *plain]):  # what is only imported is not used here
            around += self.lines[end:first]
            end = max(end, last)
        self.around = _words(around + self.lines[end:], Body(_loose(self._module.body)))
        self._aliases = aliases = _aliases(self._module.body)
        self.around.add(original for alias, original in aliases if alias in self.around.all)
        for unit in self.units:
            unit.words.add(original for alias, original in aliases if alias in unit.words.all)
            if unit.owner and "cls" in unit.words.all:
                unit.words.add([unit.owner])  # `cls(...)` is a call of the class

    def _units(self, body: list[ast.stmt], owner: str) -> Iterator[Unit]:
        for node in body:
            if isinstance(node, _FUNCTIONS):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
                yield Unit(node.name, owner, first, node.end_lineno or node.lineno, _words(self._code(node, first), Body([node], owner)))
            elif isinstance(node, ast.ClassDef):
                self._bases.setdefault(node.name, []).extend(filter(None, map(_last_name, node.bases)))
                yield from self._units(node.body, node.name)

    def _code(self, node: ast.FunctionDef | ast.AsyncFunctionDef, first: int) -> list[str]:
        """The lines of a function without its docstring."""
        lines = self.lines[first : node.end_lineno]
        start = node.body[0]
        if isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant) and isinstance(start.value.value, str) and len(node.body) > 1:
            del lines[start.lineno - 1 - first : (start.end_lineno or start.lineno) - first]
        return lines

    def seeds(self, rule: type[Rule], tests: Sequence[Test]) -> tuple[set[int], bool]:
        """Units that could hold a part of a finding of a rule, and whether the code around the units could.

        A finding needs something from each group of its rule's needs (`tests`), somewhere in what the units name of each other: so it is
        enough to start from the group that the fewest units meet. A local rule needs all of it in one unit, and has all units where
        what else it asks for may stand anywhere (`whole`).
        """
        everything = set(range(len(self.units)))
        if rule.local:
            several, around = self._meeting_all(tests)
            return (everything, True) if rule.whole and (several or around) else (several, around)
        if rule.whole or not tests:
            return everything, True
        met, outside = [], []
        for test in tests:
            several, around = self._meeting(test)
            if not several and not around:
                return set(), False
            met.append(several)
            outside.append(around)
        if rule.anchored:
            below = [several for several, around in zip(met[1:], outside[1:], strict=True) if not around]
            anchors = [index for index in met[-1] if not any(several.isdisjoint(self._reached([index], rule.anchored)) for several in below)]
            return {index for index in anchors if outside[0] or self._has_part(index, rule, tests[0], met[0])}, outside[-1]
        inside = [several for several, around in zip(met, outside, strict=True) if not around]
        # What stands around the units reaches them by names of the module, which are not followed: then every group counts.
        return (min(inside, key=self._size), False) if inside else (set.union(*met), True)

    def _meeting(self, test: Test) -> tuple[set[int], bool]:
        """The units that pass a test, and whether the code around them does; each test is made once."""
        if test not in self._met:
            self._met[test] = {index for index, unit in enumerate(self.units) if test(unit.words)}, test(self.around)
        return self._met[test]

    def _meeting_all(self, tests: Sequence[Test]) -> tuple[set[int], bool]:
        """The same for several tests, of which the dearest come last."""
        several, around = set(range(len(self.units))), True
        for test in tests:
            several = {index for index in several if test(self.units[index].words)}
            around = around and test(self.around)
            if not several and not around:
                break
        return several, around

    def _size(self, several: Collection[int]) -> int:
        return sum(self.units[index].last - self.units[index].first for index in several)

    def closure(self, seeds: Mapping[int, Collection[int]]) -> set[int]:
        """`seeds` by the number of steps that the search goes from them, and what is reached."""
        kept: set[int] = set()
        edge: set[int] = set()
        for steps in range(max(seeds, default=0), -1, -1):
            edge = {other for index in edge for other in self._next_to(index)}.union(seeds.get(steps, ())) - kept
            kept |= edge
        return kept

    @functools.cached_property
    def used_around(self) -> set[int]:
        """Units that the code around the units names, and those that share a container with it."""
        named = {index for word in self.around.all & self._by_name.keys() for index in self._by_name[word]}
        return named.union(*(self._sharing[word] for word in self._shared))

    def _next_to(self, index: int) -> Iterator[int]:
        """Units that a unit names or is named by, and those it shares an attribute of an object or a container of the module with."""
        unit = self.units[index]
        yield from self._used_by(index)
        own = unit.owner if unit.name in _IMPLIED else unit.name
        yield from (other for other in self._mentions.get(own, ()) if self._may_mean(self.units[other], unit))

    def _used_by(self, index: int) -> Iterator[int]:
        """The same without those that name the unit."""
        return self._used_in(self.units[index])

    def _used_in(self, unit: Unit) -> Iterator[int]:
        for word in unit.words.all & self._by_name.keys():
            yield from (other for other in self._by_name[word] if self._may_mean(unit, self.units[other]))
        for attribute in unit.attributes:
            yield from self._by_attribute.get((self._family[unit.owner], attribute), ())
        for word in unit.words.all & self._shared:
            yield from self._sharing.get(word, ())

    def _has_part(self, index: int, rule: type[Rule], test: Test, met: set[int]) -> bool:
        """True when one of the parts of a unit that count meets a need, or uses a unit that does."""
        if rule.parts is None:
            return not met.isdisjoint(self._reached([index], rule.anchored))
        unit = self.units[index]
        for part in rule.parts(unit.words.body or ()):
            lines = self.lines[min(node.lineno for node in part) - 1 : max(node.end_lineno or node.lineno for node in part)]
            words = _words(lines, Body(part))
            words.add(original for alias, original in self._aliases if alias in words.all)
            piece = Unit(unit.name, unit.owner, unit.first, unit.last, words)
            if test(words) or not met.isdisjoint(self._reached(set(self._used_in(piece)), rule.anchored - 1)):
                return True
        return False

    def _reached(self, start: Iterable[int], steps: int) -> set[int]:
        """These units and those that they use, so many steps far."""
        reached = edge = set(start)
        for _step in range(steps):
            edge = {other for one in edge for other in self._used_by(one)} - reached
            reached = reached | edge
        return reached

    @functools.cached_property
    def _by_name(self) -> dict[str, list[int]]:
        """The units that are meant by a name: their own, or that of their class."""
        found: dict[str, list[int]] = defaultdict(list)
        for index, unit in enumerate(self.units):
            found[unit.name].append(index)
            if unit.owner and unit.name in _IMPLIED:
                found[unit.owner].append(index)
        return found

    @functools.cached_property
    def _mentions(self) -> dict[str, list[int]]:
        """The units in which a name of `_by_name` stands."""
        return self._indexed(lambda unit: unit.words.all & self._by_name.keys())

    @functools.cached_property
    def _by_attribute(self) -> dict[tuple[str, str], list[int]]:
        """The units that share an attribute of an object, methods not counted."""
        methods = {(self._family[unit.owner], unit.name) for unit in self.units}
        return self._indexed(lambda unit: {(self._family[unit.owner], attribute) for attribute in unit.attributes} - methods)

    @functools.cached_property
    def _sharing(self) -> dict[str, list[int]]:
        """The units that use a container of the module, or a global that functions bind."""
        return self._indexed(lambda unit: unit.words.all & self._shared)

    def _indexed(self, keys: Callable[[Unit], Iterable[_Key]]) -> dict[_Key, list[int]]:
        found: dict[_Key, list[int]] = defaultdict(list)
        for index, unit in enumerate(self.units):
            for key in keys(unit):
                found[key].append(index)
        return found

    @functools.cached_property
    def _shared(self) -> frozenset[str]:
        """Names of the module that stand for what functions change."""
        found = {name for unit in self.units for line in _GLOBAL.findall(unit.words.source) for name in WORD.findall(line)}
        for node in self._module.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_container(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(target.id for target in targets if isinstance(target, ast.Name))
        return frozenset(found)

    @functools.cached_property
    def _family(self) -> dict[str, str]:
        """For each class a name that it shares with its bases and subclasses in this file."""
        family = {name: name for name in ["", *(unit.owner for unit in self.units), *self._bases]}
        for name, bases in self._bases.items():
            for base in bases:
                if base in family and (old := family[base]) != (new := family[name]):
                    family.update({one: new for one, of in family.items() if of == old})
        return family

    @functools.cached_property
    def _used_classes(self) -> frozenset[str]:
        """Classes whose name stands elsewhere than in their own definition."""
        used = frozenset().union(*(unit.words.all for unit in self.units)) if self.units else frozenset()
        around = collections.Counter(WORD.findall(self.around.source))
        return frozenset(name for name in self._bases if name in used or around[name] > 1)

    def _may_mean(self, unit: Unit, other: Unit) -> bool:
        """True when the name of `other`, which stands in `unit`, may mean it there."""
        if not other.owner or other.name in _IMPLIED:
            return True
        if other.name not in unit.named_attributes:
            return False
        return self._family[unit.owner] == self._family[other.owner] or other.owner in self._used_classes

    def thinned(self, kept: Collection[int]) -> str:
        """The text with the other units blanked; a `pass` stays where a unit stood, so that no body is empty."""
        lines = list(self.lines)
        for index, unit in enumerate(self.units):
            if index not in kept:
                head = lines[unit.first]
                lines[unit.first : unit.last] = [head[: len(head) - len(head.lstrip())] + "pass"] + [""] * (unit.last - unit.first - 1)
        return "\n".join(lines)


def _loose(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """What stands around the units: statements of the module and of its classes, their bases and decorators."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords))
            yield from _loose(node.body)
        elif not isinstance(node, _FUNCTIONS):
            yield node


def _last_name(node: ast.expr | None) -> str:
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return _last_name(value.func) in _CONTAINERS
    return isinstance(value, (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp))


def _aliases(body: list[ast.stmt]) -> list[tuple[str, str]]:
    """Other names that a module gives to what it imports or uses (`import a as b`, `b = x.a`): what says b means a."""
    found = []
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [alias for alias in node.names if alias.asname or isinstance(node, ast.ImportFrom)]
            found += [(alias.asname or alias.name, alias.name.rpartition(".")[2]) for alias in named]
        elif isinstance(node, ast.Assign) and isinstance(node.value, (ast.Name, ast.Attribute)):
            original = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            found += [(target.id, original) for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, (ast.Try, ast.If)):
            found += _aliases([*node.body, *node.orelse, *(line for handler in getattr(node, "handlers", ()) for line in handler.body)])
    return found


def _words(lines: list[str], body: Body) -> Words:
    text = "\n".join(lines)
    return Words(_COMMENT.sub("", text) if "#" in text else text, body)


def thinned(text: str, rules: Iterable[type[Rule]], screen: Screen, words: Words) -> tuple[str, list[type[Rule]]]:
    """What of a text has to be parsed for these rules, and which of them can still fire when comments and docstrings are left out.

    All of it for all of them when the running Python can't read the text.
    """
    wanted = list(rules)
    if words.star_import:
        return text, wanted
    try:
        outline = Outline(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text, wanted
    seeds: dict[int, set[int]] = defaultdict(set)
    left = []
    for rule in wanted:
        found, around = outline.seeds(rule, [screen.test(group, words) for group in rule.needs])
        if found or around:
            left.append(rule)
            seeds[rule.reach] |= found | outline.used_around if around else found
    return outline.thinned(outline.closure(seeds)) if left else "", left
