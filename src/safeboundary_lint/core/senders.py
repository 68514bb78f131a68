"""Who may send a request, and how much, as far as one file shows: those who have logged in, limits of the whole application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.wire import names_content_length

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_IDENTITY = Regex(
    r"auth(?!ors?(_|$))|login|(current|get|require)_?user|user_?dep|api_?key|principal|permission|credential", re.IGNORECASE
)
_REFUSED = Regex(r"\b40[13]\b|unauthori[sz]ed|forbidden|unauthenticated", re.IGNORECASE)
_INJECTED = ("Depends", "Security")
_SIZES = ("size", "content_length", "file_size", "length")
_OF_SIZE = ("*size*", "*length*", "*bounds*", "*too_large*", "*too_big*")
_CHECKING = ("*check*", "*valid*", "*ensure*", "*verify*", "*limit*", "*within*", "*enforce*", "*reject*", "*require*", "*too_*")
_LIMITING = ("*size*limit*", "*limit*size*", "*body*limit*", "*limit*body*", "*max*body*", "*content*length*", "*max*size*")


def has_logged_in(facts: Facts, read: cst.CSTNode, levels: int = 2) -> bool:
    """True when only those reach a read of a request whom the route's dependencies, or a refusal before it, have let in.

    So it is in a helper that all its callers here call for such.
    """
    function = facts.tree.function_of(read)
    if not isinstance(function, cst.FunctionDef):
        return False
    asked = [part for one in parameters(function) for part in (one.annotation, one.default) if part is not None]
    asked += [decorator.decorator for decorator in function.decorators]
    if any(_names_identity(facts, part) for part in asked):
        return True
    if any(_refuses_strangers(statement) for statement in _statements_before(facts, read, function)):
        return True
    callers = facts.types.callers(function) if levels and function.name.value.startswith("_") else []
    return bool(callers) and all(has_logged_in(facts, call, levels - 1) for call in callers)


def limits_bodies(facts: Facts) -> bool:
    """True when the module puts a middleware in front of its application that is named like a limit on requests."""
    return any(
        named_like((last_name(arg.value) or "").lower(), *_LIMITING)
        for call in facts.tree.all(cst.Call)
        if last_name(call.func) in ("add_middleware", "Middleware") and facts.tree.function_of(call) is None
        for arg in call.args[:1]
    )


def knows_size(facts: Facts, read: cst.Call) -> bool:
    """True when the function of a read, or each of its callers here, looks at a declared or counted size."""
    function = facts.tree.function_of(read)
    if function is None:
        return False
    holder = facts.origins.place(read.func.value) if isinstance(read.func, cst.Attribute) else None
    if _looks_at_size(facts, function, holder):
        return True
    around = [facts.tree.function_of(call) for call in facts.types.callers(function)]
    return bool(around) and all(one is not None and _looks_at_size(facts, one, None) for one in around)


def _looks_at_size(facts: Facts, function: cst.FunctionDef | cst.Lambda, holder: str | None) -> bool:
    return any(
        _compares_size(node) if isinstance(node, cst.Comparison) else isinstance(node, cst.Call) and _checks_size(facts, node, holder)
        for node in descendants(function.body)
    )


def _compares_size(node: cst.Comparison) -> bool:
    return names_content_length(node) or any(
        isinstance(part, (cst.Name, cst.Attribute)) and last_name(part) in _SIZES for part in descendants(node)
    )


def _checks_size(facts: Facts, call: cst.Call, holder: str | None) -> bool:
    """`ensure_size_within_limit(upload)`, `within_bounds(content_length)`: a checker by its name, given what it is about."""
    name = last_name(call.func)
    if not (named_like(name, *_OF_SIZE) and named_like(name, *_CHECKING)):
        return False
    given = [arg.value for arg in call.args]
    return any(last_name(one) in _SIZES or holder is not None and facts.origins.place(one) == holder for one in given)


def _names_identity(facts: Facts, part: cst.CSTNode) -> bool:
    """`Depends(current_user)`, `caller: AuthenticatedUser`, `@login_required`, `@router.post(dependencies=[Depends(auth)])`."""
    injected = [call for call in (part, *descendants(part)) if isinstance(call, cst.Call) and last_name(call.func) in _INJECTED]
    if isinstance(part, cst.Annotation):
        names: Iterator[str | None] = (last_name(node) for node in descendants(part))
    elif injected:
        names = (last_name(node) for call in injected for arg in call.args for node in (arg.value, *descendants(arg.value)))
    else:
        names = iter((last_name(part.func if isinstance(part, cst.Call) else part),))
    if any(name is not None and _IDENTITY.search(name) for name in names):
        return True
    return isinstance(part, cst.Call) and isinstance(part.func, cst.Attribute) and _is_behind_login(facts, part.func.value)


def _is_behind_login(facts: Facts, router: cst.BaseExpression) -> bool:
    """A router that was made with such a dependency for all its routes."""
    made = (origin.node for origin in facts.origins.trail(router) if isinstance(origin.node, cst.Call))
    return any(
        arg.keyword is not None and arg.keyword.value == "dependencies" and _names_identity(facts, arg.value)
        for call in made
        for arg in call.args
    )


def _statements_before(facts: Facts, read: cst.CSTNode, function: cst.FunctionDef) -> Iterator[cst.CSTNode]:
    """Statements that stand before a read in the blocks around it: every path to it passes them."""
    below: cst.CSTNode = read
    for ancestor in facts.tree.ancestors(read):
        if isinstance(ancestor, (cst.IndentedBlock, cst.Module)):
            for statement in ancestor.body:
                if statement is below:
                    break
                yield statement
        if ancestor is function:
            return
        below = ancestor


def _refuses_strangers(statement: cst.CSTNode) -> bool:
    """`if not user: return Response(status_code=401)`."""
    if not isinstance(statement, cst.If) or not isinstance(statement.body, cst.IndentedBlock) or not statement.body.body:
        return False
    last = statement.body.body[-1]
    leaving = last.body[-1] if isinstance(last, cst.SimpleStatementLine) else None
    return isinstance(leaving, (cst.Return, cst.Raise)) and any(
        _REFUSED.search(node.value if isinstance(node, cst.Integer) else last_name(node) or "") is not None
        for node in descendants(leaving)
        if isinstance(node, (cst.Integer, cst.Name, cst.Attribute))
    )
