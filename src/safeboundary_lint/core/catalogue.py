"""What the rules are called: all that a selector is resolved against. Light, so that a warm run needs no rule."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import NamedTuple


class Status(str, enum.Enum):
    """Stable rules are on by default, preview ones with `--preview`, opt-in ones only when selected."""

    STABLE = "stable"
    PREVIEW = "preview"
    OPT_IN = "opt-in"


class UnknownRule(ValueError):
    """A selector that means no rule."""


class Entry(NamedTuple):
    """One rule."""

    code: str
    name: str
    family: str
    status: Status
    in_tests: bool  # part of the default set of test files too


class Catalogue(tuple[Entry, ...]):
    """All rules by code, and what a selector means."""

    __slots__ = ()

    def expand(self, selectors: Iterable[str]) -> frozenset[str]:
        """Codes meant by codes, code prefixes, names, families and ALL. Raises UnknownRule for one that means none."""
        codes: set[str] = set()
        for selector in selectors:
            wanted = selector.strip()
            meant = {
                entry.code
                for entry in self
                if wanted == "ALL"
                or wanted.lower() in (entry.name, entry.family)
                or (re.fullmatch(r"SBL\d{0,3}", wanted.upper()) and entry.code.startswith(wanted.upper()))
            }
            if not meant:
                raise UnknownRule(f"no rule matches {selector!r}{self.like(wanted)}: use a code, a prefix such as SBL3, a name, a family or ALL")
            codes |= meant
        return frozenset(codes)

    def default(self, *, preview: bool = False, test_file: bool = False) -> frozenset[str]:
        """Codes on by default; fewer in test files."""
        wanted = {Status.STABLE, Status.PREVIEW} if preview else {Status.STABLE}
        return frozenset(entry.code for entry in self if entry.status in wanted and (entry.in_tests or not test_file))

    def like(self, word: str) -> str:
        """A hint at what a selector that means nothing may have been meant to be."""
        import difflib

        words = {word for entry in self for word in (entry.code.lower(), entry.name, entry.family)}
        close = difflib.get_close_matches(word.lower().replace("_", "-"), sorted(words), n=1)
        return f" (did you mean {(close[0].upper() if close[0].startswith('sbl') else close[0])!r}?)" if close else ""
