"""SBL402: a length or count out of the peer's bytes drives reads, memory or loops unchecked."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.boundary import OWN, PARAMETER, SOURCES
from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.caps import byte_cap, capped, measured, refused_before
from safeboundary_lint.core.edits import source_of
from safeboundary_lint.core.finding import Confidence, Edit, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.parsing import declares, reads_digits
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.wire import WireNumber

_READING = (
    "read*",
    "recv*",
    "unpack*",
    "parse*",
    "decode*",
    "get*",
    "next",
    "pop*",
    "load*",
    "from_*",
    "consume*",
    "take*",
    "deserialize*",
    "deserialise*",
    "__next__",
    "s2n",
    "seek",
    "fetch*",
)
_FILES = ("file", "infile", "file_obj*", "fileobj*", "fp", "fh", "f")


class UncheckedLengthPrefix(Rule):
    """A length or count that the peer wrote drives a read, an allocation or a loop with no bound.

    What it does
    ------------
    Follows numbers made of the peer's bytes (`struct.unpack`, `int.from_bytes`, `int(line, 16)`) to where they say how much is
    read, allocated, repeated or waited for, also through attributes, helpers and arithmetic, when no check against a bound
    comes in between.

    Why it matters
    --------------
    Four bytes of the peer say "4 GiB follow". The process allocates them, or waits for them with a buffer that grows, before it
    knows anything else of the peer. A negative number reads everything there is.

    Example
    -------

        import struct

        async def read_frame(reader):
            header = await reader.readexactly(4)
            (length,) = struct.unpack("!I", header)
            return await reader.readexactly(length)

    Instead
    -------

        import struct

        MAX_FRAME = 16 * 2**20

        async def read_frame(reader):
            header = await reader.readexactly(4)
            (length,) = struct.unpack("!I", header)
            if length > MAX_FRAME:
                raise ValueError(f"frame of {length} bytes is larger than {MAX_FRAME}")
            return await reader.readexactly(length)

    Stays silent when
    -----------------
    A check against a bound comes before the use on every path and leaves, here or in a helper of the file; `min()`, a mask
    or a field of at most three bytes bounds the number; it is compared with the length of data that is in memory already;
    the loop reads, and so ends where the input ends; the bytes are the program's own.

    Fix safety
    ----------
    A suggestion, which shows the check: the largest honest length is the author's to say.

    Known limits
    ------------
    Checks in another file are not seen. Numbers that helpers of other files read are recognised by telling names only. Reads of
    file objects that are handed in have low confidence.
    """

    code, name, since, severity = "SBL402", "unchecked-length-prefix", "0.1", Severity.WARNING
    overlaps = ()
    needs = (
        ("wire-integer", "sized-read", "allocate"),
        ("wire-integer", "text-integer", declares),
        ("wire-integer", declares, reads_digits, "@push-parser", *SOURCES),
    )
    reach = 2  # the check may stand beside whatever hands the number on

    def finish(self) -> None:
        told: set[int] = set()
        for sink, value, does in self._sinks():
            for number in self.facts.wire.numbers(value):
                if (
                    id(number.source) not in told
                    and not (number.is_text and not isinstance(sink, cst.Call))
                    and not self._is_guarded(sink, number)
                ):
                    told.add(id(number.source))
                    self._tell(sink, value, does, number)

    # -- where a number does harm ------------------------------------------------------------------------------------

    def _sinks(self) -> Iterator[tuple[cst.CSTNode, cst.BaseExpression, str]]:
        """The use, the expression of the amount, and what it does."""
        for match in self.facts.calls("sized-read"):
            size = argument(match.call, match.row.parameter("size") or "n")
            if size is not None and not self._is_in_memory(match.call):
                yield match.call, size, "is read"
        for call in self.facts.tree.all(cst.Call):
            if self._is_handed_reader(call):
                yield call, call.args[0].value, "is read"
        for match in self.facts.calls("allocate"):
            size = argument(match.call, match.row.parameter("size") or "n")
            if size is not None and not self._is_data(size):
                yield match.call, size, "is allocated"
        for node in self.facts.tree.all(cst.BinaryOperation):
            if isinstance(node.operator, cst.Multiply):
                for filler, amount in ((node.left, node.right), (node.right, node.left)):
                    if isinstance(filler, (cst.SimpleString, cst.List)):
                        yield node, amount, "is allocated"
        for call in self.facts.tree.all(cst.Call):
            if (
                self.facts.names.qualified(call.func) == "builtins.range"
                and call.args
                and (loop := self._growing_loop(call)) is not None
            ):
                yield loop, call.args[min(len(call.args) - 1, 1)].value, "is built in memory"
        for comparison in self.facts.tree.all(cst.Comparison):
            if (amount := self._awaited(comparison)) is not None:
                yield comparison, amount, "is waited for in a growing buffer"

    def _is_handed_reader(self, call: cst.Call) -> bool:
        """`reader(n)`, of a parameter that is called: whoever calls says how to read."""
        if not isinstance(call.func, cst.Name) or len(call.args) != 1 or not named_like(call.func.value, "read*", "recv*", "receive*", "*_read"):
            return False
        return any(isinstance(origin.node, cst.Param) for origin in self.facts.origins.step(call.func))

    def _is_in_memory(self, call: cst.Call) -> bool:
        """Reading from bytes that are in memory already takes no more than there are; so does reading one's own file."""
        receiver = call.func.value if isinstance(call.func, cst.Attribute) else None
        if receiver is None:
            return False
        return self.facts.boundary.is_in_memory(receiver) or self.facts.boundary.source(receiver).writer == OWN

    def _is_from_file(self, sink: cst.CSTNode) -> bool:
        """A read of a file object that whoever calls has opened, by its name: mostly a file of this host."""
        receiver = sink.func.value if isinstance(sink, cst.Call) and isinstance(sink.func, cst.Attribute) else None
        source = self.facts.boundary.source(receiver) if receiver is not None else None
        return source is not None and source.writer == PARAMETER and self.facts.boundary.names_file(source, *_FILES)

    def _is_data(self, size: cst.BaseExpression) -> bool:
        """`bytes(data)` copies."""
        return isinstance(size, (cst.List, cst.ListComp, cst.GeneratorExp, cst.Tuple, cst.SimpleString, cst.ConcatenatedString))

    def _growing_loop(self, call: cst.Call) -> cst.CSTNode | None:
        """A loop or comprehension over `range(n)` that keeps something each time round and reads nothing that could end."""
        parent = self.facts.tree.parent(call)
        if isinstance(parent, cst.For) and parent.iter is call:
            grows = any(True for _ in self.facts.counting.grown(parent.body))
            return None if self._reads(parent.body) or not grows else call
        if isinstance(parent, cst.CompFor) and parent.iter is call:
            whole = self.facts.tree.parent(parent)
            return call if isinstance(whole, (cst.ListComp, cst.SetComp, cst.DictComp)) and not self._reads(whole) else None
        return None

    def _reads(self, body: cst.CSTNode) -> bool:
        return any(
            isinstance(node, cst.Subscript) or isinstance(node, cst.Call) and named_like(last_name(node.func), *_READING)
            for node in descendants(body)
        )

    def _awaited(self, comparison: cst.Comparison) -> cst.BaseExpression | None:
        """`len(self.buffer) < n` that returns or reads on: the amount waited for."""
        target = comparison.comparisons[0]
        if len(comparison.comparisons) != 1:
            return None
        less, more = (
            (comparison.left, target.comparator)
            if isinstance(target.operator, (cst.LessThan, cst.LessThanEqual))
            else (target.comparator, comparison.left)
        )
        if not isinstance(target.operator, (cst.LessThan, cst.GreaterThan)):
            return None
        if not (
            isinstance(less, cst.Call)
            and self.facts.names.qualified(less.func) == "builtins.len"
            and less.args
            and self._grows(less.args[0].value)
        ):
            return None
        holder = self.facts.tree.enclosing(comparison, cst.If, cst.While)
        if holder is None or not self.facts.tree.within(comparison, holder.test):
            return None
        if isinstance(holder, cst.While):
            return more
        return (
            more
            if any(
                isinstance(node, (cst.Return, cst.Break, cst.Continue))
                for node in holder.body.body[-1:]
                for node in descendants(node)
            )
            and not _raises(holder.body)
            else None
        )

    def _grows(self, buffer: cst.BaseExpression) -> bool:
        """The buffer is added to in this function, or anywhere in its class."""
        place = self.facts.origins.place(buffer)
        if place is None:
            return False
        if isinstance(buffer, cst.Name):
            function = self.facts.tree.function_of(buffer)
            return function is not None and any(
                self.facts.origins.place(target) == place for target, _ in self.facts.counting.grown(function.body)
            )
        cls = self.facts.tree.class_of(buffer)
        return cls is not None and place in self._grown_in(cls)

    def _grown_in(self, cls: cst.ClassDef) -> set[str]:
        known: dict[int, set[str]] = self.__dict__.setdefault("_grown", {})
        if id(cls) not in known:
            functions = (node for node in descendants(cls.body) if isinstance(node, cst.FunctionDef))
            known[id(cls)] = {
                place
                for f in functions
                for target, _ in self.facts.counting.grown(f.body)
                if (place := self.facts.origins.place(target))
            }
        return known[id(cls)]

    # -- what keeps it in bounds -------------------------------------------------------------------------------------

    def _is_guarded(self, sink: cst.CSTNode, number: WireNumber) -> bool:
        """A check on any stretch of the way from the bytes to the use."""
        tree, guards = self.facts.tree, self.facts.guards
        places = {
            place
            for node in number.route
            if isinstance(node, (cst.Name, cst.Attribute)) and (place := self.facts.origins.place(node))
        }
        stored = [
            store
            for store in self.facts.names.stores
            if isinstance(store.target, cst.Attribute) and self.facts.origins.place(store.target) in places
        ]
        places |= {place for node in number.route if (place := self._target_place(node)) is not None}

        def counts(bound: cst.BaseExpression) -> bool:
            return not self.facts.wire.numbers(bound)

        here = tree.function_of(sink)
        since = number.source if tree.function_of(number.source) is here else None
        if guards.holds(places, sink, since=since, counts=counts):
            return True
        seen = {id(here)}
        for node in number.route:
            function = tree.function_of(node)
            if id(function) in seen or function is None or isinstance(node, cst.Param):
                continue
            seen.add(id(function))
            store = next((one.target for one in stored if tree.function_of(one.target) is function), None)
            if store is not None and self.facts.counting.is_checked(function.body, places):
                return True
            if guards.holds(
                places, store if store is not None else node, since=number.source if store is not None else None, counts=counts
            ):
                return True
        return False

    def _target_place(self, node: cst.CSTNode) -> str | None:
        """The name that a value on the way is bound to."""
        for ancestor in (node, *self.facts.tree.ancestors(node)):
            if isinstance(ancestor, cst.Assign):
                target = ancestor.targets[0].target
                return self.facts.origins.place(target) if isinstance(target, (cst.Name, cst.Attribute)) else None
            if isinstance(ancestor, (cst.BaseStatement, cst.BaseSmallStatement)):
                return None
        return None

    def _where_the_check_belongs(self, sink: cst.CSTNode, number: WireNumber) -> cst.CSTNode:
        """The use; the call that hands the number to a helper where that uses it; the place it is made where it is kept."""
        tree = self.facts.tree
        home = tree.function_of(number.source)
        if tree.function_of(sink) is home:
            return sink
        for parameter, passed in zip(number.route, number.route[1:], strict=False):
            if isinstance(parameter, cst.Param) and tree.function_of(passed) is home:
                return tree.enclosing(passed, cst.Call) or number.source
        return number.source if any(isinstance(node, (cst.Attribute, cst.Param)) for node in number.route) else sink

    def _tell(self, sink: cst.CSTNode, value: cst.BaseExpression, does: str, number: WireNumber) -> None:
        place = self._where_the_check_belongs(sink, number)
        amount, line = self.facts.code(value), self.facts.line(number.source)
        if place is sink or self.facts.tree.function_of(place) is None:
            message = f"`{amount}` comes from the peer's bytes (line {line}) and nothing bounds it: as much as it says {does}"
        else:
            message = (
                f"the peer's number of line {line} goes on unchecked: as much as it says {does} in line {self.facts.line(sink)}"
            )
        self.report(
            place,
            message,
            confidence=Confidence.LOW if self._is_from_file(sink) else number.confidence,
            trace=[
                (number.source, f"made of the peer's bytes: `{self.facts.code(number.source)}`"),
                (sink, f"as much {does}: `{self.facts.code(sink)}`"),
            ],
            fix=lambda: capped(
                f"refuse the input when `{amount}` is larger than the largest honest value, before it is used",
                byte_cap(self.facts),
                self._refused(place, value, number),
            ),
        )

    def _refused(self, place: cst.CSTNode, value: cst.BaseExpression, number: WireNumber) -> tuple[Edit, ...]:
        """The check where the finding says that it belongs."""
        cap = byte_cap(self.facts)
        if place is number.source:
            statement = self.facts.tree.statement_of(place)
            kept = statement.targets[0].target if isinstance(statement, cst.Assign) else None
            return measured(self.facts, place, source_of(self.facts, kept), cap, "{}") if isinstance(kept, cst.Attribute) else ()
        if isinstance(place, cst.Call) and not self.facts.tree.within(value, place):
            handed = {id(node) for node in number.route}
            value = next((arg.value for arg in place.args if id(arg.value) in handed), value)
        return refused_before(self.facts, place, value, cap, "length") if self.facts.tree.within(value, place) else ()


def _raises(body: cst.BaseSuite) -> bool:
    return any(isinstance(node, cst.Raise) for node in descendants(body))
