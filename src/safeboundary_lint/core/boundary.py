"""Which expressions hold data of the boundary: where a value was written, by whom.

Answers come from knowledge (kinds `boundary`, `boundary-stream`, `read-all`, `push-parser`, `own-data`, `shared-data`) and
from the value's way back through the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, literal, string
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.tree import children

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

PEER, PARAMETER, UNKNOWN, SHARED, OWN = "peer", "parameter", "unknown", "shared", "own"
SOURCES = ("boundary", "read-all", "boundary-stream", r"~wsgi\.input")  # what a rule needs for which data has to come in by a call
_ORDER = (PEER, PARAMETER, UNKNOWN, SHARED, OWN)
_KINDS = ("boundary", "read-all", "boundary-stream", "shared-data", "own-data")
_BUDGET = 200


@dataclass(slots=True, eq=False)
class Source:
    """Who wrote a value, and the place that shows it: `peer`, `parameter` (whoever calls), `unknown`, `shared` or `own`."""

    writer: str
    node: cst.CSTNode
    confidence: Confidence = Confidence.HIGH


class Boundary:
    """Writers of the values of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._known: dict[int, Source] = {}

    def source(self, expression: cst.CSTNode) -> Source:
        """The most distant writer that the value may have."""
        key = id(expression)
        if key not in self._known:
            self._known[key] = self._search(expression)
        return self._known[key]

    def _search(self, expression: cst.CSTNode) -> Source:
        found: list[Source] = []
        seen = {id(expression)}
        queue: list[cst.CSTNode] = [expression]
        for node in queue:  # grows while it is walked
            here = self.direct(node)
            if here is not None:
                if here.writer == PEER:
                    return here
                found.append(here)
                continue
            if len(queue) > _BUDGET:
                break
            following = self._following(node)
            if not following and not isinstance(node, (cst.FunctionDef, cst.ClassDef)):
                found.append(Source(UNKNOWN, node))
            for one in following:
                if id(one) not in seen:
                    seen.add(id(one))
                    queue.append(one)
        return min(found, key=lambda source: _ORDER.index(source.writer), default=Source(UNKNOWN, expression))

    def direct(self, node: cst.CSTNode) -> Source | None:
        """Who writes what this very node gives; None where that depends on others."""
        kind = type(node)
        if kind is cst.Param:
            return self._of_parameter(node)  # type: ignore[arg-type]
        if kind is cst.Call or kind is cst.Name or kind is cst.Attribute:
            match = self.facts.match(node, *_KINDS)
            if match is not None:
                writer = {"own-data": OWN, "shared-data": SHARED}.get(match.row.kind, PEER)
                return Source(writer, node, match.confidence)
            if (last_name(node) or "").isupper() and self.facts.names.qualified(node) is not None:
                return Source(OWN, node)  # a constant of a module
        if kind is cst.Subscript and self.is_stream(node):
            return Source(PEER, node)
        try:
            literal(node)
            return Source(OWN, node)
        except NotConstant:
            return None

    def is_stream(self, expression: cst.CSTNode) -> bool:
        """True for a file object whose content a peer sends: `environ["wsgi.input"]`, `self.rfile`, also through a name."""
        for origin in self.facts.origins.trail(expression):
            node = origin.node
            if isinstance(node, cst.Subscript) and node.slice and isinstance(node.slice[0].slice, cst.Index):
                key = string(node.slice[0].slice.value)
                if key is not None and self.facts.knowledge.of_kind(key, "boundary-stream") is not None:
                    return True
            elif isinstance(node, (cst.Name, cst.Attribute)) and self.facts.match(node, "boundary-stream") is not None:
                return True
            elif isinstance(node, cst.Call) and last_name(node.func) == "get" and node.args:
                key = string(node.args[0].value)
                if key is not None and self.facts.knowledge.of_kind(key, "boundary-stream") is not None:
                    return True
        return False

    def _of_parameter(self, parameter: cst.Param) -> Source | None:
        function = self.facts.tree.enclosing(parameter, cst.FunctionDef, cst.Lambda)
        if function is not None and self.facts.types.is_bound_method(function) and parameter is next(parameters(function), None):
            return Source(UNKNOWN, parameter)  # self
        if isinstance(function, cst.FunctionDef) and self.is_pushed(function):
            return Source(PEER, parameter, Confidence.MEDIUM)
        if function is not None and self.facts.origins.passed(parameter):
            if not _is_public(function) or self._is_filled_by_own_class(function, parameter):
                return None
        return Source(PARAMETER, parameter)

    def _is_filled_by_own_class(self, function: cst.FunctionDef | cst.Lambda, parameter: cst.Param) -> bool:
        """`with open(path, "rb") as file: return cls(file)`: a class that takes a file and says itself where that comes from."""
        cls = self.facts.types.method_class(function)
        if cls is None or not isinstance(function, cst.FunctionDef) or function.name.value != "__init__":
            return False
        return all(
            self.facts.tree.class_of(value) is cls
            and any(last_name(o.node.func) == "open" for o in self.facts.origins.trail(value) if isinstance(o.node, cst.Call))
            for value in self.facts.origins.passed(parameter)
        )

    def names_file(self, source: Source, *globs: str) -> bool:
        """True when the value comes from a parameter that is a file of this host, by its type or by a name like `globs`."""
        if not isinstance(source.node, cst.Param):
            return False
        return named_like(source.node.name.value, *globs) or self._has_type_of_kind(source.node.name, "local-path")

    def is_in_memory(self, expression: cst.CSTNode) -> bool:
        """True for a file object over bytes that are in memory already."""
        return self._has_type_of_kind(expression, "memory-file")

    def _has_type_of_kind(self, expression: cst.CSTNode, kind: str) -> bool:
        found = self.facts.types.of(expression)
        return found is not None and bool(found.dotted) and self.facts.knowledge.of_kind(found.dotted, kind) is not None

    def is_own_process(self, source: cst.CSTNode) -> bool:
        """True for what comes out of a process that this one has started: `process.stdout.read(...)`, also through a parameter."""
        holder = source.func.value if isinstance(source, cst.Call) and isinstance(source.func, cst.Attribute) else source
        return any(last_name(origin.node) in ("stdout", "stderr") for origin in self.facts.origins.trail(holder, callers=True))

    def is_pushed(self, function: cst.FunctionDef) -> bool:
        """True for a method by which a library, or the code above, pushes bytes of the boundary in."""
        rows = self.facts.knowledge.wild.get(function.name.value, ())
        return any(row.kind == "push-parser" for row in rows) and self.facts.types.method_class(function) is not None

    def _following(self, node: cst.CSTNode) -> list[cst.CSTNode]:
        origins = [origin.node for origin in self.facts.origins.step(node)]
        if origins:
            return [*origins, *self._gathered(node, origins)]
        if isinstance(node, cst.Param):
            return list(self.facts.origins.passed(node))
        if isinstance(node, cst.Call):
            return self._through_call(node)
        if isinstance(node, (cst.FunctionDef, cst.ClassDef, cst.Lambda, cst.Comparison)):
            return []
        if isinstance(node, (cst.Subscript, cst.Attribute)):
            return [node.value]
        if isinstance(node, (cst.WithItem,)):
            return [node.item]
        return [child for child in children(node) if isinstance(child, (cst.BaseExpression, cst.BaseElement, cst.Arg))]

    def _gathered(self, node: cst.CSTNode, origins: list[cst.CSTNode]) -> list[cst.CSTNode]:
        """What is put into a buffer that starts empty: `data = bytearray()`, then `data.extend(connection.recv(n))`."""
        if not isinstance(node, cst.Name) or not any(_is_empty_buffer(one) for one in origins):
            return []
        function, place = self.facts.tree.function_of(node), self.facts.origins.place(node)
        grown = self.facts.counting.grown(function.body) if function is not None else ()
        calls = (added for target, added in grown if isinstance(added, cst.Call) and self.facts.origins.place(target) == place)
        return [call.args[-1].value for call in calls]

    def _through_call(self, call: cst.Call) -> list[cst.CSTNode]:
        receiver: Iterable[cst.CSTNode] = ()
        if isinstance(call.func, cst.Attribute) and self.facts.names.qualified(call.func) is None:
            receiver = (call.func.value,)
        elif isinstance(call.func, cst.Name) and any(o.how == "parameter" for o in self.facts.origins.step(call.func)):
            return []  # `reader(8)`, of a function that was handed in: not what it is told makes what it gives
        return [*receiver, *(arg.value for arg in call.args)]


def _is_empty_buffer(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Call):
        return not node.args and last_name(node.func) in ("bytearray", "BytesIO", "StringIO", "list")
    return isinstance(node, cst.List) and not node.elements


def _is_public(function: cst.FunctionDef | cst.Lambda) -> bool:
    name = function.name.value if isinstance(function, cst.FunctionDef) else "_"
    return not name.startswith("_") or name.endswith("__")
