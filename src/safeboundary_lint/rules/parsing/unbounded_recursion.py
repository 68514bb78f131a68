"""SBL407: a parser recurses as deep as its input is nested."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.circles import Circle
from safeboundary_lint.core.edits import argument_added, free_name, lines_before, parameter_added
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule, Status
from safeboundary_lint.core.tree import descendants

_PARSING = (
    "*parse*",
    "*decode*",
    "*unpack*",
    "*deserial*",
    "*unmarshal*",
    "*tokeni*",
    "*lex",
    "*read_object*",
    "*read_value*",
    "*read_element*",
    "*loads*",
)
_PARSERS = ("*parser*", "*decoder*", "*unpacker*", "*deserializer*", "*tokenizer*", "*lexer*", "*unmarshaller*", "*unpickler*")
_PAYLOADS = ("payload", "*_payload", "body", "json_*", "*_json", "message", "request_data", "event_data", "document")
_INPUT = ("token", "tokens", "tok", "lexer", "tokenizer", "tlist", "sublist", "stream", "buf", "buffer", "lookahead")
_OWN = (
    "*requirement*",
    "*endpoint*",
    "*schema*",
    "*format*",
    "*template*",
    "*args*",
    "*argument*",
    "*argv*",
    "*config*",
    "*settings*",
    "*option*",
)


class UnboundedRecursion(Rule):
    """A parser or decoder recurses as deep as its input is nested, with no limit on the depth.

    What it does
    ------------
    Finds functions that parse, decode or walk input and call themselves, directly, through each other or through a table of
    functions, with no depth that is counted and compared and no handling of RecursionError.

    Why it matters
    --------------
    A thousand opening brackets are a kilobyte. They raise RecursionError in the middle of the work, where nobody expects
    it, and in threads with small stacks or native code below they end the process.

    Example
    -------

        def parse_value(tokens):
            token = tokens.pop(0)
            if token == "[":
                items = []
                while tokens[0] != "]":
                    items.append(parse_value(tokens))
                tokens.pop(0)
                return items
            return token

    Instead
    -------

        MAX_DEPTH = 100

        def parse_value(tokens, depth=0):
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
            token = tokens.pop(0)
            if token == "[":
                items = []
                while tokens[0] != "]":
                    items.append(parse_value(tokens, depth + 1))
                tokens.pop(0)
                return items
            return token

    Stays silent when
    -----------------
    A depth is a parameter or is compared anywhere in the circle of calls, or RecursionError is handled in it; nothing in
    the circle is named like a parser or works on tokens or streams.

    Fix safety
    ----------
    A suggestion: where to count and how deep is deep enough is the author's to say.

    Known limits
    ------------
    Circles through other files are not seen.
    """

    code, name, since, severity = "SBL407", "unbounded-recursion", "0.1", Severity.WARNING
    status = Status.PREVIEW
    overlaps = ()
    needs = (
        (
            "%^payload$|_payload$|^body$|^json_|_json$|^message$|^document$|pars|decode|unpack|deserial|unmarshal|tokeni|lex|read_object|read_value|read_element|loads|unpickl|^_*(token|tokens|tok|tlist|sublist|stream|buf|buffer|lookahead)$",
        ),
        ("=def",),
    )

    def visit_Module(self, node: cst.Module) -> None:
        for circle in self.facts.circles.all:
            if self._parses(circle) and not self.facts.circles.is_bounded(circle):
                self._tell(circle)

    def _parses(self, circle: Circle) -> bool:
        for function in circle.functions:
            cls = self.facts.types.method_class(function)
            if named_like(function.name.value, *_OWN):
                return False
            if named_like(function.name.value, *_PARSING) or cls is not None and named_like(cls.name.value, *_PARSERS):
                return True
        return any(self._goes_into(call) for call in circle.calls) or self._walks_payload(circle)

    @staticmethod
    def _walks_payload(circle: Circle) -> bool:
        """Goes down the maps and lists of what somebody sent: `redact(payload)` on each of its values."""
        function = circle.hub
        first = next((one.name.value for one in function.params.params if one.name.value not in ("self", "cls")), None)
        kinds = {last_name(node) for node in descendants(function.body) if isinstance(node, cst.Name)}
        return named_like(first, *_PAYLOADS) and {"isinstance", "dict", "list"} <= kinds

    @staticmethod
    def _goes_into(call: cst.Call) -> bool:
        """A level deeper is what a token or stream holds: `token.flatten()`, `group(token)`."""
        receiver = [call.func.value] if isinstance(call.func, cst.Attribute) else []
        return any(
            (last_name(node) or "").lower().lstrip("_") in _INPUT for node in (*receiver, *(arg.value for arg in call.args))
        )

    def _tell(self, circle: Circle) -> None:
        hub, call = circle.hub, circle.calls[0]
        round_trip = " -> ".join([function.name.value for function in circle.functions[:4]] + [hub.name.value])
        self.report(
            hub.name,
            f"`{hub.name.value}` recurses once for each level of its input ({round_trip}) and nothing limits "
            f"the depth: a kilobyte of nesting ends it",
            confidence=Confidence.MEDIUM,
            trace=[(one, f"a level deeper here: `{self.facts.code(one)}`") for one in circle.calls[:3]],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"count the depth in `{hub.name.value}`, refuse input that is nested deeper than a limit, and "
                f"pass `depth + 1` at `{self.facts.code(call)}`",
                self._depth_counted(circle),
            ),
        )

    def _depth_counted(self, circle: Circle) -> tuple[Edit, ...]:
        """A depth that goes along, where one function calls itself and does so visibly."""
        hub, facts = circle.hub, self.facts
        first = next((one for one in hub.body.body if not _is_docstring(one)), None)
        direct = all(last_name(call.func) == hub.name.value and facts.tree.function_of(call) is hub for call in circle.calls)
        if len(circle.functions) > 1 or not direct or first is None or hub.params.star_kwarg is not None:
            return ()
        name = free_name(facts, first, "depth")
        small = first.body[0] if isinstance(first, cst.SimpleStatementLine) else first
        check = lines_before(facts, small, f"if {name} > 100:", '    raise ValueError("the input is nested too deep")')
        edits = [parameter_added(facts, hub, f"{name}=0"), check]
        edits += [argument_added(facts, call, f"{name}={name} + 1") for call in circle.calls]
        return tuple(edit for edit in edits if edit is not None) if all(edit is not None for edit in edits) else ()


def _is_docstring(statement: cst.CSTNode) -> bool:
    line = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    return isinstance(line, cst.Expr) and isinstance(line.value, (cst.SimpleString, cst.ConcatenatedString))
