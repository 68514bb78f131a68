"""Check, then act: does a function look whether something was done before, act, and mark it in a separate step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, argument
from safeboundary_lint.core.creations import Creations
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.paths import find
from safeboundary_lint.core.shapes.retries import CONFLICT, NO_RECORD
from safeboundary_lint.core.stores import is_in_process
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_MISSING = ("*notfound*", "*not_found*", "*doesnotexist*", "*missing*", "*noresult*", "keyerror", "lookuperror")
_ONE = ("one", "scalar_one", "aget")
_LOOKING = (
    "get", "find", "fetch", "read", "load", "lookup", "select", "retrieve", "get_*", "find_*", "fetch_*", "load_*", "lookup_*",
    "query_*",
)  # fmt: skip
_LOCKS = ("*lock*", "*mutex*", "*semaphore*", "*exclusive*", "*transaction_serializable*", "*synchronized*", "*for_update*")


@dataclass(slots=True, eq=False)
class Claim:
    """Two steps that should be one: the look and the mark."""

    look: cst.CSTNode
    mark: cst.CSTNode
    found: cst.CSTNode | None  # what is done when it was there: a raise, a return
    match: Match | None


class Claims:
    """The check-then-act pairs of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._creations = Creations(facts)

    # -- shared stores -----------------------------------------------------------------------------------------------

    def in_stores(self) -> Iterator[Claim]:
        """A key of a shared store is read, tested and then set by another command."""
        writes = [match for match in self.facts.calls("shared-write") if not self._is_atomic(match)]
        for look in self.facts.calls("shared-read") if writes else ():
            function = self.facts.tree.function_of(look.call)
            key = self._key(look)
            if (
                not isinstance(function, cst.FunctionDef)
                or key is None
                or self.is_guarded(look.call, function)
                or is_in_process(self.facts, look)
            ):
                continue
            for mark in writes:
                if (
                    self.facts.tree.function_of(mark.call) is function
                    and self._same(key, self._key(mark))
                    and self._follows(look, mark)
                ):
                    if (claim := self._judge(look, mark, function)) is not None:
                        yield claim
                        break

    def _key(self, match: Match) -> cst.BaseExpression | None:
        parameter = match.row.parameter("key")
        return argument(match.call, parameter) if parameter is not None else None

    def _same(self, one: cst.BaseExpression, other: cst.BaseExpression | None) -> bool:
        return other is not None and same_code(one, other)

    def _is_atomic(self, mark: Match) -> bool:
        given = {arg.keyword.value for arg in mark.call.args if arg.keyword is not None}
        return bool(given & set(mark.row.get("only_new", ()))) or any(arg.star for arg in mark.call.args)

    def _follows(self, look: Match, mark: Match) -> bool:
        flow = self.facts.flow_around(look.call)
        goals = {point.index for point in flow.points_of(mark.call)}
        return find(flow.points_of(look.call), lambda point: point.index in goals, raising=False) is not None

    def _judge(self, look: Match, mark: Match, function: cst.FunctionDef) -> Claim | None:
        """A claim, not a cache in front of something: what was read is only asked about, what is set is only a mark."""
        name = self._name_of(look.call)
        uses = [
            n
            for n in descendants(function.body)
            if isinstance(n, cst.Name) and name is not None and n.value == name and n is not self._target(look.call)
        ]
        if any(self._is_data(use) for use in uses):
            return None
        tests = [
            n for n in descendants(function.body) if isinstance(n, (cst.If, cst.IfExp)) and self._asks(n.test, look.call, name)
        ]
        returned = self.facts.tree.parent(look.call)
        if (
            not tests
            or isinstance(returned, cst.Return)
            or all(_is_negated(test.test) and any(True for _ in self._leaves(test)) for test in tests)
        ):
            return None  # left when it is not there: what follows changes an entry, it does not claim one
        value = mark.row.parameter("value")
        stored = argument(mark.call, value) if value is not None else None
        found = next((leaf for test in tests for leaf in self._leaves(test)), None)
        marks = stored is None or self._is_marker(stored)
        if (
            not marks
            and not isinstance(found, cst.Raise)
            and not (isinstance(found, cst.Return) and self.facts.is_constant(found.value, True, False))
        ):
            return None
        if (
            stored is not None
            and name is not None
            and any(isinstance(n, cst.Name) and n.value == name for n in descendants(stored))
        ):
            return None
        return Claim(look.call, mark.call, found, look)

    def _target(self, call: cst.Call) -> cst.CSTNode | None:
        statement = self.facts.tree.statement_of(call)
        return statement.targets[0].target if isinstance(statement, cst.Assign) else None

    def _name_of(self, call: cst.Call) -> str | None:
        """The variable that holds what the call read."""
        above = self.facts.tree.parent(call)
        if isinstance(above, cst.NamedExpr) and isinstance(above.target, cst.Name):
            return above.target.value
        target = self._target(call)
        return target.value if isinstance(target, cst.Name) else None

    def _is_data(self, use: cst.Name) -> bool:
        """The value is handed on, not only asked about, logged or turned into a number."""
        below: cst.CSTNode = use
        for above in self.facts.tree.ancestors(use):
            if isinstance(above, cst.Return) or isinstance(above, (cst.Attribute, cst.Subscript)) and above.value is below:
                return True
            if isinstance(above, cst.Call):
                if named_like(last_name(above.func), "int", "float", "bool", "str") or not self.facts.exceptions.can_raise(above):
                    return False
                return below is not above.func
            if isinstance(above, cst.Assign):
                return above.value is below and isinstance(above.targets[0].target, (cst.Tuple, cst.List))  # taken apart
            if isinstance(above, cst.AugAssign):
                return False
            if isinstance(
                above,
                (cst.If, cst.While, cst.Comparison, cst.BooleanOperation, cst.UnaryOperation, cst.IfExp, cst.BaseSmallStatement),
            ):
                return False
            below = above
        return False

    def _asks(self, test: cst.BaseExpression, call: cst.Call, name: str | None) -> bool:
        return any(node is call or isinstance(node, cst.Name) and node.value == name for node in descendants(test))

    def _leaves(self, test: cst.If | cst.IfExp) -> Iterator[cst.CSTNode]:
        if isinstance(test, cst.If):
            for node in descendants(test.body, into_definitions=False):
                if (
                    isinstance(node, (cst.Raise, cst.Continue))
                    or isinstance(node, cst.Return)
                    and (node.value is None or self._is_marker(node.value))
                ):
                    yield node

    def _is_marker(self, value: cst.BaseExpression) -> bool:
        if any(isinstance(node, cst.Call) and self.facts.match(node, "wall-clock") is not None for node in descendants(value)):
            return True
        try:
            self.facts.constant(value)
        except NotConstant:
            return False
        return True

    # -- records -----------------------------------------------------------------------------------------------------

    def in_records(self) -> Iterator[Claim]:
        """A record is looked for, the function leaves when it is there, and else creates it."""
        for look in self.facts.calls("record-lookup"):
            function = self.facts.tree.function_of(look.call)
            if (
                isinstance(function, cst.FunctionDef)
                and not self.is_guarded(look.call, function)
                and (found := self._leaves_when_found(look, function))
            ):
                if (mark := self._creations.after(found, function)) is not None:
                    yield Claim(look.call, mark, found, look)
            elif (
                isinstance(function, cst.FunctionDef)
                and not self.is_guarded(look.call, function)
                and (mark := self._created_when_missing(look, function))
            ):
                yield Claim(look.call, mark, None, look)
        for block in self.facts.tree.all(cst.Try):
            if (claim := self._refuses_found(block) or self._creates_missing(block)) is not None:
                yield claim

    def _leaves_when_found(self, look: Match, function: cst.FunctionDef) -> cst.CSTNode | None:
        name = self._name_of(look.call)
        for test in (n for n in descendants(function.body, into_definitions=False) if type(n) is cst.If):
            if self._asks(test.test, look.call, name) and not _is_negated(test.test):
                leaves = (
                    n
                    for n in descendants(test.body, into_definitions=False)
                    if isinstance(n, (cst.Raise, cst.Return, cst.Continue))
                )
                if (leaf := next(leaves, None)) is not None:
                    return leaf
        return None

    def _created_when_missing(self, look: Match, function: cst.FunctionDef) -> cst.Call | None:
        """`if not query.exists(): create(...)`"""
        name = self._name_of(look.call)
        for test in (n for n in descendants(function.body, into_definitions=False) if type(n) is cst.If):
            if self._asks(test.test, look.call, name) and _is_negated(test.test):
                created = (
                    n for n in descendants(test.body, into_definitions=False) if isinstance(n, cst.Call) and self._creations.creates(n)
                )
                if (call := next(created, None)) is not None:
                    return None if self._creations.conflict_handled(call, function) else call
        return None

    def _refuses_found(self, block: cst.Try) -> Claim | None:
        """`try: get(x); raise AlreadyExists  except NotFound: pass`, and the record is created behind it."""
        function = self.facts.tree.function_of(block)
        raised = [
            n
            for n in descendants(block.body)
            if type(n) is cst.Raise and n.exc is not None and named_like(last_name(n.exc), *CONFLICT)
        ]
        missing = any(
            named_like(name.rpartition(".")[2], *_MISSING)
            for h in block.handlers
            for name in self.facts.exceptions.classes(h.type) or [last_name(h.type) or ""]
        )
        if not raised or not missing or not isinstance(function, cst.FunctionDef):
            return None
        looks = [n for n in descendants(block.body) if type(n) is cst.Call and named_like(last_name(n.func), *_LOOKING)]
        mark = self._creations.after(raised[0], function)
        if not looks or mark is None or self.is_guarded(looks[0], function):
            return None
        return Claim(looks[0], mark, raised[0], None)

    def _creates_missing(self, block: cst.Try) -> Claim | None:
        """`try: record = get(x)  except DoesNotExist: create(x)`"""
        function = self.facts.tree.function_of(block)
        calls = (node for node in descendants(block.body) if type(node) is cst.Call)
        looks = [call for call in calls if named_like(last_name(call.func), *_LOOKING, *_ONE)]
        if not looks or not isinstance(function, cst.FunctionDef) or self.is_guarded(looks[0], function):
            return None
        for handler in block.handlers:
            missing = any(lacks_record(name) for name in self.facts.exceptions.named(handler.type))
            if missing and not _raises_on(handler):
                inside = (n for n in descendants(handler.body) if isinstance(n, cst.Call))
                created = (call for call in inside if self._creations.creates(call) or self._creations.saves_new(call, handler))
                if (mark := next(created, None)) is not None and not self._creations.conflict_handled(mark, function):
                    return Claim(looks[-1], mark, None, None)
        return None

    def is_guarded(self, call: cst.Call, function: cst.FunctionDef) -> bool:
        """A lock is held, rows are selected for update, or the keys are watched."""
        for above in self.facts.tree.ancestors(call):
            if isinstance(above, cst.With) and any(named_like(last_name(item.item), *_LOCKS) for item in above.items):
                return True
            if above is function:
                break
        if any(named_like(last_name(d.decorator), *_LOCKS) for d in function.decorators) or named_like(
            function.name.value, *_LOCKS[3:]
        ):
            return True
        calls = self.facts.summaries.calls_of(function)
        return any(
            named_like(
                last_name(one.func),
                "watch",
                "select_for_update",
                "with_for_update",
                "acquire",
                "eval",
                "evalsha",
                "*_lock",
                "lock_*",
            )
            for one in calls
        )


def _raises_on(handler: cst.ExceptHandler) -> bool:
    return any(isinstance(node, cst.Raise) for node in handler.body.body) or any(
        isinstance(line, cst.SimpleStatementLine) and isinstance(line.body[-1], cst.Raise) for line in handler.body.body
    )


def lacks_record(name: str | None) -> bool:
    """True for the name of an exception that says that there is no such record."""
    return name is not None and named_like(name.lower(), *NO_RECORD)


def _is_negated(test: cst.BaseExpression) -> bool:
    """`not x`, `x is None`: the body is for what was not found."""
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return True
    return (
        isinstance(test, cst.Comparison)
        and isinstance(test.comparisons[0].operator, cst.Is)
        and last_name(test.comparisons[0].comparator) in ("None", "False")
    )
