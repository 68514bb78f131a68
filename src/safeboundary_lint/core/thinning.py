"""A file's text with the definitions of no interest blanked out, line for line, so that every position holds.

LibCST parses a small part of a large file in a small part of the time. What stays: the module's and the classes' own statements,
each function that mentions a word of interest, and with it, again and again, what it names in this file: helpers, the methods that
set the attributes it uses, and the functions that call it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from safeboundary_lint.core.source import LINE_END

_WORD = re.compile(r"[^\W\d]\w*")
_COMMENT = re.compile(r"#[^\n\"']*$", re.MULTILINE)
_STORED = re.compile(r"\b(?:self|cls)\s*\.\s*(\w+)")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(slots=True, eq=False)
class Unit:
    """A function at the top of the module or of a class: what is blanked or stays as a whole."""

    name: str
    owner: str  # the class, or ""
    first: int  # 0-based line of the definition or of its first decorator
    last: int  # exclusive
    indent: int
    words: frozenset[str]
    attributes: frozenset[str]  # of self or cls


class Outline:
    """The units of a text and the words in each and around them."""

    def __init__(self, text: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        self.lines = LINE_END.split(text) if "\r" in text else text.split("\n")
        self.units = list(self._units(tree.body, ""))
        inside = {line for unit in self.units for line in range(unit.first, unit.last)}
        self.around = frozenset(_WORD.findall(_COMMENT.sub("", "\n".join(line for i, line in enumerate(self.lines) if i not in inside))))

    def _units(self, body: list[ast.stmt], owner: str) -> Iterator[Unit]:
        for node in body:
            if isinstance(node, _FUNCTIONS):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
                code = "\n".join(self._code(node, first))
                yield Unit(
                    node.name,
                    owner,
                    first,
                    node.end_lineno or first,
                    node.col_offset,
                    frozenset(_WORD.findall(_COMMENT.sub("", code))),
                    frozenset(_STORED.findall(code)),
                )
            elif isinstance(node, ast.ClassDef):
                yield from self._units(node.body, node.name)

    def _code(self, node: ast.FunctionDef | ast.AsyncFunctionDef, first: int) -> list[str]:
        """The lines of a function without its docstring."""
        lines = self.lines[first : node.end_lineno]
        start = node.body[0]
        if isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant) and isinstance(start.value.value, str) and len(node.body) > 1:
            del lines[start.lineno - 1 - first : (start.end_lineno or start.lineno) - first]
        return lines

    @property
    def words(self) -> frozenset[str]:
        """Every word of the code, without comments and the docstrings of functions."""
        return self.around.union(*(unit.words for unit in self.units))

    def closure(self, seeds: Collection[str]) -> set[int]:
        """Indexes of the units that mention a seed, and of all that these need."""
        by_name: dict[str, list[int]] = defaultdict(list)
        by_attribute: dict[str, list[int]] = defaultdict(list)
        mentions: dict[str, list[int]] = defaultdict(list)
        names = {unit.name for unit in self.units} | {unit.owner for unit in self.units}
        for index, unit in enumerate(self.units):
            by_name[unit.name].append(index)
            if unit.name in ("__init__", "__new__", "__post_init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__"):
                by_name[unit.owner].append(index)
            for attribute in unit.attributes:
                by_attribute[attribute].append(index)
            for word in unit.words & names:
                mentions[word].append(index)
        wanted = set(seeds)
        kept = {index for index, unit in enumerate(self.units) if not unit.words.isdisjoint(wanted)}
        queue = list(kept)
        if not self.around.isdisjoint(wanted):
            queue += (index for word in self.around & names for index in by_name[word])
            kept.update(queue)
        for index in queue:  # grows while it is walked
            unit = self.units[index]
            following = [other for word in unit.words & names for other in by_name[word]]
            following += [other for attribute in unit.attributes for other in by_attribute[attribute]]
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
                lines[unit.first : unit.last] = [" " * unit.indent + "pass"] + [""] * (unit.last - unit.first - 1)
        return "\n".join(lines)
