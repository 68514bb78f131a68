"""The rules: a folder per family, a file per rule, named after what it finds. No list to edit: `load` finds them."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from safeboundary_lint.core.late_methods import compiled_late

if TYPE_CHECKING:
    from safeboundary_lint.core.needs import Asked
    from safeboundary_lint.core.rule import Registry, Rule


@functools.cache
def load() -> Registry:
    """The registry of every rule below this folder."""
    with compiled_late():
        from safeboundary_lint.core import rule

        modules = [(name, importlib.import_module(name)) for name in _modules()]
    found: list[type[Rule]] = []
    for name, loaded in modules:
        own = (value for value in vars(loaded).values() if getattr(value, "__module__", None) == name and isinstance(value, type))
        found += (value for value in own if issubclass(value, rule.Rule) and hasattr(value, "code"))
    return rule.Registry(tuple(found))


def those(asked: Iterable[Asked]) -> list[type[Rule]]:
    """The rules that ask for something; no others are imported."""
    return [_rule(one.module, one.name) for one in asked]


@functools.cache
def _rule(module: str, name: str) -> type[Rule]:
    with compiled_late():
        return getattr(importlib.import_module(module), name)


def _modules() -> Iterator[str]:
    """The names of all modules in the folders of the families."""
    for family in sorted(os.listdir(__path__[0])):
        folder = os.path.join(__path__[0], family)
        if os.path.exists(os.path.join(folder, "__init__.py")):
            for file in sorted(os.listdir(folder)):
                if file.endswith(".py") and file != "__init__.py":
                    yield f"{__name__}.{family}.{file.removesuffix('.py')}"
