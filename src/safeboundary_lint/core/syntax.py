"""Is this Python, and what is its tree: LibCST has the last word, whatever Python runs the tool."""

from __future__ import annotations

import symtable
import warnings

import libcst as cst

from safeboundary_lint.core.finding import Problem
from safeboundary_lint.core.source import Source


class Unparsable(ValueError):
    """Text that is not Python; `line` is the 1-based line of the error, if known."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


def parse(source: Source) -> cst.Module:
    """The tree of a file. Raises Unparsable."""
    try:
        return cst.parse_module(source.for_parser[0])
    except cst.ParserSyntaxError as error:
        reason = str(error.message).strip().splitlines()[0] if error.message else "invalid syntax"
        raise Unparsable(f"syntax error: {reason}", error.raw_line) from None
    except BaseException as error:  # LibCST's native parser panics with a BaseException of its own
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise Unparsable(f"can't be parsed: {type(error).__name__}: {error}", None) from None


def syntax_problem(source: Source, path: str) -> Problem | None:
    """What is wrong with a file that needs no tree.

    The running Python's own parser is ten times faster than LibCST and asked first. Only what it refuses, which may be newer
    syntax, goes to LibCST.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symtable.symtable(source.text, path, "exec")
        return None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    try:
        parse(source)
    except Unparsable as error:
        return Problem(path, str(error), error.line)
    return None
