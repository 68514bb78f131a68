"""Is this Python, and what is its tree: LibCST has the last word, whatever Python runs the tool."""

from __future__ import annotations

import symtable
import warnings

import libcst as cst

from safeboundary_lint.core.finding import Problem
from safeboundary_lint.core.regex import Regex


_OWN_PLACE = Regex(r"^parser error: (error at \d+:\d+: )?")


_BRACKETS = Regex(r"[()\[\]{}]")
_DEEPEST = 1000  # CPython stops at 200; LibCST's native parser ends the process on a stack overflow at some 3,000


class Unparsable(ValueError):
    """Text that is not Python; `line` is the 1-based line of the error, if known."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


def parse(text: str) -> cst.Module:
    """The tree of a text as `Source.for_parser` gives it. Raises Unparsable."""
    if _nesting(text) > _DEEPEST and not _is_python(text):  # data in strings may hold as many brackets as it likes
        raise Unparsable(f"brackets are nested more than {_DEEPEST} deep; no Python runs this. Exclude it", None)
    validate = cst.CSTNode.__post_init__
    try:
        cst.CSTNode.__post_init__ = _trusting  # type: ignore[method-assign]
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise _own_words(text) or Unparsable(f"syntax error: {_OWN_PLACE.sub('', str(error.message))}", error.editor_line) from None
    except BaseException as error:  # LibCST's native parser panics with a BaseException of its own
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise _own_words(text) or Unparsable(f"can't be parsed: {type(error).__name__}: {error}", None) from None
    finally:
        cst.CSTNode.__post_init__ = validate  # type: ignore[method-assign]


def _nesting(text: str) -> int:
    """The deepest nesting of brackets, those in strings counted too: nothing when there are too few to matter."""
    if text.count("(") + text.count("[") + text.count("{") <= _DEEPEST:
        return 0
    depth = deepest = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def _trusting(node: cst.CSTNode) -> None:
    """Instead of LibCST's check of each new node: what its own parser makes is valid, and the check is a sixth of the time."""


def _own_words(text: str) -> Unparsable | None:
    """What the running Python says of the same text: people know its messages."""
    try:
        _compiled(text)
    except SyntaxError as error:
        return Unparsable(f"syntax error: {error.msg}", error.lineno)
    except (ValueError, RecursionError, MemoryError):
        pass
    return None


def _compiled(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        symtable.symtable(text, "<file>", "exec")


def _is_python(text: str) -> bool:
    """True when the running Python reads it."""
    try:
        _compiled(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def syntax_problem(text: str, path: str) -> Problem | None:
    """What is wrong with a file that needs no tree.

    The running Python's own parser is ten times faster than LibCST and asked first. Only what it refuses, which may be newer
    syntax, goes to LibCST.
    """
    if _is_python(text):
        return None
    try:
        parse(text)
    except Unparsable as error:
        return Problem(path, str(error), error.line)
    return None
