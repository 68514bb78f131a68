"""Who waits for a call: a person in front of a terminal, who sees it stand still and stops it, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_PROMPTS = ("builtins.input", "getpass.getpass")
_STEPS = 3


def somebody_waits(facts: Facts, call: cst.Call) -> bool:
    """True when a person started what makes the call: a command of a program, or something that asks its user questions.

    A program that goes on for ever is a service, whatever options it takes.
    """
    around = _around(facts, call)
    if any(facts.names.qualified(other.func) in _PROMPTS for one in around for other in facts.summaries.calls_of(one)):
        return True
    return _is_command(facts, call) and not any(
        facts.counting.is_endless(loop) for one in around for loop in descendants(one) if isinstance(loop, cst.While)
    )


def _is_command(facts: Facts, call: cst.Call) -> bool:
    """A class of commands by its bases, or functions of a module that reads its own options."""
    cls = facts.tree.class_of(call)
    if cls is not None and cls.bases:
        return any(named_like((last_name(base.value) or "").lower(), "*command", "*argumentparser") for base in cls.bases)
    return not facts.names.imported.isdisjoint(facts.knowledge.modules_of("option-parser")) or any(
        facts.match(one, "option-parser") is not None for one in facts.summaries.calls_of(facts.tree.module)
    )


def _around(facts: Facts, call: cst.Call) -> list[cst.CSTNode]:
    """The function of a call, and those that lead to it."""
    found: list[cst.CSTNode] = []
    level: list[cst.CSTNode] = [facts.tree.function_of(call) or facts.tree.module]
    for _ in range(_STEPS):
        found += level
        calls = [caller for one in level if isinstance(one, (cst.FunctionDef, cst.Lambda)) for caller in facts.types.callers(one)]
        level = [facts.tree.function_of(caller) or facts.tree.module for caller in calls]
    return found
