"""Which loader a parser is given that may make objects of any class, and what that loader makes."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.edits import argument_removed, replaced
from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts


def given(match: Match) -> cst.BaseExpression | None:
    """The loader that a call names."""
    loader = match.row.parameter("loader")
    return argument(match.call, loader) if loader is not None else None


def is_safe(facts: Facts, match: Match) -> bool:
    """True for a loader that makes nothing but data, also under another name (`CSafeLoader as Loader`)."""
    loader = given(match)
    return loader is not None and _all_among(facts, loader, match.row.get("safe", ()))


def makes_data_only(facts: Facts, match: Match) -> bool:
    """True when documents without tags for Python's own types give the same by the safe parser.

    The loader, or the one that the call takes by itself, makes no objects of classes, and the file teaches none a tag of its own.
    """
    plain, loader = match.row.get("plain", ()), given(match)
    if not plain or (loader is not None and not _all_among(facts, loader, plain)):
        return False
    taught = match.row.get("taught", ())
    return not any(last_name(node) in taught for node in (*facts.tree.all(cst.Attribute), *facts.tree.all(cst.Name)))


def made_safe(facts: Facts, match: Match) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """The edits and imports by which the safe parser of the same format takes over; none where there is no such, or more is passed."""
    call, func, loader = match.call, match.call.func, given(match)
    if not match.row.get("keeps") or len(call.args) != (1 if loader is None else 2):
        return (), ()
    module, _, safer = match.row.get("safer").rpartition(".")
    edits = [replaced(facts, func.attr if isinstance(func, cst.Attribute) else func, safer)]
    if loader is not None:
        edits.append(argument_removed(facts, call, next(arg for arg in call.args if arg.value is loader)))
    return tuple(edits), () if isinstance(func, cst.Attribute) else (f"from {module} import {safer}",)


def _all_among(facts: Facts, loader: cst.BaseExpression, names: Container[str]) -> bool:
    definition = facts.types.definition(loader)
    if isinstance(definition, cst.ClassDef):  # a loader of this file is as safe as what it is made of
        return bool(definition.bases) and all(_all_among(facts, base.value, names) for base in definition.bases)
    found = facts.names.lookup(loader) if isinstance(loader, cst.Name) else None
    if found is not None and all(binding.how == "import" for binding in found[1]):
        return all(binding.dotted.rpartition(".")[2] in names for binding in found[1])
    return last_name(loader) in names
