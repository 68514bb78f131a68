"""The few things in SQL text that say how it treats time: whose clock it asks, and which rows a time stamp lets through."""

from __future__ import annotations

import re
from dataclasses import dataclass

from safeboundary_lint.core.regex import Regex

_CLOCK = Regex(
    r"\b(?:clock_timestamp|statement_timestamp|transaction_timestamp|unix_timestamp|sysdate|getdate|getutcdate|sysutcdatetime|"
    r"utc_timestamp|now)\s*\("
    r"|\bcurrent_timestamp\b|\bsysdate\b|'now'",
    re.IGNORECASE,
)
_BOUND = r"(?P<bound>%s|%\(\w+\)s|\$\d+|:\w+|\?|@\w+|\{\})"
_STAMP = (
    r"(?P<column>(?:\w+\.)?\"?(?:\w*_at|\w*_on|\w*timestamp|\w*time|\w*_ts|ts|\w*updated|\w*modified|\w*created|\w*changed|"
    r"\w*expir\w*|\w*until|"
    r"\w*heartbeat\w*|\w*last_seen\w*|\w*locked\w*|\w*leased?\w*|\w*deadline|\w*date)\"?)"
)
_COMPARED = Regex(rf"(?<![,(\w.]){_STAMP}\s*(?P<operator><=|>=|<|>)\s*{_BOUND}", re.IGNORECASE)
_KEYSET = Regex(r"\(\s*[\w.\"]+\s*,\s*[\w.\"]+\s*\)\s*[<>]", re.IGNORECASE)
_STATEMENT = Regex(r"^\W*(?:with|select|update|insert|delete|merge|replace)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StampTest:
    """`column operator parameter` in a statement: which rows a moment handed in from outside lets through."""

    column: str  # as written, without table
    operator: str
    bound: str  # as written: "%s", ":now", "$1", "{}"


def is_statement(text: str) -> bool:
    """True for text that begins like a statement that reads or writes rows."""
    return bool(_STATEMENT.match(text))


def reads_clock(text: str) -> bool:
    """True for a query in which the server reads its own clock."""
    return bool(_CLOCK.search(text))


def stamp_tests(text: str) -> list[StampTest]:
    """Comparisons of a time-named column with a parameter. Those of a key of several columns are left out."""
    return [
        StampTest(found["column"].rpartition(".")[2].strip('"'), found["operator"], found["bound"])
        for found in _COMPARED.finditer(text)
    ]


def skips_tied_rows(text: str) -> StampTest | None:
    """The `column > parameter` of a query that reads a limited batch in the order of that column, with no second one in the key.

    Rows with the same stamp as the last one of a batch are skipped for ever.
    """
    if _KEYSET.search(text) or not re.search(r"\b(?:limit|fetch\s+first|top)\b", text, re.IGNORECASE):
        return None
    for test in stamp_tests(text):
        column = re.escape(test.column)
        ordered = re.search(rf"\border\s+by\s+(?:\w+\.)?\"?{column}\b", text, re.IGNORECASE)
        tied = re.search(rf"\b{column}\"?\s*=", text, re.IGNORECASE)
        if test.operator == ">" and ordered and not tied:
            return test
    return None
