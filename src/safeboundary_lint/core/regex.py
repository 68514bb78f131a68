"""Regular expressions that are compiled when they are first asked: a run meets few of all that the rules know."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator


class Regex:
    """A regular expression. Each method is looked up once and then as fast as that of a compiled one."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        self._flags = flags

    @functools.cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self._flags)

    @functools.cached_property
    def search(self) -> Callable[..., re.Match[str] | None]:
        """As of `re.Pattern`."""
        return self._compiled.search

    @functools.cached_property
    def match(self) -> Callable[..., re.Match[str] | None]:
        """As of `re.Pattern`."""
        return self._compiled.match

    @functools.cached_property
    def fullmatch(self) -> Callable[..., re.Match[str] | None]:
        """As of `re.Pattern`."""
        return self._compiled.fullmatch

    @functools.cached_property
    def findall(self) -> Callable[..., list[str]]:
        """As of `re.Pattern`."""
        return self._compiled.findall

    @functools.cached_property
    def finditer(self) -> Callable[..., Iterator[re.Match[str]]]:
        """As of `re.Pattern`."""
        return self._compiled.finditer

    @functools.cached_property
    def split(self) -> Callable[..., list[str]]:
        """As of `re.Pattern`."""
        return self._compiled.split

    @functools.cached_property
    def sub(self) -> Callable[..., str]:
        """As of `re.Pattern`."""
        return self._compiled.sub
