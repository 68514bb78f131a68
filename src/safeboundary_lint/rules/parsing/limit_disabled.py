"""SBL404: a limit of a library is switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, argument, string
from safeboundary_lint.core.edits import argument_removed, replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import Parameter, Row
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.parsing import pairs

_HUGE = 2**40  # more than any machine's memory: no limit


class LimitDisabled(Rule):
    """A limit that protects against oversized input is switched off.

    What it does
    ------------
    Finds limits of libraries set to what means "off" for that very limit: `max_size=None` of a WebSocket server,
    `huge_tree=True` of an XML parser, `Image.MAX_IMAGE_PIXELS = None`, `-1` for a gRPC message length, `sys.maxsize`.

    Why it matters
    --------------
    The limit is the only thing between one message and all of the process's memory. It was switched off because one honest
    input was too large; the next input need not be honest.

    Example
    -------

        from websockets.asyncio.server import serve

        async def main(handler):
            async with serve(handler, "0.0.0.0", 8765, max_size=None) as server:
                await server.serve_forever()

    Instead
    -------

        from websockets.asyncio.server import serve

        async def main(handler):
            async with serve(handler, "0.0.0.0", 8765, max_size=32 * 2**20) as server:
                await server.serve_forever()

    Stays silent when
    -----------------
    The limit is raised to a finite value, or its value comes from a parameter or the configuration.

    Fix safety
    ----------
    Unsafe: the argument is removed, or the value set to the library's default, so that its own limit holds again; honest input
    above it is refused then. A suggestion where the limit has no default.

    Known limits
    ------------
    Only limits that are known of libraries, or named in the configuration's knowledge, are found. `huge_tree=True` beside
    `resolve_entities=False` has low confidence: what was sent is all there is.
    """

    code, name, since, severity = "SBL404", "limit-disabled", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("limit-parameter", "limit-constant=", pairs), ("limit-parameter", "limit-constant"))
    fixable = Applicability.UNSAFE

    def visit_Call(self, node: cst.Call) -> None:
        for row, confidence, _name in self.facts.matcher.rows(node.func):
            if row.kind == "limit-parameter" and (parameter := row.parameter("limit")) is not None:
                given = argument(node, parameter)
                if given is not None and self._is_off(given, row):
                    self._tell(
                        given,
                        f"{self.facts.code(node.func)}({parameter.name}={self.facts.code(given)})",
                        row,
                        Confidence.LOW if self._leaves_entities(node) else confidence,
                        partial(self._without, node, given, parameter, row),
                    )
        for arg in node.args:
            if arg.keyword is not None:
                self._check_key(arg.keyword.value, arg.value)

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._check_target(target.target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self._check_target(node.target, node.value)

    def visit_DictElement(self, node: cst.DictElement) -> None:
        if (key := string(node.key)) is not None:
            self._check_key(key, node.value)

    def visit_Tuple(self, node: cst.Tuple) -> None:
        if len(node.elements) == 2 and (key := string(node.elements[0].value)) is not None:
            self._check_key(key, node.elements[1].value)

    def _check_target(self, target: cst.BaseAssignTargetExpression, value: cst.BaseExpression) -> None:
        if isinstance(target, cst.Subscript):
            key = string(target.slice[0].slice.value) if isinstance(target.slice[0].slice, cst.Index) else None
            if key is not None:
                self._check_key(key, value, target)
            return
        found = list(self._rows_of_target(target))
        for row, confidence in found[:1]:
            if self._is_off(value, row):
                setting = f"{self.facts.code(target)} = {self.facts.code(value)}"
                self._tell(target, setting, row, confidence, partial(self._restored, self.facts.code(target), value, row))

    def _rows_of_target(self, target: cst.BaseAssignTargetExpression) -> Iterator[tuple[Row, Confidence]]:
        if isinstance(target, cst.Attribute):
            yield from (
                (row, confidence) for row, confidence, _name in self.facts.matcher.rows(target) if row.kind == "limit-constant"
            )
        elif isinstance(target, cst.Name) and self.facts.tree.function_of(target) is None:
            # A setting of a module that the framework reads, or an attribute that the base class reads.
            for row in self.facts.knowledge.wild.get(target.value, ()):
                if row.kind == "limit-constant" and row.accepts("self", self.facts.names.imported):
                    yield row, row.confidence

    def _check_key(self, key: str, value: cst.BaseExpression, at: cst.CSTNode | None = None) -> None:
        """A key of a mapping of options, or a keyword that no known callable explains."""
        rows = [*self.facts.knowledge.rows.get(key, ())] + [
            row for row in self.facts.knowledge.wild.get(key, ()) if not row.receivers
        ]
        for row in rows[:3]:
            if row.kind == "limit-constant" and self._is_off(value, row):
                confidence = Confidence.LOW if self._is_of_client(value) else row.confidence
                setting = f"{key}: {self.facts.code(value)}"
                self._tell(at or value, setting, row, confidence, partial(self._restored, key, value, row))
                return

    def _leaves_entities(self, call: cst.Call) -> bool:
        """A document that keeps its entities as they are is no larger in memory than what was sent."""
        return any(
            arg.keyword is not None and arg.keyword.value == "resolve_entities" and self.facts.is_constant(arg.value, False)
            for arg in call.args
        )

    def _is_of_client(self, value: cst.CSTNode) -> bool:
        """An option of a connection to a server that the program chose."""
        calls = (node for node in self.facts.tree.ancestors(value) if isinstance(node, cst.Call))
        return any(
            self.facts.match(call, "own-peer") is not None or named_like(last_name(call.func), "*channel*") for call in calls
        )

    def _is_off(self, value: cst.BaseExpression, row: Row) -> bool:
        try:
            given = self.facts.constant(value)
        except NotConstant:
            return (
                isinstance(value, cst.Call)
                and last_name(value.func) == "float"
                and bool(value.args)
                and string(value.args[0].value) in ("inf", "infinity")
            )
        off = [None if one == "None" else one for one in row.get("off", ())]
        if any(given == one and type(given) is type(one) for one in off):
            return True
        return isinstance(given, (int, float)) and not isinstance(given, bool) and given >= row.get("huge", _HUGE)

    def _without(self, call: cst.Call, given: cst.BaseExpression, parameter: Parameter, row: Row) -> Fix:
        arg = next(arg for arg in call.args if arg.value is given)
        if arg.keyword is None or row.get("default") is not None:
            return self._restored(parameter.name, given, row)
        words = f"leave `{parameter.name}` out, or set it to the largest input that is honest"
        return Fix(Applicability.UNSAFE, words, (argument_removed(self.facts, call, arg),))

    def _restored(self, setting: str, value: cst.BaseExpression, row: Row) -> Fix:
        """The limit that the library has by itself."""
        if (default := row.get("default")) is None:
            return Fix(Applicability.SUGGESTION, f"set `{setting}` to the largest input that is honest")
        words = f"set `{setting}` to {default}, its default, or to the largest input that is honest"
        statement = self.facts.tree.parent(value)
        shared = isinstance(statement, cst.Assign) and len(statement.targets) > 1  # `limit = MAX_IMAGE_PIXELS = None`
        level = Applicability.SUGGESTION if shared else Applicability.UNSAFE
        return Fix(level, words, (replaced(self.facts, value, default),))

    def _tell(self, node: cst.CSTNode, setting: str, row: Row, confidence: Confidence, fix: Callable[[], Fix]) -> None:
        what = row.get("what", "the input")
        self.report(
            node,
            f"`{setting}` switches off the limit on {what}: one input can take all memory or time of the process",
            confidence=confidence,
            fix=fix,
        )
