"""What is repeated after a failure: by a decorator, a retrying object, a hand-written loop,
or a function that calls itself again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, argument, bound_arguments, unpacks
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.loops import RetryLoop
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_KINDS = ("retry-decorator", "retry-caller")


@dataclass(slots=True, eq=False)
class Region:
    """Something that runs again after a failure.

    how        `decorator` (also a retrying object that runs a function or a `with` body), `loop`, `recursion`,
    `rescheduling` (by a task queue)
    site       where the repetition is asked for: the decorator, the loop, the call that starts over
    body       what is evaluated again
    function   the function that holds `body`, or the module
    match      the row of the decorator or object
    """

    how: str
    site: cst.CSTNode
    body: cst.CSTNode
    function: cst.FunctionDef | cst.Lambda | cst.Module
    match: Match | None = None
    loop: RetryLoop | None = None
    confidence: Confidence = Confidence.HIGH


@dataclass(slots=True, eq=False)
class Conditions:
    """What a decorator repeats on: these classes, what these predicates accept; with neither, every exception."""

    classes: tuple[str, ...] = ()
    predicates: tuple[cst.BaseExpression, ...] = ()
    unknown: bool = False


class Retries:
    """The repetitions of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._regions: list[Region] | None = None

    def regions(self) -> list[Region]:
        """Every repetition, in source order of what is repeated."""
        if self._regions is None:
            found = [*self._decorated(), *self._handed_over(), *self._contexts(), *self._loops(), *self._recursions()]
            self._regions = self.facts.tree.in_order(found, lambda region: region.body)
        return self._regions

    # -- decorators and retrying objects -----------------------------------------------------------------------------

    def decorator(self, expression: cst.CSTNode) -> Match | None:
        """The row of a retry decorator or retrying object, also through the name it was given; None for one that is off."""
        for _ in range(3):
            match = self.facts.match(expression, *_KINDS)
            if match is not None:
                return match if self._repeats(match) else None
            steps = self.facts.origins.step(expression) if isinstance(expression, (cst.Name, cst.Attribute)) else []
            if len(steps) != 1 or not isinstance(steps[0].node, cst.Call):
                return None
            expression = steps[0].node
        return None

    def _repeats(self, match: Match) -> bool:
        """False for a decorator that lacks what makes it repeat, or asks for a single attempt."""
        call = match.node if isinstance(match.node, cst.Call) else None
        required = match.row.get("requires")
        if required and (call is None or argument(call, required) is None):
            return False
        parameter = match.row.parameter("attempts")
        attempts = argument(call, parameter) if call is not None and parameter is not None else None
        once = (0, 1) if parameter is not None and "retries" not in parameter.name else (0,)
        return attempts is None or not self.facts.is_constant(attempts, *once, False)

    def _decorated(self) -> Iterator[Region]:
        for function in self.facts.tree.all(cst.FunctionDef):
            for decorator in function.decorators:
                if (loop := self._own_decorator(decorator.decorator)) is not None:  # its body says more than its name
                    yield Region("decorator", decorator, function.body, function, None, loop)
                elif (match := self.decorator(decorator.decorator)) is not None:
                    yield Region("decorator", decorator, function.body, function, match, None, match.confidence)

    def _own_decorator(self, expression: cst.BaseExpression) -> RetryLoop | None:
        """The retry loop in which a decorator of this file runs what it decorates."""
        target = expression.func if isinstance(expression, cst.Call) else expression
        definition = self.facts.types.definition(target)
        if not isinstance(definition, cst.FunctionDef):
            return None
        if isinstance(expression, cst.Call) and any(self.facts.is_constant(arg.value, 0) for arg in expression.args):
            return None
        functions = {n.name.value for n in descendants(definition.body) if isinstance(n, cst.FunctionDef)}
        names = {parameter.name.value for f in (definition, *self._nested(definition)) for parameter in parameters(f)} - functions
        for loop in self.facts.loops.retries():
            if self.facts.tree.within(loop.node, definition):
                called = (n for n in descendants(loop.node.body) if isinstance(n, cst.Call) and isinstance(n.func, cst.Name))
                if any(call.func.value in names for call in called):  # type: ignore[attr-defined]
                    return loop
        return None

    @staticmethod
    def _nested(definition: cst.FunctionDef) -> list[cst.FunctionDef]:
        return [node for node in descendants(definition.body) if isinstance(node, cst.FunctionDef)]

    def _handed_over(self) -> Iterator[Region]:
        """`Retrying(...)(send, x)`, `retry(...)(send)(x)`, `retry_call(send, ...)`, `with_retries(lambda: send(x))`."""
        words = frozenset().union(*(self.facts.knowledge.words.get(kind, frozenset()) for kind in _KINDS))
        objects = bool(self.facts.calls("retry-caller"))
        for call in self.facts.tree.all(cst.Call):
            named = last_name(call.func) in words or named_like(last_name(call.func), "*retry*", "*retrie[sd]*", "*attempt*", "*backoff*")
            if not call.args or not (named or objects) or isinstance(self.facts.tree.parent(call), cst.Decorator):
                continue
            match = self.decorator(call.func) if isinstance(call.func, cst.Call) else None
            if match is None and objects and isinstance(call.func, (cst.Name, cst.Attribute)):
                match = self._retrying_object(call.func)
            if match is None and isinstance(call.func, (cst.Name, cst.Attribute)):
                match = self.facts.match(call, *_KINDS)
            own = self._own_decorator(call) if isinstance(self.facts.types.callee(call), cst.FunctionDef) else None
            if match is None and own is None:
                continue
            for arg in call.args[:2]:
                function = (
                    self.facts.types.definition(arg.value)
                    if isinstance(arg.value, (cst.Name, cst.Attribute, cst.Lambda))
                    else None
                )
                if isinstance(function, (cst.FunctionDef, cst.Lambda)):
                    if own is not None:
                        yield Region("decorator", call, function.body, function, None, own)
                    elif match is not None and self._repeats(match):
                        yield Region("decorator", call, function.body, function, match, None, match.confidence)

    def _retrying_object(self, target: cst.Name | cst.Attribute) -> Match | None:
        """`retryer(send)` or `retryer.call(send)` for `retryer = Retrying(...)`."""
        steps = self.facts.origins.step(target)
        if isinstance(target, cst.Attribute) and isinstance(target.value, (cst.Name, cst.Attribute)):
            steps = [*steps, *self.facts.origins.step(target.value)]
        calls = [step.node for step in steps if isinstance(step.node, cst.Call)]
        return next((match for call in calls if (match := self.facts.match(call, "retry-caller")) is not None), None)

    def _contexts(self) -> Iterator[Region]:
        """`for attempt in Retrying(...): with attempt: ...`"""
        for loop in self.facts.tree.all(cst.For):
            if isinstance(loop.iter, (cst.Call, cst.Name, cst.Attribute)) and (match := self.decorator(loop.iter)) is not None:
                if match.row.kind == "retry-caller":
                    around = self.facts.tree.function_of(loop) or self.facts.tree.module
                    yield Region("decorator", loop.iter, loop.body, around, match, None, match.confidence)

    def conditions(self, region: Region) -> Conditions:
        """On which exceptions a decorator or retrying object repeats."""
        match = region.match
        call = match.node if match is not None and isinstance(match.node, cst.Call) else None
        if match is None or call is None:
            return Conditions()
        parameter = match.row.parameter("exceptions")
        given = argument(call, parameter) if parameter is not None else None
        if given is None:
            return Conditions(unknown=unpacks(call))
        asked = [
            node for origin in self.facts.origins.trail(given) for node in descendants(origin.node) if isinstance(node, cst.Call)
        ]
        rows = [found for node in asked if (found := self.facts.match(node, "retry-condition")) is not None]
        if rows:
            listed = [arg.value for row in rows if row.row.get("on") == "exceptions" for arg in row.call.args]
            predicates = [arg.value for row in rows if row.row.get("on") == "predicate" for arg in row.call.args]
            others = any(row.row.get("on") in ("others", "answers") for row in rows)
            return Conditions(self._classes(listed) if listed and not others else (), tuple(predicates))
        return Conditions(self._classes([given]), () if self._classes([given]) else (given,))

    def _classes(self, expressions: list[cst.BaseExpression]) -> tuple[str, ...]:
        elements = [
            e.value
            for x in expressions
            for e in (x.elements if isinstance(x, (cst.Tuple, cst.List, cst.Set)) else (cst.Element(x),))
        ]
        return tuple(name for element in elements for name in self.facts.exceptions.classes(element))

    def stop(self, match: Match) -> bool | None:
        """True when a decorator or retrying object has a limit, False when it has none, None when that can't be seen."""
        call = match.node if isinstance(match.node, cst.Call) else None
        bounded = bool(match.row.get("bounded", False))
        stops = match.row.get("stops", [])
        if call is None or not stops:
            return True if bounded else False if stops else None
        if unpacks(call):
            return None
        given = [(name, value) for name in stops if (value := self._stop_value(match, call, name)) is not None]
        if not given:
            return bounded
        off = [self._is_off(value, match.row.get("off", [])) for _name, value in given]
        if bounded and len(given) < len(stops):
            return True  # the limits that are not named keep their defaults
        return not all(off)

    def _stop_value(self, match: Match, call: cst.Call, name: str) -> cst.BaseExpression | None:
        parameter = match.row.parameter("attempts")
        position = parameter.position if parameter is not None and parameter.name == name else None
        return argument(call, name, position)

    def _is_off(self, value: cst.BaseExpression, off: list[object]) -> bool:
        if named_like(last_name(value), "stop_never"):
            return True
        try:
            constant = self.facts.constant(value)
        except NotConstant:
            return False
        return ("None" in off and constant is None) or any(constant == one and type(constant) is type(one) for one in off)

    # -- loops and recursion -----------------------------------------------------------------------------------------

    def _loops(self) -> Iterator[Region]:
        for loop in self.facts.loops.retries():
            around = self.facts.tree.function_of(loop.node) or self.facts.tree.module
            yield Region("loop", loop.node, loop.node.body, around, None, loop)

    def _recursions(self) -> Iterator[Region]:
        for function in self.facts.tree.all(cst.FunctionDef):
            for call in self.facts.summaries.calls_of(function):
                if self._starts_over(call, function):
                    yield Region("recursion", call, function.body, function)
                elif self._reschedules(call):
                    yield Region("rescheduling", call, function.body, function)

    def _reschedules(self, call: cst.Call) -> bool:
        """`raise self.retry(exc=error)` in a task: the queue runs the whole task again."""
        keywords = {arg.keyword.value for arg in call.args if arg.keyword is not None}
        again = not keywords.isdisjoint(("exc", "countdown", "eta", "max_retries")) or isinstance(self.facts.tree.parent(call), cst.Raise)
        return again and self.facts.match(call, "reschedule") is not None

    def _starts_over(self, call: cst.Call, function: cst.FunctionDef) -> bool:
        """The call runs the function again on the same input, because this time it failed."""
        direct = last_name(call.func) == function.name.value and self.facts.types.callee(call) is function
        if direct:
            return self._after_failure(call, function) and self._same_input(call, function)
        if not named_like(last_name(call.func), "*retry*") or self.facts.types.callee(call) is not None:
            return False
        for arg in call.args:
            handed = (
                self.facts.types.definition(arg.value)
                if isinstance(arg.value, (cst.Name, cst.Attribute)) and not arg.star
                else None
            )
            if handed is function or isinstance(handed, cst.FunctionDef) and self._calls(handed, function):
                return True
        return False

    def _calls(self, caller: cst.FunctionDef, called: cst.FunctionDef, levels: int = 2) -> bool:
        callees = {id(f): f for call in self.facts.summaries.calls_of(caller) if (f := self.facts.types.callee(call)) is not None}
        if id(called) in callees:
            return True
        return levels > 0 and any(
            isinstance(f, cst.FunctionDef) and f is not caller and self._calls(f, called, levels - 1) for f in callees.values()
        )

    def _after_failure(self, call: cst.Call, function: cst.FunctionDef) -> bool:
        for above in self.facts.tree.ancestors(call):
            if above is function:
                return False
            if isinstance(above, cst.ExceptHandler):
                return self.facts.loops.is_failure(above) and not self.facts.loops.is_narrowed(above)
            if isinstance(above, cst.If) and any(
                isinstance(n, cst.Integer)
                and n.value.isdigit()
                and 401 <= int(n.value) <= 599
                or isinstance(n, (cst.Name, cst.Attribute))
                and named_like(last_name(n), "*status_code*", "*too_many*", "*rate_limit*", "*retry*")
                for n in descendants(above.test)
            ):
                return True
        return False

    def _same_input(self, call: cst.Call, function: cst.FunctionDef) -> bool:
        """Each argument is the parameter it is passed for, `*args`, a constant, or the attempt counted on."""
        method = self.facts.types.is_bound_method(function)
        for parameter, value in bound_arguments(call, function, method=method):
            name = parameter.name.value
            same = isinstance(value, cst.Name) and value.value == name
            if not same and not isinstance(value, (cst.Integer, cst.Float)) and last_name(value) not in ("True", "False", "None"):
                if not (
                    isinstance(value, (cst.BinaryOperation, cst.Call))
                    and named_like(name, "*attempt*", "*retr*", "*tr*", "*count*", "*n", "*depth*", "*delay*", "*wait*", "*left*")
                ):
                    return False
        return bool(call.args) or not list(parameters(function))[1 if method else 0 :]
