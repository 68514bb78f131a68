"""Where comments stand: the logical lines and definitions of a text, found by its tokens alone."""

from __future__ import annotations

import io
import sys
import token as token_types
import tokenize
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from safeboundary_lint.core.regex import Regex

_FSTRING_STARTS = frozenset(
    getattr(token_types, name) for name in ("FSTRING_START", "TSTRING_START") if hasattr(token_types, name)
)
_FSTRING_ENDS = frozenset(getattr(token_types, name) for name in ("FSTRING_END", "TSTRING_END") if hasattr(token_types, name))
_NO_CODE = frozenset({tokenize.NL, tokenize.ENDMARKER})
# The tokenizer of Python 3.12.0 to 3.12.3 takes quadratic time on a line (gh-119118): seconds for one of 20,000 characters.
_LONGEST_LINE = 20_000 if (3, 12) <= sys.version_info < (3, 12, 4) else sys.maxsize
_PROLOGUE = Regex(r"#!|#.*coding[:=]")  # a shebang or encoding line


@dataclass(eq=False, slots=True)
class Extent:
    """A run of whole lines: a logical line, a definition with its decorators and body, or the file."""

    first: int
    last: int
    outer: Extent | None = None  # the nearest definition around, or the file
    name: str = ""  # of a definition

    @property
    def symbol(self) -> str:
        """Dotted name of the definitions around and this one."""
        outer = self.outer.symbol if self.outer else ""
        return f"{outer}.{self.name}" if outer and self.name else outer or self.name

    def chain(self) -> Iterator[Extent]:
        """This one, the definition around it, and so on up to the file."""
        extent: Extent | None = self
        while extent is not None:
            yield extent
            extent = extent.outer


@dataclass(eq=False, slots=True)
class PlacedComment:
    """One comment token and the code it belongs to."""

    text: str  # from the `#` to the end of the line
    line: int
    column: int  # 1-based, in characters
    own_line: bool
    extent: Extent | None = None  # what it covers; None: no code follows it in its block
    statement: Extent | None = None  # the logical line it stands in; None for a comment on a line of its own
    outer: Extent | None = None  # the definition around the comment, or the file


@dataclass(slots=True)
class Layout:
    """Comments, logical lines and definitions of one file."""

    file: Extent
    comments: list[PlacedComment] = field(default_factory=list)
    statements: list[Extent] = field(default_factory=list)  # in source order

    @classmethod
    def of(cls, text: str) -> Layout | None:
        """The layout of a text; None when it can't be tokenized. Line ends may be LF, CRLF or CR."""
        source = text.removeprefix("\ufeff")
        if "\r" in source:
            source = source.replace("\r\n", "\n").replace("\r", "\n")
        if len(source) > _LONGEST_LINE and max(map(len, source.split("\n"))) > _LONGEST_LINE:
            return None
        reader = _Reader(source.count("\n") + 1)
        try:
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                reader.take(token)
        except (tokenize.TokenError, SyntaxError, ValueError):
            return None
        reader.place_waiting(None)
        return reader.layout

    def statement_at(self, line: int) -> Extent | None:
        """The logical line that holds a line; None for blank lines and lines with only a comment."""
        index = bisect_right(self.statements, line, key=lambda statement: statement.first) - 1
        if index >= 0 and line <= self.statements[index].last:
            return self.statements[index]
        return None


class _Reader:
    """Builds a layout token by token."""

    def __init__(self, lines: int) -> None:
        self.layout = Layout(Extent(1, lines))
        self.scopes = [self.layout.file]  # one per open block: the definition it belongs to
        self.header: Extent | None = None  # a definition whose block may follow
        self.decorators: list[Extent] = []
        self.waiting: list[tuple[PlacedComment, int]] = []  # own-line comments whose code is yet to come, with their indent
        self.inside: list[PlacedComment] = []  # comments of the open logical line
        self.opening: list[tokenize.TokenInfo] = []  # the first tokens of the open logical line
        self.fstrings = 0

    def take(self, token: tokenize.TokenInfo) -> None:
        kind = token.type
        if kind == tokenize.COMMENT:
            if not self.fstrings:  # Python before 3.12 can't see these, so nobody honours them
                self._comment(token)
        elif kind == tokenize.NEWLINE:
            if self.opening:
                self._close(token)
        elif kind == tokenize.INDENT:
            self.scopes.append(self.header or self.scopes[-1])
            self.header = None
        elif kind == tokenize.DEDENT:
            self._leave()
        elif kind not in _NO_CODE:
            self.fstrings += (kind in _FSTRING_STARTS) - (kind in _FSTRING_ENDS)
            if len(self.opening) < 3:
                self.opening.append(token)

    def _comment(self, token: tokenize.TokenInfo) -> None:
        comment = PlacedComment(
            token.string, token.start[0], token.start[1] + 1, own_line=not self.opening, outer=self.scopes[-1]
        )
        if self._in_first_block(comment):
            comment.extent = self.layout.file
        elif self.opening:
            self.inside.append(comment)
        else:
            self.waiting.append((comment, _indent(token)))
        self.layout.comments.append(comment)

    def _in_first_block(self, comment: PlacedComment) -> bool:
        """True for the comments at the top of the file, up to the first blank line; a shebang or encoding line ends nothing."""
        if self.layout.statements or self.opening:
            return False
        before = self.layout.comments[-1] if self.layout.comments else None
        if before is None or (before.line <= 2 and _PROLOGUE.match(before.text)):
            return True
        return before.extent is self.layout.file and before.line + 1 == comment.line

    def _leave(self) -> None:
        closed = self.scopes.pop() if len(self.scopes) > 1 else self.layout.file
        if closed is not self.scopes[-1] and closed is not self.layout.file:
            closed.last = self.layout.statements[-1].last

    def _close(self, newline: tokenize.TokenInfo) -> None:
        """The logical line is complete."""
        words = [token.string for token in self.opening]
        first = self.opening[0]
        statement = Extent(first.start[0], newline.start[0], self.scopes[-1])
        self.header = None
        if words[0] == "@":
            self.decorators.append(statement)
        else:
            self._define(statement, words[1:] if words[0] == "async" else words)
            self.place_waiting(self.header or statement, _indent(first))
        for comment in self.inside:
            comment.statement = statement
            comment.extent = statement if self.header is None else self.header
            comment.outer = self.header or self.scopes[-1]
        self.layout.statements.append(statement)
        self.opening, self.inside = [], []

    def _define(self, statement: Extent, words: list[str]) -> None:
        """A `def` or `class` line makes a definition of its decorators, itself and the block that follows."""
        if words[0] in ("def", "class") and len(words) > 1 and words[1].isidentifier():
            start = self.decorators[0].first if self.decorators else statement.first
            self.header = Extent(start, statement.last, self.scopes[-1], words[1])
            for line in (*self.decorators, statement):
                line.outer = self.header
        self.decorators = []

    def place_waiting(self, extent: Extent | None, indent: int = 0) -> None:
        """Give the own-line comments the code that follows; those indented deeper belong to a block that ended and get none."""
        for comment, own_indent in self.waiting:
            if extent is not None and own_indent <= indent:
                comment.extent, comment.outer = extent, self.scopes[-1]
        self.waiting = []


def _indent(token: tokenize.TokenInfo) -> int:
    return len(token.line[: token.start[1]].rpartition("\f")[2].expandtabs(8))  # a form feed sets it back to zero
