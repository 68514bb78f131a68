"""SBL403: compressed data is expanded with no cap on the output."""

from __future__ import annotations

from collections.abc import Callable

import libcst as cst

from safeboundary_lint.core.boundary import OWN, PARAMETER, PEER, SHARED, UNKNOWN, Source
from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.caps import EXPANDED, byte_cap, capped
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.urls import CHOSEN, CONFIGURED, CONSTANT
from safeboundary_lint.rules.parsing.capped_expansion import called_capped, members_counted, read_capped

_READS = ("read", "read1", "readall", "readlines", "readline", "read_all")
_PATHS = ("*path*", "*filename*", "fname", "*_file", "file_name", "*dir*", "fn", "fpath")
_OF_WIRE = (
    "*frame*", "*message*", "*packet*", "*request*", "*response*", "*protocol*", "*websocket*", "jwe*", "*token*", "*decrypt*", "*wire*", "*peer*",
)  # fmt: skip
_RESTORING = (
    "*restore*",
    "load*",
    "*_load*",
    "*from_db*",
    "*cache*",
    "*deserial*",
    "*loads*",
    "*refresh*",
    "*process_result*",
    "from_*",
    "*from_storage*",
    "*get_state*",
    "*unpickle*",
)
_DECLARED = ("*uncompressed*", "*decompressed*", "*content_size*", "*decompress*_len*", "*original_size*")
_SURENESS = {PEER: Confidence.HIGH, PARAMETER: Confidence.MEDIUM, UNKNOWN: Confidence.MEDIUM, SHARED: Confidence.LOW}


