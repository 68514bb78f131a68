"""What is not there to verify with: a secret the configuration lacks, a verifier that the data leave out."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.shapes.negotiation import VERIFIES, VERIFYING_SECRET
from safeboundary_lint.core.tree import descendants

_SETTINGS = ("self", "cls", "app", "*conf*", "*setting*", "*option*")


def unset(facts: Facts, function: cst.FunctionDef) -> Iterator[tuple[cst.If, str]]:
    """`if webhook_secret: verify_signature(body, webhook_secret)`, where nothing refuses without the secret."""
    for node in descendants(function.body, into_definitions=False):
        if not isinstance(node, cst.If) or node.orelse is not None:
            continue
        parts = list(paths.implied(node.test, True))
        secret = parts[0][0] if len(parts) == 1 and parts[0][1] else None
        name = last_name(secret) if isinstance(secret, (cst.Name, cst.Attribute)) else None
        if secret is None or name is None or not VERIFYING_SECRET.search(name) or _is_given(facts, secret):
            continue
        if any(_verifies(call, name) for call in descendants(node.body, into_definitions=False)) and not _refused(function, node, name):
            yield node, name


def _is_given(facts: Facts, secret: cst.CSTNode) -> bool:
    """A parameter: the caller says whether there is anything to verify."""
    found = facts.names.lookup(secret) if isinstance(secret, cst.Name) else None
    return found is not None and any(binding.how == "parameter" for binding in found[1])


def _verifies(node: cst.CSTNode, secret: str) -> bool:
    if not isinstance(node, cst.Call) or not VERIFIES.search(last_name(node.func) or ""):
        return False
    named = {last_name(part) for arg in node.args for part in descendants(arg.value)}
    return secret in named or last_name(node.func) == "compare_digest"


def _refused(function: cst.FunctionDef, node: cst.If, secret: str) -> bool:
    """Another test of the secret leaves the function."""
    return any(
        isinstance(other, cst.If)
        and other is not node
        and any(last_name(part) == secret for part in descendants(other.test))
        and any(isinstance(part, (cst.Raise, cst.Return)) for part in descendants(other.body, into_definitions=False))
        for other in descendants(function.body, into_definitions=False)
    )


def is_told_by_data(facts: Facts, test: cst.BaseExpression) -> bool:
    """`verifier = make_verifier(properties)`: a function of this file says whether there is anything to verify."""
    names = [part for part in descendants(test) if isinstance(part, cst.Name)]
    for call in (origin.node for name in names for origin in facts.origins.step(name)):
        made = facts.types.callee(call) if isinstance(call, cst.Call) and isinstance(call.func, cst.Name) else None
        if isinstance(made, cst.FunctionDef) and _may_leave_out(facts, made):
            return True
    return False


def _may_leave_out(facts: Facts, made: cst.FunctionDef) -> bool:
    """It gives None for some of what it is given; settings are no data."""
    given = {one.name.value for one in parameters(made) if not named_like(one.name.value, *_SETTINGS)}
    return any(
        isinstance(node, cst.If)
        and any(isinstance(part, cst.Return) and facts.is_constant(part.value, None) for part in descendants(node.body))
        and any(isinstance(part, cst.Name) and part.value in given for part in descendants(node.test))
        for node in descendants(made.body, into_definitions=False)
    )
