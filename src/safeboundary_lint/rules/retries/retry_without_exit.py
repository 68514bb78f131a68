"""SBL209: a retry loop goes on after its work succeeded."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.edits import lines_behind
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.loops import RetryLoop
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.needs import LOOPS
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.repetitions import unended
from safeboundary_lint.core.shapes.retries import never_left
from safeboundary_lint.core.tree import descendants, same_code

_RETRY = ("*attempt*", "*retry*", "*retrie[sd]*", "tries", "max_tries", "num_tries", "*_tries")
_GATHERING = ("append", "add", "extend", "record", "observe", "assert*")


class RetryWithoutExit(Rule):
    """A retry loop has no way out when an attempt succeeds: the work is done as often as there are attempts.

    What it does
    ------------
    Finds loops that count attempts, catch failures and go round again, in which nothing (break, return, a flag) ends the
    loop after an attempt that worked; also a `while True` that nothing leaves, with lines behind it that are never reached.

    Why it matters
    --------------
    Every command is sent `max_retries` times although the first was received, and only the last answer counts.

    Example
    -------

        def send_command(sock, command, max_retries=3):
            reply = None
            for attempt in range(max_retries):
                try:
                    sock.send_json(command)
                    reply = sock.recv_json()
                except OSError:
                    sock.reconnect()
            return reply

    Instead
    -------

        def send_command(sock, command, max_retries=3):
            for attempt in range(max_retries):
                try:
                    sock.send_json(command)
                    return sock.recv_json()
                except OSError:
                    sock.reconnect()
            raise ConnectionError("no attempt succeeded")

    Stays silent when
    -----------------
    A flag or the counter itself is set where the work succeeded, results are gathered (a list, a measurement), or the names say
    nothing of attempts.

    Fix safety
    ----------
    A suggestion: an `else` that leaves the loop. What follows the loop must know whether an attempt succeeded.

    Known limits
    ------------
    A loop that pauses in every round, whether the attempt worked or not, may repeat on purpose and is reported with low
    confidence. A helper that ends the loop by changing an attribute in another file is not seen.
    """

    code, name, since, severity = "SBL209", "retry-without-exit", "0.1", Severity.ERROR
    overlaps = ()
    needs = (LOOPS, ("%retr|attempt|tries", never_left), (unended,))
    local = True

    def visit_Module(self, node: cst.Module) -> None:
        for loop in self.facts.loops.retries():
            if not loop.handlers or loop.exits:
                continue
            if self._is_never_left(loop):
                self._report(loop, Confidence.HIGH)
            elif loop.counted and self._counts_retries(loop) and not self._ends_otherwise(loop):
                waits_anyway = any(not self._is_handled(loop, sleep) for sleep in loop.sleeps)
                certain = Confidence.HIGH if loop.telling else Confidence.MEDIUM
                self._report(loop, Confidence.LOW if waits_anyway else certain)

    def _counts_retries(self, loop: RetryLoop) -> bool:
        told: list[cst.CSTNode] = [loop.node.target, loop.node.iter] if isinstance(loop.node, cst.For) else [loop.node.test]
        handled = [n for handler in loop.handlers for n in descendants(handler.body, into_definitions=False)]
        told += [n.target for n in handled if isinstance(n, cst.AugAssign)]  # failures are counted where they are seen
        return any(
            isinstance(n, (cst.Name, cst.Attribute)) and named_like(last_name(n), *_RETRY)
            for one in told
            for n in descendants(one)
        )

    def _is_never_left(self, loop: RetryLoop) -> bool:
        """`while True` that nothing leaves, with lines behind it that are never reached: the `break` was forgotten."""
        node, tree = loop.node, self.facts.tree
        below = list(descendants(node.body, into_definitions=False))
        if not isinstance(node, cst.While) or last_name(node.test) != "True" or node.orelse is not None:
            return False
        if any(isinstance(n, cst.Return) or isinstance(n, cst.Break) and self.facts.loops.around(n) is node for n in below):
            return False
        block = tree.parent(node)
        behind = block.body if isinstance(block, cst.IndentedBlock) else ()
        return bool(loop.sleeps) and bool(behind) and behind[-1] is not node and tree.enclosing(node, cst.FunctionDef) is not None

    def _ends_otherwise(self, loop: RetryLoop) -> bool:
        """A name of the test is set where the work succeeded, a test asks for it, or something is gathered round by round."""
        below = [
            n for n in descendants(loop.node.body) if not any(self.facts.tree.within(n, handler) for handler in loop.handlers)
        ]
        if isinstance(loop.node, cst.While):
            tested = {last_name(n) for n in descendants(loop.node.test) if isinstance(n, (cst.Name, cst.Attribute))}
            if any(isinstance(n, cst.AssignTarget) and last_name(n.target) in tested for n in below):
                return True
            if any(isinstance(n, cst.Call) and self._sets(n, tested) for n in below):
                return True
        if any(isinstance(n, cst.Call) and named_like(last_name(n.func), *_GATHERING) for n in below):
            return True
        return any(isinstance(n, (cst.AugAssign, cst.Raise, cst.Yield)) and not self._is_counter(loop, n) for n in below)

    def _sets(self, call: cst.Call, tested: set[str | None]) -> bool:
        """A helper of this file sets an attribute that the loop asks for: `self._measure(image)` sets `image.digest`."""
        helper = self.facts.types.callee(call)
        return isinstance(helper, cst.FunctionDef) and any(
            isinstance(n, cst.AssignTarget) and isinstance(n.target, cst.Attribute) and n.target.attr.value in tested
            for n in descendants(helper.body)
        )

    def _is_counter(self, loop: RetryLoop, node: cst.CSTNode) -> bool:
        if not isinstance(node, cst.AugAssign) or not isinstance(loop.node, cst.While):
            return False
        return any(same_code(n, node.target) for n in descendants(loop.node.test) if type(n) is type(node.target))

    def _is_handled(self, loop: RetryLoop, node: cst.CSTNode) -> bool:
        return any(self.facts.tree.within(node, handler) for handler in loop.handlers)

    def _report(self, loop: RetryLoop, confidence: Confidence) -> None:
        block = self.facts.tree.parent(loop.handlers[0])
        calls = [n for n in descendants(block.body) if isinstance(n, cst.Call)] if isinstance(block, cst.Try) else []
        work = next((call for call in calls if self.facts.exceptions.can_raise(call)), None)
        if work is None:
            return
        site = loop.node.test if isinstance(loop.node, cst.While) else loop.node.iter
        self.report(
            site,
            f"nothing ends this loop when `{self.facts.code(work)}` succeeds: "
            f"it runs in every round, {'as often as there are attempts' if loop.counted else 'for ever'}",
            confidence=confidence,
            trace=[(work, "this is repeated even when it worked"), (loop.handlers[0], "only failures are told apart")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"leave the loop (`break` or `return`) in an `else` of the `try` when `{self.facts.code(work.func)}` succeeded",
                self._left(block),
            ),
        )

    def _left(self, block: cst.CSTNode | None) -> tuple[Edit, ...]:
        """An `else` that leaves the loop, where the `try` has room for one."""
        room = isinstance(block, cst.Try) and block.orelse is None and block.finalbody is None
        behind = lines_behind(self.facts, block, "else:", "    break") if room and block is not None else None
        return (behind,) if behind is not None else ()
