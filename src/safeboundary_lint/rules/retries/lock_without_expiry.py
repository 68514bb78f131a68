"""SBL210: a lock in a shared store that stays when its holder dies."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import edits
from safeboundary_lint.core.calls import argument, unpacks
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.http import words
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.stores import is_in_process
from safeboundary_lint.core.tree import descendants, same_code

_LOCKING = frozenset(
    "lock locks locked locking mutex semaphore lease leader claim acquire exclusive singleton owner running guard".split()
)
_NAMED = "|".join(sorted(_LOCKING - {"lock", "lease"})) + "|lock(?<![bc]lock)|lease(?<!please)"


class LockWithoutExpiry(Rule):
    """A lock in a shared store has no lifetime, or gets it in a second step.

    What it does
    ------------
    Finds `setnx` followed by a separate `expire`, lock keys set only-if-new with no lifetime, and lock objects without a timeout.

    Why it matters
    --------------
    A process that is killed while it holds the lock, or between the two steps, never gives it back. Nobody gets the lock any more
    until someone deletes the key by hand.

    Example
    -------

        import redis

        client = redis.Redis()

        def acquire_lock(name, owner):
            if client.setnx(f"lock:{name}", owner):
                client.expire(f"lock:{name}", 30)
                return True
            return False

    Instead
    -------

        import redis

        client = redis.Redis()

        def acquire_lock(name, owner):
            return bool(client.set(f"lock:{name}", owner, nx=True, ex=30))

    Stays silent when
    -----------------
    The lifetime is part of the same command, or nothing says that the key is a lock.

    Fix safety
    ----------
    A suggestion: key and lifetime in one command, of a minute where none is given. How long the work may take is not known here.

    Known limits
    ------------
    Keys without a word of locking in them or around them are taken for counters and marks.
    """

    code, name, since, severity = "SBL210", "lock-without-expiry", "0.1", Severity.WARNING
    overlaps = ()
    needs = (
        ("shared-lock", "shared-expiry", "%(?-i:[bc]Lock)", f"%{_NAMED}"),
        ("shared-claim:lasting", "shared-write#only_new", "shared-lock"),
        ("shared-claim:lasting", "shared-write", "shared-lock"),
    )
    anchored = 1

    def visit_Module(self, node: cst.Module) -> None:
        expiries = self.facts.calls("shared-expiry")
        for claim in self.facts.calls("shared-claim"):
            if claim.row.get("lasting"):
                self._check(claim, expiries)
        for write in self.facts.calls("shared-write"):
            named = {arg.keyword.value: arg.value for arg in write.call.args if arg.keyword is not None}
            only_new = [named[name] for name in write.row.get("only_new", ()) if name in named]
            if (
                only_new
                and self.facts.is_constant(only_new[0], True)
                and not unpacks(write.call)
                and not self._has_lifetime(write, named)
            ):
                self._check(write, expiries)
        for lock in self.facts.calls("shared-lock"):
            parameter = lock.row.parameter("timeout")
            given = argument(lock.call, parameter) if parameter is not None else None
            if not unpacks(lock.call) and (given is None or self.facts.is_constant(given, None)) and lock.call.args:
                self._report(lock, None, lock.confidence)

    def _has_lifetime(self, write: Match, named: dict[str, cst.BaseExpression]) -> bool:
        expires = write.row.get("expires", [])
        if expires == ["*"]:
            return True
        return (
            any(name in named and not self.facts.is_constant(named[name], None) for name in expires)
            or len([a for a in write.call.args if a.keyword is None]) > 2
        )

    def _check(self, claim: Match, expiries: list[Match]) -> None:
        function = self.facts.tree.function_of(claim.call)
        key = self._key(claim)
        later = next(
            (
                e
                for e in expiries
                if self.facts.tree.function_of(e.call) is function and key is not None and self._same(key, self._key(e))
            ),
            None,
        )
        if (later is not None or self._is_lock(claim)) and not is_in_process(self.facts, claim):
            self._report(claim, later, claim.confidence)

    def _key(self, match: Match) -> cst.BaseExpression | None:
        parameter = match.row.parameter("key")
        return argument(match.call, parameter) if parameter is not None else None

    @staticmethod
    def _same(one: cst.BaseExpression, other: cst.BaseExpression | None) -> bool:
        return other is not None and same_code(one, other)

    def _is_lock(self, claim: Match) -> bool:
        function = self.facts.tree.enclosing(claim.call, cst.FunctionDef)
        cls = self.facts.tree.enclosing(claim.call, cst.ClassDef)
        told = [word for one in (function, cls) if one is not None for word in words(one.name.value)]
        key = self._key(claim)
        for below in descendants(key) if key is not None else ():
            if isinstance(below, (cst.Name, cst.Attribute)):
                told += words(last_name(below) or "")
            elif isinstance(below, (cst.SimpleString, cst.FormattedStringText)):
                told += words(below.value)
        return any(word in _LOCKING for word in told)

    def _report(self, claim: Match, later: Match | None, confidence: Confidence) -> None:
        code = self.facts.code(claim.call)
        if later is not None:
            said = (
                f"a process killed between `{code}` and the expiry in line "
                f"{self.facts.line(later.call)} leaves a key that never goes away"
            )
        else:
            said = f"`{code}` has no lifetime: when the process that holds it dies, nobody gets it any more"
        if claim.row.kind == "shared-lock":
            lifetime = edits.argument_added(self.facts, claim.call, "timeout=60")
            changes: tuple[Edit, ...] = (lifetime,) if lifetime is not None else ()
            advice = "give the lock a lifetime longer than its work: `timeout=60`"
        else:
            changes = self._in_one(claim, later)
            advice = "set key and lifetime in one command: `set(key, owner, nx=True, ex=seconds)`"
        trace = [(later.call, "only here does the key get a lifetime")] if later is not None else []
        self.report(
            claim.call,
            said,
            confidence=confidence,
            trace=trace,
            fix=lambda: Fix(Applicability.SUGGESTION, advice, changes),
        )

    def _in_one(self, claim: Match, later: Match | None) -> tuple[Edit, ...]:
        """Key and lifetime in one command; the seconds are those of the later one, which goes."""
        call, attribute = claim.call, claim.call.func
        given = [arg.value for arg in later.call.args[1:2]] if later is not None else []
        added = edits.argument_added(self.facts, call, f"ex={edits.source_of(self.facts, given[0]) if given else 60}")
        if added is None or not isinstance(attribute, cst.Attribute):
            return ()
        if attribute.attr.value == "setnx":
            added = added._replace(text=f", nx=True{added.text}")
            return (edits.replaced(self.facts, attribute.attr, "set"), added, *self._gone(later))
        return (added, *self._gone(later)) if last_name(attribute) == "set" else ()

    def _gone(self, later: Match | None) -> tuple[Edit, ...]:
        """The later command removed, where it has a line for itself beside others."""
        line = self.facts.tree.parent(self.facts.tree.statement_of(later.call)) if later is not None else None
        block = self.facts.tree.parent(line) if line is not None else None
        plain = isinstance(line, cst.SimpleStatementLine) and line.trailing_whitespace.comment is None and len(line.body) == 1
        if not plain or not isinstance(line, cst.SimpleStatementLine) or not isinstance(line.body[0], cst.Expr):
            return ()
        several = isinstance(block, cst.IndentedBlock) and len(block.body) > 1
        return (edits.removed_statement(self.facts, line),) if several else ()
