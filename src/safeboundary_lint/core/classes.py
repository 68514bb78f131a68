"""Classes of this file: their bases, methods and attributes."""

from __future__ import annotations

from collections import defaultdict

import libcst as cst

from safeboundary_lint.core.knowledge import Knowledge
from safeboundary_lint.core.names import Binding, Names, last_name
from safeboundary_lint.core.tree import Tree

_BETWEEN = frozenset((cst.IndentedBlock, cst.If, cst.Else, cst.Try))  # a method and its class


class Classes:
    """What the class statements of one file say."""

    def __init__(self, tree: Tree, names: Names, knowledge: Knowledge) -> None:
        self.tree, self.names, self.knowledge = tree, names, knowledge
        self._attributes: dict[int, dict[str, list[Binding]]] | None = None

    def method_class(self, function: cst.FunctionDef | cst.Lambda) -> cst.ClassDef | None:
        """The class a function is a method of; None for plain functions and static methods."""
        if type(function) is not cst.FunctionDef or any(last_name(d.decorator) == "staticmethod" for d in function.decorators):
            return None
        block = self.tree.parent(function)
        while type(block) in _BETWEEN:
            block = self.tree.parent(block)  # type: ignore[arg-type]
        return block if type(block) is cst.ClassDef else None

    def is_bound_method(self, function: cst.FunctionDef | cst.Lambda) -> bool:
        """True when calls of the function don't pass its first parameter."""
        return self.method_class(function) is not None

    def local_lineage(self, cls: cst.ClassDef) -> list[cst.ClassDef]:
        """A class and its bases in this file, nearest first."""
        found, queue = [], [cls]
        while queue and len(found) < 20:
            one = queue.pop(0)
            if one not in found:
                found.append(one)
                queue += [d for base in one.bases if type(d := self.names.definition(_generic_head(base.value))) is cst.ClassDef]
        return found

    def foreign_bases(self, cls: cst.ClassDef) -> list[str]:
        """Dotted names of the bases that come from outside this file, with what is known of their own bases."""
        found: list[str] = []
        for one in self.local_lineage(cls):
            for base in one.bases:
                if (dotted := self.names.qualified(_generic_head(base.value))) is not None:
                    found += [name for name in self.knowledge.lineage(dotted) if name not in found]
        return found

    def attributes_of(self, cls: cst.ClassDef) -> dict[str, list[Binding]]:
        """Every binding of `self.x` (or of `x` in the class body) of one class, by attribute."""
        if self._attributes is None:
            self._attributes = self._gather_attributes()
        return self._attributes.get(id(cls), {})

    def _gather_attributes(self) -> dict[int, dict[str, list[Binding]]]:
        gathered: dict[int, dict[str, list[Binding]]] = defaultdict(lambda: defaultdict(list))
        for cls in self.tree.all(cst.ClassDef):
            for name, bindings in self.names.scope_of(cls.body).bindings.items():
                gathered[id(cls)][name] += [b for b in bindings if b.how in ("value", "annotated")]
        for store in self.names.stores:
            target = store.target
            if type(target) is cst.Attribute and (cls := self.named_class(target.value)) is not None:
                gathered[id(cls)][target.attr.value].append(store)
        return gathered

    def named_class(self, owner: cst.CSTNode) -> cst.ClassDef | None:
        """The class of this file that `self`, `cls`, `self.__class__` or the class's own name stands for in front of an attribute."""
        if type(owner) is cst.Attribute and owner.attr.value == "__class__":
            owner = owner.value
        if type(owner) is not cst.Name:
            return None
        if owner.value in ("self", "cls"):
            return self.tree.class_of(owner)
        definition = self.names.definition(owner)
        return definition if type(definition) is cst.ClassDef else None

    def method(self, cls: cst.ClassDef, name: str) -> cst.FunctionDef | None:
        """The method of a class or of its bases in this file, also under another name: `keep = _keep`."""
        for one in self.local_lineage(cls):
            bindings = self.names.scope_of(one.body).bindings
            for binding in bindings.get(name, ()):
                alias = type(binding.source) is cst.Name and binding.how == "value"
                again = bindings.get(binding.source.value, ()) if alias else ()  # type: ignore[union-attr]
                for source in (binding.source, *(other.source for other in again)):
                    if type(source) is cst.FunctionDef:
                        return source
        return None

    def inner_class(self, cls: cst.ClassDef, name: str) -> cst.ClassDef | None:
        """The class that is defined in the body of a class or of its bases in this file."""
        inner = (b.source for one in self.local_lineage(cls) for b in self.names.scope_of(one.body).bindings.get(name, ()))
        return next((source for source in inner if isinstance(source, cst.ClassDef)), None)


def _generic_head(base: cst.BaseExpression) -> cst.BaseExpression:
    return base.value if type(base) is cst.Subscript else base
