"""The rules without their code: what they are called, and what a file must hold to concern them.

Importing them, and LibCST with them, takes longer than all else that a run over a few files does, and most files concern none. So
what they ask for is made once of the rules and the knowledge, and kept beside them (core.kept) for this very state of our files.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
import pickle
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from safeboundary_lint import identity, rules
from safeboundary_lint.core import kept
from safeboundary_lint.core.catalogue import Catalogue
from safeboundary_lint.core.properties import cached_property

if TYPE_CHECKING:
    from safeboundary_lint.core.knowledge import Knowledge, UserRows
    from safeboundary_lint.core.screen import Screen

_FOLDER = os.path.dirname(os.path.abspath(__file__))

Made = TypeVar("Made")

_remembered: list[Catalogue] = []


def catalogue() -> Catalogue:
    """What the rules are called; without importing them when a cache remembers it."""
    return _remembered[0] if _remembered else _shipped()[0]


def remember(known: Catalogue) -> None:
    """Spare this process even what is kept as long as only the rules' names are asked for."""
    _remembered[:] = [known]


@functools.cache
def screen_of(rows: UserRows) -> Screen:
    """The screen of the shipped knowledge and a user's rows for all rules."""
    return _made(rows) if rows else _shipped()[1]


@functools.cache
def knowledge_of(rows: UserRows) -> Knowledge:
    """The shipped knowledge and a user's rows."""
    return _known(rows) if rows else _kept("knowledge", lambda: _known(()))


@functools.cache
def _shipped() -> tuple[Catalogue, Screen]:
    return _kept("screen", lambda: (rules.load().catalogue, _made(())))


def _made(rows: UserRows) -> Screen:
    from safeboundary_lint.core.screen import Screen

    return Screen(_known(rows), rules.load().rules)


def _known(rows: UserRows) -> Knowledge:
    from safeboundary_lint.core import knowledge

    return knowledge.load(rows)


def _kept(name: str, make: Callable[[], Made]) -> Made:
    """What is kept under a name for our files as they are now; made and kept where there is nothing."""
    try:
        origin = identity.signature().encode()
    except OSError:  # they are in an archive, or are being replaced
        return make()
    made = _read(kept.recall(_FOLDER, name, origin))
    if made is None:
        made = make()
        kept.keep(_FOLDER, name, origin, _written(made))
    return made


class _Named:
    """A function whose module is not imported before it is called."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *given: object) -> object:
        return self._function(*given)

    @cached_property
    def _function(self) -> Callable[..., object]:
        return getattr(importlib.import_module(self._module), self._name)


class _Writer(pickle.Pickler):
    def persistent_id(self, one: object) -> tuple[str, str] | None:
        return (one.__module__, one.__qualname__) if isinstance(one, types.FunctionType) else None


class _Reader(pickle.Unpickler):
    def persistent_load(self, name: tuple[str, str]) -> _Named:
        return _Named(*name)


def _written(made: object) -> bytes:
    stream = io.BytesIO()
    _Writer(stream, pickle.HIGHEST_PROTOCOL).dump(made)
    return stream.getvalue()


def _read(body: bytes | None) -> Any:
    try:
        return None if body is None else _Reader(io.BytesIO(body)).load()
    except Exception:  # noqa: BLE001 -- whatever is wrong with it, it can be made again
        return None
