"""SBL301: a message is acknowledged before the work it asks for is done."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.acks import Ack
from safeboundary_lint.core.edits import moved_behind
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.work import WorkCall, new_round, starts_round
from safeboundary_lint.rules.acks import manual_acks


class AckBeforeWrite(Rule):
    """A message is acknowledged before what it asks for is done, so that a crash in between loses it.

    What it does
    ------------
    Follows each acknowledgement (`basic_ack`, `message.ack()`, `delete_message`, `xack`, an offset commit, the end of `with
    message.process()`) to what the function still does afterwards: a database write, a commit, a publish, an enqueue, or a call
    that handles the message. Work that was only handed to a task, a thread or an in-memory queue before the ack counts as not
    done.

    Why it matters
    --------------
    The broker forgets a message the moment it is acknowledged. When the process stops between the ack and the write, by a
    deploy, an out-of-memory kill or an exception, the message is gone and the row was never written; nothing will deliver it
    again.

    Example
    -------

        def on_message(channel, method, properties, body):
            channel.basic_ack(delivery_tag=method.delivery_tag)
            order = parse(body)
            db.execute("INSERT INTO orders (id, total) VALUES (%s, %s)", (order.id, order.total))
            db.commit()

    Instead
    -------

        def on_message(channel, method, properties, body):
            order = parse(body)
            db.execute("INSERT INTO orders (id, total) VALUES (%s, %s)", (order.id, order.total))
            db.commit()
            channel.basic_ack(delivery_tag=method.delivery_tag)

    Stays silent when
    -----------------
    Work was done on every path before the ack (what follows is then an afterthought); the queue is a reply queue, exclusive or
    auto-delete, so that there is nobody to deliver to again; the message was put on a durable queue first.

    Fix safety
    ----------
    Unsafe where ack and work stand in one straight line: the ack moves behind the work, and a message that fails is delivered
    again, so the work must bear being done twice. Otherwise a suggestion.

    Known limits
    ------------
    Work that is done by the caller after this function returns is not seen.
    """

    code, name, since, severity = "SBL301", "ack-before-write", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("ack", "ack-context"),)
    fixable = Applicability.UNSAFE

    def finish(self) -> None:
        for ack in self.facts.acks.all():
            if self.facts.queues.ephemeral_around(ack.node) or self._is_rpc(ack):
                continue
            if isinstance(ack.node, cst.WithItem):
                self._check_block(ack)
            elif (points := self.facts.acks.points(ack)) and not self._done_before(ack, points, durably=True):
                self._check_after(ack, points, known=self._done_before(ack, points))

    def _is_rpc(self, ack: Ack) -> bool:
        """A call from afar: its caller waits and would ask again; to repeat it unasked could do it twice."""
        return self.facts.queues.is_named_reply(f"{self.facts.tree.symbol_of(ack.node)} {self.facts.code(ack.node)}")

    def _check_block(self, ack: Ack) -> None:
        """`with message.process(): yield message.body`: the block ends when the generator goes on, not when the work is done."""
        block = self.facts.tree.parent(ack.node)
        assert isinstance(block, cst.With)
        inside = list(descendants(block.body, into_definitions=False))
        given = next((node for node in inside if isinstance(node, cst.Yield) and node.value is not None), None)
        if given is not None:
            self.report(
                ack.node,
                f"the message handed out on line {self.facts.line(given)} is acknowledged when the next one is asked for, "
                "whether or not its work has been done: a crash loses it",
                confidence=Confidence.weakest(ack.confidence, Confidence.MEDIUM),
                trace=[(given, "handed out here"), (ack.node, "acknowledged when this block ends")],
                fix=lambda: Fix(Applicability.SUGGESTION, "yield the message itself and let the one who does the work acknowledge it"),
            )
        elif (later := self._handed_over_in(inside)) is not None and not any(
            isinstance(node, cst.Call) and self.facts.work.of_call(node) is not None for node in inside
        ):
            self._report(ack, later, "only handed over", Confidence.MEDIUM)

    def _done_before(self, ack: Ack, points: list[Point], *, durably: bool = False) -> bool:
        """True when work is always done before the ack; `durably` counts only what is known to last."""
        flow = self.facts.flow(ack.function)
        done = [flow.points[index] for index, work in self._work(ack).items() if work.durable or not durably]
        return bool(done) and all(paths.always_before(flow, done, point) for point in points)

    def _work(self, ack: Ack) -> dict[int, WorkCall]:
        return {index: work for index, work in self.facts.work.points(ack.function).items() if work.call is not ack.node}

    def _check_after(self, ack: Ack, points: list[Point], *, known: bool) -> None:
        """What comes after the ack; with `known` only what is known to last, since other work was done before it."""
        flow = self.facts.flow(ack.function)
        work = {index: one for index, one in self._work(ack).items() if one.durable or not known}
        rounds = new_round(self.facts, ack.node)
        lost = paths.find(
            points,
            lambda point: point.index in work or not known and _hands_out(point),
            avoiding=lambda point: starts_round(point, rounds) or self._takes_next(point),
            raising=False,
            leaving="normally",
        )
        if lost is not None and (lost[-1].index in work or self._hands_out_acked(lost)):
            self._report_lost(ack, lost[-1], work)
        elif not known and (handed := self._handed_over_before(ack, flow, points)) is not None:
            self._report(ack, handed, "only handed over", Confidence.weakest(ack.confidence, Confidence.MEDIUM))

    def _hands_out_acked(self, path: list[Point]) -> bool:
        """True when what is yielded at the end of the path was taken before its start, and the generator goes on afterwards."""
        given = path[-1]
        if any(isinstance(following.node, cst.Return) for following in given.succs):
            return False
        bound = {id(binding) for point in path for binding in self._bindings_at(point)}
        names = (
            [node for node in descendants(given.node, into_definitions=False) if isinstance(node, cst.Name)]
            if given.node is not None
            else []
        )
        origins = self.facts.origins
        return any(
            (reaching := origins.reaching(name))
            and not any(id(one.target) in bound for one in reaching)
            and name.value not in ("self", "cls")
            for name in names
            if (found := self.facts.names.lookup(name)) is not None and isinstance(found[0].node, (cst.FunctionDef, cst.Lambda))
        )

    @staticmethod
    def _bindings_at(point: Point) -> list[cst.CSTNode]:
        if point.kind == "branch" and isinstance(point.node, cst.For):
            return [node for node in descendants(point.node.target)]
        if isinstance(point.node, (cst.Assign, cst.AnnAssign, cst.AugAssign)):
            targets = [one.target for one in point.node.targets] if isinstance(point.node, cst.Assign) else [point.node.target]
            return [node for target in targets for node in descendants(target)]
        return []

    def _report_lost(self, ack: Ack, point: Point, work: dict[int, WorkCall]) -> None:
        found = work.get(point.index)
        if found is None:
            assert point.node is not None
            self._report(ack, point.node, "handed out", Confidence.weakest(ack.confidence, Confidence.MEDIUM))
        elif not self._is_answer(found) and (found.durable or not self._is_about_acks(ack)):
            self._report(ack, found.call, "done", Confidence.weakest(ack.confidence, found.confidence))

    def _report(self, ack: Ack, later: cst.CSTNode, what: str, confidence: Confidence) -> None:
        line, here = self.facts.line(later), self.facts.line(ack.node)
        told = self.facts.code(later)
        if what == "only handed over":
            message = (
                f"a crash after line {here} loses the message acknowledged there: "
                f"`{told}` on line {line} only hands it to this process"
            )
        else:
            message = (
                f"a crash between line {here} and line {line} loses the message acknowledged here: `{told}` was not {what} yet"
            )
        self.report(
            ack.node,
            message,
            confidence=confidence,
            trace=[(ack.node, "acknowledged here"), (later, f"{what} here")],
            fix=lambda: self._fix(ack, later),
        )

    def _is_about_acks(self, ack: Ack) -> bool:
        """In a function that is there to acknowledge, what follows looks after the ack, unless it is known to write."""
        return (
            isinstance(ack.function, cst.FunctionDef)
            and re.search(r"(?:^|_)(?:n?acks?|acknowledge\w*|commit\w*|settle\w*)(?:_|$)", ack.function.name.value.lower())
            is not None
        )

    def _is_answer(self, work: WorkCall) -> bool:
        """A reply to the sender or a notice to watchers is no work that redelivery would repeat."""
        if work.match is None or work.match.row.kind != "publish":
            return False
        return self.facts.queues.is_answer(work.call)

    def _takes_next(self, point: Point) -> bool:
        """True where another message is taken: what follows is about that one."""
        if point.node is None or point.kind not in ("statement", "test"):
            return False
        return any(
            isinstance(node, cst.Call) and self.facts.match(node, "receive") is not None
            for node in descendants(point.node, into_definitions=False)
        )

    def _handed_over_before(self, ack: Ack, flow: Flow, points: list[Point]) -> cst.Call | None:
        for call in self.facts.summaries.calls_of(ack.function):
            if self.facts.match(call, "hand-over") is None and not self.facts.work.hands_on(call):
                continue
            handed = flow.points_of(call)
            if self._hands_message(call) and handed and all(paths.always_before(flow, handed, point) for point in points):
                return call
        return None

    def _handed_over_in(self, nodes: list[cst.CSTNode]) -> cst.Call | None:
        return next(
            (
                n
                for n in nodes
                if isinstance(n, cst.Call) and self.facts.match(n, "hand-over") is not None and self._hands_message(n)
            ),
            None,
        )

    def _hands_message(self, call: cst.Call) -> bool:
        """True when what is handed over is about the message: it mentions a local name."""
        return any(
            (found := self.facts.names.lookup(node)) is not None and isinstance(found[0].node, (cst.FunctionDef, cst.Lambda))
            for arg in call.args
            for node in descendants(arg.value, into_definitions=False)
            if isinstance(node, cst.Name) and node.value not in ("self", "cls")
        )

    def _fix(self, ack: Ack, later: cst.CSTNode) -> Fix:
        words = f"acknowledge behind line {self.facts.line(later)}, once `{self.facts.code(later)}` has succeeded"
        tree = self.facts.tree
        first, last = tree.parent(tree.statement_of(ack.node)), tree.parent(tree.statement_of(later))
        if not (isinstance(first, cst.SimpleStatementLine) and isinstance(last, cst.SimpleStatementLine)) or len(first.body) != 1:
            return Fix(Applicability.SUGGESTION, words)
        block = tree.parent(first)
        if not isinstance(block, cst.IndentedBlock) or tree.parent(last) is not block or not isinstance(first.body[0], cst.Expr):
            return Fix(Applicability.SUGGESTION, words)
        body = list(block.body)
        if body.index(last) < body.index(first):  # it was handed over before the ack
            done = manual_acks.handed_over_done(self.facts, later) if isinstance(later, cst.Call) else ()
            return Fix(Applicability.SUGGESTION, f"{words}: do it here, or let what does it acknowledge", done)
        between = body[body.index(first) + 1 :]
        target = self._last_work(between, last)
        if any(
            isinstance(n, (cst.Return, cst.Continue, cst.Break))
            for s in between[: between.index(target)]
            for n in descendants(s, into_definitions=False)
        ):
            return Fix(Applicability.SUGGESTION, words)
        moved = moved_behind(self.facts, first, target.body[-1])
        return Fix(Applicability.UNSAFE if moved else Applicability.SUGGESTION, words, moved)

    def _last_work(self, statements: list[cst.CSTNode], first: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
        """The last simple statement of the block that does work: the ack belongs behind all of them."""
        found, workers = first, set()
        for statement in statements[statements.index(first) :]:
            calls = [n for n in descendants(statement, into_definitions=False) if isinstance(n, cst.Call)]
            if not isinstance(statement, cst.SimpleStatementLine) or isinstance(statement.body[-1], (cst.Return, cst.Raise)):
                break
            on = {self.facts.code(call.func.value) for call in calls if isinstance(call.func, cst.Attribute)}
            # `store.save(x)` and then `store.commit()`: what the worker is asked next belongs to the work
            if statement is first or any(self.facts.work.of_call(call) is not None for call in calls):
                workers |= on
            elif not on & workers:
                continue
            found = statement
        return found


def _hands_out(point: Point) -> bool:
    """`yield message` after the ack: the consumer may never get to it."""
    if point.kind != "statement" or point.node is None or isinstance(point.node, (cst.FunctionDef, cst.ClassDef)):
        return False
    return any(isinstance(node, cst.Yield) and node.value is not None for node in descendants(point.node, into_definitions=False))
