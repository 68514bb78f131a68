"""What to look for in one file."""

from __future__ import annotations

from typing import NamedTuple

from safeboundary_lint.core.finding import Confidence


class Options(NamedTuple):
    """What to look for in one file. Hashable and picklable: it is part of the cache key and travels to workers."""

    codes: frozenset[str]  # rules to run
    min_confidence: Confidence = Confidence.MEDIUM
    knowledge: tuple[tuple[str, str], ...] = ()  # user rows: (section, JSON of its content), validated by config
    honour_noqa: bool = True  # False inside flake8, which applies `# noqa` itself
    honour_comments: bool = True  # False shows what the comments silence
    screening: bool = True  # False runs every rule on every whole file: slower, same findings