class UnboundedDecompression(Rule):
    """Compressed data from the boundary is expanded with no cap on the output.

    What it does
    ------------
    Finds zlib, gzip, bz2, lzma, brotli, zstandard, zip and tar data expanded into memory without a limit on what comes out. A cap
    on the compressed input is none, and neither is feeding it in chunks.

    Why it matters
    --------------
    A kilobyte of deflate expands to a megabyte, a kilobyte of brotli or zstd to far more. One small request or file takes all the
    memory of the process.

    Example
    -------

        import zlib

        def decode_body(body):
            return zlib.decompress(body)

    Instead
    -------

        import zlib

        MAX_BODY = 10 * 2**20

        def decode_body(body):
            decompressor = zlib.decompressobj()
            data = decompressor.decompress(body, MAX_BODY)
            if decompressor.unconsumed_tail:
                raise ValueError(f"body is larger than {MAX_BODY} bytes")
            return data

    Stays silent when
    -----------------
    `max_length` is passed, the output is counted while it grows and the loop leaves, sizes of archive members are checked
    first, or the data is the program's own: a literal, a packaged resource, a file opened by its path, what it compressed
    itself.

    Fix safety
    ----------
    Unsafe for functions of the standard library that expand all at once (zlib, gzip, bz2, lzma): they expand up to a limit and
    raise the error that they raise for bad data when there is more. The limit, a constant of the file that is one by its name or
    a number, is the author's to say. A suggestion elsewhere.

    Known limits
    ------------
    Data that reaches a function of another file as a parameter is taken for the boundary's, at medium confidence. Answers of a
    server that the source code or the configuration names, archives that the program has asked for and that are unpacked to the
    disk, and data that a migration of the own database reads, have low confidence.
    """

    code, name, since, severity = "SBL403", "unbounded-decompression", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("decompress", "decompressed-stream", "extract"),)
    beside, reach = ("=compress",), 2  # what packs the same data tells that it is one's own
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("decompress"):
            self._check_call(match)
        for match in self.facts.calls("extract"):
            self._check_archive(match)
        if any(self.facts.calls("decompressed-stream")):
            for call in self.facts.tree.all(cst.Call):
                if isinstance(call.func, cst.Attribute) and call.func.attr.value in _READS:
                    self._check_stream(call, call.func.value)

    def _check_call(self, match: Match) -> None:
        limit, data = match.row.parameter("limit"), match.row.parameter("data")
        given = argument(match.call, limit) if limit is not None else None
        off = match.row.get("off", ())
        if given is not None and not self.facts.is_constant(given, None, *off):
            return
        value = argument(match.call, data) if data is not None else None
        if value is None or self._has_limited_sibling(match) or self._is_measured_first(match.call, value):
            return
        if self._is_incremental(match) and self._is_counted(match.call):
            return
        source = self.facts.boundary.source(value)
        if source.writer != OWN and not (source.writer != PEER and self._is_incremental(match) and self._passes_on(match.call)):
            sure = self._sureness(source) if source.writer == PEER or not self._restores(match.call) else Confidence.LOW
            confidence = Confidence.weakest(match.confidence, sure)
            self._tell(match.call, source, confidence, lambda: called_capped(self.facts, match, self._words(match.call)))

    def _has_limited_sibling(self, match: Match) -> bool:
        """`decompress(data)` where the caller wants no limit, `decompress(data, max_length)` beside it where one is given."""
        function = self.facts.tree.function_of(match.call)
        if function is None:
            return False
        limits = {one.name.value for one in parameters(function) if named_like(one.name.value, "*max*", "*limit*")}
        return any(
            any(isinstance(arg.value, cst.Name) and arg.value.value in limits for arg in call.args)
            for call in self.facts.summaries.calls_of(function)
            if self.facts.match(call, "decompress") is not None
        )

    def _is_measured_first(self, call: cst.Call, data: cst.BaseExpression) -> bool:
        """The size that the data declares is asked for and refused above a bound; the format holds it to that."""
        function, guards = self.facts.tree.function_of(call), self.facts.guards
        places = guards.places(data)
        return function is not None and any(
            named_like(last_name(other.func), *_DECLARED)
            and any(guards.mentions(arg.value, places) for arg in other.args)
            and guards.holds(places, call, since=other)
            for other in self.facts.summaries.calls_of(function)
        )

    def _passes_on(self, call: cst.Call) -> bool:
        """Expands piece by piece in a loop that keeps nothing: each piece is handed on."""
        loops = self.facts.counting.loops_around(call)
        return (
            bool(loops)
            and not any(True for _ in self.facts.counting.grown(loops[0]))
            or any(isinstance(node, cst.Yield) for loop in loops for node in descendants(loop))
        )

    def _sureness(self, source: Source) -> Confidence:
        """A server that the source code or the configuration names is trusted with more than one that others chose."""
        node = source.node.func if isinstance(source.node, cst.Call) else source.node
        holder = node.value if isinstance(node, cst.Attribute) else None
        choosers = self.facts.urls.choosers(holder) if holder is not None and source.writer == PEER else set()
        return Confidence.LOW if choosers and choosers <= {CONFIGURED, CONSTANT} else _SURENESS[source.writer]

    @staticmethod
    def _goes_to_disk(call: cst.Call) -> bool:
        return last_name(call.func) in ("extractall", "extract")

    def _is_fetched(self, source: Source) -> bool:
        """The program has asked for the archive, and no sender chose where: whoever runs it wants what is in there."""
        node = source.node.func if isinstance(source.node, cst.Call) else source.node
        choosers = self.facts.urls.choosers(node.value) if isinstance(node, cst.Attribute) else set()
        return bool(choosers) and CHOSEN not in choosers

    def _restores(self, call: cst.Call) -> bool:
        """Takes up again what the program itself has put away, or hands it to a parser that trusts it anyway."""
        function = self.facts.tree.function_of(call)
        parent = self.facts.tree.parent(call)
        around = self.facts.tree.parent(parent) if isinstance(parent, cst.Arg) else None
        if "alembic" in self.facts.names.imported:
            return True  # a migration, of rows that older versions wrote
        if isinstance(around, cst.Call) and self.facts.match(around, "unsafe-load") is not None:
            return True
        cls = self.facts.tree.class_of(call)
        if isinstance(function, cst.FunctionDef) and self._is_of_wire(function, cls):
            return False
        packs = [other for other in self.facts.tree.all(cst.Call) if last_name(other.func) == "compress"]
        if cls is not None and any(self.facts.tree.class_of(other) is cls for other in packs):
            return True
        return isinstance(function, cst.FunctionDef) and named_like(function.name.value, *_RESTORING) and bool(packs)

    @staticmethod
    def _is_of_wire(function: cst.FunctionDef, cls: cst.ClassDef | None) -> bool:
        """Takes apart what the other side has packed, though it packs for it as well: frames, messages, encrypted tokens."""
        names = [function.name.value, *(one.name.value for one in parameters(function)), *([cls.name.value] if cls else [])]
        return any(named_like(name, *_OF_WIRE) for name in names)

    def _check_stream(self, call: cst.Call, receiver: cst.BaseExpression) -> None:
        opened = [origin.node for origin in self.facts.origins.trail(receiver) if isinstance(origin.node, cst.Call)]
        match = next((found for one in opened if (found := self.facts.match(one, "decompressed-stream")) is not None), None)
        data = match.row.parameter("data") if match is not None else None
        value = argument(match.call, data) if match is not None and data is not None else None
        if value is None or (call.args and not self._gathers(call)) or self._is_counted(call):
            return
        source = self.facts.boundary.source(value)
        if source.writer == PEER or (source.writer == PARAMETER and not self.facts.boundary.names_file(source, *_PATHS)):
            self._tell(call, source, self._sureness(source), lambda: self._fix(call, read_capped(self.facts, call)))

    def _check_archive(self, match: Match) -> None:
        opened = self._archive_of(match.call)
        data = opened.row.parameter("data") if opened is not None else None
        value = argument(opened.call, data) if opened is not None and data is not None else None
        if opened is None or value is None or self._sizes_are_checked(match.call):
            return
        source = self.facts.boundary.source(value)
        named = source.writer == PARAMETER and self.facts.boundary.names_file(source, *_PATHS)
        if source.writer in (PEER, PARAMETER) and not named:
            sure = source.writer == PEER or self.facts.boundary.is_in_memory(value)
            sure = sure and not (self._goes_to_disk(match.call) and self._is_fetched(source))
            confidence = Confidence.weakest(self._sureness(source), Confidence.MEDIUM)
            confidence = confidence if sure else Confidence.LOW
            self._tell(match.call, source, confidence, lambda: self._fix(match.call, members_counted(self.facts, match.call, opened)))

    def _fix(self, call: cst.Call, edits: tuple[Edit, ...]) -> Fix:
        return capped(self._words(call), byte_cap(self.facts, EXPANDED), edits)

    def _archive_of(self, call: cst.Call) -> Match | None:
        """The archive that a member is taken out of, also by `archive.open(name).read()`."""
        receiver = call.func.value if isinstance(call.func, cst.Attribute) else None
        for _ in range(2):
            calls = (
                [o.node for o in self.facts.origins.trail(receiver) if isinstance(o.node, cst.Call)]
                if receiver is not None
                else []
            )
            if (found := next((m for one in calls if (m := self.facts.match(one, "archive")) is not None), None)) is not None:
                return found
            receiver = next((one.func.value for one in calls if isinstance(one.func, cst.Attribute)), None)
        return None

    @staticmethod
    def _is_incremental(match: Match) -> bool:
        return (
            match.row.parameter("limit") is not None
            or "." in match.dotted.removeprefix("*.")
            and match.dotted.split(".")[-2][:1].isupper()
        )

    def _is_counted(self, call: cst.Call) -> bool:
        loops = self.facts.counting.loops_around(call)
        around = loops[-1] if loops else self.facts.tree.function_of(call)
        return around is not None and self.facts.counting.is_counted(around)

    def _gathers(self, call: cst.Call) -> bool:
        """Reads piece by piece in a loop and keeps all the pieces."""
        loops = self.facts.counting.loops_around(call)
        return bool(loops) and any(
            not named_like(
                last_name(target), "*hash*", "*digest*", "*count*", "*total*", "*size*", "out", "*file*", "dst", "*fp", "fh"
            )
            for target, _ in self.facts.counting.grown(loops[0])
        )

    def _sizes_are_checked(self, call: cst.Call) -> bool:
        function = self.facts.tree.function_of(call)
        below = descendants(function.body) if function is not None else iter(())
        return any(
            isinstance(node, cst.Attribute)
            and node.attr.value in ("file_size", "uncompressed_size")
            or named_like(last_name(node), "*safe*extract*", "*check*size*")
            for node in below
            if isinstance(node, (cst.Attribute, cst.Name))
        )

    def _tell(self, call: cst.Call, source: Source, confidence: Confidence, fix: Callable[[], Fix]) -> None:
        written = {
            PEER: "the peer's data",
            PARAMETER: "data of whoever calls",
            UNKNOWN: "data from elsewhere",
            SHARED: "stored data",
        }[source.writer]
        place = "more than the disk holds" if self._goes_to_disk(call) else "all the memory of the process"
        self.report(
            call,
            f"`{self.facts.code(call)}` expands {written} with no cap on the output: a few kilobytes can become {place}",
            confidence=confidence,
            trace=[(source.node, f"the compressed data comes from `{self.facts.code(source.node)}`")],
            fix=fix,
        )

    def _words(self, call: cst.Call) -> str:
        called = self.facts.code(call.func)
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in _READS:
            return f"read at most LIMIT + 1 bytes by `{called}(LIMIT + 1)` and refuse what is longer"
        if self._goes_to_disk(call):
            return f"add up the sizes of the members, refuse what is too large, and only then call `{called}`"
        return f"expand no more than a limit instead of all by `{called}`, and refuse data that leaves something over"
