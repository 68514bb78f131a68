"""What a run says: findings with their trace and fix, and problems that kept a file from being checked.

Nothing here imports LibCST, so that reports, the cache and warm runs stay light.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Severity(str, enum.Enum):
    """How bad it is when the finding is right."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst, so that sorting puts the worst first."""
        return _SEVERITIES.index(self)


class Confidence(str, enum.Enum):
    """How sure the analysis is that the finding is right."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the surest."""
        return _CONFIDENCES.index(self)

    def at_least(self, floor: Confidence) -> bool:
        """True when this is as sure as `floor` or surer."""
        return self.rank <= floor.rank

    @staticmethod
    def weakest(*several: Confidence) -> Confidence:
        """A story is as sure as its weakest part; high when there are no parts."""
        return max(several, key=lambda one: one.rank, default=Confidence.HIGH)


_SEVERITIES = list(Severity)
_CONFIDENCES = list(Confidence)


class Applicability(str, enum.Enum):
    """Who may apply a fix: `--fix`, `--fix --unsafe-fixes`, or only the author by hand."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    SUGGESTION = "suggestion"


class Span(NamedTuple):
    """A range of source: lines and columns are 1-based, columns count characters, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Step(NamedTuple):
    """One step of the story a finding tells."""

    span: Span
    message: str
    path: str = ""  # empty: the finding's own file


class Edit(NamedTuple):
    """Replace the text of `span` by `text`; an empty span inserts."""

    span: Span
    text: str


class Fix(NamedTuple):
    """A change that ends the finding. A suggestion's edits are shown and never applied."""

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...] = ()
    imports: tuple[str, ...] = ()  # whole statements, e.g. "import time"; merged once per file


class Finding(NamedTuple):
    """One defect at one place."""

    code: str
    name: str
    message: str
    path: str
    span: Span
    symbol: str  # enclosing class and function, dotted; empty at module level
    severity: Severity
    confidence: Confidence
    trace: tuple[Step, ...] = ()
    fix: Fix | None = None
    fingerprint: str = ""  # survives moved lines; see `fingerprinted`

    @property
    def help(self) -> str:
        """The documentation page of the rule."""
        return f"https://safeboundary-lint.readthedocs.io/rules/{self.name}/"

    @property
    def order(self) -> tuple[str, Span, str, str]:
        """The key by which reports are sorted."""
        return (self.path, self.span, self.code, self.message)


class Problem(NamedTuple):
    """Why something could not be checked: an unreadable file, a syntax error, an internal error."""

    path: str
    message: str
    line: int | None = None


class FileReport(NamedTuple):
    """All that the analysis of one file says."""

    path: str
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    suppressed: int = 0  # findings answered by a comment
    hidden: int = 0  # findings below the wanted confidence


class RunReport(NamedTuple):
    """All that one run says, in a stable order."""

    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    files: int = 0
    suppressed: int = 0
    hidden: int = 0
    baselined: int = 0
    sources: Mapping[str, str] = MappingProxyType({})  # text of the files with findings, for underlines


def fingerprint(code: str, path: str, symbol: str, line_text: str, occurrence: int) -> str:
    """A key of a finding that survives moved lines: rule, path, enclosing symbol, the line's text without its white space.

    `occurrence` counts equal keys in one file from 0, so that two equal lines stay two findings.
    """
    parts = (code, path.replace("\\", "/"), symbol, "".join(line_text.split()), str(occurrence))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
