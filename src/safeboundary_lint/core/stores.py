"""Is a store shared between processes, or an object of this one that dies with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import Binding, last_name
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_LOCAL = (
    "dict", "*ordereddict", "*defaultdict", "*lru*", "*ttlcache*", "*lfu*", "*weakvalue*", "*weakkey*", "counter",
    "*simplecache*", "*memorycache*", "*inmemory*", "*localcache*", "contextvar", "*local",
)  # fmt: skip


def is_in_process(facts: Facts, store: Match) -> bool:
    """True when the receiver of a call is seen to be a dict, an LRU cache or the like, made in this file."""
    if not isinstance(store.call.func, cst.Attribute):
        return False
    receiver = store.call.func.value
    if named_like(last_name(receiver), "*local*", "*memory*", "*lru*", "*_dict", "*memo*"):
        return True
    for origin in facts.origins.trail(receiver):
        node = origin.node
        if isinstance(node, (cst.Dict, cst.DictComp)) or isinstance(node, cst.Call) and named_like(last_name(node.func), *_LOCAL):
            return True
    if isinstance(receiver, cst.Attribute) and _is_declared_local(facts, receiver.attr.value):
        return True
    annotations = (binding.target for binding in _bindings(facts, receiver))
    annotated = (facts.tree.parent(target) for target in annotations)
    return any(
        isinstance(a, cst.AnnAssign)
        and any(isinstance(n, cst.Name) and named_like(n.value, *_LOCAL) for n in descendants(a.annotation))
        for a in annotated
    )


def _is_declared_local(facts: Facts, name: str) -> bool:
    """True when every class of this file that has an attribute of this name makes it a dict or the like: `cache = {}`."""
    classes = (facts.names.scope_of(cls.body).bindings.get(name, ()) for cls in facts.tree.all(cst.ClassDef))
    bound = [binding for bindings in classes for binding in bindings if binding.how == "value"]
    bound += [one for one in facts.names.stores if isinstance(one.target, cst.Attribute) and one.target.attr.value == name]
    made = [one.source for one in bound if last_name(one.source) != "None"]
    return bool(made) and all(
        isinstance(one, (cst.Dict, cst.DictComp)) or isinstance(one, cst.Call) and named_like(last_name(one.func), *_LOCAL)
        for one in made
    )


def _bindings(facts: Facts, receiver: cst.BaseExpression) -> list[Binding]:
    if isinstance(receiver, cst.Attribute):
        return facts.origins.attribute_bindings(receiver)
    found = facts.names.lookup(receiver) if isinstance(receiver, cst.Name) else None
    return found[1] if found is not None else []
