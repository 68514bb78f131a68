"""SBL410: items of a message are limited in size, but not in number."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.boundary import OWN, PEER, SHARED, Source
from safeboundary_lint.core.calls import keyword_names
from safeboundary_lint.core.caps import capped, item_cap, refused_above
from safeboundary_lint.core.edits import lines_before, named_first, source_of
from safeboundary_lint.core.finding import Confidence, Edit, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule, Status
from safeboundary_lint.core.tree import descendants

_SEPARATORS = ("*boundary*", "*delimiter*", "*delim", "*separator*", "*marker*")
_BODIES = (
    "*body*",
    "*payload*",
    "*data*",
    "*content*",
    "*message*",
    "*raw*",
    "*stream*",
    "*multipart*",
    "*form*",
    "*packet*",
    "*request*",
)
_ITEMS = ("*line*", "*header*", "*chunk*", "*frame*", "*part*", "*fragment*", "*field*", "*segment*", "*message*", "*packet*", "items", "files")
_STREAMS = ("*stream", "*chunks", "*receive*")  # gone through piece by piece
_EVENTS = ("next_event", "receive_event", "get_event")  # of a parser that the loop has fed
_READING = (
    *_EVENTS,
    "readline",
    "readuntil",
    "read_line",
    "read_frame",
    "recv_frame",
    "receive_frame",
    "read_chunk",
    "next_part",
    "read_header",
    "read_until",
    "read_message",
    "get_frame",
    "read_part",
    "recv_line",
    "next_line",
    "readchunk",
)


def _adds_number(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.AugAssign) and (
        isinstance(node.value, cst.Integer) or isinstance(node.value, cst.Call) and last_name(node.value.func) == "len"
    )


class UnboundedParts(Rule):
    """The parts of a message are gathered one by one, and nothing limits how many there are.

    What it does
    ------------
    Finds bodies split at a boundary into parts that are then parsed one by one, and loops that read headers, chunks or
    frames from a peer into a list or dict until an end mark, with no count that leaves the loop.

    Why it matters
    --------------
    Each item may be as small as the limit on its size allows, and there may be a million of them: every part becomes objects
    many times its size, and the loop holds the event loop until the last one is parsed.

    Example
    -------

        def parse_form(body: bytes, boundary: bytes):
            fields = []
            for part in body.split(boundary):
                fields.append(parse_part(part))
            return fields

    Instead
    -------

        MAX_PARTS = 1000

        def parse_form(body: bytes, boundary: bytes):
            fields = []
            parts = body.split(boundary, MAX_PARTS + 1)
            if len(parts) > MAX_PARTS:
                raise ValueError(f"form has more than {MAX_PARTS} parts")
            for part in parts:
                fields.append(parse_part(part))
            return fields

    Stays silent when
    -----------------
    `split` has a limit, the number of parts is compared with a bound, a counter of the loop or the size of all parts together is
    checked and leaves, or the data is the program's own.

    Fix safety
    ----------
    A suggestion: the largest honest number is the author's to say.

    Known limits
    ------------
    Loops are recognised by what they read from the peer and the names of what they keep.
    """

    code, name, since, severity = "SBL410", "unbounded-parts", "0.1", Severity.WARNING
    status = Status.PREVIEW
    overlaps = ()
    needs = (("%boundary|delim|separator|marker|multi_?part|(read|recv|receive|next|get)_?(line|until|frame|chunk|part|header|message|event)$",),)

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute) and node.func.attr.value == "split" and len(node.args) == 1:
            self._check_split(node, node.func.value)

    def visit_While(self, node: cst.While) -> None:
        self._check_loop(node)

    def visit_For(self, node: cst.For) -> None:
        if isinstance(node.iter, cst.Call) and last_name(node.iter.func) not in _READING:
            return
        self._check_loop(node)

    def _check_split(self, call: cst.Call, text: cst.BaseExpression) -> None:
        separator = call.args[0].value
        parts = [last_name(part) for part in descendants(separator) if isinstance(part, (cst.Name, cst.Attribute))]
        if not any(named_like(name, *_SEPARATORS) for name in parts) or not named_like(last_name(text), *_BODIES):
            return
        source = self.facts.boundary.source(text)
        function = self.facts.tree.function_of(call)
        if source.writer in (OWN, SHARED) or function is None or not self._is_looped(call, function):
            return
        bound = self._bound_to(call)
        place = self.facts.origins.place(bound) if bound is not None else None
        if place is None or not self.facts.counting.is_checked(function.body, {place}):
            self._tell(
                call,
                f"`{self.facts.code(text)}` is split into as many parts as its sender likes",
                source,
                "split with a limit and refuse more parts than that",
                self._split_up_to(call),
            )

    def _bound_to(self, call: cst.Call) -> cst.BaseExpression | None:
        for ancestor in self.facts.tree.ancestors(call):
            if isinstance(ancestor, cst.Assign):
                return ancestor.targets[0].target
            if isinstance(ancestor, (cst.BaseSmallStatement, cst.BaseCompoundStatement)):
                return None
        return None

    def _is_looped(self, call: cst.Call, function: cst.FunctionDef | cst.Lambda) -> bool:
        """The parts are gone through one by one."""
        return any(
            any(origin.node is call or self.facts.tree.within(call, origin.node) for origin in self._iterated(node.iter))
            for node in descendants(function.body)
            if isinstance(node, (cst.For, cst.CompFor))
        )

    def _iterated(self, iterable: cst.BaseExpression) -> Iterator[object]:
        base = iterable
        while (
            isinstance(base, cst.Subscript)
            or isinstance(base, cst.Call)
            and base.args
            and last_name(base.func) in ("enumerate", "list", "filter", "map")
        ):
            base = base.value if isinstance(base, cst.Subscript) else base.args[-1].value
        yield from self.facts.origins.trail(base)

    def _check_loop(self, loop: cst.While | cst.For) -> None:
        """Reads an item from the peer each time round and keeps it."""
        read = self._read_in(loop)
        if read is None:
            return
        holder = read.func.value if isinstance(read, cst.Call) and isinstance(read.func, cst.Attribute) else None
        source = self.facts.boundary.source(holder if holder is not None else read)
        kept = self._kept(loop)
        if source.writer in (OWN, SHARED) or kept is None or self._is_counted(loop, read, kept) or self._counts_elsewhere(loop):
            return
        fed = isinstance(read, cst.Call) and last_name(read.func) in _EVENTS or self._is_multipart(loop)
        if fed or PEER in (self.facts.boundary.source(read).writer, source.writer):
            self._tell(
                read,
                f"`{self.facts.code(kept)}` takes in as many items as the peer sends",
                source,
                f"count what goes into `{self.facts.code(kept)}` and leave above a limit",
                self._added_up_to(kept),
            )

    def _read_in(self, loop: cst.While | cst.For) -> cst.BaseExpression | None:
        """What gives the loop an item each time round."""
        if isinstance(loop, cst.For) and not isinstance(loop.iter, cst.Call):
            return loop.iter if loop.asynchronous is not None and named_like(last_name(loop.iter), *_STREAMS) else None
        for call in descendants(loop, into_definitions=False):
            if isinstance(call, cst.Call) and last_name(call.func) in _READING:
                around = self.facts.tree.enclosing(call, cst.While, cst.For)
                return call if around is loop or isinstance(loop, cst.For) and loop.iter is call or self._steps(around, call) else None
        return None

    def _is_counted(self, loop: cst.While | cst.For, read: cst.BaseExpression, kept: cst.BaseExpression) -> bool:
        """A count of the items, or of their sizes, is checked; or the parser that gives them was told how many it may give."""
        counting, place = self.facts.counting, self.facts.origins.place
        if isinstance(read, cst.Call) and last_name(read.func) not in _EVENTS:
            return counting.is_counted(loop)
        counts = {place(kept), *(place(target) for target, node in counting.grown(loop) if _adds_number(node))} - {None}
        if counting.is_checked(loop, {one for one in counts if one is not None}):
            return True
        parser = read.func.value if isinstance(read, cst.Call) and isinstance(read.func, cst.Attribute) else None
        made = (origin.node for origin in self.facts.origins.trail(parser)) if parser is not None else ()
        told = (name for one in made if isinstance(one, cst.Call) for name in (*keyword_names(one), *(last_name(arg.value) for arg in one.args)))
        return any(named_like(name, "max_*part*", "max_*field*", "*part*limit*") for name in told)

    def _steps(self, around: cst.CSTNode | None, call: cst.Call) -> bool:
        """The inner loop goes through the events of one piece: `event = parser.next_event()`."""
        return isinstance(around, cst.While) and last_name(call.func) in _EVENTS

    def _is_multipart(self, loop: cst.CSTNode) -> bool:
        names = (one.name.value for one in self.facts.tree.ancestors(loop) if isinstance(one, (cst.ClassDef, cst.FunctionDef)))
        return any(named_like(name, "*multipart*", "*multi_part*") for name in names)

    def _kept(self, loop: cst.While | cst.For) -> cst.BaseExpression | None:
        for node in descendants(loop.body, into_definitions=False):
            if (
                isinstance(node, cst.Call)
                and isinstance(node.func, cst.Attribute)
                and node.func.attr.value in ("append", "add", "extend")
                and node.args
            ):
                if named_like(last_name(node.func.value), *_ITEMS):
                    return node.func.value
            elif (
                isinstance(node, cst.AssignTarget)
                and isinstance(node.target, cst.Subscript)
                and named_like(last_name(node.target.value), *_ITEMS)
            ):
                return node.target.value
        return None

    def _counts_elsewhere(self, loop: cst.While | cst.For) -> bool:
        """`for _ in range(MAX_HEADERS)`, or a length of what is kept in the loop's own test."""
        if isinstance(loop, cst.While):
            return any(
                isinstance(node, cst.Call) and self.facts.names.qualified(node.func) == "builtins.len"
                for node in descendants(loop.test)
            )
        return isinstance(loop.iter, cst.Call) and self.facts.names.qualified(loop.iter.func) in (
            "builtins.range",
            "itertools.islice",
        )

    def _cap(self) -> str:
        return item_cap(self.facts, "*parts*", "*headers*", "*count*", "*fields*", "*frames*", "*items*", "*lines*", "*chunks*")

    def _split_up_to(self, call: cst.Call) -> tuple[Edit, ...]:
        text = f"{source_of(self.facts, call.func)}({source_of(self.facts, call.args[0])}, {self._cap()})"
        return named_first(self.facts, call, "parts", text, *refused_above(self._cap()))

    def _added_up_to(self, kept: cst.BaseExpression) -> tuple[Edit, ...]:
        check = refused_above(self._cap(), f"len({source_of(self.facts, kept)})")
        edit = lines_before(self.facts, kept, check[0].replace(" > ", " >= "), check[1])
        return (edit,) if edit is not None else ()

    def _tell(self, node: cst.CSTNode, what: str, source: Source, words: str, edits: tuple[Edit, ...]) -> None:
        self.report(
            node,
            f"{what}: each is limited, their number is not",
            confidence=Confidence.MEDIUM,
            trace=[(source.node, f"sent by the other side: `{self.facts.code(source.node)}`")],
            fix=lambda: capped(words, self._cap(), edits),
        )
