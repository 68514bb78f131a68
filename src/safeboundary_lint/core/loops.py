"""Which loops repeat an operation until it succeeds, on which failures they repeat it, what bounds them, and how they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.limits import STOP, Limits, leaves
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.paths import find
from safeboundary_lint.core.shapes.repetitions import ATTEMPT, DATA_ERRORS
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_FLAG = ("*connected*", "*ready*", "*success*", "*done*", "*ok", "*established*", "*available*", "*sent*")
_TAKES = (
    "get_nowait", "recv", "recv_*", "recvfrom", "readline", "accept", "poll", "input", "raw_input", "consume", "popleft",
    "lpop", "rpop", "blpop", "brpop", "read_message", "receive_message*", "getch", "readexactly", "basic_get", "prompt*",
)  # fmt: skip
_SEQUENCE = ("builtins.range", "builtins.xrange", "itertools.count", "itertools.repeat")
_DATA_NAMES = (
    "*empty*", "*full*", "*parse*", "*syntax*", "*valid*", "*notfound*", "*not_found*", "*exist*", "*integrity*", "*conflict*",
    "*cancel*", "*decode*", "*wouldblock*", "*watch*",
)  # fmt: skip


@dataclass(slots=True, eq=False)
class RetryLoop:
    """A loop that repeats what it does after a failure.

    handlers   the `except` clauses after which the loop goes round again
    exits      `return` and `break` that leave it when the work succeeded
    counted    it ends by itself after a number of rounds
    """

    node: cst.For | cst.While
    flow: Flow
    inside: frozenset[int]
    heads: tuple[Point, ...]
    handlers: tuple[cst.ExceptHandler, ...]
    exits: tuple[cst.Return | cst.Break, ...]
    sleeps: tuple[cst.Call, ...]
    counted: bool
    telling: bool  # its own names say that it counts attempts

    def leads_back(
        self, start: Point, *, avoiding: frozenset[int] = frozenset(), raising: bool = True, leaving: str = "any"
    ) -> list[Point] | None:
        """A path from a point in the loop to its next round that doesn't leave it; None when there is none."""
        heads = {head.index for head in self.heads}

        def outside(point: Point) -> bool:
            if point.index in avoiding:
                return True
            return point.index not in heads and point.node is not None and id(point.node) not in self.inside

        return find([start], lambda point: point.index in heads, avoiding=outside, raising=raising, leaving=leaving)


