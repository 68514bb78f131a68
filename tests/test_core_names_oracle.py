"""Scopes against the truth: Python's own symbol table says for each name of each scope whose it is."""

from __future__ import annotations

import symtable
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import pytest

import safeboundary_lint
from safeboundary_lint.core.names import Names, Scope
from safeboundary_lint.core.positions import Positions
from safeboundary_lint.core.tree import Tree, descendants

_OWN = sorted(Path(safeboundary_lint.__file__).with_name("core").glob("*.py"))
_KINDS = {cst.Lambda: "lambda", cst.ListComp: "listcomp", cst.SetComp: "setcomp", cst.DictComp: "dictcomp", cst.GeneratorExp: "genexpr"}

_ODD = '''
import a, b.c as d
x = y = 1

def outer(p, q=x, *args, k: int = y, **kwargs):
    n = o = 0
    for i, (j, *rest) in []: pass
    with p as w, q as (v, u): pass
    try: import late
    except (ValueError, d) as error: pass
    def inner():
        nonlocal n, i, w, late, total
        global x, made
        n += 1; i = 2; w = 3; late = None; total = 0
        x = made = n
        def innermost():
            nonlocal n, total
            del n
            return [total for total in total if (found := total)], found, o
        return innermost
    total: int
    match p:
        case {"k": m, **others}: return m, others
        case [first, *more] | (first, more): return first, more
        case str() as text: return text
    return (lambda z, *zs, d=n: z + d + o + x), {t for t in args}, {g: h for g, h in kwargs}, (e for e in rest)

class C(d, metaclass=a):
    x = y
    items = [x for x in range(x)]
    pairs = [(y, z, x) for y in items for z in y]
    def method(self, x=x):
        global y
        y = x
        return items, C
    f = lambda self, v=items: items
    class D:
        q = x
        def deep(self): return q, x

async def co():
    async with a as b: pass
    async for x in b: await x
    return [y async for y in x], [s for s in [t for t in x]]
'''


def compared(text: str) -> Iterator[tuple[str, str, str, str]]:
    """For each name of each scope: where it is, whose Python says it is, and whose `Names` says it is."""
    tree = Tree(cst.parse_module(text))
    names, positions = Names(tree), Positions(tree, text)
    mine = defaultdict(list)
    for node_type in (cst.FunctionDef, cst.ClassDef, *_KINDS):
        for node in tree.all(node_type):
            name = _KINDS.get(node_type) or node.name.value  # type: ignore[attr-defined]
            line = positions.range(node if node_type in _KINDS else node.name)[0]  # type: ignore[attr-defined]
            inside = node.elt if isinstance(node, (cst.ListComp, cst.SetComp, cst.GeneratorExp)) else node.key if isinstance(node, cst.DictComp) else node.body
            mine[name, line].append(names.scope_of(inside))
    theirs = defaultdict(list)
    stack = symtable.symtable(text, "x.py", "exec").get_children()
    for table in stack:  # grows while it is walked
        stack += table.get_children()
        theirs[table.get_name(), table.get_lineno()].append(table)
    inlined = {name.value for loop in tree.all(cst.CompFor) for name in descendants(loop.target) if isinstance(name, cst.Name)}
    for key, tables in theirs.items():
        if len(mine[key]) != 1 or len(tables) != 1:
            continue  # two of one kind on one line
        for symbol in tables[0].get_symbols():
            name = symbol.get_name()
            # From 3.12 on a function's table also has the names of its comprehensions (PEP 709).
            if not name.startswith((".", "_")) and not (sys.version_info >= (3, 12) and name in inlined):
                yield f"{key[0]}:{key[1]} {name}", _truth(symbol), _told(names, mine[key][0], name)


def _truth(symbol: symtable.Symbol) -> str:
    return "own" if symbol.is_local() else "of a function around" if symbol.is_free() else "of the module"


def _told(names: Names, scope: Scope, name: str) -> str:
    found = names.lookup_in(scope, name)
    if found is None or found[0] is names.module_scope:
        return "of the module"
    return "own" if found[0] is scope else "of a function around"


@pytest.mark.parametrize("text", [_ODD, *(path.read_text(encoding="utf-8") for path in _OWN[::4])], ids=["odd", *(path.stem for path in _OWN[::4])])
def test_names_belong_where_python_says(text: str) -> None:
    seen = list(compared(text))
    assert [one for one in seen if one[1] != one[2]] == []


def test_the_comparison_sees_every_scope_of_the_odd_text() -> None:
    assert len({where.split()[0] for where, *_ in compared(_ODD)}) >= (10 if sys.version_info >= (3, 12) else 14)
