"""SBL401: a whole body, stream or response is taken into memory with no cap."""

from __future__ import annotations

import itertools

import libcst as cst

from safeboundary_lint.core.boundary import PEER, SOURCES
from safeboundary_lint.core.buffers import Growth
from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.caps import byte_cap, capped, counted, gathered, measured, read_up_to, refused_before
from safeboundary_lint.core.edits import awaited, source_of
from safeboundary_lint.core.finding import Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import Row
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.senders import has_logged_in, knows_size, limits_bodies
from safeboundary_lint.core.shapes.parsing import gathers
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.urls import CALLER, CHOSEN, CONFIGURED, CONSTANT
from safeboundary_lint.core.wire import names_content_length
from safeboundary_lint.rules.parsing.capped_responses import streamed

_CONTENT = ("content", "text", "read", "aread", "data", "iter_lines")
_READS = ("read", "readlines")
_PLAIN = ("get", "*urlopen", "open", "stream")  # a download; `request(verb, url)` is a call of an interface
_SENT = ("data", "json", "body", "content", "files")  # what a request gives along
_FETCHING = ("get", "request*", "urlopen", "open", "send", "stream")


def _opens(row: Row, func: cst.BaseExpression) -> bool:
    name = last_name(func)
    if named_like(name, *row.get("like", ())):
        return True
    receiver = last_name(func.value) if isinstance(func, cst.Attribute) else None
    return receiver is not None and any(one.rpartition(".")[2] == name for one in row.names) and row.accepts(receiver, frozenset())


