"""What limits a repetition: counters, clocks and flags that a loop compares, by what it does with them and by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.shapes.repetitions import ATTEMPT
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts
    from safeboundary_lint.core.loops import RetryLoop

_BOUND = (
    *ATTEMPT, "*deadline*", "*timeout*", "*timed_out*", "*elapsed*", "*expire*", "*remaining*", "*max*", "*limit*", "*budget*",
    "*give*up*",
)  # fmt: skip
STOP = (
    "*stop*", "*shutdown*", "*shutting*", "*cancel*", "*clos*", "*abort*", "*exit*", "*quit*", "*terminat*", "*running*",
    "*alive*", "*finished*", "*is_set",
)  # fmt: skip


class Limits:
    """Answers about the loops of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def told_by(self, loop: cst.CSTNode, test: cst.CSTNode) -> bool:
        """The test compares something that makes progress in the loop, or asks for a limit or a stop by name."""
        if any(
            isinstance(node, (cst.Name, cst.Attribute)) and named_like(last_name(node), *_BOUND, *STOP)
            for node in descendants(test)
        ):
            return True
        return any(isinstance(node, cst.Comparison) for node in descendants(test)) and any(
            True for _ in self.progress(loop, test)
        )

    def progress(self, loop: cst.CSTNode, test: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Places in a test that the loop counts up or down, and clock readings."""
        body = getattr(loop, "body", loop)
        counted = [node.target for node in descendants(body, into_definitions=False) if isinstance(node, cst.AugAssign)]
        counted += [
            node.targets[0].target
            for node in descendants(body, into_definitions=False)
            if isinstance(node, cst.Assign) and isinstance(node.value, cst.BinaryOperation)
        ]
        if isinstance(loop, cst.For):
            counted += [node for node in descendants(loop.target) if isinstance(node, cst.Name)]
        for node in descendants(test):
            if any(same_code(node, one) for one in counted if type(one) is type(node)):
                yield node
            elif isinstance(node, cst.Call) and self.facts.match(node, "wall-clock", "monotonic-clock") is not None:
                yield node

    def counts(self, loop: RetryLoop, call: cst.Call) -> bool:
        """Something that counts for the loop: `next(delays)`, `retries.increment()`, `deadline.check()`, `hosts.pop()`."""
        if self.facts.names.qualified(call.func) == "builtins.next":
            return True
        receiver = last_name(call.func.value) if isinstance(call.func, cst.Attribute) else None
        named = named_like(receiver, *ATTEMPT, "*deadline*", "*timeout*", "*timer*", "*backoff*", "*waiter*", "*limit*")
        return named or named_like(
            last_name(call.func), "pop", "popleft", "pop_front", "*increment*", "*check_timeout*", "*check_deadline*"
        )

    def is_counting_helper(self, loop: RetryLoop, call: cst.Call) -> bool:
        """A helper of this file that can refuse to go on and is handed what the loop counts."""
        helper = self.facts.types.callee(call)
        if not isinstance(helper, cst.FunctionDef) or not any(
            isinstance(n, cst.Raise) for n in descendants(helper.body, into_definitions=False)
        ):
            return False
        counted = any(True for arg in call.args for _ in self.progress(loop.node, arg.value))
        limits = (n for n in descendants(helper.body, into_definitions=False) if isinstance(n, cst.If))
        return counted or any(self.told_by(helper, one.test) and leaves(one) for one in limits)

    def is_limited(self, loop: RetryLoop, node: cst.CSTNode) -> bool:
        """True when a statement in the loop stands under a test of its limit: `if attempt == last: raise`."""
        around = (a for a in self.facts.tree.ancestors(node) if isinstance(a, cst.If) and id(a) in loop.inside)
        return any(self.told_by(loop.node, one.test) for one in around)

    def below(self, loop: RetryLoop, place: cst.CSTNode) -> list[cst.If]:
        """The tests of the loop's limit below a node."""
        inner = descendants(place, into_definitions=False)
        return [node for node in inner if isinstance(node, cst.If) and self.told_by(loop.node, node.test)]


def leaves(branch: cst.If) -> bool:
    """Some way of an `if` leaves the loop or the function."""
    return any(isinstance(node, (cst.Raise, cst.Return, cst.Break)) for node in descendants(branch, into_definitions=False))
