"""The tree of a text as LibCST reads it, whatever Python runs the tool."""

from __future__ import annotations

import safeboundary_lint.core.node_classes  # noqa: F401, I001 -- before anything that imports LibCST
import libcst as cst

from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.syntax import Unparsable, in_own_words, is_python

_OWN_PLACE = Regex(r"^parser error: (error at \d+:\d+: )?")
_BRACKETS = Regex(r"[()\[\]{}]")
_DEEPEST = 1000  # CPython stops at 200; LibCST's native parser ends the process on a stack overflow at some 3,000


def parse(text: str) -> cst.Module:
    """The tree of a text as `Source.for_parser` gives it. Raises Unparsable."""
    if _nesting(text) > _DEEPEST and not is_python(text):  # data in strings may hold as many brackets as it likes
        raise Unparsable(f"brackets are nested more than {_DEEPEST} deep; no Python runs this. Exclude it", None)
    validate = cst.CSTNode.__post_init__
    try:
        cst.CSTNode.__post_init__ = _trusting  # type: ignore[method-assign]
        return cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise in_own_words(text) or Unparsable(f"syntax error: {_OWN_PLACE.sub('', str(error.message))}", error.editor_line) from None
    except BaseException as error:  # LibCST's native parser panics with a BaseException of its own
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        raise in_own_words(text) or Unparsable(f"can't be parsed: {type(error).__name__}: {error}", None) from None
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
