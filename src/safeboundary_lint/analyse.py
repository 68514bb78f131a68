"""Bytes of one file in, findings out. Pure: no I/O, no globals that change.

This is the unit that is cached, run in a process pool, inside flake8 and in every test.
"""

from __future__ import annotations

from dataclasses import dataclass

from safeboundary_lint.core.finding import Confidence, FileReport


@dataclass(frozen=True, slots=True)
class Options:
    """What to look for in one file. Hashable and picklable: it is part of the cache key and travels to workers."""

    codes: frozenset[str]  # rules to run
    min_confidence: Confidence = Confidence.MEDIUM
    knowledge: tuple[tuple[str, str], ...] = ()  # user rows: (kind, JSON of the row), validated by config
    honour_noqa: bool = True  # False inside flake8, which applies `# noqa` itself
    honour_comments: bool = True  # False shows what the comments silence


def analyse(source: bytes, path: str, options: Options) -> FileReport:
    """Findings of the file `path` with the content `source`. Never raises: what goes wrong is a Problem."""
    raise NotImplementedError
