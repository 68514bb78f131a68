"""SBL309: a worker is told about a row that is not committed yet."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.edits import moved_behind, replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_KEYS = ("pk", "id", "uuid", "task_id")
_MARKS = ("mark_as", "mark_queued", "mark_as_queued", "set_status", "update_status")
_SIGNAL_PARAMETERS = {"sender", "instance"}


class EnqueueBeforeCommit(Rule):
    """A task, message or job about a row is sent before the transaction that writes the row is committed.

    What it does
    ------------
    Finds `.delay(...)`, `.apply_async(...)`, enqueues and publishes inside `with transaction.atomic():` (or a function
    decorated so), between a session's write and its commit, and in receivers of save signals, unless they wait for the commit
    (`transaction.on_commit`). A write followed by `.delay(obj.pk)` with no transaction in sight, and receivers of a project's
    own signals, are told with low confidence. It also finds those behind which the row is only then written: with the key of the
    task, or as one that waits in the queue.

    Why it matters
    --------------
    The worker is often faster than the commit: it looks the row up, finds nothing, and fails or does nothing. And when the
    transaction is rolled back, the task runs for a row that never was.

    Example
    -------

        from django.db import transaction

        def place_order(form):
            with transaction.atomic():
                order = form.save()
                charge_customer.delay(order.pk)
            return order

    Instead
    -------

        from django.db import transaction

        def place_order(form):
            with transaction.atomic():
                order = form.save()
                transaction.on_commit(lambda: charge_customer.delay(order.pk))
            return order

    Stays silent when
    -----------------
    The call is handed to `on_commit`, or is of the kind that waits for the commit itself; it comes after the block or after the
    commit; the message is a row of an outbox.

    Fix safety
    ----------
    Unsafe, in a transaction of Django's kind where the call is a statement of its own: it is handed to `transaction.on_commit`
    by `functools.partial`, which binds the arguments now. Its result is no longer there. Otherwise a suggestion that
    puts it behind the commit where both stand in one block.

    Known limits
    ------------
    Whether a caller in another file has a transaction open is not known.
    """

    code, name, since, severity = "SBL309", "enqueue-before-commit", "0.1", Severity.WARNING
    overlaps = ()
    needs = (
        ("enqueue", "publish"),
        ("transaction", "commit", "signal-receiver", "=instance", "=sender", "=save", "=create", *map("={}".format, _MARKS)),
    )
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("enqueue", "publish"):
            if not match.row.get("after_commit") and match.row.get("confirm") not in ("none",):
                self._check(match)

    def _check(self, match: Match) -> None:
        function = self.facts.tree.function_of(match.node)
        if not isinstance(function, cst.FunctionDef):
            return
        if (block := self._transaction_around(match.node, function)) is not None:
            self._report(match, block, "inside the transaction", match.confidence, waits=True)
        elif (write := self._uncommitted(match, function)) is not None:
            self._report(match, write, "before the commit", match.confidence)
        elif match.row.kind == "enqueue" and (decorator := self._saves(function)) is not None:
            self._report(match, decorator, "while the row is being saved", match.confidence, waits=True)
        elif match.row.kind == "enqueue" and (later := self._written_later(match, function)) is not None:
            self._report(match, later, "before its row is written", match.confidence)
        elif match.row.kind == "enqueue" and (row := self._names_row(match, function)) is not None:
            self._report(match, row, "with no commit in sight", Confidence.LOW, waits=True)

    def _transaction_around(self, node: cst.CSTNode, function: cst.FunctionDef) -> cst.CSTNode | None:
        for ancestor in self.facts.tree.ancestors(node):
            if isinstance(ancestor, cst.With) and not any(self.facts.tree.within(node, item) for item in ancestor.items):
                found = next((item.item for item in ancestor.items if self._is_transaction(item.item)), None)
                if found is not None:
                    return found
            if ancestor is function:
                break
        return next((d.decorator for d in function.decorators if self._is_transaction(d.decorator)), None)

    def _is_transaction(self, expression: cst.BaseExpression) -> bool:
        return self.facts.match(expression, "transaction") is not None

    def _uncommitted(self, match: Match, function: cst.FunctionDef) -> cst.CSTNode | None:
        """A session's write that comes before, when its commit comes after and none stands in between."""
        flow = self.facts.flow(function)
        calls = self.facts.summaries.calls_of(function)
        commits = {p.index for c in calls if self.facts.match(c, "commit") is not None for p in flow.points_of(c)}
        here = flow.points_of(match.node)
        if not commits or paths.find(here, lambda p: p.index in commits, raising=False, leaving="normally") is None:
            return None
        for call in calls:
            if (
                (write := self.facts.work.durable(call, ("durable-write",))) is None
                or write.row.confidence is Confidence.LOW
                or call is match.node
            ):
                continue
            reached = paths.find(
                flow.points_of(call),
                lambda p: p in here,
                avoiding=lambda p: p.index in commits,
                raising=False,
                leaving="normally",
            )
            if reached is not None:
                return call
        return None

    def _saves(self, function: cst.FunctionDef) -> cst.CSTNode | None:
        """What makes the function run inside a save: a receiver of the framework's signals."""
        for decorator in function.decorators:
            mentioned = descendants(decorator.decorator, into_definitions=False)
            if any(
                isinstance(n, (cst.Name, cst.Attribute)) and self.facts.match(n, "signal-receiver") is not None for n in mentioned
            ):
                return decorator.decorator
        for call in self.facts.tree.all(cst.Call):
            if (
                isinstance(call.func, cst.Attribute)
                and call.func.attr.value == "connect"
                and call.args
                and self.facts.match(call.func.value, "signal-receiver") is not None
            ):
                if self.facts.types.definition(call.args[0].value) is function:
                    return call
        return None

    def _written_later(self, match: Match, function: cst.FunctionDef) -> cst.Call | None:
        """`result = task.delay()`, then a row with `result.id`; `task.delay(row.pk)`, then `row.mark_as(QUEUED)`."""
        flow = self.facts.flow(function)
        holder = self.facts.tree.parent(match.call)
        result = holder.targets[0].target if isinstance(holder, cst.Assign) else None
        handed = {node.value.value for arg in match.call.args for node in descendants(arg.value) if _is_key(node)}
        for call in self.facts.summaries.calls_of(function):
            name = last_name(call.func)
            owner = last_name(call.func.value) if isinstance(call.func, cst.Attribute) else None
            told = isinstance(result, cst.Name) and name in ("save", "create") and self._is_told(call, result.value)
            if not told and not (name in _MARKS and owner in handed):
                continue
            there = {point.index for point in flow.points_of(call)}
            if paths.find(flow.points_of(match.node), lambda point: point.index in there, raising=False, leaving="normally"):
                return call
        return None

    @staticmethod
    def _is_told(call: cst.Call, result: str) -> bool:
        """True where a row is given the key of the task that runs already."""
        values = (node for arg in call.args for node in descendants(arg.value))
        return any(_is_key(node) and node.value.value == result for node in values)

    def _names_row(self, match: Match, function: cst.FunctionDef) -> cst.CSTNode | None:
        """`.delay(obj.pk)` behind `obj.save()`, or in a receiver of some signal."""
        rows = {
            n.value.value: n
            for arg in match.call.args
            for n in descendants(arg.value)
            if isinstance(n, cst.Attribute) and n.attr.value in ("pk", "id", "uuid") and isinstance(n.value, cst.Name)
        }
        if not rows:
            return None
        names = {p.name.value for p in parameters(function)}
        if function.params.star_kwarg is not None and (names & _SIGNAL_PARAMETERS):
            return next(iter(rows.values()))
        for call in self.facts.summaries.calls_of(function):
            if (
                isinstance(call.func, cst.Attribute)
                and call.func.attr.value in ("save", "create")
                and last_name(call.func.value) in rows
            ):
                return call
        return None

    def _report(self, match: Match, because: cst.CSTNode, what: str, confidence: Confidence, *, waits: bool = False) -> None:
        self.report(
            match.node,
            f"`{self.facts.code(match.node)}` is sent {what} (line {self.facts.line(because)}): a worker that is "
            "faster finds no row, "
            "and after a rollback it works for a row that never was",
            confidence=confidence,
            trace=[(because, "the write is not committed yet"), (match.node, "and a worker is told")],
            fix=lambda: self._fix(match, because, waits),
        )

    def _fix(self, match: Match, because: cst.CSTNode, waits: bool) -> Fix:
        statement = self.facts.tree.parent(match.call)
        hook = self._commit_hook() if waits else None
        if hook is None:
            return Fix(
                Applicability.SUGGESTION,
                "send it after the commit, or write it to an outbox table in the same transaction",
                self._behind_commit(match, because),
            )
        words = f"hand it to `{hook}`"
        if not isinstance(statement, cst.Expr):
            return Fix(Applicability.SUGGESTION, words)
        code = self.facts.text
        arguments = "".join(f", {code(arg.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip()}" for arg in match.call.args)
        text = f"{hook}(partial({code(match.call.func)}{arguments}))"
        return Fix(Applicability.UNSAFE, words, (replaced(self.facts, match.call, text),), ("from functools import partial",))

    def _behind_commit(self, match: Match, because: cst.CSTNode) -> tuple[Edit, ...]:
        """The statement behind the commit of its block, or behind the transaction's own block."""
        tree = self.facts.tree
        statement = tree.statement_of(match.call)
        line = tree.parent(statement)
        if not isinstance(statement, cst.Expr) or not isinstance(line, cst.SimpleStatementLine):
            return ()
        block, around = tree.parent(line), tree.enclosing(because, cst.With)
        if around is not None and block is around.body:
            return moved_behind(self.facts, line, around)
        siblings = list(block.body) if isinstance(block, cst.IndentedBlock) else []
        after = siblings[siblings.index(line) + 1 :] if siblings else []
        later = (one.body[-1] for one in after if isinstance(one, cst.SimpleStatementLine))
        commit = next((one for one in later if any(self._commits(call) for call in descendants(one))), None)
        return moved_behind(self.facts, line, commit) if commit is not None else ()

    def _commits(self, node: cst.CSTNode) -> bool:
        return isinstance(node, cst.Call) and self.facts.match(node, "commit") is not None

    def _commit_hook(self) -> str | None:
        """The name under which this file can hand something to the commit: of an imported module known to have such a hook."""
        for name, bindings in self.facts.names.module_scope.bindings.items():
            for binding in bindings:
                if (
                    binding.how == "import"
                    and self.facts.knowledge.of_kind(f"{binding.dotted}.on_commit", "after-commit") is not None
                ):
                    return f"{name}.on_commit"
        return None


def _is_key(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Attribute) and node.attr.value in _KEYS and isinstance(node.value, cst.Name)
