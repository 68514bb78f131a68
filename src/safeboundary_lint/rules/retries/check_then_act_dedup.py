"""SBL206: deduplication by looking first and marking later, in two steps that another process can come between."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.claims import Claim, Claims
from safeboundary_lint.core.edits import removed_statement, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.http import words
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.retries import acts_on_missing, asks, creates, creates_missing, refuses_found, sets_what_it_asks
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.names import last_name

_REPEATED = frozenset(
    "webhook webhooks event events message messages delivery idempotency idempotent dedup dedupe deduplicate duplicate "
    "duplicates seen processed process handle handler consume consumer job jobs task tasks payment payments transaction order "
    "callback notification unicity conflict already storage once claim lock receive ingest payload upsert redelivery".split()
)
_CHANGING = frozenset("create update insert add save".split())


class CheckThenActDedup(Rule):
    """Whether something was done before is looked up first and written down later, in two steps.

    What it does
    ------------
    Finds "not seen: do it, mark it" that is not one atomic step: a key of redis or a cache read and then set, a record looked for
    and then created with no handler for the conflict.

    Why it matters
    --------------
    Two workers, or two deliveries of one webhook, both look before either has marked. Both see nothing and both act: the mail
    goes out twice, the order is booked twice. It happens just when the load is high and redeliveries are many.

    Example
    -------

        import redis

        client = redis.Redis()

        def handle_delivery(delivery_id, payload, book):
            if client.exists(delivery_id):
                return
            client.set(delivery_id, "1", ex=3600)
            book(payload)

    Instead
    -------

        import redis

        client = redis.Redis()

        def handle_delivery(delivery_id, payload, book):
            if not client.set(delivery_id, "1", ex=3600, nx=True):
                return
            book(payload)

    Stays silent when
    -----------------
    The mark is an atomic claim (`nx=True`, `setnx`, `cache.add`, `get_or_create`), a conflict of two creations is handled,
    a lock is held, keys are
    watched, or the value that was read is used (a cache in front of something).

    Fix safety
    ----------
    A suggestion: the claim stands where the look was, before the work, and has to be taken back when the work fails.

    Known limits
    ------------
    A lookup before a creation in a migration, or outside of functions that are named as one step (`get_or_create`) and of
    events, messages and jobs (a form that refuses a taken name) is reported with low confidence.
    """

    code, name, since, severity = "SBL206", "check-then-act-dedup", "0.1", Severity.WARNING
    overlaps = ()
    # In a store: read, and set what was asked about. A record: a lookup that an `if` asks, a refusal, or an exception, and a creation.
    needs = (
        ("shared-write", "record-lookup", refuses_found, acts_on_missing),
        ("shared-write", "record-creation", creates, creates_missing),
        ("shared-read", "record-creation", creates, creates_missing),
        ("shared-read", asks, refuses_found, acts_on_missing),
        ("record-lookup", sets_what_it_asks, refuses_found, acts_on_missing),
    )
    reach = 2
    local = True

    def visit_Module(self, node: cst.Module) -> None:
        claims = Claims(self.facts)
        marked: set[int] = set()
        for claim in claims.in_stores():
            if id(claim.mark) in marked:
                continue
            marked.add(id(claim.mark))
            assert claim.match is not None
            self._report(
                claim,
                claim.match.confidence,
                "one atomic step: `set(key, value, nx=True, ex=...)` or "
                "`cache.add(key, ...)`, and act only when it says that it was new",
            )
        for claim in claims.in_records():
            confidence = Confidence.MEDIUM if self._is_repeated(claim) else Confidence.LOW
            self._report(
                claim,
                confidence,
                "a unique constraint and one step: insert first and handle the conflict "
                "(`get_or_create`, `ON CONFLICT DO NOTHING` and the row count)",
            )

    def _is_repeated(self, claim: Claim) -> bool:
        """The function is about what may well arrive twice."""
        function = self.facts.tree.enclosing(claim.look, cst.FunctionDef)
        cls = self.facts.tree.enclosing(claim.look, cst.ClassDef)
        told = [word for one in (function, cls) if one is not None for word in words(one.name.value)]
        if isinstance(claim.found, cst.Raise) and claim.match is None:
            told += [word for n in descendants(claim.found) if isinstance(n, cst.Name) for word in words(n.value)] + ["conflict"]
        if {"migrations", "versions", "alembic"} & set(self.facts.path.replace("\\", "/").split("/")[:-1]):
            return False  # run once, by one process
        if claim.found is None and claim.match is None:
            return True  # an exception says that there is none: this stands for one step and nothing else
        either = "or" in told and not _CHANGING.isdisjoint(told)  # `get_or_create`, `save_or_update`, made by hand
        return either or any(word in _REPEATED for word in told)

    def _report(self, claim: Claim, confidence: Confidence, instead: str) -> None:
        look, mark = self.facts.code(claim.look), self.facts.code(claim.mark)
        trace: list[tuple[cst.CSTNode, str]] = [(claim.look, "looked up here")]
        trace += [(claim.found, "left here when it was there")] if claim.found is not None else []
        self.report(
            claim.look,
            f"two that run at once both pass `{look}` before either comes to "
            f"`{mark}` in line {self.facts.line(claim.mark)}: both do the work",
            confidence=confidence,
            trace=[*trace, (claim.mark, "written down only here")],
            fix=lambda: Fix(Applicability.SUGGESTION, instead, self._one_step(claim)),
        )

    def _one_step(self, claim: Claim) -> tuple[Edit, ...]:
        """The mark in place of the look, when it can say that it was new: `if not store.set(key, 1, nx=True): return`."""
        tree, mark, look = self.facts.tree, claim.mark, claim.look
        test, statement = tree.parent(look), tree.statement_of(mark)
        line = tree.parent(statement)
        block = tree.parent(line) if line is not None else None
        alone = isinstance(statement, cst.Expr) and isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1
        match = self.facts.match(mark, "shared-write", "shared-claim") if isinstance(mark, cst.Call) else None
        several = isinstance(block, cst.IndentedBlock) and len(block.body) > 1
        if not (isinstance(test, cst.If) and alone and several) or match is None:
            return ()
        only_new = match.row.get("only_new", ())
        adds = self.facts.knowledge.of_kind(f"{match.dotted.rpartition('.')[0]}.add", "shared-claim") is not None
        if not (only_new or adds or last_name(match.call.func) == "sadd") or line.trailing_whitespace.comment is not None:
            return ()
        text = source_of(self.facts, mark)
        claimed = f"{text[:-1].rstrip().rstrip(',')}, {only_new[0]}=True)" if only_new else text
        if adds and isinstance(match.call.func, cst.Attribute):
            claimed = source_of(self.facts, match.call.with_changes(func=match.call.func.with_changes(attr=cst.Name("add"))))
        return replaced(self.facts, look, f"not {claimed}"), removed_statement(self.facts, line)
