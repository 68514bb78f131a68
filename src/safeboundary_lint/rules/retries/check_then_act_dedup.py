"""SBL206: deduplication by looking first and marking later, in two steps that another process can come between."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence

import libcst as cst

from safeboundary_lint.core import shapes
from safeboundary_lint.core.claims import CONFLICT, NO_RECORD, Claim, Claims, conflicts
from safeboundary_lint.core.creations import handles_conflict, may_create
from safeboundary_lint.core.edits import removed_statement, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.http import words
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.names import last_name

_REPEATED = frozenset(
    "webhook webhooks event events message messages delivery idempotency idempotent dedup dedupe deduplicate duplicate "
    "duplicates seen processed process handle handler consume consumer job jobs task tasks payment payments transaction order "
    "callback notification unicity conflict already storage once claim lock receive ingest payload upsert redelivery".split()
)
_CONFLICTING = tuple(glob.strip("*") for glob in CONFLICT)
_MISSING = "|".join(glob.strip("*") for glob in NO_RECORD)
_PLAIN = frozenset("isinstance issubclass getattr setattr hasattr len str int bool list dict tuple zip sorted type super range map min max".split())
_CHANGING = frozenset("create update insert add save".split())


@shapes.about("%create|insert|add_record|execute|fetch")
def _creates(body: Sequence[ast.AST]) -> bool:
    """A call by whose name, or by whose statement, a record is created, behind a question or a refusal."""
    creating = [call for call in shapes.walk(body, ast.Call) if may_create(call, body)]
    if not creating or handles_conflict(body):
        return False
    first = min(((node.lineno, node.col_offset) for node in (*_asking(body), *_refusals(body))), default=None)
    return first is not None and any((call.lineno, call.col_offset) > first for call in creating)


@shapes.about("if")
def _asks(body: Sequence[ast.AST]) -> bool:
    """An `if` asks what a call found, and leaves, or else calls something."""
    return any(True for _ in _asking(body))


def _asking(body: Sequence[ast.AST]) -> Iterator[ast.If]:
    nodes = list(shapes.walk(body, ast.If, ast.Assign, ast.NamedExpr))
    bound = [(target, node.value) for node in nodes if not isinstance(node, ast.If) for target in shapes.targets(node)]
    found = {target.id for target, value in bound if isinstance(target, ast.Name) and shapes.holds(value, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.If):
            asked = any(isinstance(part, ast.Call) or isinstance(part, ast.Name) and part.id in found for part in shapes.walk([node.test]))
            follows = (ast.Call,) if shapes.is_negated(node.test) else (ast.Raise, ast.Return, ast.Continue)
            if asked and any(shapes.holds(line, *follows) for line in node.body):
                yield node


@shapes.about("if")
def _sets_what_it_asks(body: Sequence[ast.AST]) -> bool:
    """What a call found is only asked about, and another call is given the same key and a value."""
    tested = [part for node in shapes.walk(body, ast.If, ast.IfExp) for part in shapes.walk([node.test], ast.Call, ast.Name)]
    if not tested:
        return False
    used = _used(body)
    names = {part.id for part in tested if isinstance(part, ast.Name)} - used
    bound = [(shapes.targets(node)[0], node.value) for node in shapes.walk(body, ast.Assign, ast.NamedExpr)]
    kept = [value for target, value in bound if isinstance(target, ast.Name) and target.id in names]
    asked = [part for part in (*tested, *shapes.walk(kept, ast.Call)) if isinstance(part, ast.Call)]
    keys = {ast.dump(one): call for call in asked if not _is_plain(call) for one in shapes.given(call)}
    setting = (call for call in shapes.walk(body, ast.Call) if not _is_plain(call)) if keys else ()
    return any(keys.get(ast.dump(one), call) is not call for call in setting if len(given := shapes.given(call)) > 1 for one in given)


def _used(body: Sequence[ast.AST]) -> set[str]:
    """Names of what a function returns or looks into: it is no answer to whether something is there. None where functions are nested."""
    function = body.sole if isinstance(body, shapes.Body) else None
    if function is None:
        return set()
    start = function.body[0].lineno  # what stands in front is evaluated elsewhere
    parts = [node.value for node in shapes.walk(body, ast.Return, ast.Attribute, ast.Subscript) if node.lineno >= start]
    return {part.id for part in parts if isinstance(part, ast.Name)}


def _is_plain(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in _PLAIN


@shapes.about(f"%{'|'.join(_CONFLICTING)}")
def _refuses_found(body: Sequence[ast.AST]) -> bool:
    """What is found is refused, and an exception says that it isn't there."""
    return any(True for _ in _refusals(body))


def _refusals(body: Sequence[ast.AST]) -> Iterator[ast.Raise]:
    lowered = body.lowered if isinstance(body, shapes.Body) else None
    if lowered is not None and ((at := lowered.find("raise")) < 0 or all(lowered.find(text, at) < 0 for text in _CONFLICTING)):
        return  # no node has to be looked at
    blocks = (node for node in shapes.walk(body, ast.Try) if node.handlers)
    raised = (part for block in blocks for line in block.body for part in shapes.walk([line], ast.Raise))
    yield from (part for part in raised if part.exc is not None and conflicts(shapes.last_name(part.exc)))


@shapes.about(f"%{_MISSING}")
def _acts_on_missing(body: Sequence[ast.AST]) -> bool:
    """Something is called where an exception says that there is no record."""
    return any(True for _ in _on_missing(body)) and not handles_conflict(body)


@shapes.about(f"%{_MISSING}")
def _creates_missing(body: Sequence[ast.AST]) -> bool:
    """Likewise, and it creates or saves a record."""
    calls = _on_missing(body)
    return any(shapes.last_name(call.func) in ("save", "asave") or may_create(call, body) for call in calls) and not handles_conflict(body)


def _on_missing(body: Sequence[ast.AST]) -> Iterator[ast.Call]:
    """Calls in handlers of what may be such an exception, by its own name or by another one."""
    for handler in shapes.walk(body, ast.ExceptHandler):
        if handler.type is not None and not isinstance(handler.body[-1], ast.Raise):
            names = map(shapes.last_name, shapes.walk([handler.type], ast.Name, ast.Attribute))
            if any(not hasattr(builtins, name) for name in names if name):
                yield from shapes.walk([handler], ast.Call)


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
        ("shared-write", "record-lookup", _refuses_found, _acts_on_missing),
        ("shared-write", "record-creation", _creates, _creates_missing),
        ("shared-read", "record-creation", _creates, _creates_missing),
        ("shared-read", _asks, _refuses_found, _acts_on_missing),
        ("record-lookup", _sets_what_it_asks, _refuses_found, _acts_on_missing),
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
