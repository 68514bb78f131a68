"""SBL104: this host's wall clock decides whether a lock or lease of another one is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.clocks import CONSTANT, FILE_TIME, NOTHING, UNKNOWN, ClockValue, is_span
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.leases import MENTIONS, is_only_a_sign, lease_word
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_BEYOND_SKEW = 1800  # seconds
_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)
_LOOKUP = Regex(r"__(lt|lte|gt|gte|range)$")
_DOCUMENT_TESTS = ("$lt", "$lte", "$gt", "$gte")
_SELECTING = frozenset(("filter", "exclude", "get", "filter_by", "find", "update"))


class WallClockLease(Rule):
    """A lock, lease or leadership is taken as over when this host's wall clock says so.

    What it does
    ------------
    Finds comparisons of the local wall clock with the stored expiry, stamp or heartbeat of a lock, lease, claim or leader: in
    Python, in queries of an ORM, as a parameter of an SQL statement, and with the age of a lock file.

    Why it matters
    --------------
    Clocks of hosts differ, and jump. A host whose clock is ahead takes a lease over while its holder still works; both then
    believe that they hold it, and write. A clock that is behind leaves the work of a dead holder lying.

    Example
    -------

        import time

        def try_acquire_lease(store, name, owner, ttl):
            lease = store.load(name)
            if lease is not None and lease.expires_at > time.time():
                return False
            store.save(name, owner=owner, expires_at=time.time() + ttl)
            return True

    Instead
    -------

        def try_acquire_lease(store, name, owner, ttl):
            return store.set(f"lease:{name}", owner, nx=True, ex=ttl)

    Stays silent when
    -----------------
    The store's own clock or lifetime decides (`now()` inside the statement, a TTL), the holder's token is checked against a
    generation, term or fencing number, a docstring says that the hosts' clocks have to be in step, or nothing speaks of a lock:
    expired rows are only cleaned up, an account is locked out, one event leads the others.

    Fix safety
    ----------
    A suggestion: the store has to take over the decision. For a query document it shows how; elsewhere only the store tells.

    Known limits
    ------------
    What is a lock is told by the names in the expression, the function, the class and the statement. A heartbeat alone gives low
    confidence, and so do a list of the holders that are alive, stamps of this file in a record that is kept in memory, and locks that
    are broken only when half an hour or more has passed, as a `timedelta` in sight says.
    """

    code, name, since, severity = "SBL104", "wall-clock-lease", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("wall-clock",), MENTIONS)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._told: set[int] = set()  # expressions
        self._judged: set[tuple[int, int]] = set()  # function and reading: several tests of one moment are one cause

    def visit_Module(self, node: cst.Module) -> None:
        for query in self.facts.leases.queries():
            if not self.facts.leases.is_fenced(query.call):
                self._tell(
                    query.call, f"{query.test.column} {query.test.operator} {self.facts.code(query.moment)}", query.value, None
                )

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) == 1 and isinstance(node.comparisons[0].operator, _ORDERINGS):
            self._check(node, node.left, node.comparisons[0].comparator)

    def visit_BinaryOperation(self, node: cst.BinaryOperation) -> None:
        if isinstance(node.operator, cst.Subtract) and not is_span(node.right) and self.facts.stakes.decides(node):
            self._check(node, node.left, node.right)

    def _check(self, node: cst.BaseExpression, left: cst.BaseExpression, right: cst.BaseExpression) -> None:
        for own, stored in ((left, right), (right, left)):
            value = self.facts.clocks.own_reading(own)
            if value is None or not self._is_stored(stored):
                continue
            if any(id(origin.node) in self._told for origin in self.facts.origins.trail(own)):
                return  # the age that is compared was told where it is made
            word = self.facts.leases.word_at(node, stored)
            cause = id(self.facts.tree.function_of(node)), id(value.readings[0].node)
            if word is not None and cause not in self._judged and not self.facts.leases.is_fenced(node):
                listed = own is right and self._lists_live(node)
                if not listed:
                    self._judged.add(cause)
                little = listed or is_only_a_sign(word) or self._is_harmless(node, stored)
                sure = Confidence.LOW if little else Confidence.MEDIUM
                self._tell(node, self.facts.code(node), value, stored, sure)
            return

    def _is_harmless(self, node: cst.BaseExpression, stored: cst.CSTNode) -> bool:
        """True where this process took the stamp itself, or a lock is broken only after a time beyond what clocks differ by."""
        leases = self.facts.leases
        return leases.is_in_memory(node, stored) or leases.margin(node) >= _BEYOND_SKEW

    def _lists_live(self, node: cst.BaseExpression) -> bool:
        """`if lease.expires_at > now: live.append(lease)`: holders are listed, and nobody takes anything over."""
        branch = self.facts.tree.enclosing(node, cst.If)
        target = node.comparisons[0].operator if isinstance(node, cst.Comparison) else None
        if not isinstance(target, (cst.GreaterThan, cst.GreaterThanEqual)) or branch is None or branch.orelse is not None:
            return False
        told = [part for part in descendants(branch.test) if isinstance(part, (cst.UnaryOperation, cst.Or))]
        return not told and self.facts.tree.within(node, branch.test) and all(_is_kept(one) for one in branch.body.body)

    def _is_stored(self, node: cst.CSTNode) -> bool:
        """True for a stamp that may be another host's: of a file, or from somewhere outside this file."""
        domains = {value.domain for value in self.facts.clocks.values(node)}
        if FILE_TIME in domains:
            return True
        return domains <= {UNKNOWN, CONSTANT, NOTHING} and UNKNOWN in domains

    def visit_Call(self, node: cst.Call) -> None:
        if last_name(node.func) not in _SELECTING or not isinstance(node.func, cst.Attribute):
            return
        for arg in node.args:
            if arg.keyword is None or not _LOOKUP.search(arg.keyword.value):
                continue
            value = self.facts.clocks.own_reading(arg.value)
            if value is None or self._is_only_counted(node):
                continue
            word = self.facts.leases.word_at(node, node.func.value) or lease_word([_LOOKUP.sub("", arg.keyword.value)])
            if word is not None and not self.facts.leases.is_fenced(node):
                self._tell(node, f"{arg.keyword.value}={self.facts.code(arg.value)}", value, None)
                return

    def visit_DictElement(self, node: cst.DictElement) -> None:
        """`{"expires_at": {"$lt": now}}`, the query document of a store."""
        outer = self.facts.tree.enclosing(node, cst.DictElement)
        if string(node.key) not in _DOCUMENT_TESTS or outer is None or (column := string(outer.key)) is None:
            return
        value = self.facts.clocks.own_reading(node.value)
        call = self.facts.tree.enclosing(node, cst.Call)
        if value is None or call is None or self.facts.leases.is_fenced(node):
            return
        if lease_word([column]) is not None or self.facts.leases.word_at(call, call.func) is not None:
            test = f"{column} {string(node.key)} {self.facts.code(node.value)}"
            self._tell(outer.value, test, value, None, by_store=self._by_store(node, outer, column))

    def _by_store(self, test: cst.DictElement, outer: cst.DictElement, column: str) -> tuple[Edit, ...]:
        """The same test of a query document, by the clock of the store; none beside other tests of the column."""
        alone = isinstance(outer.value, cst.Dict) and len(outer.value.elements) == 1
        code = f'"$expr": {{"{string(test.key)}": ["${column}", "$$NOW"]}}'
        return (replaced(self.facts, outer, code),) if alone else ()

    def _is_only_counted(self, call: cst.Call) -> bool:
        """True when the rows are told to people and nothing is taken."""
        return any(
            isinstance(outer, cst.Attribute) and outer.attr.value in ("count", "exists", "aggregate")
            for outer in self._chain(call)
        )

    def _chain(self, call: cst.Call) -> list[cst.CSTNode]:
        statement = self.facts.tree.statement_of(call)
        return [node for node in descendants(statement) if isinstance(node, cst.Attribute) and self.facts.tree.within(call, node)]

    def _tell(
        self,
        node: cst.BaseExpression,
        code: str,
        value: ClockValue,
        stored: cst.CSTNode | None,
        sure: Confidence = Confidence.MEDIUM,
        by_store: tuple[Edit, ...] = (),
    ) -> None:
        if self.facts.leases.is_agreed(node):
            return
        self._told.add(id(node))
        what = (
            "the age of a file"
            if stored is not None and self.facts.clocks.of_domain(stored, FILE_TIME) is not None
            else "what another host may have written"
        )
        self.report(
            node,
            f"`{code}` lets the wall clock of this host judge {what}: a host whose clock is ahead takes over while the holder "
            f"still works, and both write",
            confidence=Confidence.weakest(value.confidence, sure),
            trace=[
                (reading.node, f"local wall clock read here: `{self.facts.code(reading.node)}`") for reading in value.readings
            ],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"let the store judge `{code}` by its own clock (`now()` in the statement, a lifetime of the key), and refuse "
                f"writes of a holder whose number is no longer the last",
                by_store,
            ),
        )


def _is_kept(statement: cst.CSTNode) -> bool:
    """`live.append(lease)`, and nothing else."""
    step = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1 else None
    call = step.value if isinstance(step, cst.Expr) else None
    return isinstance(call, cst.Call) and isinstance(call.func, cst.Attribute) and call.func.attr.value in ("append", "add")
