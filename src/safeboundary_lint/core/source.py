"""The text of one file: from bytes to characters and back, and what a line is.

A line ends where Python's tokenizer ends it: at LF, CRLF or CR, and at nothing else (`str.splitlines` also cuts at
form feeds and at six other characters, and every line number after one of those would be wrong).
"""

from __future__ import annotations

import bisect
import codecs
import io
import re
import tokenize
from dataclasses import dataclass

from safeboundary_lint.core.finding import Span
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex

LINE_END = Regex(r"\r\n|\r|\n")
_FORM_FEEDS = Regex(r"(?:^|(?<=[\r\n]))[ \t\f]*\f")


class Undecodable(ValueError):
    """Bytes that are not text in the encoding they declare. The message says which and where."""


@dataclass(frozen=True)
class Source:
    """One file's text without its byte order mark, and the encoding that turns it back into the same bytes."""

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""  # the byte order mark, when there was one

    @classmethod
    def decode(cls, data: bytes) -> Source:
        """The text of a file, by byte order mark or encoding cookie, UTF-8 else. Raises Undecodable."""
        mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        head = data[:4096]
        encoding = "utf-8"
        if b"coding" in head:  # few files say so
            lines = re.sub(rb"\r\n?", b"\n", head)  # the cookie stands in line 1 or 2, whatever ends a line here
            try:
                encoding, _ = tokenize.detect_encoding(io.BytesIO(lines).readline)
            except SyntaxError as error:
                raise Undecodable(f"the encoding it declares cannot be used: {error.msg}") from None
        encoding = "utf-8" if mark else encoding
        try:
            return cls(data[len(mark) :].decode(encoding), encoding, mark)
        except (UnicodeError, ValueError) as error:
            at = data.count(b"\n", 0, getattr(error, "start", 0)) + 1
            raise Undecodable(f"not valid {encoding} at line {at}: {error}") from None

    def encode(self, text: str) -> bytes:
        """`text` as the bytes of a file of this encoding and mark. Raises UnicodeEncodeError."""
        return self.mark + text.encode(self.encoding)

    @cached_property
    def starts(self) -> list[int]:
        """The offset in characters at which each line starts; the first is 0."""
        return [0, *(end.end() for end in LINE_END.finditer(self.text))]

    def offset(self, line: int, column: int) -> int:
        """The offset of a 1-based line and column. Raises ValueError for a place the text does not have."""
        if not 1 <= line <= len(self.starts):
            raise ValueError(f"there is no line {line}")
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        if not 0 <= column - 1 <= end - start:
            raise ValueError(f"there is no column {column} in line {line}")
        return start + column - 1

    def extent(self, span: Span) -> tuple[int, int]:
        """Start and end of a span as offsets. Raises ValueError for a span the text does not have."""
        start, end = self.offset(span.line, span.column), self.offset(span.end_line, span.end_column)
        if end < start:
            raise ValueError(f"the span from line {span.line} column {span.column} ends before it starts")
        return start, end

    def place(self, offset: int) -> tuple[int, int]:
        """The 1-based line and column of an offset."""
        line = bisect.bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def line_end_at(self, offset: int) -> str:
        """What ends the line of `offset`, or the line before when it is the last one; LF for a text of one line."""
        line = bisect.bisect_right(self.starts, offset)
        following = self.starts[line] if line < len(self.starts) else self.starts[-1]
        found = re.search(r"(\r\n|\r|\n)\Z", self.text[max(0, following - 2) : following])
        return found.group(1) if found else "\n"

    @cached_property
    def for_parser(self) -> tuple[str, dict[int, int]]:
        """The text as LibCST has to get it, and for each 1-based line how many characters less it starts with.

        A form feed at the start of a line sets the indentation back to zero in Python. LibCST takes it into the
        indentation of the whole block or loses it, and all positions behind it are wrong; so it is taken out here.
        """
        if "\f" not in self.text:
            return self.text, {}
        less = {self.place(cut.start())[0]: cut.end() - cut.start() for cut in _FORM_FEEDS.finditer(self.text)}
        return _FORM_FEEDS.sub("", self.text), less
