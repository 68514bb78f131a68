"""Command-line options and environment settings in strings: which of those that knowledge lists does a file use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import keyword_names, string_parts
from safeboundary_lint.core.edits import elements_removed, replaced, source_of
from safeboundary_lint.core.finding import Edit
from safeboundary_lint.core.knowledge import Row
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.weakening import CERTIFICATE, Weakening

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_LONGEST = 4000  # characters; what is longer is a document, not a command
_TELLERS = (
    "debug",
    "info",
    "warning",
    "warn",
    "error",
    "critical",
    "exception",
    "print",
    "echo",
    "log",
    "startswith",
    "endswith",
    "add_argument",
    "option",
    "_",
)
_INTRODUCING = ("-o", "-c")  # options that take the setting behind them
_DECLARING = ("action", "dest", "nargs", "is_flag")  # keywords of what declares an option of our own program
_HELP = ("help", "description", "metavar", "msg", "message", "doc", "title")


def option_texts(facts: Facts, kind: str) -> Iterator[Weakening]:
    """Strings with an option of this kind as a whole word: a command, or an element of its argument list."""
    rows = {row for rows in facts.knowledge.wild.values() for row in rows if row.kind == kind}
    for node in (*facts.tree.all(cst.SimpleString), *facts.tree.all(cst.FormattedString)):
        text = (string_parts(node) or "").lower()
        for row in rows if 1 < len(text) < _LONGEST else ():
            found = _option_in(text, row)
            if found and _runs(facts, node, text, row) and not _only_told(facts, node):
                yield Weakening(node, row.get("checks", CERTIFICATE), found, "option", row.confidence, node, row=row)
                break


def _option_in(text: str, row: Row) -> str | None:
    spaced = f" {text.replace(',', ' ')} "
    return next((option for option in row.get("text", ()) if f" {option} " in spaced), None)


def _runs(facts: Facts, node: cst.CSTNode, text: str, row: Row) -> bool:
    """The option belongs to the program the row names: in the list it stands in, or in its own text."""
    program = row.get("program")
    if program is None:
        return True
    element = facts.tree.parent(node)
    whole = facts.tree.parent(element) if isinstance(element, cst.Element) else None
    if isinstance(whole, (cst.List, cst.Tuple)):
        text = " ".join(part for one in whole.elements if (part := string_parts(one.value)) is not None).lower()
    return program in text.split()


def _only_told(facts: Facts, node: cst.CSTNode) -> bool:
    """A docstring, a help text, a message, a comparison, an option declared: it names the option and does not use it."""
    for ancestor in facts.tree.ancestors(node):
        if isinstance(ancestor, (cst.Comparison, cst.Raise, cst.Assert)):
            return True
        if isinstance(ancestor, cst.Arg) and ancestor.keyword is not None and ancestor.keyword.value in _HELP:
            return True
        if isinstance(ancestor, cst.Call) and (
            last_name(ancestor.func) in _TELLERS
            or not facts.tree.within(node, ancestor.func)
            and not keyword_names(ancestor).isdisjoint(_DECLARING)
        ):
            return True
        if isinstance(ancestor, cst.Expr):
            return not isinstance(ancestor.value, (cst.Call, cst.Await))
        if isinstance(ancestor, cst.BaseSmallStatement):
            return False
    return False


def without_option(facts: Facts, node: cst.CSTNode, option: str) -> Edit | None:
    """The command without an option that stands in one of its strings; None where that string is not part of a command line."""
    element = facts.tree.parent(node)
    around = facts.tree.parent(element) if isinstance(element, cst.Element) else None
    if (string_parts(node) or "").lower() == option and isinstance(around, (cst.List, cst.Tuple)):
        index = next(i for i, one in enumerate(around.elements) if one is element)
        introduced = index > 0 and string_parts(around.elements[index - 1].value) in _INTRODUCING
        return elements_removed(facts, around, index - introduced, index)
    word = re.compile(rf"(?<=\s)(?:-[oc]\s+)?{re.escape(option)}(?:\s+|(?=['\"]))", re.IGNORECASE)
    text, several = word.subn("", source_of(facts, node))
    return replaced(facts, node, text) if several else None
