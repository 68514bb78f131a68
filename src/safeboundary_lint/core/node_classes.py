"""LibCST, imported in half the time: `import safeboundary_lint.core.node_classes` before the first `import libcst`.

LibCST's nodes are some two hundred frozen dataclasses. For each of them `dataclasses` writes five functions and compiles them, which is
more than half of what the import takes; most are never called, and LibCST throws two of the five away. Here each is compiled when it is
called for the first time. It is the very function that `dataclasses` would have made, from the same text.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
from collections.abc import Callable
from typing import Any

_FUNCTION = re.compile(r"^ def (\w+)\(", re.MULTILINE)


def _deferring(text: str, names: dict[str, Any], made: dict[str, Any]) -> None:
    """In place of `exec` for a text of `dataclasses`: makes what makes one function, or a tuple of several (Python 3.13)."""
    returned = text.rpartition("\n return ")[2].strip()
    if returned in (functions := _FUNCTION.findall(text)):
        made["__create_fn__"] = lambda *values, **named: _deferred(returned, lambda: _made(text, names)(*values, **named))
    elif returned.strip("(), ").replace(" ", "").split(",") == functions:

        def create(*values: Any, **named: Any) -> tuple[Callable[..., Any], ...]:
            compiled = functools.cache(lambda: _made(text, names)(*values, **named))
            return tuple(_deferred(name, lambda place=place: compiled()[place]) for place, name in enumerate(functions))

        made["__create_fn__"] = create
    else:
        made["__create_fn__"] = _made(text, names)


def _made(text: str, names: dict[str, Any]) -> Callable[..., Any]:
    made: dict[str, Any] = {}
    exec(compile(text, "<string>", "exec", dont_inherit=True), names, made)  # noqa: S102 -- as `dataclasses` would
    return made["__create_fn__"]


def _deferred(name: str, compiled: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A method that is replaced by the true one when it is called."""

    def method(self: object, *arguments: Any, **named: Any) -> Any:
        true = compiled()
        for owner in type(self).__mro__:
            if vars(owner).get(name) is method:
                true.__qualname__ = method.__qualname__
                setattr(owner, name, true)
        return true(self, *arguments, **named)

    method.__name__ = method.__qualname__ = name
    return method


if "libcst" not in sys.modules:
    dataclasses.exec = _deferring  # type: ignore[attr-defined]
    try:
        import libcst  # noqa: F401
    finally:
        del dataclasses.exec  # type: ignore[attr-defined]
