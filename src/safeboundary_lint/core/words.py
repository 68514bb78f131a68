"""The identifier-like words of a text, and what they stand for in it: what the screen asks before anything is parsed."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from typing import TYPE_CHECKING

from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes import Body, bound_names, last_name, walk

if TYPE_CHECKING:
    from safeboundary_lint.core.screen import Test

# Told by what is in no word: a set of all letters there are takes longer to compile than a small file to be checked.
WORD = Regex(r"[^\x00-@\[-^`{-\x7f][^\x00-/:-@\[-^`{-\x7f]*")
# They start with the one character that is rare, so what stands in front of it is read from behind.
_ATTRIBUTE = Regex(r"\.[\s\\]*([^\W\d]\w*)")
_BACKWARDS_CALLED = Regex(r"\([\s\\]*(\w+)")
_WORD_SIGN = Regex(r"\w")
_STATEMENT = Regex(r"^[ \t]*([a-z]+)\b", re.MULTILINE)
# Plain text at the beginning of a pattern is found ten times as fast as what an alternative or `\b` begins.
_FUNCTION = Regex(r"def[ \t]+([^\W\d]\w*)")
_CLASS = Regex(r"class[ \t]+([^\W\d]\w*)")
_HEAD = Regex(r"(?:async\s+)?(?:def|class)\s+")
# What may follow a name that something is bound to, and what follows one that is called; other words follow it in comments and texts.
_BINDING = r"(?=[ \t\f]*(\(|=(?!=)|[-+*/%@&|^<>]+=|[,):;\]}#\\\r\n]|(?:in|if)\b|\Z))"
_STAR_IMPORT = Regex(r"import(?<!\wimport)[ \t]*\*")
_WORDS_ONLY = bytes(code if code >= 0x80 or code == ord("_") or chr(code).isalnum() else ord(" ") for code in range(0x100))
STATUSES = frozenset(map(str, range(401, 600)))  # of failures in HTTP
_IMPORT = Regex(r"(?:^|[;:\r])[ \t\f]*(?:from[ \t\\\r\n]*(\.*\w*)|import\b((?:[^\r\n#;\\]|\\\r?\n)+))", re.MULTILINE)


def words_in(text: str) -> frozenset[str]:
    """What WORD finds in a text, in a third of the time; but numbers are words too, with the keyword that follows one at once (`1if x`)."""
    return frozenset(text.encode(errors="surrogatepass").translate(_WORDS_ONLY).decode(errors="surrogatepass").split())


class Words:
    """The words of a text, those in strings and comments included, and what stands where.

    Of a whole file only `all`, `imported` and `star_import` are asked; of a part of it, whose tree `body` holds, the rest too.
    """

    def __init__(self, source: str, body: Body | None = None) -> None:
        self.source = source
        self.body = body
        self.all = words_in(source)
        self.groups: int | None = None  # what a screen makes of the words
        self.bits: dict[str, int] = {}  # in a whole file, by word that says something to it
        self.telling: frozenset[str] = frozenset()  # those that say something
        self.naming: frozenset[str] = frozenset()  # likewise, as names of functions and classes
        self.opened: dict[int, bool] = {}  # by `id` of a way to meet a row, whether this file is open to it
        self.tests: dict[int, Test] = {}  # by the bit of a group, its tests for parts of this file
        self.added: frozenset[str] = frozenset()  # words that others stand for

    def add(self, meant: Iterable[str]) -> None:
        """Take in words that are meant by other ones: what an alias stands for."""
        if several := frozenset(meant):
            self.added |= several
            self.all |= several
            self.groups = None

    @cached_property
    def star_import(self) -> bool:
        """True when names come from a star import, so that a bare word may be any of them."""
        return "import" in self.all and _STAR_IMPORT.search(self.source) is not None

    @cached_property
    def imported(self) -> frozenset[str]:
        """Top-level modules that are imported anywhere, and `*`, which stands for any."""
        tops = {"*"}
        for origin, several in _IMPORT.findall(_importing(self.source)):
            tops.update(WORD.findall(several) or [origin])
        return frozenset(tops)

    @cached_property
    def attributes(self) -> frozenset[str]:
        """Names of attributes; in strings they count too, which is cheaper to tell."""
        return frozenset(_ATTRIBUTE.findall(self.source))

    def only_calls(self, name: str) -> bool:
        """True when a name, where it is no attribute, is called, or stands where nothing is bound: nothing here gives it a meaning of its own."""
        for found in re.finditer(rf"{name}(?<![\w.]{name})\b{_BINDING}", self.source):
            if self._defines(found.start()) if found[1] == "(" else not self._is_prose(found):
                return False
        return True

    def _is_prose(self, found: re.Match[str]) -> bool:
        """True for a word in a comment, and for one in front of `in` where no loop is."""
        before = self.source[self.source.rfind("\n", 0, found.start()) + 1 : found.start()]
        if found[1] == "in":
            return bool(before.strip()) and "for" not in before
        quotes = ('"""', "'''") if before.lstrip().startswith("#") else ('"', "'")  # a text may end there
        return "#" in before and not any(quote in before for quote in quotes)

    def _defines(self, start: int) -> bool:
        """True when what stands here is the name in a definition of the module."""
        return _HEAD.fullmatch(self.source[self.source.rfind("\n", 0, start) + 1 : start]) is not None

    @cached_property
    def mentions(self) -> frozenset[str]:
        """Names of attributes, and names that are called or imported here; in strings they count too, which is cheaper to tell."""
        found = {*self.attributes, *(name[::-1] for name in _BACKWARDS_CALLED.findall(self.source[::-1]))}
        if "import" in self.all:
            found.update(alias.name.rpartition(".")[2] for node in walk(self.body or Body(()), ast.Import, ast.ImportFrom) for alias in node.names)
        return frozenset(found) | self.added

    def _before(self, attribute: str) -> set[str]:
        """What stands in front of the dot of an attribute: a name, or another sign."""
        found: set[str] = set()
        text, size = self.source, len(attribute)
        at = text.find(attribute)
        while at >= 0:
            end = self._dot_before(at)
            if end >= 0 and not _WORD_SIGN.match(text, at + size):
                while end > 0 and (text[end - 1] == "\\" or text[end - 1].isspace()):
                    end -= 1
                start = end
                while start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_"):
                    start -= 1
                found.add(text[start:end] or text[max(0, end - 1) : end])
            at = text.find(attribute, at + size)
        return found

    def reads(self, name: str) -> bool:
        """True when a name is one of those that are read; most are attributes wherever they stand, which the text tells."""
        return (name in self.added or self._stands_alone(name)) and name in self.read

    def _stands_alone(self, name: str) -> bool:
        """False when a name is surely no variable: behind a dot, or part of another word, wherever it stands."""
        text, size = self.source, len(name)
        at = text.find(name)
        while at >= 0:
            before = text[at - 1] if at else ""
            if not (before == "_" or before.isalnum()) and not _WORD_SIGN.match(text, at + size):
                dot = self._dot_before(at)
                if dot < 0 or "\n" in text[dot:at]:  # `x = 1.` may end a line
                    return True
            at = text.find(name, at + size)
        return False

    def _dot_before(self, at: int) -> int:
        """Where the dot is that stands in front of a place; -1 for none."""
        text, dot = self.source, at - 1
        while dot >= 0 and (text[dot] == "\\" or text[dot].isspace()):
            dot -= 1
        return dot if dot >= 0 and text[dot] == "." else -1

    def received(self, attribute: str) -> Collection[str]:
        """What stands in front of an attribute, as in `receivers`; read off the text where that tells it."""
        found = self._before(attribute)
        if not found.isdisjoint((")", "]")):  # of what was called or looked up
            return self.receivers.get(attribute, ())
        return {before.lower().lstrip("_") if before.isidentifier() else "" for before in found}

    @cached_property
    def receivers(self) -> dict[str, frozenset[str]]:
        """By name of an attribute what stands in front of it, lowered and without leading underscores; "" for what has no name."""
        found: dict[str, set[str]] = defaultdict(set)
        for node in walk(self.body or (), ast.Attribute):
            found[node.attr].add((last_name(node.value) or "").lower().lstrip("_"))
        return {name: frozenset(several) for name, several in found.items()}

    @cached_property
    def read(self) -> frozenset[str]:
        """Names of variables that are called, or read and not bound here: what may be built in."""
        body = self.body or Body(())
        called = {node.func.id for node in walk(body, ast.Call) if isinstance(node.func, ast.Name)}
        names = {node.id for node in walk(body, ast.Name) if isinstance(node.ctx, ast.Load)}
        return frozenset(called | (names - self.bound) | (self.added - names))

    @cached_property
    def bound(self) -> frozenset[str]:
        """Names that something is bound to: variables, attributes, keys, parameters and keywords."""
        return bound_names(self.body or ())

    @cached_property
    def assigned(self) -> frozenset[str]:
        """Names of the variables, attributes and parameters that anything is bound to here."""
        body = self.body or Body(())
        found = {node.id for node in walk(body, ast.Name) if isinstance(node.ctx, ast.Store)}
        found.update(node.attr for node in walk(body, ast.Attribute) if isinstance(node.ctx, ast.Store))
        return frozenset(found.union(node.arg for node in walk(body, ast.arg)))

    @cached_property
    def statements(self) -> frozenset[str]:
        """The words with which lines start: the keywords of statements among them."""
        return frozenset(_STATEMENT.findall(self.source))

    @cached_property
    def defined(self) -> frozenset[str]:
        """Names of the functions and classes that are defined here."""
        return frozenset(_FUNCTION.findall(self.source) + _CLASS.findall(self.source))

    def tells(self, program: str, texts: Iterable[str]) -> bool:
        """True when a text stands here, whatever the case, and the name of the program that reads it."""
        return program in self._lowered and any(text in self._lowered for text in texts)

    @cached_property
    def _lowered(self) -> str:
        return self.source.lower().replace(",", " ")

    def holds(self, pattern: str) -> bool:
        """True when a line-wise regular expression is found."""
        return _compiled(pattern).search(self.source) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


def _importing(source: str) -> str:
    """The lines of a text in which something may be imported, with those that they go on in."""
    if "\r" in source:
        return source
    pieces: list[str] = []
    end = 0
    while (at := source.find("import", end)) >= 0:
        start = source.rfind("\n", 0, at) + 1
        while source[start - 2 : start] == "\\\n":
            start = source.rfind("\n", 0, start - 1) + 1
        end = source.find("\n", at)
        while end > 0 and source[end - 1] == "\\":
            end = source.find("\n", end + 1)
        end = len(source) if end < 0 else end
        pieces.append(source[start:end])
    return "\n".join(pieces)
