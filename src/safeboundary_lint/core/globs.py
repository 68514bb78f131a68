"""Globs on names: nearly all of them say how a name begins, ends or what it holds, which takes no regular expression to tell."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable

from safeboundary_lint.core.regex import Regex

_SPECIAL = frozenset("*?[")


@functools.cache
def matcher(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """A test whether a name is like one of these globs; case counts."""
    exact, starts, ends, parts, others = set(), [], [], [], []
    for glob in globs:
        text = glob.removeprefix("*")
        core = text.removesuffix("*")
        if not _SPECIAL.isdisjoint(core):
            others.append(fnmatch.translate(glob))
        elif len(text) < len(glob):
            (parts if len(core) < len(text) else ends).append(core)
        elif len(core) < len(text):
            starts.append(core)
        else:
            exact.add(glob)
    begins, finishes = tuple(starts), tuple(ends)
    other = Regex("|".join(others))

    def is_like(name: str) -> bool:
        if name in exact or name.startswith(begins) or name.endswith(finishes):
            return True
        for part in parts:
            if part in name:
                return True
        return bool(others) and other.match(name) is not None

    return is_like


def named_like(text: str | None, *alike: str) -> bool:
    """True when a name, lowered and without leading underscores, is like one of these globs."""
    return text is not None and matcher(alike)(text.lower().lstrip("_"))
