"""Patterns as in a `.gitignore` file, matched without pathspec where they are plain: importing it takes longer than most runs."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable

from safeboundary_lint.core.regex import Regex

Matcher = Callable[[str], "bool | None"]
"""Told a path with forward slashes, a folder's with one at its end: True when it is meant, False when a `!` pattern takes it out,
None when no pattern speaks of it."""

# What may be translated here: no `!`, no `\\`, no `**`, no white space at the ends, brackets around letters and digits only.
_PLAIN = Regex(r"(?![!#\s])(?:[^\\\[\]*\r\n\t]|\*(?!\*)|\[[A-Za-z0-9_]+\])+(?<!\s)")
_PIECE = Regex(r"\[\w+\]|\*|\?|[^*?\[]+")
_WILD = {"*": "[^/]*", "?": "[^/]"}


@functools.lru_cache(maxsize=256)
def matcher(patterns: tuple[str, ...]) -> Matcher:
    """What patterns mean together; the last one that speaks of a path decides. Raises ValueError for one that means nothing."""
    speaking = [pattern for pattern in patterns if pattern.strip() and not pattern.startswith("#")]
    if not speaking:
        return lambda path: None
    if not all(map(_plain, speaking)):
        return _by_pathspec(patterns)
    anchored = [_translated(pattern) for pattern in speaking if "/" in pattern[:-1]]
    anywhere = [_translated(pattern) for pattern in speaking if "/" not in pattern[:-1]]
    alternatives = [*anchored, *([f"(?:.*/)?(?:{'|'.join(anywhere)})"] if anywhere else ())]  # the folders are looked for once
    found = re.compile("|".join(alternatives), re.DOTALL).match
    return lambda path: True if found(path) else None


def _plain(pattern: str) -> bool:
    segments = pattern.removeprefix("/").removesuffix("/").split("/")
    return bool(_PLAIN.fullmatch(pattern)) and all(segment.strip("*") for segment in segments)


def _translated(pattern: str) -> str:
    """The regular expression that a plain pattern means: for a path when it holds a slash before its end, for a part of one else."""
    pieces = _PIECE.findall(pattern.strip("/"))
    body = "".join(_WILD.get(piece) or (piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)
    end = "/" if pattern.endswith("/") else r"(?:/|\Z)"
    return body + end


def _by_pathspec(patterns: Iterable[str]) -> Matcher:
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(patterns)
    return lambda path: spec.check_file(path).include
