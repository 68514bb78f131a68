"""Functions that decide who may do what: which answer of theirs allows, told from their names and from how they deny."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.paths import implied
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes.decisions import (
    ALLOWED,
    ALLOWS,
    DENIES,
    DENYING,
    FILTER,
    FILTERS,
    IDENTITIES,
    IDENTITY,
    JUDGES,
    JUDGING,
    NEXT,
    NOUN_FIRST,
    OUTCOMES,
    RAISING,
    REQUIRES,
    STRONG,
    TRUE,
    TRUE_DENIES,
    WEAK,
)
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts


_REFUSALS = Regex(r"Response|Error$|^(json_?)?error|^_?(deny|reject|refuse|forbid|unauthori)|^jsonify$|^make_response$|^abort$")
_NOTED = ("*reject*", "*denied*", "*forbid*", "*refus*", "*unauthori*", "*blocked*")
_ASKING = ("get*", "is*instance", "hasattr", "len", "any", "all", "callable", "bool")  # calls that tell what there is


# By these names (whatever the case) a function may decide; by the last, only in a class that judges.
NAMES = "|".join(pattern.pattern for pattern in (STRONG, WEAK, NOUN_FIRST, DENIES, FILTERS, IDENTITIES))
JUDGING_NAMES = JUDGING.pattern


def meaning(facts: Facts, function: cst.FunctionDef) -> str | None:
    """How a function decides: TRUE allows, RAISING denies (None allows), FILTER gives what is allowed, DENYING: True denies."""
    around = (ancestor.name.value for ancestor in facts.tree.ancestors(function) if isinstance(ancestor, cst.FunctionDef))
    for level, name in enumerate(name.lower() for name in (function.name.value, *around)):
        if IDENTITIES.search(name):
            return IDENTITY
        if DENIES.search(name):
            return DENYING
        if TRUE_DENIES.search(name):
            return None
        if FILTERS.search(name) and not STRONG.search(name):
            return FILTER
        if STRONG.search(name) or WEAK.search(name) or NOUN_FIRST.search(name):
            if level and not REQUIRES.search(name):
                continue
            return RAISING if _denies_by_raising(facts, function, name) else TRUE
    cls = facts.types.method_class(function)
    if JUDGING.search(function.name.value) and cls is not None and JUDGES.search(cls.name.value):
        return TRUE
    return None


def _denies_by_raising(facts: Facts, function: cst.FunctionDef, name: str) -> bool:
    """No answer of the function is a yes or a no: it raises, or returns what it was asked for."""
    answers = facts.origins.returned(function)
    if any(
        facts.is_constant(answer, True, False) or isinstance(answer, (cst.Comparison, cst.Tuple, cst.Dict)) for answer in answers
    ):
        return False
    if function.returns is not None and last_name(function.returns.annotation) in ("bool", "tuple", "dict", "Tuple", "Dict"):
        return False
    if REQUIRES.search(name) and _answers_refusals(facts, answers):
        return True
    raises = any(isinstance(node, cst.Raise) for node in descendants(function.body, into_definitions=False))
    return (raises or name.startswith(("require", "_require", "enforce", "ensure"))) and bool(REQUIRES.search(name))


def _answers_refusals(facts: Facts, answers: list[cst.BaseExpression]) -> bool:
    """None, or a response that refuses: `return JSONResponse({"detail": "..."}, 401)`."""
    said = [answer for answer in answers if not facts.is_constant(answer, None)]
    refusing = [answer for answer in said if isinstance(answer, cst.Call) and _REFUSALS.search(last_name(answer.func) or "")]
    return bool(refusing) and len(refusing) == len(said) and len(said) < len(answers)


def allows(facts: Facts, function: cst.FunctionDef, how: str, answer: cst.CSTNode | None) -> bool:
    """True when this answer (None: no answer) lets the request pass."""
    if how in (RAISING, TRUE) and _passes_on(facts, function, answer):
        return True
    if how == RAISING:
        return answer is None or facts.is_constant(answer, None)
    if answer is None:
        return False
    if how == DENYING:
        return facts.is_constant(answer, False)
    if how == FILTER:
        return isinstance(answer, cst.Name) and answer.value in {parameter.name.value for parameter in parameters(function)}
    return how == TRUE and is_yes(facts, answer)


def _passes_on(facts: Facts, function: cst.FunctionDef, answer: cst.CSTNode | None) -> bool:
    """`return func(*args)`, `return await call_next(request)`: what the check stood in front of is called."""
    call = answer.expression if isinstance(answer, cst.Await) else answer
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Name) or call.func.value not in NEXT:
        return False
    found = facts.names.lookup(call.func)
    return found is not None and all(binding.how == "parameter" for binding in found[1])


def all_must_pass(facts: Facts, function: cst.FunctionDef, handler: cst.ExceptHandler, how: str) -> bool:
    """The loop around the handler denies, and never allows: whoever is skipped might have denied."""
    loop = facts.tree.enclosing(handler, cst.For, cst.While, cst.FunctionDef)
    if not isinstance(loop, (cst.For, cst.While)):
        return False
    answers = [node for node in descendants(loop.body, into_definitions=False) if isinstance(node, cst.Return)]
    denials = [one for one in answers if one.value is not None and not allows(facts, function, how, one.value)]
    if how == TRUE:
        return any(_says_no(facts, one.value) for one in denials)
    raised = (node for node in descendants(loop.body, into_definitions=False) if isinstance(node, cst.Raise))
    return how == RAISING and any(facts.tree.enclosing(one, cst.ExceptHandler) is None for one in raised)


def _says_no(facts: Facts, answer: cst.BaseExpression | None) -> bool:
    """`return False`, `return allowed, reason` where a test has just found it false."""
    first = answer.elements[0].value if isinstance(answer, cst.Tuple) and answer.elements else answer
    if first is None:
        return False
    if facts.is_constant(first, False):
        return True
    tests = (test for test, outcome in facts.consent.conditions(first) if isinstance(test, cst.Comparison) and outcome)
    return any(
        facts.code(test.left) == facts.code(first) and facts.is_constant(test.comparisons[0].comparator, False) for test in tests
    )


def notes_denial(facts: Facts, statement: cst.CSTNode) -> bool:
    """`context.rejected = reason`: the caller finds the refusal there."""
    if not isinstance(statement, cst.Assign) or facts.is_constant(statement.value, None, False):
        return False
    targets = (target.target for target in statement.targets)
    return any(isinstance(target, cst.Attribute) and named_like(target.attr.value, *_NOTED) for target in targets)


def is_passed(facts: Facts, function: cst.FunctionDef, how: str, handler: cst.ExceptHandler, point: Point) -> bool:
    """At this point another check came out well: behind the handler, or in it where it denies in so many words otherwise."""
    test = point.node
    above = facts.tree.parent(test) if test is not None else None
    if point.kind != "branch" or test is None or not isinstance(above, cst.If) or point.outcome is None:
        return False
    if not any(_judges(facts, part, truth, handler) for part, truth in implied(test, point.outcome)):
        return False
    if point.outcome:
        return not facts.tree.within(test, handler)
    answers = [node for node in descendants(above.body, into_definitions=False) if isinstance(node, (cst.Raise, cst.Return))]
    return any(isinstance(one, cst.Raise) or not allows(facts, function, how, one.value) for one in answers)


def _judges(facts: Facts, part: cst.CSTNode, truth: bool, handler: cst.ExceptHandler) -> bool:
    """`origin in allowed`, `may_update(user)`, `answer["success"]`: of something else than the failure itself."""
    caught = handler.name.name.value if handler.name is not None and isinstance(handler.name.name, cst.Name) else None
    if any(isinstance(node, cst.Name) and node.value == caught for node in descendants(part)):
        return False
    if isinstance(part, cst.Comparison) and len(part.comparisons) == 1:
        operator, right = part.comparisons[0].operator, part.comparisons[0].comparator
        if isinstance(operator, cst.Equal if truth else cst.NotEqual):
            fixed = (isinstance(side, (cst.SimpleString, cst.Integer)) for side in (part.left, right))
            return not any(fixed) and not facts.is_constant(right, None, True, False)
        return isinstance(operator, cst.In if truth else cst.NotIn)
    if isinstance(part, cst.Call):
        return truth and not named_like(last_name(part.func), *_ASKING)
    return truth and isinstance(part, cst.Subscript)


def says_allowed(facts: Facts, answer: cst.CSTNode) -> bool:
    """A yes that says what it is about: `{"allowed": True}`, `Decision.ALLOW`; not a bare True."""
    if isinstance(answer, cst.Attribute):
        return is_yes(facts, answer) and answer.attr.value.lower().startswith(("allow", "permit", "grant"))
    pairs: list[tuple[str | None, cst.CSTNode]] = []
    if isinstance(answer, cst.Dict):
        pairs = [(string(element.key), element.value) for element in answer.elements if isinstance(element, cst.DictElement)]
    elif isinstance(answer, cst.Call):
        pairs = [(arg.keyword.value if arg.keyword else None, arg.value) for arg in answer.args]
    return any(
        key is not None
        and ALLOWED.match(key)
        and facts.is_constant(value, True)
        for key, value in pairs
    )


def is_yes(facts: Facts, answer: cst.CSTNode) -> bool:
    """`True`, `(True, ...)`, `{"allowed": True}`, `{"status": "allow"}`, `"allow"`, `Decision.ALLOW`, `Result(allowed=True)`."""
    if facts.is_constant(answer, True):
        return True
    if (text := string(answer)) is not None:
        return bool(ALLOWS.match(text))
    if isinstance(answer, cst.Tuple):
        return bool(answer.elements) and facts.is_constant(answer.elements[0].value, True)
    if isinstance(answer, cst.Attribute):
        return answer.attr.value.isupper() and bool(ALLOWS.match(answer.attr.value))
    pairs: list[tuple[str | None, cst.CSTNode]] = []
    if isinstance(answer, cst.Dict):
        pairs = [(string(element.key), element.value) for element in answer.elements if isinstance(element, cst.DictElement)]
    elif isinstance(answer, cst.Call):
        pairs = [(arg.keyword.value if arg.keyword else None, arg.value) for arg in answer.args]
    return any(_is_yes_entry(facts, key, value) for key, value in pairs)


def _is_yes_entry(facts: Facts, key: str | None, value: cst.CSTNode) -> bool:
    if key is None:
        return False
    if ALLOWS.match(key):
        return facts.is_constant(value, True)
    return (
        key.lower() in OUTCOMES
        and is_yes(facts, value)
        and not facts.is_constant(value, True)
    )
