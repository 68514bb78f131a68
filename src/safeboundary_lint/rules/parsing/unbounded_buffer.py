"""SBL406: a buffer or queue that the other side fills has no cap."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.boundary import PEER, SOURCES
from safeboundary_lint.core.buffers import Growth
from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.caps import byte_cap, capped, measured
from safeboundary_lint.core.edits import argument_added, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import Parameter
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.parsing import grows, receives, searches
from safeboundary_lint.core.tree import descendants

_ANSWERS = ("*result*", "*response*", "*reply*", "*answer*", "*error*", "*shutdown*", "*stop*", "*out*", "*send*", "*write*")

_OF_TEXT = ("handle_data", "feed*", "push_data")  # parsers of a document that is whole already
_MAKERS = ("init__", "connection_made", "connectionmade", "begin*", "start*", "reset*", "on_*begin")
_TAKING = ("clear", "pop", "popleft", "truncate", "getbuffer", "seek", "remove")
_EVENTS = Regex(r"SSE(?![a-z])|(^|_)sse(_|$)|ServerSent|server_sent|EventSource|event_source")


class UnboundedBuffer(Rule):
    """A buffer or queue that the other side fills grows until a delimiter or a consumer comes, with no cap.

    What it does
    ------------
    Finds buffers to which bytes of a socket or of a push callback are added until a delimiter is found, with no check of their
    length that leaves; bytes that are pushed in and kept until the sender ends; and in-memory queues without a bound that a
    broker's or network callback of the same file feeds.

    Why it matters
    --------------
    A peer that never sends the delimiter, or sends faster than the consumer works, fills the memory of the process. With a
    broker behind it, the messages that were taken in advance are lost with the process.

    Example
    -------

        import socket

        def read_line(connection: socket.socket):
            buffer = b""
            while b"\\n" not in buffer:
                buffer += connection.recv(4096)
            return buffer

    Instead
    -------

        import socket

        MAX_LINE = 64 * 1024

        def read_line(connection: socket.socket):
            buffer = b""
            while b"\\n" not in buffer:
                buffer += connection.recv(4096)
                if len(buffer) > MAX_LINE:
                    raise ValueError(f"line is longer than {MAX_LINE} bytes")
            return buffer

    Stays silent when
    -----------------
    The length of the buffer, or a counter of it, is compared with a bound anywhere in the class and one side leaves; the
    buffer is a `deque(maxlen=...)`; the queue has a `maxsize`, or is not fed from the boundary in this file.

    Fix safety
    ----------
    Unsafe for queues: `maxsize` is added, and `put` waits then when the queue is full. A suggestion where `put_nowait` fills
    it, which raises then, and for buffers.

    Known limits
    ------------
    Feeders in other files are not seen. A queue that the file empties by hand, between one exchange and the next, has low
    confidence. Parsers of server-sent events have low confidence: the program has chosen the server.
    """

    code, name, since, severity = "SBL406", "unbounded-buffer", "0.1", Severity.WARNING
    overlaps = ()
    needs = (
        ("@push-parser", "queue", *SOURCES),
        ("@push-parser", "queue", receives),
        ("queue", grows),
        ("queue", "@push-parser", searches),
    )
    reach = 2
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("queue"):
            self._check_queue(match)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        told: set[str] = set()
        for growth in self.facts.buffers.growths(node):
            if growth.place in told:
                continue
            if isinstance(growth.target, cst.Attribute):
                scope: cst.CSTNode | None = self.facts.tree.class_of(node)
            else:
                loops = self.facts.counting.loops_around(growth.node)
                scope = loops[-1] if loops else None
            if scope is None or isinstance(growth.target, cst.Attribute) and not self._is_kept(growth):
                continue
            if self.facts.boundary.is_own_process(growth.source):
                continue
            searched = self.facts.buffers.is_searched(growth.place, scope)
            if searched is None and self._is_never_cut(growth, node, scope) and not self._is_capped(growth, scope):
                told.add(growth.place)
                self._tell_gathered(growth, self._receiving(scope))
            elif searched is not None and not self._is_capped(growth, scope):
                told.add(growth.place)
                self._tell_buffer(growth, searched)

    def _is_never_cut(self, growth: Growth, function: cst.FunctionDef, cls: cst.CSTNode) -> bool:
        """Pushed in piece by piece and kept until the sender ends: nothing in the class takes any of it out again."""
        if not isinstance(growth.source, cst.Param) or not isinstance(growth.target, cst.Attribute):
            return False
        if not self.facts.boundary.is_pushed(function) or named_like(function.name.value, *_OF_TEXT):
            return False
        if isinstance(growth.node, cst.Call) and last_name(growth.node.func) not in ("append", "extend", "write"):
            return False
        place = self.facts.origins.place
        emptied = (
            call.func.value
            for call in self.facts.tree.all(cst.Call)
            if isinstance(call.func, cst.Attribute) and call.func.attr.value in _TAKING
        )
        deleted = (node.target.value for node in self.facts.tree.all(cst.Del) if isinstance(node.target, cst.Subscript))
        if any(place(one) == growth.place for one in (*emptied, *deleted)):
            return False
        stores = [one for one in self.facts.names.stores if one.how == "value" and place(one.target) == growth.place]
        homes = [self.facts.tree.function_of(one.target) for one in stores]
        given = (origin for one in stores if one.source is not None for origin in self.facts.origins.trail(one.source))
        if any(isinstance(origin.node, cst.Param) for origin in given):
            return False  # passed on to what somebody else made
        return all(isinstance(home, cst.FunctionDef) and named_like(home.name.value, *_MAKERS) for home in homes)

    def _receiving(self, cls: cst.CSTNode) -> Confidence:
        """Low for a class that is fed by its own callers, or by a framework that may have limits of its own."""
        if not isinstance(cls, cst.ClassDef) or self.facts.types.method(cls, "feed") is not None:
            return Confidence.LOW
        bases = [base.rpartition(".")[2].lower() for base in self.facts.types.foreign_bases(cls)]
        return Confidence.MEDIUM if not bases or any(named_like(base, "*protocol*", "*parser*") for base in bases) else Confidence.LOW

    def _tell_gathered(self, growth: Growth, confidence: Confidence) -> None:
        target = self.facts.code(growth.target)
        self.report(
            growth.node,
            f"`{target}` keeps all that the other side sends until it ends: it decides how much memory this takes",
            confidence=confidence,
            trace=[(growth.source, f"sent by the other side: `{self.facts.code(growth.source)}`")],
            fix=lambda: capped(
                f"leave when `len({target})` is larger than the longest honest message",
                byte_cap(self.facts),
                measured(self.facts, growth.node, source_of(self.facts, growth.target), byte_cap(self.facts)),
            ),
        )

    def _is_kept(self, growth: Growth) -> bool:
        root = growth.target
        while isinstance(root, cst.Attribute):
            root = root.value
        return isinstance(root, cst.Name) and root.value == "self"

    def _is_capped(self, growth: Growth, scope: cst.CSTNode) -> bool:
        if self.facts.counting.is_checked(scope, {growth.place}) or self.facts.counting.is_counted(scope):
            return True
        bindings = self.facts.origins.trail(growth.target)
        return any(
            isinstance(o.node, cst.Call) and any(arg.keyword is not None and arg.keyword.value == "maxlen" for arg in o.node.args)
            for o in bindings
        )

    def _tell_buffer(self, growth: Growth, searched: cst.CSTNode) -> None:
        target = self.facts.code(growth.target)
        self.report(
            growth.node,
            f"`{target}` grows by what the other side sends until `{self.facts.code(searched)}` (line "
            f"{self.facts.line(searched)}) finds its delimiter: without one it takes all memory",
            confidence=Confidence.LOW if self._is_asked_for(growth.node) else Confidence.MEDIUM,
            trace=[
                (growth.source, f"sent by the other side: `{self.facts.code(growth.source)}`"),
                (searched, "the delimiter is looked for here"),
            ],
            fix=lambda: capped(
                f"leave when `len({target})` is larger than the longest honest message",
                byte_cap(self.facts),
                measured(self.facts, growth.node, source_of(self.facts, growth.target), byte_cap(self.facts)),
            ),
        )

    def _is_asked_for(self, node: cst.CSTNode) -> bool:
        """Server-sent events come from a server that this program has chosen."""
        around = (one.name.value for one in self.facts.tree.ancestors(node) if isinstance(one, (cst.ClassDef, cst.FunctionDef)))
        return any(_EVENTS.search(name) for name in around)

    # -- queues ------------------------------------------------------------------------------------------------------

    def _check_queue(self, match: Match) -> None:
        parameter = match.row.parameter("size")
        size = argument(match.call, parameter) if parameter is not None else None
        if size is not None and not self.facts.is_constant(size, 0, -1, None):
            return
        target = self._target_of(match.call)
        name = last_name(target)
        if target is None or name is None or named_like(name, *_ANSWERS):
            return
        feeder = next((call for call in self.facts.tree.all(cst.Call) if self._feeds(call, name, target)), None)
        if feeder is None:
            return
        self.report(
            match.call,
            f"`{name}` has no bound and is fed from the boundary in line {self.facts.line(feeder)}: a sender "
            f"that is faster than the consumer fills the memory",
            confidence=Confidence.LOW if self._is_emptied(name) else Confidence.MEDIUM,
            trace=[(feeder, f"fed here: `{self.facts.code(feeder)}`")],
            fix=lambda: self._bounded(match, parameter, size, self._level(name)),
        )

    def _is_emptied(self, name: str) -> bool:
        """`while not queue.empty(): queue.get_nowait()`: what is left of one exchange goes before the next one."""
        asked = (
            loop
            for loop in self.facts.tree.all(cst.While)
            for call in descendants(loop.test)
            if isinstance(call, cst.Call) and isinstance(call.func, cst.Attribute)
            if call.func.attr.value == "empty" and last_name(call.func.value) == name
        )
        return any(isinstance(one, cst.Attribute) and one.attr.value == "get_nowait" for loop in asked for one in descendants(loop.body))

    def _level(self, name: str) -> Applicability:
        """Who puts without waiting gets an exception from a full queue, and has to say what becomes of the message."""
        puts = (call.func for call in self.facts.tree.all(cst.Call) if isinstance(call.func, cst.Attribute))
        hasty = any(put.attr.value == "put_nowait" and last_name(put.value) == name for put in puts)
        return Applicability.SUGGESTION if hasty else Applicability.UNSAFE

    def _bounded(self, match: Match, parameter: Parameter | None, size: cst.BaseExpression | None, level: Applicability) -> Fix:
        """The queue with a bound, or of the class that takes one."""
        func, (module, _, canonical) = match.call.func, match.dotted.rpartition(".")
        named = self.facts.names.qualified(func) or match.dotted
        if named.rpartition(".")[2] != canonical and not match.call.args:  # SimpleQueue and its like take no size
            text = f"{module}.{canonical}(maxsize=100)"
            return Fix(level, f"use `{text}`", (replaced(self.facts, match.call, text),), (f"import {module}",))
        if parameter is None:
            return Fix(Applicability.SUGGESTION, f"use a queue that takes a bound instead of `{self.facts.code(func)}`")
        words = f"give the queue a bound, for example `{parameter.name}=100`"
        if size is not None:
            return Fix(level, words, (replaced(self.facts, size, "100"),))
        added = argument_added(self.facts, match.call, f"{parameter.name}=100")
        return Fix(level, words, (added,)) if added is not None else Fix(Applicability.SUGGESTION, words)

    def _target_of(self, call: cst.Call) -> cst.BaseExpression | None:
        parent = self.facts.tree.parent(call)
        if isinstance(parent, cst.Assign):
            return parent.targets[0].target  # type: ignore[return-value]
        return parent.target if isinstance(parent, cst.AnnAssign) else None

    def _feeds(self, call: cst.Call, name: str, target: cst.BaseExpression) -> bool:
        """`queue.put(message)` in a callback of a broker or network library, or of what came in there."""
        func = call.func
        if not (isinstance(func, cst.Attribute) and func.attr.value in ("put", "put_nowait") and call.args):
            return False
        if (last_name(func.value) or "").lstrip("_") != name.lstrip("_"):
            return False
        if isinstance(target, cst.Attribute) and self.facts.origins.place(func.value) != self.facts.origins.place(target):
            return False  # a local is handed to other objects, which call it the same
        function = self.facts.tree.function_of(call)
        handed = function is not None and id(function) in self.facts.types.callbacks
        pushed = isinstance(function, cst.FunctionDef) and self.facts.boundary.is_pushed(function)
        if handed or pushed:
            return not isinstance(call.args[0].value, (cst.SimpleString, cst.Integer)) and not self._is_gated(function, name)
        return self.facts.boundary.source(call.args[0].value).writer == PEER and not self._is_gated(function, name)

    def _is_gated(self, function: cst.CSTNode | None, name: str) -> bool:
        below = descendants(function) if function is not None else iter(())
        return any(isinstance(node, cst.Call) and last_name(node.func) in ("qsize", "full") for node in below)
