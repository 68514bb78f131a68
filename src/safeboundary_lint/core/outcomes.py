"""After which exceptions and answers nobody knows whether the peer did the work, and after which it certainly did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.paths import implied
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_REFUSALS = frozenset((400, 401, 403, 404, 405, 407, 409, 412, 413, 415, 416, 421, 422, 425, 428, 429))
_REFUSED = (
    "*rate_limit*", "*ratelimit*", "*throttl*", "*too_many_requests*", "unauthorized", "forbidden", "*token_expired*",
    "*expired_token*", "not_found",
)  # fmt: skip
_REFUSING_CLASSES = (
    "*ratelimit*", "*rate_limit*", "*throttl*", "*toomanyrequests*", "*unauthorized*", "*authentication*", "*connecttimeout*",
    "*connectionrefused*", "*pooltimeout*", "*notsent*",
)  # fmt: skip
_LOSING_CLASSES = (
    "*timeout*", "*timedout*", "*connection*", "*network*", "*transport*", "*disconnect*", "*requestexception*",
    "*communication*", "*unavailable*",
)  # fmt: skip


class Outcomes:
    """Answers for one file; the libraries' exceptions are knowledge."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        known = facts.knowledge.rows.items()
        self.ambiguous = tuple(name for name, rows in known if any(row.kind == "ambiguous-error" for row in rows))
        self.definite = frozenset(name for name, rows in known if any(row.kind == "definite-error" for row in rows))
        self._above = {base for name in self.ambiguous for base in facts.exceptions.lineage(name)} | {
            "builtins.Exception",
            "builtins.BaseException",
        }
        self._verdicts: dict[str, bool | None] = {}

    def is_ambiguous(self, name: str) -> bool | None:
        """True when an `except` of this class catches lost answers; False for mere refusals and the unsent; None: unknown."""
        if name not in self._verdicts:
            self._verdicts[name] = self._judge(name)
        return self._verdicts[name]

    def _judge(self, name: str) -> bool | None:
        lineage = self.facts.exceptions.lineage(name)
        if any(base in self.definite for base in lineage):
            return False
        if name in self._above or any(base in self.ambiguous for base in lineage):
            return True
        last = name.rpartition(".")[2]
        if named_like(last, *_REFUSING_CLASSES):
            return False
        return True if named_like(last, *_LOSING_CLASSES) else None

    def lost_answers(self, operation: Match) -> list[str]:
        """The exceptions by which this operation can fail when it may have been carried out."""
        library = operation.dotted.partition(".")[0]
        libraries = {library} if library != "*" else set(self.facts.names.imported)
        own = [name for name in self.ambiguous if name.partition(".")[0] in libraries]
        return own or [name for name in self.ambiguous if name.startswith("builtins.")]

    def catches_lost_answer(self, handler: cst.ExceptHandler, block: cst.Try, operation: Match) -> bool:
        """True when this handler, and none before it, catches an exception after which the work may have been done."""
        before = block.handlers[: next(i for i, one in enumerate(block.handlers) if one is handler)]
        covers = self.facts.exceptions.covers
        return any(
            covers(handler.type, lost) and not any(covers(one.type, lost) for one in before)
            for lost in self.lost_answers(operation)
        )

    def refuses(self, test: cst.CSTNode, outcome: bool) -> bool:
        """A test that went this way says that the peer refused the request: status 429, 401, "ratelimited"."""
        return any(self._refusal(node, truth) for node, truth in implied(test, outcome))

    def _refusal(self, node: cst.CSTNode, truth: bool) -> bool:
        if not isinstance(node, cst.Comparison):
            return truth and named_like(last_name(node), *(f"*{one.strip('*')}*" for one in _REFUSED))
        if len(node.comparisons) != 1:
            return False
        compared = node.comparisons[0]
        positive = isinstance(compared.operator, (cst.Equal, cst.In, cst.Is))
        if not positive and not isinstance(compared.operator, (cst.NotEqual, cst.NotIn, cst.IsNot)) or positive is not truth:
            return False
        named = [
            n
            for side in (node.left, compared.comparator)
            for n in descendants(side)
            if isinstance(n, (cst.Name, cst.Attribute, cst.SimpleString))
        ]
        if any(named_like(string(n) or last_name(n), *_REFUSED) for n in named):
            return True
        numbers = [
            int(n.value)
            for side in (node.left, compared.comparator)
            for n in descendants(side)
            if isinstance(n, cst.Integer) and n.value.isdigit()
        ]
        return bool(numbers) and all(number in _REFUSALS for number in numbers)
