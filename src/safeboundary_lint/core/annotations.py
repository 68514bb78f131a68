"""What a type is, and which one an annotation names."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.knowledge import Knowledge
from safeboundary_lint.core.names import Names, last_name

_WRAPPERS = ("Optional", "Annotated", "Final", "ClassVar", "Required", "NotRequired", "Union", "AsyncContextManager", "ContextManager")
_CONTAINERS = ("list", "List", "Sequence", "Iterable", "Iterator", "AsyncIterator", "AsyncGenerator", "Generator", "set", "Set", "tuple", "Tuple", "deque")


@dataclass(slots=True, eq=False)
class Type:
    """The type of a value: a dotted name outside this file, or a class of this file."""

    dotted: str = ""
    local: cst.ClassDef | None = None
    confidence: Confidence = Confidence.HIGH


class Annotations:
    """The annotations of one file."""

    def __init__(self, names: Names, knowledge: Knowledge) -> None:
        self.names, self.knowledge = names, knowledge

    def type_of(self, annotation: cst.CSTNode | None) -> Type | None:
        """The type an annotation names; Optional, unions with None, Annotated and quoted names are looked through."""
        if isinstance(annotation, cst.BinaryOperation):
            return self.type_of(annotation.left) or self.type_of(annotation.right)
        if isinstance(annotation, cst.Subscript):
            if last_name(annotation.value) in _WRAPPERS:
                inner = (element.slice.value for element in annotation.slice if isinstance(element.slice, cst.Index))
                return next((found for one in inner if (found := self.type_of(one)) is not None), None)
            return self.type_of(annotation.value)
        if (quoted := string(annotation)) is not None:
            return self._quoted(quoted, annotation)
        if isinstance(annotation, cst.Name) and annotation.value == "None":
            return None
        if isinstance(annotation, (cst.Name, cst.Attribute)):
            definition = self.names.definition(annotation)
            if isinstance(definition, cst.ClassDef):
                return Type("", definition)
            dotted = self.names.qualified(annotation)
            if dotted and not dotted.startswith("typing."):
                return Type(self.knowledge.canonical(dotted))
        return None

    def _quoted(self, text: str, at: cst.CSTNode) -> Type | None:
        try:
            parsed = cst.parse_expression(text)
        except Exception:  # noqa: BLE001 -- whatever LibCST says, this is no annotation
            return None
        head = parsed
        while isinstance(head, cst.Attribute):
            head = head.value
        if not isinstance(head, cst.Name) or not isinstance(parsed, (cst.Name, cst.Attribute)):
            return None
        found = self.names.lookup_in(self.names.scope_of(at), head.value)
        if found is None:
            return None
        binding = found[1][0]
        if binding.how == "definition" and isinstance(binding.source, cst.ClassDef) and isinstance(parsed, cst.Name):
            return Type("", binding.source)
        return Type(self.knowledge.canonical(binding.dotted + text[len(head.value) :])) if binding.how == "import" else None

    def item_of(self, iterable: cst.CSTNode) -> Type | None:
        """`def f(messages: list[Message])`: what iterating `messages` gives."""
        if isinstance(iterable, cst.Name) and (found := self.names.lookup(iterable)) is not None:
            for binding in found[1]:
                annotation = binding.source.annotation if isinstance(binding.source, cst.Param) else None
                inner = annotation.annotation if annotation is not None else None
                if isinstance(inner, cst.Subscript) and last_name(inner.value) in _CONTAINERS and isinstance(inner.slice[0].slice, cst.Index):
                    return self.type_of(inner.slice[0].slice.value)
        return None
