"""What hangs on a span or a moment: a wait, a decision, words only, or nothing but a figure."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import bound_arguments
from safeboundary_lint.core.clocks import CONSTANT, DURATION
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.steps import (
    TELLING,
    alarms,
    assigned,
    branches_of,
    called_by,
    starts_over,
    statements_of,
    sweeps,
    tells,
)
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_CLIMBED = tuple(f"builtins.{name}" for name in ("max", "min", "abs", "int", "float", "round"))
_WAITING = Regex(r"sleep|wait|timeout|join|poll|select|acquire|later|drain|expire|ttl|deadline|backoff")
_DECIDING_FUNCTION = Regex(
    r"expire|remain|stale|timeout|timed_out|alive|should|^is_|^has_|left|due|overdue|ready|fresh|outdated|idle"
)
_PASSED_THROUGH = (
    cst.BinaryOperation,
    cst.UnaryOperation,
    cst.BooleanOperation,
    cst.Attribute,
    cst.Call,
    cst.Element,
    cst.List,
    cst.Tuple,
)
# The last sign of life of somebody else, and how long it is waited for.
_SIGN_OF_LIFE = Regex(r"seen|alive|heard|contact|activity|recv|received|response|message|heartbeat|pong")
_PATIENCE = Regex(r"timeout|watchdog|inactiv|dead")
_COUNTING = ("sum", "len")
_PAINTING = Regex(r"(^|_)(re)?(render|draw|paint)(_|$)")
# The clock decides how long the old one is used, or nothing at all is.
_RENEWING = Regex(r"(^|_)(re)?(load|fetch|fresh|refresh|new|connect|sync|start|try|expire|evict|invalidate)(_|$)")
_BOOKKEEPING = Regex(r"last|next|prev|logged|warned|reported|printed|time|stamp|count|stats|(^|_)(ts|t0|start|msg|message)$")
_STOPPING = Regex(r"stop|exit|shut|quit|clos|cancel|terminat|finish|done")
# What two must not have at once, or what is ended by force: it matters when.
_EXCLUSIVE = Regex(r"(^|_|\.)(un)?lock|lease|leader|acquire|heartbeat|kill|terminate|abort")
_CALLERS = 6
_USES = 60  # of one variable; what these decide speaks for the others
_NAME_LENGTH = 200


class Stake(enum.IntEnum):
    """How much hangs on a value, the least first."""

    FIGURE = 0  # told, stored or returned
    WORDS = 1  # decides only whether something is told
    TURN = 2  # when repeated work has its next turn, or a poll its last: it comes early or late once
    DECISION = 3
    WAIT = 4  # how long something lasts: a loop, a sleep, a timeout


class Stakes:
    """What hangs on the values of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._known: dict[tuple[int, int], Stake] = {}
        self._tests: dict[int, Stake] = {}

    def decides(self, expression: cst.CSTNode, depth: int = 2) -> bool:
        """True when a span or moment is compared, waited for or tested, whatever comes of it."""
        return self.of(expression, depth) > Stake.FIGURE

    def of(self, expression: cst.CSTNode, depth: int = 2) -> Stake:
        """What hangs on an expression, through at most `depth` variables, helpers and results of functions of this file."""
        node, parent, grown = expression, self.facts.tree.parent(expression), False
        while parent is not None:
            if isinstance(parent, (cst.Comparison, cst.ComparisonTarget)):
                return self.of_test(parent)
            if isinstance(parent, (cst.If, cst.While)):
                return self.of_test(node) if parent.test is node else Stake.FIGURE
            if isinstance(parent, cst.IfExp) and parent.test is node:
                return Stake.DECISION
            if isinstance(parent, cst.Arg):
                call = self.facts.tree.parent(parent)
                if not isinstance(call, cst.Call):
                    return Stake.FIGURE
                if _WAITING.search((parent.keyword.value if parent.keyword else last_name(call.func) or "").lower()):
                    return Stake.TURN if self._paces(call) else Stake.WAIT
                if self.facts.names.qualified(call.func) not in _CLIMBED:
                    within = self._in_callee(call, parent.value, depth) if depth else None
                    if within is not None:
                        return within
                    if not self._returns_argument(call, parent.value):
                        return Stake.FIGURE
                node, parent = call, self.facts.tree.parent(call)
                continue
            if isinstance(parent, cst.Return):
                return self._of_result(parent, depth)
            if isinstance(parent, (cst.Assign, cst.AnnAssign, cst.NamedExpr)):
                return self._of_kept(assigned(parent), depth, grown)
            if isinstance(parent, cst.AugAssign):
                return self._of_kept([parent.target], depth, grown)
            if isinstance(parent, cst.BinaryOperation) and isinstance(parent.operator, cst.Multiply):
                grown = grown or not self._is_number(parent.right) and not self._is_number(parent.left)
            if not isinstance(parent, (*_PASSED_THROUGH, cst.IfExp)):
                return Stake.FIGURE
            node, parent = parent, self.facts.tree.parent(parent)
        return Stake.FIGURE

    def of_test(self, test: cst.CSTNode) -> Stake:
        """What hangs on a comparison or a condition, by the statement that it stands in."""
        if id(test) not in self._tests:
            self._tests[id(test)] = self._of_test(test)
        return self._tests[id(test)]

    def _of_test(self, test: cst.CSTNode) -> Stake:
        for ancestor in self.facts.tree.ancestors(test):
            if isinstance(ancestor, cst.While) and self.facts.tree.within(test, ancestor.test):
                return Stake.WAIT
            if isinstance(ancestor, cst.If) and self.facts.tree.within(test, ancestor.test):
                if self._only_tells(ancestor) or self._speaks_of_telling(test) or self._only_leaves_painting(ancestor):
                    return Stake.WORDS
                turn = self._renews(ancestor) or self._only_paces(ancestor) or self._guards(ancestor) or starts_over(ancestor)
                return Stake.TURN if turn else Stake.DECISION
            if isinstance(ancestor, cst.Call) and last_name(ancestor.func) in _COUNTING:
                return Stake.FIGURE
            if isinstance(ancestor, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
                if self._picks_for_sweeping(test, ancestor):
                    return Stake.TURN
                break
        return Stake.WORDS if self._speaks_of_telling(test) else Stake.DECISION

    # -- where values go -----------------------------------------------------------------------------------------------

    def _of_kept(self, targets: list[cst.CSTNode], depth: int, grown: bool) -> Stake:
        """What hangs on a value that is kept; one that grew at a rate decides wherever it is read, if not in this function."""
        local = depth > 0 and all(isinstance(target, cst.Name) for target in targets)
        return Stake.DECISION if grown and not local else self._of_targets(targets, depth)

    def _of_targets(self, targets: Iterable[cst.CSTNode], depth: int) -> Stake:
        """The most that hangs on the uses of variables; the same for all uses of one, answered once."""
        most = Stake.FIGURE
        for target in targets if depth else ():
            found = self.facts.names.lookup(target) if isinstance(target, cst.Name) else None
            if found is not None:
                key = (id(target), depth)
                if key not in self._known:
                    self._known[key] = Stake.FIGURE  # a variable that is made of itself
                    uses = itertools.islice(self.facts.readings.uses(target), _USES)
                    self._known[key] = self._most((use for use in uses if self._reaches(target, use)), depth - 1)
                most = max(most, self._known[key])
        return most

    def _reaches(self, target: cst.CSTNode, use: cst.Name) -> bool:
        """False where the variable has been given another value before it is read."""
        bindings = self.facts.origins.reaching(use)
        return not bindings or any(binding.target is target or binding.how == "augmented" for binding in bindings)

    def _most(self, uses: Iterable[cst.CSTNode], depth: int) -> Stake:
        return max((self.of(use, depth) for use in uses), default=Stake.FIGURE)

    def _of_result(self, statement: cst.Return, depth: int) -> Stake:
        function = self.facts.tree.function_of(statement)
        if not isinstance(function, cst.FunctionDef):
            return Stake.FIGURE
        if _DECIDING_FUNCTION.search(function.name.value.lower()):
            return Stake.DECISION
        return self._most(self.facts.types.callers(function)[:_CALLERS], depth - 1) if depth else Stake.FIGURE

    def _in_callee(self, call: cst.Call, value: cst.CSTNode, depth: int) -> Stake | None:
        """What a function of this file does with an argument, where it decides by it."""
        parameter = self._parameter(call, value)
        decided = self._of_targets([parameter.name], depth) if parameter is not None else Stake.FIGURE
        return decided if decided > Stake.FIGURE else None

    def _returns_argument(self, call: cst.Call, value: cst.CSTNode) -> bool:
        """True for a function of this file that gives back what it makes of an argument: a change of unit, a total."""
        parameter = self._parameter(call, value)
        function = self.facts.types.callee(call)
        return parameter is not None and function is not None and any(
            isinstance(part, cst.Name) and part.value == parameter.name.value
            for answer in self.facts.origins.returned(function)
            for part in descendants(answer)
        )

    def _parameter(self, call: cst.Call, value: cst.CSTNode) -> cst.Param | None:
        function = self.facts.types.callee(call)
        if function is None:
            return None
        pairs = bound_arguments(call, function, method=self.facts.types.is_bound_method(function))
        return next((parameter for parameter, given in pairs if given is value), None)

    def _is_number(self, node: cst.CSTNode) -> bool:
        return all(value.domain == CONSTANT for value in self.facts.clocks.values(node))

    # -- turns of repeated work ------------------------------------------------------------------------------------------

    def _renews(self, branch: cst.If) -> bool:
        """`if now - self._swept > pause: sweep(); self._swept = now`: the moment that is tested is set again."""
        return not self.answers_for_peer(branch.test) and self._sets_again(branch.body, self._tested(branch), depth=2)

    def answers_for_peer(self, test: cst.CSTNode) -> bool:
        """`now - self.last_message > self.timeout`: somebody who says nothing for too long is given up, by the names."""
        names = [(last_name(part) or "").lower() for part in descendants(test) if isinstance(part, (cst.Name, cst.Attribute))]
        return any(map(_SIGN_OF_LIFE.search, names)) and any(map(_PATIENCE.search, names))

    def _guards(self, branch: cst.If) -> bool:
        """`if now - self._swept < pause: return`, then `sweep(); self._swept = now`: the same, with the branch turned round."""
        leaves = [one for one in statements_of(branch.body) if not tells(one)]
        block = self.facts.tree.parent(branch)
        if branch.orelse is not None or len(leaves) != 1 or not isinstance(leaves[0], (cst.Return, cst.Continue)):
            return False
        if not isinstance(block, cst.IndentedBlock):
            return False
        later = itertools.islice(block.body, [one is branch for one in block.body].index(True) + 1, None)
        tested = self._tested(branch)
        return any(self._sets_again(statement, tested, depth=0) for statement in later)

    def _tested(self, branch: cst.If) -> set[str]:
        return {
            self.facts.code(part, _NAME_LENGTH)
            for part in descendants(branch.test)
            if isinstance(part, (cst.Name, cst.Attribute, cst.Subscript))
        }

    def _picks_for_sweeping(self, test: cst.CSTNode, statement: cst.CSTNode) -> bool:
        """`over = [key for key, at in kept.items() if at < now]`, then nothing but `for key in over: del kept[key]`."""
        target = statement.targets[0].target if isinstance(statement, cst.Assign) else getattr(statement, "target", None)
        picked = self.facts.tree.enclosing(test, cst.CompFor)
        if picked is None or not isinstance(target, cst.Name) or not isinstance(statement, (cst.Assign, cst.AnnAssign)):
            return False
        loops = [self.facts.tree.parent(use) for use in self.facts.readings.uses(target)]
        return bool(loops) and all(
            isinstance(loop, cst.For) and all(sweeps(one) or tells(one) for one in statements_of(loop.body)) for loop in loops
        )

    def _sets_again(self, body: cst.CSTNode, tested: set[str], depth: int) -> bool:
        """True where one of these is set to a new moment, also by a method that is called, unless that renews what is used."""
        called = []
        for part in descendants(body, into_definitions=False):
            if (
                isinstance(part, (cst.Assign, cst.AnnAssign))
                and part.value is not None
                and self.facts.clocks.own_reading(part.value) is not None
                and any(self.facts.code(target, _NAME_LENGTH) in tested for target in assigned(part))
            ):
                return True
            if isinstance(part, cst.Call):
                called.append(part)
        own = {name for name in tested if name.startswith("self.")}
        for call in called if depth and own else ():
            function = None if _RENEWING.search((last_name(call.func) or "").lower()) else self.facts.types.callee(call)
            if isinstance(function, cst.FunctionDef) and self._sets_again(function.body, own, depth - 1):
                return True
        return False

    def _paces(self, call: cst.Call) -> bool:
        """`sleep(interval - elapsed)` in a loop, with both readings of that very turn: the next one comes late once."""
        receiver = last_name(call.func.value) if isinstance(call.func, cst.Attribute) else None
        if last_name(call.func) != "sleep" and not _STOPPING.search((receiver or "").lower()):
            return False
        loop = self.facts.tree.enclosing(call, cst.While, cst.For)
        if loop is None or self.facts.tree.function_of(loop) is not self.facts.tree.function_of(call):
            return False
        spans = [value for arg in call.args for value in self.facts.clocks.values(arg.value) if value.domain == DURATION]
        readings = [reading.node for value in spans for reading in value.readings]
        return bool(readings) and all(self.facts.tree.within(reading, loop.body) for reading in readings)

    def _only_paces(self, branch: cst.If) -> bool:
        """`if elapsed < interval: sleep(interval - elapsed)`."""
        calls = [called_by(statement) for statement in statements_of(branch.body)]
        paces = [call is not None and self._paces(call) for call in calls]
        told = all(paced or tells(statement) for paced, statement in zip(paces, statements_of(branch.body)))
        return branch.orelse is None and any(paces) and told

    def is_of_poll(self, use: cst.CSTNode, readings: Iterable[cst.CSTNode]) -> bool:
        """`while time.time() < end: if ready(): return; sleep(1)`: what is waited for ends it; the clock, where that never comes.

        The loop sleeps for a fixed while in every turn that goes on, and the moment it counts from is read before it in the
        same function. What stands in handlers of errors limits retries.
        """
        loop, function = self.facts.tree.enclosing(use, cst.While, cst.For), self.facts.tree.function_of(use)
        if loop is None or self.facts.tree.function_of(loop) is not function:
            return False
        begun = [reading for reading in readings if not self.facts.tree.within(reading, loop)]
        if not begun or any(self.facts.tree.function_of(reading) is not function for reading in begun):
            return False
        inner = list(itertools.takewhile(lambda one: one is not loop, self.facts.tree.ancestors(use)))
        tested = any(isinstance(one, cst.If) and self.facts.tree.within(use, one.test) for one in inner)
        handled = any(isinstance(one, cst.ExceptHandler) for one in inner)
        if handled or not tested and not (isinstance(loop, cst.While) and self.facts.tree.within(use, loop.test)):
            return False
        called = (part for part in descendants(loop.body, into_definitions=False) if isinstance(part, cst.Call))
        said = {self.facts.tree.symbol_of(use).lower(), *((last_name(call.func) or "").lower() for call in called)}
        return not any(map(_EXCLUSIVE.search, said)) and self._sleeps_between(loop.body)

    def _sleeps_between(self, body: cst.CSTNode) -> bool:
        """True where turns of a loop begin or end with a sleep of a fixed length, in a branch of the last statement too."""
        statements = list(statements_of(body))
        if any(map(self._sleeps_fixedly, statements)):
            return True
        return bool(statements) and any(map(self._sleeps_between, branches_of(statements[-1])))

    def _sleeps_fixedly(self, statement: cst.CSTNode) -> bool:
        """`sleep(interval)`, `event.wait(0.1)`."""
        call = called_by(statement)
        name = None if call is None else last_name(call.func)
        if call is None or name == "wait" and not any(isinstance(arg.value, (cst.Integer, cst.Float)) for arg in call.args):
            return False
        return name in ("sleep", "wait") and all(
            value.domain != DURATION for arg in call.args for value in self.facts.clocks.values(arg.value)
        )

    # -- words ---------------------------------------------------------------------------------------------------------

    def _only_tells(self, branch: cst.If) -> bool:
        """True when nothing but logs, figures and what counts them depends on a branch, and no alarm that it raises alone."""
        statements = list(statements_of(branch.body))
        if isinstance(branch.orelse, cst.Else):
            statements += statements_of(branch.orelse.body)
        elif isinstance(branch.orelse, cst.If) and not self._only_tells(branch.orelse):
            return False
        if any(map(alarms, statements)) and not any(isinstance(one, (cst.Assign, cst.AugAssign)) for one in statements):
            return False
        return all(self._is_of_telling(one) for one in statements) and any(tells(one) for one in statements)

    def _speaks_of_telling(self, test: cst.CSTNode) -> bool:
        """True where the names say that the interval is one of logs or reports: `self.logging_interval`, `def report_stats`."""
        function = self.facts.tree.function_of(test)
        names = [last_name(part) or "" for part in descendants(test) if isinstance(part, (cst.Name, cst.Attribute))]
        if isinstance(function, cst.FunctionDef):
            names.append(function.name.value)
        return any(TELLING.search(name.lower()) for name in names)

    def _only_leaves_painting(self, branch: cst.If) -> bool:
        """`def redraw(self): if now - self._drawn < 0.2: return`."""
        function = self.facts.tree.function_of(branch)
        paints = isinstance(function, cst.FunctionDef) and _PAINTING.search(function.name.value.lower())
        leaves = [isinstance(one, cst.Return) and one.value is None for one in statements_of(branch.body)]
        return bool(paints) and branch.orelse is None and all(leaves)

    def _is_of_telling(self, statement: cst.CSTNode) -> bool:
        if isinstance(statement, cst.If):
            return self._only_tells(statement)
        if isinstance(statement, (cst.Assign, cst.AnnAssign, cst.AugAssign)):
            kept = all(_BOOKKEEPING.search((last_name(target) or "").lower()) for target in assigned(statement))
            return kept or tells(statement)
        return isinstance(statement, cst.Pass) or tells(statement)
