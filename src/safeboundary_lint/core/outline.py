"""What a file consists of: its functions and methods, the code around them, and which of them may have to do with each other.

Told from Python's own tree and from words, before LibCST sees the text.
"""

from __future__ import annotations

import ast
import collections
import re
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes import Body
from safeboundary_lint.core.words import WORD, Words

_COMMENT = Regex(r"#[^\n\"']*$", re.MULTILINE)
_OF_SELF = Regex(r"self(?<!\wself)\s*\.\s*(\w+)")  # not in one with the next: plain text at the beginning is found fast
_OF_CLS = Regex(r"cls(?<!\wcls)\s*\.\s*(\w+)")
_ATTRIBUTE = Regex(r"\.\s*([^\W\d]\w*)")
_STORED = Regex(r"\.\s*([^\W\d]\w*)\s*[-+*/|&]?=(?!=)")
_GLOBAL = Regex(r"^[ \t]*global[ \t]+([^\n;#]+)", re.MULTILINE)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Mentioning a class is mentioning these of its methods.
_IMPLIED = frozenset("__init__ __new__ __post_init__ __call__ __enter__ __exit__ __aenter__ __aexit__ __getitem__ __iter__ __next__".split())
_CONTAINERS = frozenset("dict list set defaultdict OrderedDict Counter deque WeakValueDictionary WeakSet Queue".split())

# What one unit asks for and others offer: a name of the module, a method or attribute of a family of classes, a method of any class.
Link = tuple[str, ...]
CALLS = ("name", "method")  # the kinds of links that may be calls
LINKS = (*CALLS, "attribute", "stored", "global")


@dataclass(eq=False)
class Unit:
    """A function at the top of the module or of a class: what is blanked or stays as a whole."""

    name: str
    owner: str  # the class, or ""
    first: int  # 0-based line of the definition or of its first decorator
    last: int  # exclusive
    words: Words  # without comments and docstring
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @cached_property
    def attributes(self) -> frozenset[str]:
        """Attributes of self or cls that the function mentions."""
        return frozenset(_OF_SELF.findall(self.words.source) + _OF_CLS.findall(self.words.source))

    @cached_property
    def stored(self) -> frozenset[str]:
        """Attributes of anything else that the function may set."""
        return frozenset(_STORED.findall(self.words.source)) - self.attributes

    @cached_property
    def named_attributes(self) -> frozenset[str]:
        """Attributes of anything that the function mentions."""
        return frozenset(_ATTRIBUTE.findall(self.words.source))


