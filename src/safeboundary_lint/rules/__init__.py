"""The rules: a folder per family, a file per rule, named after what it finds. No list to edit: `load` finds them."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safeboundary_lint.core.rule import Registry


@functools.cache
def load() -> Registry:
    """The registry of every rule below this folder."""
    import importlib

    from safeboundary_lint.core.late_methods import compiled_late

    with compiled_late():
        from safeboundary_lint.core.rule import Registry, Rule

        modules = [(name, importlib.import_module(name)) for name in _modules()]
    found: list[type[Rule]] = []
    for name, loaded in modules:
        own = (value for value in vars(loaded).values() if getattr(value, "__module__", None) == name and isinstance(value, type))
        found += (value for value in own if issubclass(value, Rule) and hasattr(value, "code"))
    return Registry(tuple(found))


def _modules() -> Iterator[str]:
    """The names of all modules in the folders of the families."""
    for family in sorted(os.listdir(__path__[0])):
        folder = os.path.join(__path__[0], family)
        if os.path.exists(os.path.join(folder, "__init__.py")):
            for file in sorted(os.listdir(folder)):
                if file.endswith(".py") and file != "__init__.py":
                    yield f"{__name__}.{family}.{file.removesuffix('.py')}"
