"""Does a function that starts over after a failure come to an end: what its guard compares, and whether that makes progress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import bound_arguments
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import dotted_text, last_name, parameters
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_LIMITS = (
    "*attempt*", "*retr*", "*tries*", "*count*", "*depth*", "*left*", "*remaining*", "*limit*", "*max*", "*timeout*",
    "*deadline*", "*stop*", "*clos*", "*cancel*", "*running*",
)  # fmt: skip


def unbounded_restart(facts: Facts, call: cst.Call, function: cst.FunctionDef) -> str | None:
    """Why nothing ends the repetition at this call of the function itself; None when something does, or that can't be told."""
    guards = [
        above.test for above in facts.tree.ancestors(call) if isinstance(above, cst.If) and facts.tree.within(above, function)
    ]
    guards += list(_left_before(facts, call, function))
    compared = [node for test in guards for node in _compared(test)]
    progressing = _progressing(facts, call, function)
    if any(_place(node) in progressing for node in compared) or any(_switched_off(facts, call, test) for test in guards):
        return None
    own = {parameter.name.value for parameter in parameters(function)}
    if any(_place(node) in own and named_like(last_name(node), *_LIMITS) for node in compared):
        counter = next(last_name(node) for node in compared if _place(node) in own)
        return f"passes `{counter}` on unchanged, so that its limit never comes"
    if any(named_like(last_name(node), *_LIMITS) for node in compared) or _counts_by_argument(call, function, facts):
        return None
    return "nothing counts how often"


def _left_before(facts: Facts, call: cst.Call, function: cst.FunctionDef) -> Iterator[cst.CSTNode]:
    """Tests of `if`s before the call that leave the function: `if attempts > 3: raise`."""
    order = facts.tree.order
    for node in descendants(function.body, into_definitions=False):
        if isinstance(node, cst.If) and order[id(node)] < order[id(call)] and not facts.tree.within(call, node):
            if any(isinstance(below, (cst.Raise, cst.Return)) for below in descendants(node.body, into_definitions=False)):
                yield node.test


def _compared(test: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Names and attributes that a test orders, compares or takes as a truth."""
    for node in descendants(test):
        if isinstance(node, (cst.Name, cst.Attribute, cst.Subscript)):
            yield node


def _place(node: cst.CSTNode) -> str | None:
    return dotted_text(node)


def _progressing(facts: Facts, call: cst.Call, function: cst.FunctionDef) -> set[str | None]:
    """What is different the next time: parameters passed changed, and names and attributes counted up or set in the function."""
    found: set[str | None] = {
        name for name, value in _handed(facts, call, function) if not (isinstance(value, cst.Name) and value.value == name)
    }
    for node in descendants(function.body, into_definitions=False):
        if isinstance(node, cst.AugAssign):
            found.add(dotted_text(node.target))
        elif isinstance(node, cst.Assign) and isinstance(node.value, cst.BinaryOperation):
            found.add(dotted_text(node.targets[0].target))
    return found - {None}


def _switched_off(facts: Facts, call: cst.Call, test: cst.CSTNode) -> bool:
    """The guard asks for a flag that is cleared before, or in, the call: `if retry: return self.send(retry=False)`."""
    asked = [node for node in descendants(test) if isinstance(node, (cst.Name, cst.Attribute, cst.Subscript))]
    if any(
        arg.keyword is not None and any(last_name(node) == arg.keyword.value for node in asked)
        for arg in call.args
        if last_name(arg.value) in ("True", "False", "None")
    ):
        return True
    block = facts.tree.enclosing(call, cst.IndentedBlock)
    for statement in descendants(block, into_definitions=False) if block is not None else ():
        for target in statement.targets if isinstance(statement, cst.Assign) else ():
            changed = target.target.value if isinstance(target.target, cst.Subscript) else target.target
            if any(same_code(changed, node) for node in asked if type(node) is type(changed)):
                return True
    return False


def _counts_by_argument(call: cst.Call, function: cst.FunctionDef, facts: Facts) -> bool:
    """A changed argument is handed over that some helper may compare; one that is only counted on bounds nothing."""
    counted = [(name, value) for name, value in _handed(facts, call, function) if isinstance(value, cst.BinaryOperation)]
    return any(not _only_counted(call, function, name, value) for name, value in counted)


def _only_counted(call: cst.Call, function: cst.FunctionDef, name: str, value: cst.BinaryOperation) -> bool:
    """Nothing in the function asks for the parameter: each use of it is the one that counts it on."""
    own = any(parameter.name.value == name for parameter in parameters(function))
    uses = [node for node in descendants(function.body) if isinstance(node, cst.Name) and node.value == name]
    again = [c for c in descendants(function.body) if isinstance(c, cst.Call) and last_name(c.func) == last_name(call.func)]
    handed = [arg for one in again for arg in one.args]
    counting = {id(n) for arg in handed if same_code(arg.value, value) for n in descendants(arg)}
    keywords = {id(arg.keyword) for node in descendants(function.body) if isinstance(node, cst.Call) for arg in node.args}
    return own and all(id(use) in counting or id(use) in keywords for use in uses)


def _handed(facts: Facts, call: cst.Call, function: cst.FunctionDef) -> Iterator[tuple[str, cst.BaseExpression]]:
    """Parameters by name and what they get at this call; only keywords where the function is handed over to be called."""
    if facts.types.callee(call) is function:
        for parameter, value in bound_arguments(call, function, method=facts.types.is_bound_method(function)):
            yield parameter.name.value, value
    for arg in call.args:
        if arg.keyword is not None:
            yield arg.keyword.value, arg.value
