"""The rules: a folder per family, a file per rule, named after what it finds. No list to edit: `load` finds them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safeboundary_lint.core.catalogue import Catalogue
    from safeboundary_lint.core.rule import Registry, Rule

_remembered: list[Catalogue] = []


@functools.cache
def load() -> Registry:
    """The registry of every rule below this folder."""
    import importlib
    import pkgutil
    import types

    from safeboundary_lint.core.rule import Registry, Rule

    found: list[type[Rule]] = []
    for module in pkgutil.walk_packages(__path__, __name__ + "."):
        if not module.ispkg:
            loaded = importlib.import_module(module.name)
            found += [
                value
                for value in vars(loaded).values()
                if isinstance(value, type)
                and not isinstance(value, types.GenericAlias)  # `list[int]` is taken for a class by Python 3.10
                and issubclass(value, Rule)
                and value.__module__ == loaded.__name__
                and hasattr(value, "code")
            ]
    return Registry(tuple(found))


def catalogue() -> Catalogue:
    """What the rules are called; without importing them when a cache remembers it."""
    return _remembered[0] if _remembered else load().catalogue


def remember(known: Catalogue) -> None:
    """Spare this process the import of the rules as long as only their names are asked for."""
    _remembered[:] = [known]
