"""Methods of dataclasses that are compiled when they are called for the first time.

For each dataclass the standard library writes up to a dozen functions and compiles them as soon as the class is defined. LibCST's nodes
are some two hundred dataclasses: that is more than half of what its import takes, and most of these functions are never called.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from safeboundary_lint.core.regex import Regex

_FUNCTION = Regex(r"^ def (\w+)\(", re.MULTILINE)


@contextmanager
def compiled_late() -> Iterator[None]:
    """For classes that are defined meanwhile. Their methods are the very ones that `dataclasses` would have made, from the same text."""
    already = "exec" in vars(dataclasses)
    vars(dataclasses)["exec"] = _promise
    try:
        yield
    finally:
        if not already:
            vars(dataclasses).pop("exec", None)


def _promise(text: str, names: dict[str, Any], made: dict[str, Any]) -> None:
    """In place of `exec` in `dataclasses`: makes what makes one function, or a tuple of several (Python 3.13)."""
    returned = text.rpartition("\n return ")[2].strip()
    if returned in (functions := _FUNCTION.findall(text)):
        made["__create_fn__"] = lambda *values, **named: _late(returned, lambda: _made(text, names)(*values, **named))
    elif returned.strip("(), ").replace(" ", "").split(",") == functions:

        def create(*values: Any, **named: Any) -> tuple[Callable[..., Any], ...]:
            compiled = functools.cache(lambda: _made(text, names)(*values, **named))
            return tuple(_late(name, lambda place=place: compiled()[place]) for place, name in enumerate(functions))

        made["__create_fn__"] = create
    else:
        made["__create_fn__"] = _made(text, names)


def _made(text: str, names: dict[str, Any]) -> Callable[..., Any]:
    made: dict[str, Any] = {}
    exec(compile(text, "<string>", "exec", dont_inherit=True), names, made)  # noqa: S102 -- as `dataclasses` would
    return made["__create_fn__"]


def _late(name: str, compiled: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
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
