"""Regular expressions that are compiled when they are first asked: a run meets few of all that the rules know."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from safeboundary_lint.core.properties import cached_property


class Regex:
    """A regular expression. Each method is looked up once and then as fast as that of a compiled one."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        self._flags = flags

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self._flags)

    @cached_property
    def search(self) -> Callable[..., re.Match[str] | None]:
        """As of `re.Pattern`."""
        return self._compiled.search

    @cached_property
    def match(self) -> Callable[..., re.Match[str] | None]:
        """As of `re.Pattern`."""
        return self._compiled.match

    @cached_property
    def fullmatch(self) -> Callable[..., re.Match[str] | None]:
        """As of `re.Pattern`."""
        return self._compiled.fullmatch

    @cached_property
    def findall(self) -> Callable[..., list[str]]:
        """As of `re.Pattern`."""
        return self._compiled.findall

    @cached_property
    def finditer(self) -> Callable[..., Iterator[re.Match[str]]]:
        """As of `re.Pattern`."""
        return self._compiled.finditer

    @cached_property
    def split(self) -> Callable[..., list[str]]:
        """As of `re.Pattern`."""
        return self._compiled.split

    @cached_property
    def sub(self) -> Callable[..., str]:
        """As of `re.Pattern`."""
        return self._compiled.sub
