"""Defaults of parameters: does one switch a protection, and does anybody get it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import bound_arguments, unpacks
from safeboundary_lint.core.knowledge import Row
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts


def is_named_enough(facts: Facts, parameter: cst.Param, row: Row) -> bool:
    """A name that needs an import to be telling counts as a default only when it is handed on under that name."""
    function = facts.tree.enclosing(parameter, cst.FunctionDef, cst.Lambda)
    if not row.imports or function is None:
        return function is not None
    name = parameter.name.value
    around = facts.types.method_class(function) if isinstance(function, cst.FunctionDef) else None
    args = (node for node in descendants((around or function).body) if isinstance(node, cst.Arg) and node.keyword is not None)
    return any(
        arg.keyword.value == name and _is_handed_on(facts, arg.value, parameter, function) for arg in args if arg.keyword
    )


def _is_handed_on(facts: Facts, value: cst.BaseExpression, parameter: cst.Param, function: cst.FunctionDef | cst.Lambda) -> bool:
    """`verify=verify` in the function, `verify=self._verify` anywhere in its class."""
    if isinstance(value, cst.Name):
        return value.value == parameter.name.value and facts.tree.within(value, function)
    steps = facts.origins.step(value) if isinstance(value, cst.Attribute) else ()
    return any(
        isinstance(one.node, cst.Name)
        and one.node.value == parameter.name.value
        and facts.tree.function_of(one.node) is function
        for one in steps
    )


def is_always_given(facts: Facts, parameter: cst.Param) -> bool:
    """Every caller of this file says what it wants: the default decides nothing, or only for whom this file doesn't know."""
    function = facts.tree.enclosing(parameter, cst.FunctionDef, cst.Lambda)
    calls = facts.types.callers(function) if isinstance(function, (cst.FunctionDef, cst.Lambda)) else []
    method = function is not None and facts.types.is_bound_method(function)
    return bool(calls) and all(
        unpacks(call) or any(bound is parameter for bound, _value in bound_arguments(call, function, method=method))
        for call in calls
    )