class Loops:
    """The retry loops of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.limits = Limits(facts)
        self._found: list[RetryLoop] | None = None

    def retries(self) -> list[RetryLoop]:
        """Every loop that goes round again after a failure, in source order."""
        if self._found is None:
            tree = self.facts.tree
            loops = sorted((*tree.all(cst.For), *tree.all(cst.While)), key=lambda loop: tree.order[id(loop)])
            self._found = [found for loop in loops if (found := self._read(loop)) is not None]
        return self._found

    # -- what the loop is --------------------------------------------------------------------------------------------

    def _read(self, loop: cst.For | cst.While) -> RetryLoop | None:
        if isinstance(loop, cst.For) and not self._counts_attempts(loop):
            return None
        below = list(descendants(loop.body, into_definitions=False))
        tries = [node for node in below if isinstance(node, cst.Try) and self.around(node) is loop]
        sleeps = tuple(node for node in below if isinstance(node, cst.Call) and self.facts.match(node, "sleep") is not None)
        if not tries and not sleeps or any(isinstance(node, cst.Yield) for node in below):
            return None
        flow = self.facts.flow_around(loop)
        inside = frozenset(id(node) for node in below) | ({id(loop.test)} if isinstance(loop, cst.While) else {id(loop)})
        heads = tuple(
            p for p in flow.by_node.get(id(loop.test if isinstance(loop, cst.While) else loop), ()) if p.kind in ("test", "next")
        )
        telling = self._is_telling(loop)
        bare = RetryLoop(loop, flow, inside, heads, (), (), sleeps, self._is_counted(loop), telling)
        handlers = tuple(
            handler
            for one in tries
            for handler in one.handlers
            if self.is_failure(handler) and any(bare.leads_back(point) for point in flow.points_of(handler))
        )
        exits = tuple(
            node
            for node in below
            if isinstance(node, (cst.Return, cst.Break))
            and (isinstance(node, cst.Return) or self.around(node) is loop)
            and not any(self.facts.tree.within(node, handler) for one in tries for handler in one.handlers)
        )
        waited = bool(sleeps) and (telling or isinstance(loop, cst.For) or bool(self._answer_tests(below)))
        if not handlers and not waited and not (telling and exits and tries):
            return None
        return RetryLoop(loop, flow, inside, heads, handlers, exits, sleeps, bare.counted, telling)

    def repeating_answers(self, loop: RetryLoop) -> list[cst.If]:
        """Branches in which a bad status is waited out and the request sent again."""
        return self._answer_tests(list(descendants(loop.node.body, into_definitions=False)))

    def _answer_tests(self, below: list[cst.CSTNode]) -> list[cst.If]:
        found = []
        for node in below:
            if isinstance(node, cst.If) and any(
                isinstance(n, (cst.Name, cst.Attribute)) and named_like(last_name(n), "*status*", "*code*")
                for n in descendants(node.test)
            ):
                numbers = [int(n.value) for n in descendants(node.test) if isinstance(n, cst.Integer) and n.value.isdigit()]
                named = any(
                    isinstance(n, cst.Attribute) and named_like(n.attr.value, "too_many_requests", "service_unavailable")
                    for n in descendants(node.test)
                )
                inner = list(descendants(node.body, into_definitions=False))
                waits = any(isinstance(n, cst.Call) and self.facts.match(n, "sleep") is not None for n in inner)
                if (
                    waits
                    and (named or any(number >= 400 for number in numbers))
                    and not any(isinstance(n, (cst.Return, cst.Break, cst.Raise)) for n in inner)
                ):
                    found.append(node)
        return found

    def around(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The nearest loop around a node in its function."""
        found = self.facts.tree.enclosing(node, cst.For, cst.While, cst.FunctionDef, cst.Lambda)
        return found if isinstance(found, (cst.For, cst.While)) else None

    def _counts_attempts(self, loop: cst.For) -> bool:
        """A `for` over a count, and what it counts is not the work's input."""
        iterable = loop.iter
        if isinstance(iterable, cst.Call) and self.facts.names.qualified(iterable.func) == "builtins.enumerate" and iterable.args:
            iterable = iterable.args[0].value
        targets = {name.value for name in descendants(loop.target) if isinstance(name, cst.Name)}
        telling = all(named_like(name, *ATTEMPT, "*delay*", "*wait*", "*sleep*") for name in targets)
        counting = isinstance(iterable, cst.Call) and self.facts.names.qualified(iterable.func) in _SEQUENCE
        if (
            not counting
            and not telling
            and not named_like(last_name(iterable), *ATTEMPT, "*delay*", "*wait*")
            and not _of_numbers(iterable)
        ):
            return False
        return telling or not self._feeds_work(loop, targets)

    def _feeds_work(self, loop: cst.For, targets: set[str]) -> bool:
        for node in descendants(loop.body, into_definitions=False):
            if isinstance(node, cst.Subscript) and any(
                isinstance(n, cst.Name) and n.value in targets for e in node.slice for n in descendants(e)
            ):
                return True
            if isinstance(node, cst.Call) and not self._only_tells(node):
                used = (n for arg in node.args for n in descendants(arg.value))
                if any(isinstance(n, cst.Name) and n.value in targets for n in used):
                    return True
        return False

    def _only_tells(self, call: cst.Call) -> bool:
        """Logs, prints and sleeps may mention the attempt."""
        quiet = ("builtins.print", "builtins.min", "builtins.max", "builtins.pow", "builtins.str", "builtins.range")
        return (
            not self.facts.exceptions.can_raise(call)
            or self.facts.match(call, "sleep") is not None
            or self.facts.names.qualified(call.func) in quiet
            or named_like(
                last_name(call.func),
                "*sleep*",
                "*wait*",
                "*backoff*",
                "*delay*",
                "format",
                "*log*",
                "*error",
                "*exception",
                "uniform",
            )
        )

    def _is_counted(self, loop: cst.For | cst.While) -> bool:
        if isinstance(loop, cst.For):
            return not (
                isinstance(loop.iter, cst.Call)
                and self.facts.names.qualified(loop.iter.func) in ("itertools.count", "itertools.repeat")
            )
        return any(isinstance(node, cst.Comparison) for node in descendants(loop.test)) and any(
            True for _ in self.limits.progress(loop, loop.test)
        )

    def _is_telling(self, loop: cst.For | cst.While) -> bool:
        told: list[cst.CSTNode] = [loop.target, loop.iter] if isinstance(loop, cst.For) else [loop.test]
        if isinstance(loop, cst.While):
            told += [node.target for node in descendants(loop.body, into_definitions=False) if isinstance(node, cst.AugAssign)]
        return any(
            isinstance(name, (cst.Name, cst.Attribute)) and named_like(last_name(name), *ATTEMPT)
            for one in told
            for name in descendants(one)
        )

    def is_narrowed(self, handler: cst.ExceptHandler) -> bool:
        """True when a handler looks at the exception and lets some of it out again: `if error.errno != EAGAIN: raise`."""
        if handler.name is None or not isinstance(handler.name.name, cst.Name):
            return False
        caught = handler.name.name.value
        tests = [node.test for node in descendants(handler.body, into_definitions=False) if isinstance(node, cst.If)]
        asks = any(isinstance(n, cst.Name) and n.value == caught for test in tests for n in descendants(test))
        return asks and any(isinstance(node, cst.Raise) for node in descendants(handler.body, into_definitions=False))

    def is_failure(self, handler: cst.ExceptHandler) -> bool:
        """True when a handler catches failures of the boundary and not only those of data, collisions and empty queues."""
        classes = self.facts.exceptions.classes(handler.type)
        return not classes or any(not self._is_data_error(name) for name in classes)

    def _is_data_error(self, name: str) -> bool:
        lineage = self.facts.exceptions.lineage(name)
        known = self.facts.knowledge.rows
        if any(row.kind == "data-error" for base in lineage for row in known.get(base, ())):
            return True
        return any(base in lineage for base in DATA_ERRORS) or named_like(name.rpartition(".")[2], *_DATA_NAMES)

    # -- what bounds it ----------------------------------------------------------------------------------------------

    def is_bounded(self, loop: RetryLoop) -> bool:
        """True when the number of rounds, the time, or something outside ends the repetition, as far as can be seen."""
        if loop.counted or isinstance(loop.node, cst.While) and not self._runs_until_success(loop):
            return True
        tree = self.facts.tree
        gives_up = any(
            isinstance(n, (cst.Raise, cst.Return, cst.Break)) for handler in loop.handlers for n in descendants(handler.body)
        )
        for node in descendants(loop.node.body, into_definitions=False):
            if isinstance(node, cst.If) and self.limits.told_by(loop.node, node.test) and (gives_up or leaves(node)):
                return True
            if isinstance(node, cst.Call) and (self.limits.counts(loop, node) or self.limits.is_counting_helper(loop, node)):
                return True
            if (
                isinstance(node, (cst.Return, cst.Break, cst.Raise))
                and node not in loop.exits
                and self.limits.is_limited(loop, node)
            ):
                return True
        around = (a for a in tree.ancestors(loop.node) if isinstance(a, cst.With))
        return any(
            named_like(last_name(item.item), "*timeout*", "*deadline*", "*fail_after*", "*move_on*")
            for one in around
            for item in one.items
        )

    def ends_on_success(self, loop: RetryLoop) -> bool:
        """True for a loop whose test asks for a flag or result that the loop sets."""
        tested = _single_tested(loop.node.test) if isinstance(loop.node, cst.While) else None
        return tested is not None and last_name(tested) != "True" and self._runs_until_success(loop)

    def takes_new_input(self, loop: RetryLoop) -> bool:
        """True for a consumer: the loop takes another item from a queue, socket or iterator each time round."""
        for node in descendants(loop.node.body, into_definitions=False):
            if (
                isinstance(node, cst.Call)
                and named_like(last_name(node.func), *_TAKES)
                or isinstance(node, cst.Call)
                and (
                    named_like(last_name(node.func), "get", "read")
                    and named_like(
                        last_name(getattr(node.func, "value", None)),
                        "*queue*",
                        "q",
                        "*channel*",
                        "*stdin*",
                        "*reader*",
                        "*stream*",
                        "*event*",
                        "*message*",
                        "*inbox*",
                    )
                )
            ):
                return True
        return False

    def _runs_until_success(self, loop: RetryLoop) -> bool:
        """`while True`, or a test of a flag or result that only success in the loop sets."""
        test = loop.node.test if isinstance(loop.node, cst.While) else None
        if test is None or isinstance(test, cst.Integer) or isinstance(test, cst.Name) and test.value == "True":
            return True
        tested = _single_tested(test)
        if tested is None:
            return False
        stores = [
            node.target
            for node in descendants(loop.node.body, into_definitions=False)
            if isinstance(node, cst.AssignTarget) and same_code(node.target, tested)
        ]
        in_handlers = any(self.facts.tree.within(store, handler) for store in stores for handler in loop.handlers)
        if not stores or in_handlers:
            return False
        asks_none = isinstance(test, cst.Comparison) and last_name(test.comparisons[0].comparator) == "None"
        return (
            (isinstance(tested, cst.Name) or asks_none)
            and not named_like(last_name(tested), *STOP)
            or named_like(last_name(tested), *_FLAG)
        )


def _single_tested(test: cst.CSTNode) -> cst.Name | cst.Attribute | None:
    """The flag or result that is all a test asks about: `x`, `not x`, `x is None`, `x == CONSTANT`."""
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        test = test.expression
    elif (
        isinstance(test, cst.Comparison)
        and len(test.comparisons) == 1
        and isinstance(test.comparisons[0].operator, (cst.Is, cst.Equal, cst.NotEqual))
    ):
        test = test.left
    return test if isinstance(test, (cst.Name, cst.Attribute)) else None


def _of_numbers(iterable: cst.CSTNode) -> bool:
    elements = iterable.elements if isinstance(iterable, (cst.Tuple, cst.List)) else ()
    numbers = sum(_is_number(element.value) for element in elements)
    return numbers > 0 and all(
        _is_number(e.value) or isinstance(e, cst.StarredElement) or last_name(e.value) == "None" for e in elements
    )


def _is_number(node: cst.BaseExpression) -> bool:
    signed = isinstance(node, cst.UnaryOperation) and isinstance(node.operator, (cst.Minus, cst.Plus))
    return isinstance(node.expression if signed and isinstance(node, cst.UnaryOperation) else node, (cst.Integer, cst.Float))
