"""SBL411: the peer says how much work this process does."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.boundary import PEER
from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.caps import capped, refused_above
from safeboundary_lint.core.edits import named_first, source_of
from safeboundary_lint.core.finding import Confidence, Edit, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule, Status
from safeboundary_lint.core.tree import descendants

_OWN = (
    "*config*",
    "*settings*",
    "*options*",
    "*stored*",
    "*record*",
    "*row",
    "*hash*",
    "*encoded*",
    "self",
    "*user",
    "*account*",
    "*conf",
    "*cfg*",
    "*defaults*",
    "*env*",
)
_STEPS = 60

_HIGHEST = "1_000_000"  # of iterations, or of what else the cost counts


class PeerChosenWork(Rule):
    """An iteration count, a memory cost or a size out of the peer's message decides how much work is done.

    What it does
    ------------
    Follows the cost parameters of key derivation (PBKDF2 iterations, scrypt n, argon2 memory) and the sizes of images back to a
    header, an attribute of a message or a request, also through helpers, when no upper bound is checked on the way.

    Why it matters
    --------------
    The count is read before anything of the message is authenticated. One token with two thousand million iterations keeps a
    core busy for an hour.

    Example
    -------

        import hashlib

        def derive_key(password, headers):
            rounds = headers["p2c"]
            return hashlib.pbkdf2_hmac("sha256", password, headers["p2s"], rounds)

    Instead
    -------

        import hashlib

        MAX_ROUNDS = 300_000

        def derive_key(password, headers):
            rounds = headers["p2c"]
            if not 1000 <= rounds <= MAX_ROUNDS:
                raise ValueError(f"{rounds} iterations are out of range")
            return hashlib.pbkdf2_hmac("sha256", password, headers["p2s"], rounds)

    Stays silent when
    -----------------
    An upper bound is checked on every path, here or in a validator that a table of this file names for the same field; the
    parameters are those of the application's own stored hash or configuration.

    Fix safety
    ----------
    A suggestion: the largest honest cost is the author's to say.

    Known limits
    ------------
    A lower bound alone is no bound. Validators in other files are not seen.
    """

    code, name, since, severity = "SBL411", "peer-chosen-work", "0.1", Severity.WARNING
    status = Status.PREVIEW
    overlaps = ()
    needs = (("cost-parameter",),)
    beside, reach = ("$valid|check|verify|ensure|limit",), 2  # a table may say which function refuses what the peer wrote

    def visit_Call(self, node: cst.Call) -> None:
        for row, confidence, name in self.facts.matcher.rows(node.func):
            if row.kind == "cost-parameter" and (parameter := row.parameter("cost")) is not None:
                cost = argument(node, parameter)
                if cost is not None and self._check(Match(node, row, confidence, name), cost):
                    return

    def _check(self, match: Match, cost: cst.BaseExpression) -> bool:
        """Tells the first unbounded field in each function that the cost comes from; True when there is one."""
        told: set[int] = set()
        for way in self._ways(cost):
            source, function = way[-1], id(self.facts.tree.function_of(way[-1]))
            if function not in told and not self._is_bounded(match.call, way) and not self._has_validator(source):
                self._tell(match, cost, source, way)
                told.add(function)
        return bool(told)

    def _ways(self, cost: cst.BaseExpression) -> Iterator[list[cst.CSTNode]]:
        """Ways from the cost back to fields of a peer's message."""
        queue: list[list[cst.CSTNode]] = [[cost]]
        seen = {id(cost)}
        for way in queue:  # grows while it is walked
            node = way[-1]
            if len(queue) > _STEPS:
                return
            if self._is_field(node):
                yield way
                continue
            for following in self._following(node):
                if id(following) not in seen:
                    seen.add(id(following))
                    queue.append([*way, following])

    def _following(self, node: cst.CSTNode) -> list[cst.CSTNode]:
        if isinstance(node, cst.Param):
            return list(self.facts.origins.passed(node))
        if isinstance(node, cst.Call):
            if self.facts.names.qualified(node.func) in ("builtins.int", "builtins.max", "builtins.pow"):
                return [arg.value for arg in node.args]
            return [o.node for o in self.facts.origins.step(node)]
        if isinstance(node, cst.BinaryOperation):
            return [node.left, node.right] if isinstance(node.operator, (cst.Multiply, cst.Add, cst.LeftShift, cst.Power)) else []
        if isinstance(node, cst.Tuple):
            return [element.value for element in node.elements]
        return [o.node for o in self.facts.origins.step(node)]

    def _is_field(self, node: cst.CSTNode) -> bool:
        """`headers["p2c"]`, `attributes.get("i")`, a field of a request."""
        holder: cst.CSTNode | None = None
        if (
            isinstance(node, cst.Subscript)
            and isinstance(node.slice[0].slice, cst.Index)
            and string(node.slice[0].slice.value) is not None
        ):
            holder = node.value
        elif (
            isinstance(node, cst.Call) and last_name(node.func) == "get" and node.args and string(node.args[0].value) is not None
        ):
            holder = node.func.value if isinstance(node.func, cst.Attribute) else None
        if holder is None:
            return False
        if self.facts.boundary.source(node).writer == PEER:
            return True
        if any(
            named_like(last_name(part), *_OWN)
            for origin in self.facts.origins.trail(holder)
            for part in self._named_in(origin.node)
        ):
            return False
        return not (isinstance(node, cst.Subscript) and bool(self.facts.origins.entry_bindings(node)))

    @staticmethod
    def _named_in(node: cst.CSTNode) -> list[cst.CSTNode]:
        """The names a mapping is made of: `decode(encoded)` is made of a hash of one's own."""
        if isinstance(node, cst.Call):
            return [arg.value for arg in node.args]
        return [node] if isinstance(node, (cst.Name, cst.Attribute)) else [node.name] if isinstance(node, cst.Param) else []

    def _is_bounded(self, call: cst.Call, way: list[cst.CSTNode]) -> bool:
        tree, guards = self.facts.tree, self.facts.guards
        places = {
            place for node in way if isinstance(node, (cst.Name, cst.Attribute)) and (place := self.facts.origins.place(node))
        }
        for node in way:
            function = tree.enclosing(node, cst.FunctionDef, cst.Lambda)
            if (
                isinstance(node, cst.Param)
                and function is not None
                and (place := guards.parameter_place(function, node)) is not None
            ):
                places.add(place)
        seen: set[int] = set()
        for node in (call, *way):
            function = tree.function_of(node)
            if function is not None and id(function) not in seen and not isinstance(node, cst.Param):
                seen.add(id(function))
                if guards.holds(
                    places, node, since=way[-1] if tree.function_of(way[-1]) is function and node is not way[-1] else None
                ):
                    return True
        return any(isinstance(node, cst.Call) and self.facts.names.qualified(node.func) == "builtins.min" for node in way)

    def _has_validator(self, field: cst.CSTNode) -> bool:
        """A table names a function of this file that refuses values of the same field: `{"p2c": Parameter(check_p2c)}`."""
        key = (
            field.slice[0].slice.value
            if isinstance(field, cst.Subscript)
            else field.args[0].value
            if isinstance(field, cst.Call)
            else None
        )  # type: ignore[union-attr]
        wanted = string(key)
        for table in self.facts.tree.all(cst.Dict):
            for element in table.elements:
                if isinstance(element, cst.DictElement) and string(element.key) == wanted:
                    functions = (
                        self.facts.names.definition(node) for node in descendants(element.value) if isinstance(node, cst.Name)
                    )
                    if any(
                        isinstance(f, cst.FunctionDef) and any(self.facts.guards.refuses(f, p) for p in f.params.params)
                        for f in functions
                    ):
                        return True
        return False

    def _tell(self, match: Match, cost: cst.BaseExpression, source: cst.CSTNode, way: list[cst.CSTNode]) -> None:
        field, line = self.facts.code(source), self.facts.line(source)
        name = match.row.parameter("cost")
        peer = self.facts.boundary.source(source).writer == PEER
        self.report(
            source if self.facts.tree.function_of(source) is not self.facts.tree.function_of(match.call) else match.call,
            f"`{field}` (line {line}) sets `{name.name if name else 'the cost'}` of "
            f"`{self.facts.code(match.call.func)}` with no upper bound: whoever wrote it decides how long this runs",
            confidence=Confidence.weakest(match.confidence, Confidence.HIGH if peer else Confidence.MEDIUM),
            trace=[(source, f"read from the message: `{field}`"), (match.call, f"does as much work: `{self.facts.code(cost)}`")],
            fix=lambda: capped(
                f"refuse the message when `{field}` is above the highest cost that is honest",
                _HIGHEST,
                self._refused(way, "cost") + self._others_refused(cost, source),
            ),
        )

    def _others_refused(self, cost: cst.BaseExpression, told: cst.CSTNode) -> tuple[Edit, ...]:
        """The other fields that the cost is made of: the height beside the width."""
        others = (way for way in self._ways(cost) if way[-1] is not told)
        return tuple(edit for number, way in enumerate(others, start=2) for edit in self._refused(way, f"cost_{number}"))

    def _refused(self, way: list[cst.CSTNode], name: str) -> tuple[Edit, ...]:
        """The number looked at where it is read, as the number that the text stands for."""
        number = way[-1]
        for node in reversed(way):
            if isinstance(node, cst.Call) and self.facts.names.qualified(node.func) == "builtins.int":
                number = node
        if not isinstance(number, cst.BaseExpression):
            return ()
        return named_first(self.facts, number, name, source_of(self.facts, number), *refused_above(_HIGHEST, "{}"))