class Outline:
    """The units of a text, and the words in each and around them. Raises SyntaxError for what the running Python can't parse."""

    def __init__(self, text: str, module: ast.Module | None = None) -> None:
        """`module` is Python's tree of the text, where it has been parsed already."""
        self.module = module if module is not None else _parsed(text)
        self.text = text
        self.lines = re.split(r"\r\n|\r|\n", text) if "\r" in text else text.split("\n")
        self._aliases = _aliases(self.module.body)
        self._bases: dict[str, list[str]] = {}
        self.units = list(self._units(self.module.body, ""))
        self._known_links: dict[tuple[str, int, tuple[str, ...]], set[int]] = {}
        around, end = [], 0
        imports = [(node.lineno - 1, node.end_lineno or node.lineno) for node in self.module.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        plain = [(first, last) for first, last in imports if not any(";" in line for line in self.lines[first:last])]
        for first, last in sorted([*((unit.first, unit.last) for unit in self.units), *plain]):  # what is only imported is not used here
            around += self.lines[end:first]
            end = max(end, last)
        self.around = self._words(around + self.lines[end:], Body(_loose(self.module.body)))

    @classmethod
    def of(cls, text: str, module: ast.Module | None = None) -> Outline | None:
        """The outline of a text; None for what the running Python can't read."""
        try:
            return cls(text, module)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def _units(self, body: list[ast.stmt], owner: str) -> Iterator[Unit]:
        for node in body:
            if isinstance(node, _FUNCTIONS):
                first = (node.decorator_list[0] if node.decorator_list else node).lineno - 1
                words = self._words(self._code(node, first), Body([node], owner))
                if owner and "cls" in words.all:
                    words.add([owner])  # `cls(...)` is a call of the class
                yield Unit(node.name, owner, first, node.end_lineno or node.lineno, words, node)
            elif isinstance(node, ast.ClassDef):
                self._bases.setdefault(node.name, []).extend(filter(None, map(_last_name, node.bases)))
                yield from self._units(node.body, node.name)

    def _words(self, lines: list[str], body: Body) -> Words:
        """The words of some lines, and what the aliases among them stand for."""
        text = "\n".join(lines)
        body.text = _COMMENT.sub("", text) if "#" in text else text
        words = Words(body.text, body)
        if named := self._aliases.keys() & words.all:
            words.add(original for alias in named for original in self._aliases[alias])
        return words

    def _code(self, node: ast.FunctionDef | ast.AsyncFunctionDef, first: int) -> list[str]:
        """The lines of a function without its docstring."""
        lines = self.lines[first : node.end_lineno]
        start = node.body[0]
        if isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant) and isinstance(start.value.value, str) and len(node.body) > 1:
            del lines[start.lineno - 1 - first : (start.end_lineno or start.lineno) - first]
        return lines

    def size(self, several: Iterable[int]) -> int:
        """How many lines these units have."""
        return sum(self.units[index].last - self.units[index].first for index in several)

    def part_of(self, unit: Unit, part: Sequence[ast.stmt]) -> Unit:
        """Some statements of a unit, as if they were all of it."""
        lines = self.lines[min(node.lineno for node in part) - 1 : max(node.end_lineno or node.lineno for node in part)]
        return Unit(unit.name, unit.owner, unit.first, unit.last, self._words(lines, Body(part)), unit.node)

    # -- who has to do with whom -------------------------------------------------------------------------------------

    @cached_property
    def used_around(self) -> set[int]:
        """Units that the code around the units names, and those that share a container with it."""
        named = (index for word in self.around.all & self._units_by_name.keys() for index in self._units_by_name[word])
        return {*named, *(index for name in self._shared for index in self.offering(("global", name)))}

    def asked_by(self, unit: Unit) -> Iterator[Link]:
        """What a unit names: others, attributes of its object, containers of the module."""
        family = self._family[unit.owner]
        for name in unit.words.all & self._units_by_name.keys():
            yield ("name", name)
            if name in unit.named_attributes:
                yield ("method", family, name)
                yield ("method", name)
        for name in unit.attributes:
            yield ("attribute", family, name)
            yield ("stored", name)
        yield from (("global", name) for name in unit.words.all & self._shared)

    def offering(self, link: Link) -> Sequence[int]:
        """The units that a link leads to."""
        return self._offering.get(link, ())

    def used_by(self, index: int, kinds: tuple[str, ...]) -> Collection[int]:
        """The units to which links of some kinds lead from one."""
        return self._linked("to", index, kinds)

    def using(self, index: int, kinds: tuple[str, ...]) -> Collection[int]:
        """The units from which links of some kinds lead to one."""
        return self._linked("from", index, kinds)

    def _linked(self, way: str, index: int, kinds: tuple[str, ...]) -> Collection[int]:
        """Asked for the same units by many tests: found out once."""
        key = (way, index, kinds)
        if (known := self._known_links.get(key)) is None:
            links, leading = (self.asked_by(self.units[index]), self._offering) if way == "to" else (self._offered_by(index), self._asking)
            known = self._known_links[key] = {other for link in links if link[0] in kinds for other in leading.get(link, ())}
        return known

    def _offered_by(self, index: int) -> Iterator[Link]:
        """By what others mean a unit, or share something with it."""
        unit = self.units[index]
        yield from self._meanings(unit)
        family = self._family[unit.owner]
        yield from (link for name in unit.attributes if (link := ("attribute", family, name)) in self._offering)
        yield from (("stored", name) for name in unit.stored)
        yield from (("global", name) for name in unit.words.all & self._shared)

    def _meanings(self, unit: Unit) -> Iterator[Link]:
        if not unit.owner or unit.name in _IMPLIED:
            yield ("name", unit.name)
            if unit.owner:
                yield ("name", unit.owner)
        else:
            yield ("method", self._family[unit.owner], unit.name)
            if unit.owner in self._used_classes:
                yield ("method", unit.name)

    @cached_property
    def _offering(self) -> Mapping[Link, Sequence[int]]:
        methods = {(self._family[unit.owner], unit.name) for unit in self.units}
        found: dict[Link, list[int]] = defaultdict(list)
        for index, unit in enumerate(self.units):
            family = self._family[unit.owner]
            for link in self._meanings(unit):
                found[link].append(index)
            for name in unit.attributes:
                if (family, name) not in methods:
                    found["attribute", family, name].append(index)
            for name in unit.stored:
                found["stored", name].append(index)
            for name in unit.words.all & self._shared:
                found["global", name].append(index)
        return found

    @cached_property
    def _asking(self) -> Mapping[Link, Sequence[int]]:
        found: dict[Link, list[int]] = defaultdict(list)
        for index, unit in enumerate(self.units):
            for link in self.asked_by(unit):
                found[link].append(index)
        return found

    @cached_property
    def _units_by_name(self) -> dict[str, list[int]]:
        """The units that a name may mean: their own, or that of their class."""
        found: dict[str, list[int]] = defaultdict(list)
        for index, unit in enumerate(self.units):
            found[unit.name].append(index)
            if unit.owner and unit.name in _IMPLIED:
                found[unit.owner].append(index)
        return found

    @cached_property
    def _shared(self) -> frozenset[str]:
        """Names of the module that stand for what functions change."""
        changing = (unit for unit in self.units if "global" in unit.words.all)
        found = {name for unit in changing for line in _GLOBAL.findall(unit.words.source) for name in WORD.findall(line)}
        for node in self.module.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_container(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(target.id for target in targets if isinstance(target, ast.Name))
        return frozenset(found)

    @cached_property
    def _family(self) -> dict[str, str]:
        """For each class a name that it shares with its bases and subclasses in this file."""
        family = {name: name for name in ["", *(unit.owner for unit in self.units), *self._bases]}
        for name, bases in self._bases.items():
            for base in bases:
                if base in family and (old := family[base]) != (new := family[name]):
                    family.update({one: new for one, of in family.items() if of == old})
        return family

    @cached_property
    def _used_classes(self) -> frozenset[str]:
        """Classes whose name stands elsewhere than in their own definition."""
        used = frozenset().union(*(unit.words.all for unit in self.units)) if self.units else frozenset()
        around = collections.Counter(WORD.findall(self.around.source))
        return frozenset(name for name in self._bases if name in used or around[name] > 1)


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


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


def _aliases(body: list[ast.stmt]) -> dict[str, set[str]]:
    """What other names stand for that a module gives to what it imports or uses (`import a as b`, `b = x.a`): what says b means a."""
    found: dict[str, set[str]] = defaultdict(set)
    for alias, original in _renamed(body):
        found[alias].add(original)
    return found


def _partially(value: ast.expr) -> ast.expr | None:
    """What a value stands for: what `partial(...)` calls, a name, an attribute; None for others."""
    if isinstance(value, ast.Call) and value.args and _last_name(value.func) in ("partial", "partialmethod"):
        value = value.args[0]
    return value if isinstance(value, (ast.Name, ast.Attribute)) else None


def _renamed(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [alias for alias in node.names if alias.asname or isinstance(node, ast.ImportFrom)]
            yield from ((alias.asname or alias.name, alias.name.rpartition(".")[2]) for alias in named)
        elif isinstance(node, ast.Assign):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]  # `MISSING = (A, B)`
            originals = [original for value in values if (original := _last_name(_partially(value)))]
            yield from ((target.id, original) for target in node.targets if isinstance(target, ast.Name) for original in originals)
        elif isinstance(node, ast.ClassDef):
            yield from _renamed(node.body)
        elif isinstance(node, (ast.Try, ast.If)):
            yield from _renamed([*node.body, *node.orelse, *(line for handler in getattr(node, "handlers", ()) for line in handler.body)])
