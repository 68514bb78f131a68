"""Growth, lengths and limits, told from Python's own tree: what rules about data that comes in need."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from safeboundary_lint.core import shapes
from safeboundary_lint.core.regex import Regex

INITIALISERS = ("__init__", "__new__", "__post_init__", "setup", "initialize", "__attrs_post_init__")
DECLARED = ("length", "size", "count", "len", "nbytes")
SEARCHES = (
    "find",
    "index",
    "rfind",
    "split",
    "partition",
    "rpartition",
    "splitlines",
    "endswith",
    "readline",
    "search",
    "match",
    "finditer",
    "count",
    "rsplit",
)
RECEIVING_NAMES = ("recv", "receive", "read", "iter_", "stream")
_RECEIVING = f"%{'|'.join(RECEIVING_NAMES)}"  # the names by which data comes in, as a need
TALLIES = (
    "hits|attempts|last_|seen|fail|times|window|bucket|limit|rate|requests|throttl|block|ban|calls|cooldown|strikes|"
    "count|clients|stamps|_ips|per_ip|by_ip|debounc|flood"
)
TALLY = Regex(TALLIES, re.IGNORECASE)
# Of those it takes a key that can only be a client's.
KEPT_STATE = "session|histor|conversation|context|_locks|pending|states|chats|tokens|nonces|challenges|codes|memor|buffers"
PEER_STATE = Regex(KEPT_STATE, re.IGNORECASE)


@shapes.about(_RECEIVING)
def receives(body: Sequence[ast.AST]) -> bool:
    """Something is called by whose name data comes in."""
    names = {shapes.last_name(node.func) or "" for node in shapes.walk(body) if isinstance(node, ast.Call)}
    return any(word in name.lower() for name in names for word in RECEIVING_NAMES)


def searches(body: Sequence[ast.AST]) -> bool:
    """A delimiter is looked for: by `in`, or by a method that searches."""
    for node in shapes.walk(body):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEARCHES:
            return True
    return False


@shapes.about(_RECEIVING)
def gathers(body: Sequence[ast.AST]) -> bool:
    """A loop in which something comes in, and a variable grows."""
    loops = [node for node in shapes.walk(body, ast.While, ast.For, ast.AsyncFor) if isinstance(node, ast.While) or isinstance(node.iter, ast.Call)]
    return any(receives([loop]) and any(isinstance(shapes.grown(node), ast.Name) for node in shapes.walk([loop])) for loop in loops)


@shapes.about(f"%(?:{'|'.join(DECLARED)})_*$")
def declares(body: Sequence[ast.AST]) -> bool:
    """`data["Length"]` of what was parsed, or a `length` out of the several things that a header says."""
    for node in shapes.walk(body, ast.Subscript, ast.Tuple, ast.List):
        if isinstance(node, ast.Subscript):
            word = (shapes.text(node.slice) or shapes.last_name(node.slice) or "").lower().strip("/_")
            if isinstance(node.ctx, ast.Load) and (word in DECLARED or word.endswith(tuple(f"_{one}" for one in DECLARED))):
                return True
        elif isinstance(node.ctx, ast.Store) and any(shapes.last_name(one) in DECLARED for one in node.elts):
            return True
    return False


@shapes.about("int", "16", "x10")
def reads_digits(body: Sequence[ast.AST]) -> bool:
    """`int(text, 16)`: text with a base."""
    for call in shapes.walk(body, ast.Call):
        bases = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
        named = shapes.last_name(call.func) == "int"
        if any(base.value == 16 if isinstance(base, ast.Constant) else named for base in bases):
            return True
    return False


def pairs(body: Sequence[ast.AST]) -> bool:
    """`("grpc.max_receive_message_length", -1)`: a setting and its value side by side; or one that is made, `float("inf")`."""
    for node in shapes.walk(body, ast.Tuple, ast.Call):
        if isinstance(node, ast.Call):
            if shapes.last_name(node.func) == "float" and shapes.text(node.args[0] if node.args else None) is not None:
                return True
        elif len(node.elts) == 2 and shapes.text(node.elts[0]) is not None:
            return True
    return False


def grows(body: Sequence[ast.AST]) -> bool:
    """Something that is no literal is added to an attribute of the object, or in a loop that looks for a delimiter."""
    loops = list(shapes.walk(body, ast.For, ast.AsyncFor, ast.While))
    searching = [loop for loop in loops if searches([loop])]
    grown = [(node, target) for node in shapes.walk(body, ast.AugAssign, ast.Call, ast.Assign) if (target := shapes.grown(node)) is not None]
    looped = {id(node) for loop in searching for node in shapes.walk([loop])} if grown else set()
    return any(id(node) in looped or isinstance(target, ast.Attribute) and shapes.root(target) == "self" for node, target in grown)


@shapes.about(f"%{TALLIES}|{KEPT_STATE}")
def makes_map(body: Sequence[ast.AST]) -> bool:
    """An empty map is made under the name of a tally, where it lives on: in the module, a class, or where an object is made."""
    in_function = any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in body)
    lasting = not in_function or any(True for _ in shapes.walk(body, ast.ClassDef, ast.Global))
    making = any(function.name in INITIALISERS for function in shapes.walk(body, ast.FunctionDef, ast.AsyncFunctionDef))
    if not (lasting or making) or not shapes.may_be_empty(body):
        return False
    for node in shapes.walk(body, ast.Assign, ast.AnnAssign):
        if node.value is not None and any(map(_is_map, [node.value, *getattr(node.value, "elts", ())])):
            kept = (*((ast.Name,) if lasting else ()), *((ast.Attribute,) if making else ()))
            parts = shapes.walk(shapes.targets(node), *kept)
            if any(TALLY.search(name) or PEER_STATE.search(name) for part in parts if (name := shapes.last_name(part))):
                return True
    return False


def _is_map(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return shapes.last_name(value.func) in ("dict", "defaultdict", "OrderedDict", "Counter")
    return isinstance(value, ast.Dict) and not value.keys
