"""Which exceptions a handler catches: Python's own hierarchy, the classes of this file, and the libraries' as knowledge."""

from __future__ import annotations

import builtins
from collections import defaultdict
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.flow import ExceptionModel
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.properties import cached_property

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_LOG_METHODS = frozenset("debug info warning warn error exception critical log msg".split())
_SAFE_BUILTINS = frozenset("builtins.print builtins.len builtins.isinstance builtins.str builtins.repr builtins.bool builtins.list builtins.dict builtins.set builtins.tuple".split())


class Exceptions:
    """Answers about the exceptions of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._silent: dict[int, bool] = {}
        self._lineages: dict[str, list[str]] = {}

    def model(self) -> ExceptionModel:
        """What the flow graph asks."""
        return ExceptionModel(self.can_raise, self.catches, self.swallows, self.never_returns)

    def classes(self, handler_type: cst.BaseExpression | None, depth: int = 5) -> list[str]:
        """Dotted names of the classes an `except` names; "builtins.BaseException" for a bare one. Local classes by their bare name."""
        if handler_type is None:
            return ["builtins.BaseException"]
        if isinstance(handler_type, cst.Tuple):
            return [name for element in handler_type.elements for name in self.classes(element.value, depth)]
        if (dotted := self.facts.names.qualified(handler_type)) is not None:
            return [self.facts.knowledge.canonical(dotted)]
        definition = self.facts.names.definition(handler_type)
        if isinstance(definition, cst.ClassDef):
            return [definition.name.value]
        if isinstance(handler_type, cst.Name) and depth and (found := self.facts.names.lookup(handler_type)) is not None:
            sources = [b.source for b in found[1] if b.how == "value" and isinstance(b.source, (cst.Tuple, cst.Name, cst.Attribute))]
            return [name for source in sources for name in self.classes(source, depth - 1)]  # ERRORS = (A, B)
        if isinstance(handler_type, cst.Attribute) and depth and last_name(handler_type.value) in ("self", "cls"):
            bound = [b.source for b in self.facts.origins.attribute_bindings(handler_type) if b.how == "value"]
            if len(bound) == 1 and isinstance(bound[0], (cst.Tuple, cst.Name, cst.Attribute)):
                return self.classes(bound[0], depth - 1)  # a class's own ERRORS = (A, B)
        return []

    def named(self, handler_type: cst.BaseExpression | None) -> list[str]:
        """Last names of what an `except` catches, as far as the text tells them, also where a class can't be resolved."""
        if isinstance(handler_type, cst.Tuple):
            return [name for element in handler_type.elements for name in self.named(element.value)]
        if known := self.classes(handler_type):
            return [name.rpartition(".")[2] for name in known]
        text = last_name(handler_type)
        return [text] if text is not None else []

    def lineage(self, name: str) -> list[str]:
        """A class and all that is known of its bases, nearest first."""
        if name not in self._lineages:
            found = {name: None}
            queue = [name]
            for one in queue:  # grows while it is walked
                following = [base for base in self._bases(one) if base not in found]
                found.update(dict.fromkeys(following))
                queue += following
            self._lineages[name] = list(found)
        return self._lineages[name]

    def _bases(self, name: str) -> list[str]:
        found = self.facts.knowledge.lineage(name)
        own = getattr(builtins, name.removeprefix("builtins."), None) if name.startswith("builtins.") else None
        if isinstance(own, type):
            found += [f"builtins.{base.__name__}" for base in own.__mro__ if base is not object]
        for cls in self.own.get(name, ()):
            found += [*self.facts.types.foreign_bases(cls), *(c.name.value for c in self.facts.types.local_lineage(cls)[1:])]
        return found

    @cached_property
    def own(self) -> dict[str, list[cst.ClassDef]]:
        """The classes of this file, exceptions or not, by name."""
        found: dict[str, list[cst.ClassDef]] = defaultdict(list)
        for cls in self.facts.tree.all(cst.ClassDef):
            found[cls.name.value].append(cls)
        return found

    def covers(self, handler_type: cst.BaseExpression | None, exception: str) -> bool:
        """True when a handler of this type catches the exception of this dotted name."""
        lineage = self.lineage(exception)
        if "builtins.BaseException" not in lineage:
            lineage = [*lineage, "builtins.Exception", "builtins.BaseException"]  # an ordinary library exception
        return any(self.facts.knowledge.canonical(name) in lineage for name in self.classes(handler_type))

    def catches_all(self, handler_type: cst.BaseExpression | None) -> bool:
        """True for a bare except, Exception and BaseException."""
        return any(name in ("builtins.Exception", "builtins.BaseException") for name in self.classes(handler_type))

    def catches(self, handler_type: cst.BaseExpression | None, raised: cst.BaseExpression | None) -> bool | None:
        """Does a handler catch what `raise raised` raises (None: whatever it is)? None when that can't be told."""
        if raised is None:
            return self.catches_all(handler_type)
        raised_class = self._raised_class(raised)
        if raised_class is None or not self.classes(handler_type):
            return True if self.catches_all(handler_type) else None
        if self.covers(handler_type, raised_class):
            return True
        return False if "builtins.BaseException" in self.lineage(raised_class) else None

    def _raised_class(self, raised: cst.BaseExpression) -> str | None:
        """The class that `raise raised` names itself; a variable may hold any."""
        named = raised.func if isinstance(raised, cst.Call) else raised
        if self.facts.names.qualified(named) is None and not isinstance(self.facts.names.definition(named), cst.ClassDef):
            return None
        return self.classes(named)[0]

    def can_raise(self, call: cst.Call) -> bool:
        """False for logging and for builtins that don't fail in practice."""
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in _LOG_METHODS and named_like(last_name(call.func.value), "*log*", "getlogger"):
            return False
        if isinstance(call.func, cst.Name) and self.facts.names.qualified(call.func) in _SAFE_BUILTINS:
            return False
        return self.facts.match(call, "no-raise") is None

    def swallows(self, context: cst.BaseExpression) -> bool:
        """True for `contextlib.suppress(...)` and what knowledge says is like it."""
        return isinstance(context, cst.Call) and self.facts.match(context, "suppress") is not None

    def never_returns(self, call: cst.Call) -> bool:
        """True for `sys.exit()` and for a function of this file of which no path comes back."""
        if self.facts.match(call, "exit") is not None:
            return True
        callee = self.facts.types.callee(call)
        if not isinstance(callee, cst.FunctionDef):
            return False
        key = id(callee)
        if key not in self._silent:
            self._silent[key] = False  # recursion
            ends_in_raise = _ends_in_raise(callee)
            self._silent[key] = ends_in_raise and self.facts.flow(callee).returned.index not in self.facts.flow(callee).reachable
        return self._silent[key]


def _ends_in_raise(function: cst.FunctionDef) -> bool:
    """A cheap look before the graph is built: the last statement raises or could."""
    body = function.body.body
    last = body[-1] if body else None
    if isinstance(last, cst.SimpleStatementLine):
        return isinstance(last.body[-1], (cst.Raise, cst.Expr))
    return isinstance(last, (cst.If, cst.Try, cst.With, cst.Raise))
