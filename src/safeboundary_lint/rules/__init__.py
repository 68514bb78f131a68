"""The rules: a folder per family, a file per rule, named after what it finds. No list to edit: `load` finds them."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from safeboundary_lint.core.rule import Registry, Rule


@functools.cache
def load() -> Registry:
    """The registry of every rule below this folder."""
    found: list[type[Rule]] = []
    for module in pkgutil.walk_packages(__path__, __name__ + "."):
        if not module.ispkg:
            loaded = importlib.import_module(module.name)
            found += [
                value
                for value in vars(loaded).values()
                if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == loaded.__name__ and hasattr(value, "code")
            ]
    return Registry(tuple(found))
