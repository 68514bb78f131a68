"""Constructors of a draft's nodes: LibCST's classes with the fields that say what code means, and no others.

LibCST's own constructors check each node and make its white space, which takes five times as long; what makes sense to Python's
parser needs no check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import libcst as cst

Node = TypeVar("Node", bound=cst.CSTNode)


def _maker(node_type: type[Node], *fields: str) -> Callable[..., Node]:
    """A function that makes a node of a type, given the values of these fields in this order."""
    new, puts = object.__new__, [getattr(node_type, field).__set__ for field in fields]  # of slots: LibCST's nodes are frozen
    first, second, third, fourth, fifth = (*puts, *[None] * 5)[:5]

    def of_none() -> Node:
        return new(node_type)

    def of_one(one: object) -> Node:
        node = new(node_type)
        first(node, one)
        return node

    def of_two(one: object, two: object) -> Node:
        node = new(node_type)
        first(node, one)
        second(node, two)
        return node

    def of_three(one: object, two: object, three: object) -> Node:
        node = new(node_type)
        first(node, one)
        second(node, two)
        third(node, three)
        return node

    def of_four(one: object, two: object, three: object, four: object) -> Node:
        node = of_three(one, two, three)
        fourth(node, four)
        return node

    def of_five(one: object, two: object, three: object, four: object, five: object) -> Node:
        node = of_three(one, two, three)
        fourth(node, four)
        fifth(node, five)
        return node

    def of_many(*values: object) -> Node:
        node = new(node_type)
        for put, value in zip(puts, values, strict=True):
            put(node, value)
        return node

    return (of_none, of_one, of_two, of_three, of_four, of_five)[len(puts)] if len(puts) < 6 else of_many


def bare(node_type: type[Node]) -> Node:
    """A node of which only the type is asked: one for all places where it stands."""
    return object.__new__(node_type)


ASYNCHRONOUS, DOT = bare(cst.Asynchronous), bare(cst.Dot)

# -- expressions -----------------------------------------------------------------------------------------------------

name = _maker(cst.Name, "value")
attribute = _maker(cst.Attribute, "value", "attr")
call = _maker(cst.Call, "func", "args")
argument = _maker(cst.Arg, "value", "keyword", "star")
subscript = _maker(cst.Subscript, "value", "slice")
subscript_element = _maker(cst.SubscriptElement, "slice")
index = _maker(cst.Index, "value", "star")
extent = _maker(cst.Slice, "lower", "upper", "step")
string = _maker(cst.SimpleString, "value")
concatenated = _maker(cst.ConcatenatedString, "left", "right")
formatted_string = _maker(cst.FormattedString, "parts")
formatted_text = _maker(cst.FormattedStringText, "value")
formatted_expression = _maker(cst.FormattedStringExpression, "expression", "format_spec")
ellipsis = _maker(cst.Ellipsis)
integer = _maker(cst.Integer, "value")
decimal = _maker(cst.Float, "value")
imaginary = _maker(cst.Imaginary, "value")
binary = _maker(cst.BinaryOperation, "left", "operator", "right")
unary = _maker(cst.UnaryOperation, "operator", "expression")
boolean = _maker(cst.BooleanOperation, "left", "operator", "right")
comparison = _maker(cst.Comparison, "left", "comparisons")
not_equal = _maker(cst.NotEqual, "value")
comparison_target = _maker(cst.ComparisonTarget, "operator", "comparator")
conditional = _maker(cst.IfExp, "test", "body", "orelse")
named = _maker(cst.NamedExpr, "target", "value")
awaited = _maker(cst.Await, "expression")
yielded = _maker(cst.Yield, "value")
yielded_from = raised_from = _maker(cst.From, "item")
lambda_ = _maker(cst.Lambda, "params", "body")
list_ = _maker(cst.List, "elements")
tuple_ = _maker(cst.Tuple, "elements")
set_ = _maker(cst.Set, "elements")
dict_ = _maker(cst.Dict, "elements")
element = _maker(cst.Element, "value")
starred = _maker(cst.StarredElement, "value")
entry = _maker(cst.DictElement, "key", "value")
starred_entry = _maker(cst.StarredDictElement, "value")
list_comprehension = _maker(cst.ListComp, "elt", "for_in")
set_comprehension = _maker(cst.SetComp, "elt", "for_in")
generator = _maker(cst.GeneratorExp, "elt", "for_in")
dict_comprehension = _maker(cst.DictComp, "key", "value", "for_in")
comprehension = _maker(cst.CompFor, "target", "iter", "ifs", "inner_for_in", "asynchronous")
condition = _maker(cst.CompIf, "test")
parameters = _maker(cst.Parameters, "posonly_params", "params", "star_arg", "kwonly_params", "star_kwarg")
parameter = _maker(cst.Param, "name", "annotation", "default", "star")
star = _maker(cst.ParamStar)
annotation = _maker(cst.Annotation, "annotation")

# -- statements ------------------------------------------------------------------------------------------------------

module = _maker(cst.Module, "body")
line = _maker(cst.SimpleStatementLine, "body")
suite = _maker(cst.SimpleStatementSuite, "body")
block = _maker(cst.IndentedBlock, "body")
expression = _maker(cst.Expr, "value")
assign = _maker(cst.Assign, "targets", "value")
target = _maker(cst.AssignTarget, "target")
annotated_assign = _maker(cst.AnnAssign, "target", "annotation", "value")
augmented_assign = _maker(cst.AugAssign, "target", "operator", "value")
return_ = _maker(cst.Return, "value")
raise_ = _maker(cst.Raise, "exc", "cause")
assert_ = _maker(cst.Assert, "test", "msg")
del_ = _maker(cst.Del, "target")
pass_ = _maker(cst.Pass)
break_ = _maker(cst.Break)
continue_ = _maker(cst.Continue)
global_ = _maker(cst.Global, "names")
nonlocal_ = _maker(cst.Nonlocal, "names")
name_item = _maker(cst.NameItem, "name")
import_ = _maker(cst.Import, "names")
import_from = _maker(cst.ImportFrom, "module", "names", "relative")
import_star = _maker(cst.ImportStar)
import_alias = _maker(cst.ImportAlias, "name", "asname")
as_name = _maker(cst.AsName, "name")
function = _maker(cst.FunctionDef, "name", "params", "body", "decorators", "returns", "asynchronous")
class_ = _maker(cst.ClassDef, "name", "body", "bases", "keywords", "decorators")
decorator = _maker(cst.Decorator, "decorator")
if_ = _maker(cst.If, "test", "body", "orelse")
else_ = _maker(cst.Else, "body")
while_ = _maker(cst.While, "test", "body", "orelse")
for_ = _maker(cst.For, "target", "iter", "body", "orelse", "asynchronous")
with_ = _maker(cst.With, "items", "body", "asynchronous")
with_item = _maker(cst.WithItem, "item", "asname")
try_ = _maker(cst.Try, "body", "handlers", "orelse", "finalbody")
try_star = _maker(cst.TryStar, "body", "handlers", "orelse", "finalbody")
except_ = _maker(cst.ExceptHandler, "type", "name", "body")
except_star = _maker(cst.ExceptStarHandler, "type", "name", "body")
finally_ = _maker(cst.Finally, "body")


def dotted(text: str) -> cst.Name | cst.Attribute:
    """`a.b.c` as an expression."""
    head, *rest = text.split(".")
    found: cst.Name | cst.Attribute = name(head)
    for part in rest:
        found = attribute(found, name(part))
    return found
