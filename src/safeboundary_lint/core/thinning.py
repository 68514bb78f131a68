"""A file's text with the definitions of no interest blanked out, line for line, so that every position holds.

LibCST parses a small part of a large file in a small part of the time. What stays: the module's and the classes' own statements,
each function that could be part of a finding, and with it, again and again, what it names in this file: helpers, the methods that
share the attributes it uses, and the functions that call it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.screen import Screen, Words

_COMMENT = re.compile(r"#[^\n\"']*$", re.MULTILINE)
_OWN_ATTRIBUTE = re.compile(rb"\b(?:self|cls)\s*\.\s*(\w+)")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Mentioning a class is mentioning these of its methods.
_IMPLIED = frozenset("__init__ __new__ __post_init__ __call__ __enter__ __exit__ __aenter__ __aexit__ __getitem__ __iter__ __next__".split())


@dataclass(slots=True, eq=False)
class Unit:
    """A function at the top of the module or of a class: what is blanked or stays as a whole."""

    name: str
    owner: str  # the class, or ""
    first: int  # 0-based line of the definition or of its first decorator
    last: int  # exclusive
    words: Words  # without comments and docstring

    @property
    def attributes(self) -> set[str]:
        """Attributes of self or cls that the function mentions."""
        return {name.decode("utf-8", "replace") for name in _OWN_ATTRIBUTE.findall(self.words.source)}


class Outline:
    """The units of a text, and the words in each and around them. Raises SyntaxError for what the running Python can't parse."""

    def __init__(self, text: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        self.lines = re.split(r"\r\n|\r|\n", text) if "\r" in text else text.split("\n")
        self.units = list(self._units(tree.body, ""))
        around, end = [], 0
        for unit in self.units:
            around += self.lines[end : unit.first]
            end = unit.last
        self.around = _words(around + self.lines[end:])
        aliases = _aliases(tree.body)
        for unit in self.units:
            unit.words.add(original for alias, original in aliases if alias in unit.words.all)

    def _units(self, body: list[ast.stmt], owner: str) -> Iterator[Unit]:
        for node in body:
            if isinstance(node, _FUNCTIONS):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
                yield Unit(node.name, owner, first, node.end_lineno or node.lineno, _words(self._code(node, first)))
            elif isinstance(node, ast.ClassDef):
                yield from self._units(node.body, node.name)

    def _code(self, node: ast.FunctionDef | ast.AsyncFunctionDef, first: int) -> list[str]:
        """The lines of a function without its docstring."""
        lines = self.lines[first : node.end_lineno]
        start = node.body[0]
        if isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant) and isinstance(start.value.value, str) and len(node.body) > 1:
            del lines[start.lineno - 1 - first : (start.end_lineno or start.lineno) - first]
        return lines

    def seeds(self, rule: type[Rule], tests: Sequence[Callable[[Words], bool]]) -> tuple[set[int], bool]:
        """Units that could hold a part of a finding of a rule, and whether the code around the units could.

        A finding needs something from each group of its rule's needs (`tests`), somewhere in what the units name of each other: so it is
        enough to start from the group that the fewest units meet. A local rule needs all of it in one unit.
        """
        met = [{index for index, unit in enumerate(self.units) if test(unit.words)} for test in tests]
        outside = [test(self.around) for test in tests]
        if not tests or rule.whole:
            return set(range(len(self.units))), True
        if rule.local:
            return set.intersection(*met), all(outside)
        if not all(several or around for several, around in zip(met, outside, strict=True)):
            return set(), False
        best = min(range(len(tests)), key=lambda index: sum(self.units[unit].last - self.units[unit].first for unit in met[index]))
        # What stands around the units reaches them by names of the module, which are not followed: then every group counts.
        return (set.union(*met), True) if outside[best] else (met[best], False)

    def closure(self, seeds: Collection[int], outside: bool) -> set[int]:
        """`seeds` and all that these units, or the code around the units, need."""
        by_name: dict[str, list[int]] = defaultdict(list)
        by_attribute: dict[str, list[int]] = defaultdict(list)
        mentions: dict[str, list[int]] = defaultdict(list)
        names = {unit.name for unit in self.units} | {unit.owner for unit in self.units}
        attributes = [unit.attributes for unit in self.units]
        for index, unit in enumerate(self.units):
            by_name[unit.name].append(index)
            if unit.name in _IMPLIED:
                by_name[unit.owner].append(index)
            for attribute in attributes[index]:
                by_attribute[attribute].append(index)
            for word in unit.words.all & names:
                mentions[word].append(index)
        kept = set(seeds)
        if outside:
            kept.update(index for word in self.around.all & names for index in by_name[word])
        queue = list(kept)
        for index in queue:  # grows while it is walked
            unit = self.units[index]
            following = [other for word in unit.words.all & names for other in by_name[word]]
            following += [other for attribute in attributes[index] for other in by_attribute[attribute]]
            following += mentions[unit.owner if unit.name == "__init__" else unit.name]
            for other in following:
                if other not in kept:
                    kept.add(other)
                    queue.append(other)
        return kept

    def thinned(self, kept: Collection[int]) -> str:
        """The text with the other units blanked; a `pass` stays where a unit stood, so that no body is empty."""
        lines = list(self.lines)
        for index, unit in enumerate(self.units):
            if index not in kept:
                head = lines[unit.first]
                lines[unit.first : unit.last] = [head[: len(head) - len(head.lstrip())] + "pass"] + [""] * (unit.last - unit.first - 1)
        return "\n".join(lines)


def _aliases(body: list[ast.stmt]) -> list[tuple[str, str]]:
    """Other names that a module gives to what it imports or uses (`import a as b`, `b = x.a`): what says b means a."""
    found = []
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [(alias.asname, alias.name.rpartition(".")[2]) for alias in node.names if alias.asname]
        elif isinstance(node, ast.Assign) and isinstance(node.value, (ast.Name, ast.Attribute)):
            original = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            found += [(target.id, original) for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, (ast.Try, ast.If)):
            found += _aliases([*node.body, *node.orelse, *(line for handler in getattr(node, "handlers", ()) for line in handler.body)])
    return found


def _words(lines: list[str]) -> Words:
    return Words(_COMMENT.sub("", "\n".join(lines)).encode("utf-8", "surrogatepass"))


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
    seeds: set[int] = set()
    outside, left = False, []
    for rule in wanted:
        found, around = outline.seeds(rule, [screen.test(group, words) for group in rule.needs])
        if found or around:
            left.append(rule)
            seeds |= found
            outside = outside or around
    return outline.thinned(outline.closure(seeds, outside)) if left else "", left