class UnboundedRead(Rule):
    """A whole body, stream or response of somebody else is taken into memory with no cap.

    What it does
    ------------
    Finds request bodies, uploads, streams and responses read to their end, or for as many bytes as the client's own
    Content-Length says, where the framework has no limit of its own; and downloads of URLs that somebody else chose.

    Why it matters
    --------------
    The sender decides how much memory this process takes. One request with an endless body, or one feed that answers with
    gigabytes, ends the process for everybody.

    Example
    -------

        def application(environ, start_response):
            length = int(environ.get("CONTENT_LENGTH") or 0)
            body = environ["wsgi.input"].read(length)
            start_response("200 OK", [])
            return [handle(body)]

    Instead
    -------

        MAX_BODY = 1024 * 1024

        def application(environ, start_response):
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if length > MAX_BODY:
                start_response("413 Content Too Large", [])
                return []
            body = environ["wsgi.input"].read(length)
            start_response("200 OK", [])
            return [handle(body)]

    Stays silent when
    -----------------
    The read is capped (`read(LIMIT + 1)`), a check of the length comes before it on every path, pieces are counted while they are
    gathered, the framework has a limit (Django, aiohttp, tornado) or the file puts a middleware named as one in front of its
    application, another branch caps the same read by a limit that is unset here, or the host is named in the source or the
    configuration.

    Fix safety
    ----------
    A suggestion, which shows the code with a limit: a constant of the file that is one by its name, or a number. The largest
    honest body is the author's to say.

    Known limits
    ------------
    A limit in front of the service, such as a proxy's or a middleware that another file adds, is not seen: write it down as
    `# safeboundary: bounded=nginx -- 10 MB`. Bodies of requests that only come in behind a login, and streamed responses that
    another function asked for, have low confidence.
    """

    code, name, since, severity = "SBL401", "unbounded-read", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("fetch", "%urlopen$|opener", *SOURCES), ("read-all", "fetch:whole", "boundary-stream", r"~wsgi\.input", r"~\.read\(\)", gathers))
    reach = 3

    def visit_Call(self, node: cst.Call) -> None:
        if (match := self.facts.match(node, "read-all")) is not None:
            self._check_read(match)
        elif (match := self.facts.match(node, "fetch")) is not None and match.row.get("whole"):
            self._check_fetch(match)
        elif isinstance(node.func, cst.Attribute) and node.func.attr.value == "read" and not node.args and self._opened(node.func.value):
            self._check_response(Match(node, self._opened(node.func.value)[0].row, Confidence.MEDIUM, "read"))
        elif (
            isinstance(node.func, cst.Attribute)
            and node.func.attr.value in _READS
            and self.facts.boundary.is_stream(node.func.value)
        ):
            sure = Confidence.LOW if self._is_asked_for(node) else Confidence.HIGH
            self._check_size(node, node.args[0].value if node.args else None, sure)

    def _check_read(self, match: Match) -> None:
        parameter, side = match.row.parameter("size"), match.row.get("side")
        given = argument(match.call, parameter) if parameter is not None else None
        if side == "client":
            if given is None:
                self._check_response(match)
        elif side == "upload":
            if given is None and not knows_size(self.facts, match.call) and not self._is_capped_beside(match.call):
                self._tell(match.call, "an upload is read whole", Confidence.weakest(match.confidence, Confidence.MEDIUM))
        elif side == "stream":
            if given is None and self._fetched(match.call):
                self._check_response(match)
            elif given is not None or not self._is_drained(match.call):
                self._check_size(match.call, given, match.confidence)
        elif side != "streamed" and not limits_bodies(self.facts) and not self._is_kept_already(match.call):
            trusted = has_logged_in(self.facts, match.call) or self._is_asked_for(match.call)
            sure = Confidence.LOW if trusted else Confidence.MEDIUM
            self._check_size(match.call, given, Confidence.weakest(match.confidence, sure))

    def _is_kept_already(self, call: cst.Call) -> bool:
        """The same body was asked for further up in the function: a request keeps it."""
        function, code = self.facts.tree.function_of(call), self.facts.code(call)
        if function is None or call.args:
            return False
        first = next(one for one in self.facts.summaries.calls_of(function) if self.facts.code(one) == code)
        return first is not call

    def _is_asked_for(self, call: cst.Call) -> bool:
        """A property that stands for the whole body of a request, or a helper that is ready for the body being gone already."""
        function = self.facts.tree.function_of(call)
        if not isinstance(function, cst.FunctionDef):
            return False
        if any(last_name(one.decorator) in ("property", "cached_property") for one in function.decorators):
            return True
        around = self.facts.tree.enclosing(function, cst.FunctionDef, cst.ClassDef)
        beside = self.facts.summaries.calls_of(around) if isinstance(around, cst.FunctionDef) else ()
        if any(last_name(one.func) == "property" and one.args and last_name(one.args[0].value) == function.name.value for one in beside):
            return True
        tried = [one for one in self.facts.tree.ancestors(call) if isinstance(one, cst.Try) and self.facts.tree.within(call, one.body)]
        return any(handler.type is not None and last_name(handler.type) == "RuntimeError" for one in tried for handler in one.handlers)

    def _is_drained(self, call: cst.Call) -> bool:
        """`await request.json()` has read the stream that `request.content.read()` asks for what is left, under its own limit."""
        stream, function = call.func.value if isinstance(call.func, cst.Attribute) else None, self.facts.tree.function_of(call)
        if function is None or not isinstance(stream, cst.Attribute) or stream.attr.value != "content":
            return False
        whole = {f"{self.facts.code(stream.value)}.{name}" for name in ("json", "text", "read", "post")}
        before = itertools.takewhile(lambda one: one is not call, self.facts.summaries.calls_of(function))
        return any(self.facts.code(one.func) in whole for one in before)

    def _is_capped_beside(self, call: cst.Call) -> bool:
        """`upload.read(limit + 1)` in one branch and this in another: whoever sets no limit wants none."""
        tree, code = self.facts.tree, self.facts.code(call.func)
        if (function := tree.function_of(call)) is None:
            return False
        capped = [one for one in self.facts.summaries.calls_of(function) if one.args and self.facts.code(one.func) == code]
        choices = [one for one in tree.ancestors(call) if isinstance(one, cst.If) and not tree.within(call, one.body)]
        return any(tree.within(one, choice.body) for one in capped for choice in choices)

    def _check_size(self, call: cst.Call, size: cst.BaseExpression | None, confidence: Confidence) -> None:
        """A read of a stream: of everything, or of as much as the sender declares."""
        if size is None or self.facts.is_constant(size, -1, None):
            if not knows_size(self.facts, call):
                self._tell(call, "all that the sender cares to send is read", confidence)
            return
        declared = next((o.node for o in self.facts.origins.trail(size, callers=True) if self._is_declared_length(o.node)), None)
        if declared is None:
            return
        places = self.facts.guards.places(size)
        if not self.facts.guards.holds(places, call) and not self._is_cut(size):
            self._tell(call, "as many bytes are read as the sender's Content-Length says", confidence, declared)

    def _is_declared_length(self, node: cst.CSTNode) -> bool:
        return isinstance(node, (cst.Call, cst.Subscript, cst.Attribute, cst.BooleanOperation)) and (
            names_content_length(node)
            or (last_name(node) or "").lower() == "content_length"
            and self.facts.boundary.source(node).writer == PEER
        )

    def _is_cut(self, size: cst.BaseExpression) -> bool:
        return any(
            isinstance(o.node, cst.Call) and self.facts.names.qualified(o.node.func) == "builtins.min"
            for o in self.facts.origins.trail(size)
        )

    # -- pieces gathered to the end ----------------------------------------------------------------------------------

    def visit_While(self, node: cst.While) -> None:
        if self.facts.counting.is_endless(node):
            self._check_gathering(node)

    def visit_For(self, node: cst.For) -> None:
        if isinstance(node.iter, cst.Call) and any(
            self.facts.match(call, "boundary") is not None for call in descendants(node.iter) if isinstance(call, cst.Call)
        ):
            self._check_gathering(node)

    def _check_gathering(self, loop: cst.While | cst.For) -> None:
        """Every piece that comes is kept until the sender ends."""
        for growth in self.facts.buffers.growths_in(loop):
            if not self.facts.tree.within(growth.source, loop):
                continue
            around = self.facts.counting.loops_around(growth.node)
            if not isinstance(growth.target, cst.Name) or around[:1] != [loop] or self.facts.counting.is_counted(around[-1]):
                continue
            if self.facts.buffers.is_searched(growth.place, around[-1]) is None and self._is_memory(growth):
                confidence = self._sureness_of_pieces(growth.source)
                self._tell(
                    growth.node,
                    f"all pieces are kept in `{growth.target.value}` until the sender ends",
                    confidence,
                    growth.source,
                )
                return

    def _is_memory(self, growth: Growth) -> bool:
        """What is written to a file takes no memory."""
        call = growth.node
        return (
            not isinstance(call, cst.Call)
            or last_name(call.func) not in ("write", "put", "put_nowait", "feed")
            or self.facts.boundary.is_in_memory(growth.target)
        )

    def _sureness_of_pieces(self, source: cst.CSTNode) -> Confidence:
        holder = source.func.value if isinstance(source, cst.Call) and isinstance(source.func, cst.Attribute) else source
        choosers = self.facts.urls.choosers(holder)
        if not choosers:
            return Confidence.LOW if self._is_response(holder) else Confidence.MEDIUM
        return Confidence.MEDIUM if choosers & {CHOSEN, CALLER} else Confidence.LOW

    def _is_response(self, holder: cst.CSTNode) -> bool:
        """The answer of a server; who chose that is said where the request is made."""
        dotted = found.dotted if isinstance(holder, cst.BaseExpression) and (found := self.facts.types.of(holder)) else None
        rows = (self.facts.knowledge.of_kind(f"{dotted}.{one}", "read-all") for one in ("read", "content")) if dotted else ()
        return any(row is not None and row.get("side") in ("client", "streamed") for row in rows)

    # -- responses ---------------------------------------------------------------------------------------------------

    def _check_response(self, match: Match) -> None:
        func = match.call.func
        holder = func.value if isinstance(func, cst.Attribute) and self.facts.names.qualified(func) is None else None
        if self.facts.urls.is_inline(match.call):
            return
        if holder is None:  # readBody(response): no way to cap it
            asked = self.facts.urls.choosers_of_any(match.call.args[0].value) if match.call.args else set()
            sure = Confidence.LOW if asked and asked <= {CONFIGURED, CONSTANT} else match.confidence
            self._tell(match.call, "the whole response is gathered, whatever its size", sure)
            return
        fetched = self._fetched(match.call)
        choosers = [self._chooser(one) for one in fetched]
        plain = any(named_like(last_name(one.call.func), *_PLAIN) and not self._sends(one) for one in fetched)
        if CHOSEN in choosers or CALLER in choosers and plain:
            self._tell(
                match.call,
                "the response of a host that somebody else chose is read whole",
                Confidence.weakest(match.confidence, Confidence.MEDIUM),
                fetched[0].node,
            )
        else:
            self._tell(match.call, "the response is read whole", Confidence.LOW)

    def _sends(self, match: Match) -> bool:
        """A request with a body of its own is a call of an interface: `urlopen(Request(url, data=form))`."""
        asked = (match.call, *(o.node for arg in match.call.args[:1] for o in self.facts.origins.trail(arg.value)))
        bodies = (arg.value for one in asked if isinstance(one, cst.Call) for arg in one.args if arg.keyword and arg.keyword.value in _SENT)
        return any(not self._may_be_none(body) for body in bodies)

    def _may_be_none(self, body: cst.BaseExpression) -> bool:
        return any(self.facts.is_constant(origin.node, None) for origin in self.facts.origins.trail(body) if isinstance(origin.node, cst.Name))

    def _fetched(self, call: cst.Call) -> list[Match]:
        """The requests whose answer a read takes, itself or as its stream: `answer.read()`, `answer.content.read()`."""
        holder = call.func.value if isinstance(call.func, cst.Attribute) else call
        streams = [holder.value] if isinstance(holder, cst.Attribute) else []
        trails = (self.facts.origins.trail(one, callers=True) for one in (holder, *streams))
        calls = [origin.node for trail in trails for origin in trail if isinstance(origin.node, cst.Call)]
        fetched = [found for one in calls if (found := self.facts.match(one, "fetch")) is not None]
        return fetched or self._opened(holder)

    def _opened(self, response: cst.BaseExpression) -> list[Match]:
        """What a wrapper of one's own opens that is called like the one it wraps: `plain_urlopen(url)`, `_OPENER.open(request)`."""
        rows = {row for rows in self.facts.knowledge.wild.values() for row in rows if row.kind == "opener"}
        calls = [origin.node for origin in self.facts.origins.trail(response) if isinstance(origin.node, cst.Call)]
        return [Match(call, row, Confidence.MEDIUM, "opener") for call in calls for row in rows if _opens(row, call.func)]

    def _check_fetch(self, match: Match) -> None:
        stream = match.row.parameter("stream")
        if stream is not None and argument(match.call, stream) is not None:
            return
        chooser = self._chooser(match)
        if chooser not in (CHOSEN, CALLER):
            return
        sure = self._keeps_content(match.call) and named_like(last_name(match.call.func), *_FETCHING)
        confidence = Confidence.weakest(match.confidence, Confidence.MEDIUM) if sure else Confidence.LOW
        self._tell(match.call, "the whole response of a host that somebody else chose is in memory once this returns", confidence)

    def _chooser(self, match: Match) -> str:
        parameter = match.row.parameter("url")
        url = argument(match.call, parameter) if parameter is not None else None
        return self.facts.urls.chooser(url) if url is not None else ""

    def _keeps_content(self, call: cst.Call) -> bool:
        """The function takes the response's content as it is, which a call of an API of one's own does not."""
        function = self.facts.tree.function_of(call)
        if function is None:
            return False
        return any(
            isinstance(node, cst.Attribute)
            and node.attr.value in _CONTENT
            and any(o.node is call for o in self.facts.origins.trail(node.value))
            for node in descendants(function.body, into_definitions=False)
        )

    def _tell(self, call: cst.CSTNode, what: str, confidence: Confidence, origin: cst.CSTNode | None = None) -> None:
        self.report(
            call,
            f"{what[0].upper()}{what[1:]} by `{self.facts.code(call)}`: the other side decides how much memory this takes",
            confidence=confidence,
            trace=[(origin, f"from here: `{self.facts.code(origin)}`")] if origin is not None else [],
            fix=lambda: self._fix(call, origin),
        )

    def _fix(self, call: cst.CSTNode, origin: cst.CSTNode | None) -> Fix:
        words, edits = self._capped(call, origin)
        return capped(words, byte_cap(self.facts), edits)

    def _capped(self, call: cst.CSTNode, origin: cst.CSTNode | None) -> tuple[str, tuple[Edit, ...]]:
        """What to do instead, in words and in the code at hand."""
        facts, cap = self.facts, byte_cap(self.facts)
        if not isinstance(call, cst.Call) or last_name(call.func) in ("append", "extend", "write"):
            return "add up the sizes of the pieces and leave the loop above a limit", self._counted(call)
        code = facts.code(call.func)
        if (match := facts.match(call, "fetch")) is not None and match.row.get("whole"):
            return f"stream the response of `{code}`, add up the pieces and stop at a limit", streamed(facts, match)
        reading = facts.match(call, "read-all")
        pieces = reading.row.get("pieces") if reading is not None else None
        if not isinstance(call.func, cst.Attribute) or not (pieces or call.func.attr.value in _READS):
            return f"gather the pieces instead of `{code}`, count them and stop at a limit", ()
        stream, waits = source_of(facts, call.func.value), isinstance(awaited(facts, call), cst.Await)
        if pieces is not None:
            head = f"{'async ' if waits else ''}for piece in {stream}.{pieces}:"
            return f"gather the pieces instead of `{code}`, count them and stop at a limit", gathered(facts, call, head, cap)
        if call.args and origin is not None:
            words = f"refuse a declared length above a limit before `{code}` reads as much"
            return words, refused_before(facts, call, call.args[0].value, cap, "length")
        words = f"read at most `{code}(LIMIT + 1)` and refuse what is longer"
        if waits and reading is not None and reading.row.get("side") == "stream":  # a read of such gives what has come by now
            head = f"while piece := await {stream}.read(65536):"
            return f"read `{stream}` piece by piece, count them and stop at a limit", gathered(facts, call, head, cap)
        text = f"{'await ' if waits else ''}{stream}.read({cap} + 1)"
        return words, read_up_to(facts, call, text, cap) if call.func.attr.value == "read" else ()

    def _counted(self, adding: cst.CSTNode) -> tuple[Edit, ...]:
        """The pieces counted where they are added."""
        loops = self.facts.counting.loops_around(adding)
        if isinstance(adding, cst.AugAssign):
            return measured(self.facts, adding, source_of(self.facts, adding.target), byte_cap(self.facts))
        if not isinstance(adding, cst.Call) or len(adding.args) != 1 or not loops:
            return ()
        return counted(self.facts, adding, source_of(self.facts, adding.args[0].value), loops[-1], byte_cap(self.facts))
