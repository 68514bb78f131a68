"""What every match of a regular expression contains, so that a search for plain text can come first."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Sequence
from typing import Any

from safeboundary_lint.core.regex import Regex

if sys.version_info >= (3, 11):
    from re import _constants as constants
    from re import _parser as parser
else:
    import sre_constants as constants
    import sre_parse as parser


_SIGN = Regex(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()|]", re.DOTALL)
_PLAIN = Regex(r"[A-Za-z0-9_]+")


def alternatives(pattern: str) -> list[str]:
    """The parts of a pattern of which one has to match: what stands between `|` outside of all parentheses."""
    found, depth, start = [], 0, 0
    for sign in _SIGN.finditer(pattern):
        if sign[0] == "|" and not depth:
            found.append(pattern[start : sign.start()])
            start = sign.end()
        depth += {"(": 1, ")": -1}.get(sign[0], 0)
    return [*found, pattern[start:]]


@functools.cache  # rules share patterns
def literals(pattern: str) -> frozenset[str] | None:
    """Texts, in lower case, of which one stands in whatever the pattern matches; None where there is no telling."""
    return frozenset((pattern.lower(),)) if _PLAIN.fullmatch(pattern) else _of(parser.parse(pattern))


def _of(items: Sequence[tuple[Any, Any]]) -> frozenset[str] | None:
    """The best of what the parts of a sequence say: the longer the shortest text is and the fewer there are, the rarer they are."""
    said: list[frozenset[str]] = []
    run = ""
    for what, how in [*items, (None, None)]:
        if what is constants.LITERAL:
            run += chr(how).lower()
            continue
        if run:
            said.append(frozenset((run,)))
            run = ""
        inner: frozenset[str] | None = None
        if what is constants.BRANCH:
            several = [_of(one) for one in how[1]]
            inner = frozenset().union(*(one for one in several if one is not None)) if None not in several else None
        elif what is constants.SUBPATTERN:
            inner = _of(how[3])
        elif what in (constants.MAX_REPEAT, constants.MIN_REPEAT) and how[0] > 0:
            inner = _of(how[2])
        if inner is not None:
            said.append(inner)
    return max(said, key=lambda several: (min(map(len, several)), -len(several)), default=None)
