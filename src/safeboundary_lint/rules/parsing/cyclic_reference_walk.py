"""SBL412: a chain of references out of the input is followed with nothing that stops a circle."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.boundary import PEER
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.edits import free_name, lines_before
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule, Status
from safeboundary_lint.core.tree import descendants

_OFFSETS = (
    "*offset*",
    "*next*",
    "*prev*",
    "*ifd*",
    "*pointer*",
    "*ptr*",
    "*link*",
    "*parent*",
    "*pos",
    "*block*",
    "*sector*",
    "*chain*",
)
_UNPACKING = (
    "*unpack*",
    "*read_u*",
    "*read_int*",
    "*from_bytes*",
    "*s2n*",
    "*read_long*",
    "*read_offset*",
    "*get_int*",
    "*read_ifd*",
    "*next_ifd*",
    "*read_xref*",
    "*read_entry*",
)
_LOOKUPS = ("get", "get_object", "resolve", "fetch", "lookup", "find", "load", "getObject", "get_parent", "get_by_id")


class CyclicReferenceWalk(Rule):
    """A chain of offsets or references out of the input is followed until it ends, which a circle never does.

    What it does
    ------------
    Finds `while node:` loops in which the next node is what the input says of this one (an offset read at this offset, an
    entry of a table under this key), with no set of places seen, no counter that leaves and no check that it goes forward.

    Why it matters
    --------------
    A file whose last entry points to its first keeps the loop running for ever, and a list that grows in it takes all memory.
    A check that an entry does not point to itself stops circles of one only.

    Example
    -------

        import struct

        def list_directories(data: bytes):
            offset, found = struct.unpack_from("<I", data, 4)[0], []
            while offset:
                found.append(offset)
                offset = struct.unpack_from("<I", data, offset)[0]
            return found

    Instead
    -------

        import struct

        def list_directories(data: bytes):
            offset, found = struct.unpack_from("<I", data, 4)[0], []
            while offset:
                if offset in found:
                    raise ValueError(f"directory at {offset} is linked twice")
                found.append(offset)
                offset = struct.unpack_from("<I", data, offset)[0]
            return found

    Stays silent when
    -----------------
    A membership test, a counter or an order comparison in the loop leaves it; entries are removed as they are visited; the
    chain is made of objects of the program (`node = node.parent`).

    Fix safety
    ----------
    A suggestion: what to do with a circle is the author's to say.

    Known limits
    ------------
    Walks that recurse are SBL407's.
    """

    code, name, since, severity = "SBL412", "cyclic-reference-walk", "0.1", Severity.WARNING
    status = Status.PREVIEW
    overlaps = ()
    needs = (("^while",),)

    def visit_While(self, node: cst.While) -> None:
        for name in self._walked(node.test):
            for step in self._steps(node, name):
                confidence = self._follows_input(name, step)
                if confidence is not None and not self._is_stopped(node, name):
                    self._tell(node, name, step, confidence)
                    return

    def _walked(self, test: cst.BaseExpression) -> Iterator[str]:
        """Names that the loop goes on for: `while x`, `while x is not None`, `while x != 0`, `while "Next" in x`."""
        for node in descendants(test):
            if isinstance(node, cst.Call):
                return
            if isinstance(node, cst.Name) and node.value not in ("None", "True", "False"):
                yield node.value

    def _steps(self, loop: cst.While, name: str) -> Iterator[cst.BaseExpression]:
        """The values that the loop gives the name and that are made of the name itself."""
        for node in descendants(loop.body, into_definitions=False):
            if isinstance(node, cst.Assign) and any(
                isinstance(t.target, cst.Name) and t.target.value == name for t in node.targets
            ):
                if self._mentions(node.value, name) or any(
                    self._mentions(o.node, name)
                    for o in self.facts.origins.trail(self._base(node.value))[1:4]
                    if isinstance(o.node, cst.BaseExpression)
                ):
                    yield node.value

    @staticmethod
    def _mentions(value: cst.CSTNode, name: str) -> bool:
        return any(isinstance(part, cst.Name) and part.value == name for part in descendants(value))

    @staticmethod
    def _base(value: cst.BaseExpression) -> cst.BaseExpression:
        while (
            isinstance(value, (cst.Subscript, cst.Attribute))
            or isinstance(value, cst.Call)
            and isinstance(value.func, cst.Attribute)
            and last_name(value.func) == "get"
        ):
            value = value.func.value if isinstance(value, cst.Call) else value.value  # type: ignore[union-attr]
        return value

    def _follows_input(self, name: str, step: cst.BaseExpression) -> Confidence | None:
        """How sure it is that the next node is what somebody else's data says."""
        if isinstance(step, (cst.BinaryOperation, cst.Attribute)):
            return None
        if self.facts.wire.numbers(step) or self._unpacks(step):
            return Confidence.MEDIUM
        if (
            isinstance(step, cst.Subscript)
            and isinstance(step.value, cst.Name)
            and step.value.value == name
            and isinstance(step.slice[0].slice, cst.Index)
        ):
            key = string(step.slice[0].slice.value)
            return Confidence.MEDIUM if key is not None and named_like(key.strip("/"), *_OFFSETS) else None
        lookup = next(
            (
                c
                for c in descendants(step)
                if isinstance(c, cst.Call) and last_name(c.func) in _LOOKUPS and isinstance(c.func, cst.Attribute)
            ),
            None,
        )
        if lookup is not None and named_like(name, *_OFFSETS):
            return Confidence.MEDIUM if self.facts.boundary.source(lookup).writer == PEER else Confidence.LOW
        return None

    def _unpacks(self, step: cst.BaseExpression) -> bool:
        """The step is read by a helper of this file that unpacks what it finds at the offset."""
        if not isinstance(step, cst.Call):
            return False
        callee = self.facts.types.callee(step)
        if callee is None:
            return named_like(last_name(step.func), "*next_ifd*", "*read_next*offset*")
        inner = [call for call in self.facts.summaries.calls_of(callee)]
        deeper = [
            c for call in inner if (f := self.facts.types.callee(call)) is not None for c in self.facts.summaries.calls_of(f)
        ]
        return any(
            self.facts.match(call, "wire-integer") is not None or named_like(last_name(call.func), *_UNPACKING)
            for call in (*inner, *deeper)
        )

    def _is_stopped(self, loop: cst.While, name: str) -> bool:
        tests = [
            node.test
            for node in descendants(loop.body, into_definitions=False)
            if isinstance(node, (cst.If, cst.While, cst.IfExp))
        ]
        for test in (loop.test, *tests):
            for node in descendants(test):
                if isinstance(node, cst.Comparison) and any(
                    isinstance(t.operator, (cst.In, cst.NotIn))
                    and self._mentions(node.left, name)
                    and not isinstance(node.left, cst.SimpleString)
                    for t in node.comparisons
                ):
                    return True
                if isinstance(node, cst.Comparison) and any(
                    isinstance(t.operator, (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual))
                    for t in node.comparisons
                ):
                    return True
        for node in descendants(loop.body, into_definitions=False):
            if isinstance(node, cst.Call) and last_name(node.func) in ("pop", "popitem", "remove", "discard"):
                return True
        return self.facts.counting.is_counted(loop.body)

    def _tell(self, loop: cst.While, name: str, step: cst.BaseExpression, confidence: Confidence) -> None:
        self.report(
            loop.test,
            f"`{name}` follows what the input says (`{self.facts.code(step)}`, line {self.facts.line(step)}): "
            f"references that form a circle keep this loop running for ever",
            confidence=confidence,
            trace=[(step, f"the next one is what the input says: `{self.facts.code(step)}`")],
            fix=lambda: self._left(loop, name, step),
        )

    def _left(self, loop: cst.While, name: str, step: cst.BaseExpression) -> Fix:
        """Numbers are remembered; nodes, which a set may not hold, are counted."""
        refusal = '    raise ValueError("the references form a circle")'
        if isinstance(step, cst.Subscript) and isinstance(step.value, cst.Name) and step.value.value == name:
            words = "count the steps and leave the loop when there are more than the input can hold"
            kept = free_name(self.facts, loop, "steps")
            begin, lines = f"{kept} = 0", (f"{kept} += 1", f"if {kept} > 10_000:", refusal)
        else:
            words = f"keep a set of every `{name}` that was visited and leave the loop when one comes again"
            kept = free_name(self.facts, loop, "visited")
            begin, lines = f"{kept} = set()", (f"if {name} in {kept}:", refusal, f"{kept}.add({name})")
        first = loop.body.body[0]
        before = lines_before(self.facts, loop, begin)
        inside = lines_before(self.facts, first.body[0] if isinstance(first, cst.SimpleStatementLine) else first, *lines)
        edits = (before, inside) if before is not None and inside is not None else ()
        return Fix(Applicability.SUGGESTION, words, edits)
