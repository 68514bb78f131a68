"""SBL311: a buffer is emptied before the write that empties it has succeeded."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.edits import lines_behind, moved_behind, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.names import dotted_text, last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.acks import BUFFER, BUFFER_COPIES, BUFFER_MAKERS, FLUSHES, takes_over
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.work import WorkCall

_OBSERVED = Regex(
    r"\w*(?:log|metric|stat|trace|span|telemetry|profil|breadcrumb|ui|output|line|stdout|stderr|warning|message_buffer|"
    r"display|screen|cache|token|char|text|signal|callback|listener)s?\w*"
)
_WRITES = ("batch-send", "durable-write", "publish", "enqueue")


class BufferClearedBeforeFlush(Rule):
    """A buffer is emptied before its content is written, and a failed write doesn't put it back.

    What it does
    ------------
    Finds a buffer kept in an attribute whose content is taken over into a local name, emptied (`= []`, `.clear()`, a swap), and
    only then written, where no handler gives the content back; and flushes that take each record out before they write it.

    Why it matters
    --------------
    When the write fails, by a timeout or a refused connection, the records are in no buffer any more: the next flush begins
    with an empty one, and the batch is lost although everything was there to try again.

    Example
    -------

        class Recorder:
            def __init__(self, collection):
                self.collection = collection
                self.pending = []

            def flush(self):
                batch = self.pending
                self.pending = []
                self.collection.insert_many(batch)

    Instead
    -------

        class Recorder:
            def __init__(self, collection):
                self.collection = collection
                self.pending = []

            def flush(self):
                batch = list(self.pending)
                self.collection.insert_many(batch)
                del self.pending[: len(batch)]

    Stays silent when
    -----------------
    A handler or `finally` of the function puts the batch back; the failure is caught and the batch handed elsewhere; the
    content is log lines, metrics or traces, by its name.

    Fix safety
    ----------
    A suggestion: the buffer is emptied behind the write. With several threads, what came in between would be lost by that: there
    the batch must be put back.

    Known limits
    ------------
    A caller in another file that keeps the batch is not seen.
    """

    code, name, since, severity = "SBL311", "buffer-cleared-before-flush", "0.1", Severity.WARNING
    overlaps = ()
    needs = (_WRITES, (takes_over,))
    anchored = 3

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        taken = self._taken(node) if self.facts.types.method_class(node) is not None else {}
        for place, (name, statement) in taken.items():
            if _OBSERVED.fullmatch(place.rpartition(".")[2].lstrip("_").lower()):
                continue
            emptied = self._emptied(node, place)
            if emptied is not None:
                self._check(node, name, statement, emptied)
        if FLUSHES.search(node.name.value.lower()) is not None:
            self._check_one_by_one(node)

    def _check_one_by_one(self, function: cst.FunctionDef) -> None:
        """`while self.buffer: record = self.buffer.popleft()`, and only then the write of the record."""
        for node in descendants(function.body, into_definitions=False):
            if not isinstance(node, cst.Assign) or self.facts.tree.enclosing(node, cst.While) is None:
                continue
            name, call = node.targets[0].target, node.value
            if not (isinstance(name, cst.Name) and isinstance(call, cst.Call) and isinstance(call.func, cst.Attribute)):
                continue
            if call.func.attr.value not in ("popleft", "pop"):
                continue
            buffer = (last_name(call.func.value) or "").lstrip("_").lower()
            if BUFFER.search(buffer) is not None and _OBSERVED.fullmatch(buffer) is None:
                self._check(function, name.value, node, node)

    def _taken(self, function: cst.FunctionDef) -> dict[str, tuple[str, cst.CSTNode]]:
        """Attributes whose content a local name takes over: `batch = self.buffer`, `list(self.buffer)`, `[:]`, a swap."""
        found: dict[str, tuple[str, cst.CSTNode]] = {}
        for node in descendants(function.body, into_definitions=False):
            if isinstance(node, cst.Assign):
                for name, value in _pairs(node):
                    place = self._attribute(value)
                    if place is not None and isinstance(name, cst.Name):
                        found[place] = (name.value, node)
        return found

    def _attribute(self, value: cst.BaseExpression) -> str | None:
        if isinstance(value, cst.Call) and last_name(value.func) in BUFFER_COPIES:
            value = value.args[0].value if value.args else value.func.value if isinstance(value.func, cst.Attribute) else value
        if (
            isinstance(value, cst.Subscript)
            and isinstance(value.slice[0].slice, cst.Slice)
            and value.slice[0].slice.upper is None
        ):
            value = value.value
        own = isinstance(value, cst.Attribute) and isinstance(value.value, cst.Name) and value.value.value == "self"
        return dotted_text(value) if own else None

    def _emptied(self, function: cst.FunctionDef, place: str) -> cst.CSTNode | None:
        """Where the attribute is emptied."""
        for node in descendants(function.body, into_definitions=False):
            if isinstance(node, cst.Assign) and any(
                dotted_text(target) == place and _is_empty(value) for target, value in _pairs(node)
            ):
                return node
            if (
                isinstance(node, cst.Expr)
                and isinstance(node.value, cst.Call)
                and self.facts.code(node.value.func) == f"{place}.clear"
            ):
                return node
        return None

    def _check(self, function: cst.FunctionDef, name: str, taken: cst.CSTNode, emptied: cst.CSTNode) -> None:
        flow = self.facts.flow(function)
        names = {name, *self._items(function, name)}
        writes = {
            p.index: call
            for call in self.facts.summaries.calls_of(function)
            if self._writes(call, names)
            for p in flow.points_of(call)
        }
        way = paths.find(flow.points_of(emptied), lambda point: point.index in writes, raising=False, leaving="normally")
        if way is None or not flow.points_of(taken):
            return
        call = writes[way[-1].index]
        if self._given_back(function, name) or self._is_handled(call, function):
            return
        work: WorkCall | None = self.facts.work.of_call(call)
        self.report(
            emptied,
            f"the buffer is emptied before `{self.facts.code(call)}` on line {self.facts.line(call)} has written "
            "what was in it: when that fails, the batch is lost",
            confidence=Confidence.weakest(work.confidence, Confidence.MEDIUM) if work is not None else self._sureness(call),
            trace=[(taken, f"taken over into `{name}`"), (emptied, "emptied here"), (call, "written here, if it succeeds")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"remove `{name}` from the buffer after the write, or put it back in a handler",
                self._emptied_behind(emptied, call),
            ),
        )

    def _emptied_behind(self, emptied: cst.CSTNode, write: cst.Call) -> tuple[Edit, ...]:
        """The buffer emptied behind the write, or behind the loop that writes it; none where that is not one straight line."""
        tree = self.facts.tree
        statement = tree.statement_of(emptied)
        line = tree.parent(statement)
        block = tree.parent(line) if line is not None else None
        if not isinstance(line, cst.SimpleStatementLine) or block is None or not tree.within(write, block):
            return ()
        loops = [one for one in tree.ancestors(write) if isinstance(one, (cst.For, cst.While)) and tree.within(one, block)]
        behind = loops[-1] if loops else tree.statement_of(write)
        popped = statement.value if isinstance(statement, cst.Assign) else None
        method = popped.func if isinstance(popped, cst.Call) and isinstance(popped.func, cst.Attribute) else None
        if isinstance(popped, cst.Call) and method is not None and method.attr.value in ("pop", "popleft"):
            given = source_of(self.facts, popped.args[0].value) if popped.args else None
            place = given or ("0" if method.attr.value == "popleft" else "-1")
            peeked = replaced(self.facts, popped, f"{source_of(self.facts, method.value)}[{place}]")
            taken = lines_behind(self.facts, behind, source_of(self.facts, popped))
            return (peeked, taken) if taken is not None else ()
        target = statement.targets[0].target if isinstance(statement, cst.Assign) else None
        if isinstance(target, cst.Tuple) and isinstance(statement, cst.Assign) and isinstance(statement.value, cst.Tuple):
            (name, old), (buffer, new) = zip(target.elements, statement.value.elements)
            kept = f"{source_of(self.facts, name.value)} = {source_of(self.facts, buffer.value)}"
            reset = lines_behind(self.facts, behind, f"{source_of(self.facts, old.value)} = {source_of(self.facts, new.value)}")
            return (replaced(self.facts, statement, kept), reset) if reset is not None else ()
        return moved_behind(self.facts, line, behind)

    def _sureness(self, call: cst.Call) -> Confidence:
        match = self.facts.match(call, *_WRITES)
        return Confidence.weakest(match.confidence, Confidence.MEDIUM) if match is not None else Confidence.MEDIUM

    @staticmethod
    def _items(function: cst.FunctionDef, name: str) -> list[str]:
        """The names that loops over the batch give to what is in it."""
        loops = (n for n in descendants(function.body, into_definitions=False) if isinstance(n, cst.For))
        over = (n for n in loops if any(isinstance(one, cst.Name) and one.value == name for one in descendants(n.iter)))
        return [one.value for loop in over for one in descendants(loop.target) if isinstance(one, cst.Name)]

    def _writes(self, call: cst.Call, names: set[str]) -> bool:
        if not any(isinstance(n, cst.Name) and n.value in names for arg in call.args for n in descendants(arg.value)):
            return False
        if self.facts.match(call, *_WRITES) is not None:
            return True
        callee = self.facts.types.callee(call)
        return callee is not None and bool(self.facts.summaries.effects(callee, *_WRITES))

    def _given_back(self, function: cst.FunctionDef, name: str) -> bool:
        """True when a handler or `finally` of the function mentions the batch again."""
        for node in descendants(function.body, into_definitions=False):
            if isinstance(node, (cst.ExceptHandler, cst.Finally)) and any(
                isinstance(n, cst.Name) and n.value == name for n in descendants(node.body)
            ):
                return True
        return False

    def _is_handled(self, call: cst.Call, function: cst.FunctionDef) -> bool:
        """True when the function catches the failure and does something about it but log."""
        for ancestor in self.facts.tree.ancestors(call):
            if ancestor is function:
                return False
            if isinstance(ancestor, cst.Try) and self.facts.tree.within(call, ancestor.body):
                for handler in ancestor.handlers:
                    calls = [n for n in descendants(handler.body) if isinstance(n, cst.Call)]
                    if any(self.facts.exceptions.can_raise(one) for one in calls):
                        return True
        return False


def _pairs(node: cst.Assign) -> list[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """Targets and their values, tuples taken apart: `batch, self.buffer = self.buffer, []`."""
    target, value = node.targets[0].target, node.value
    if isinstance(target, cst.Tuple) and isinstance(value, cst.Tuple) and len(target.elements) == len(value.elements):
        return [(one.value, other.value) for one, other in zip(target.elements, value.elements, strict=True)]
    return [(one.target, value) for one in node.targets]


def _is_empty(value: cst.BaseExpression) -> bool:
    if isinstance(value, (cst.List, cst.Dict, cst.Set)):
        return not value.elements
    return isinstance(value, cst.Call) and last_name(value.func) in BUFFER_MAKERS
