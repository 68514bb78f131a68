"""Which calls do work that a crash must not lose: durable effects that knowledge knows, and names that tell of handling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument, string_parts
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

DURABLE = ("durable-write", "commit", "publish", "enqueue")
_NEVER = ("ack", "nack", "ack-context", "receive", "hand-over", "flush", "confirm", "consume")
_LEVELS = 3

_CHANGES = Regex(
    r"\s*(?:/\*.*?\*/\s*)?(?:with\b.*?\)\s*)?(insert|update|delete|replace|merge|upsert|copy)\b", re.IGNORECASE | re.DOTALL
)
_STATEMENT_MAKERS = frozenset("insert update delete upsert insert_into".split())
_VERBS = (
    "handle process run execute perform ingest store save persist insert upsert write create update apply dispatch deliver "
    "import index upload sync archive send publish enqueue forward do evaluate analyze analyse transform convert enrich "
    "transcode crawl scrape browse predict remediate deploy provision extract download generate render migrate"
)
_TELLING = Regex(
    rf"(?:{'|'.join(_VERBS.split())})_\w+|handle|process|run|execute|perform|ingest|store|save|persist|dispatch|insert|"
    r"upsert|evaluate|remediate|transform|crawl|scrape|browse|transcode|deploy|callback|handler|func|fn|work|job|"
    r"publish|enqueue|\w+_publish|on_message|consume|\w+_(?:handler|callback|func|fn|processor)|handler_\w+|callback_\w+|"
    r"process[A-Z]\w*|handle[A-Z]\w*"
)
_NOT_TELLING = Regex(
    r"\w*(?:metric|stat|counter|timing|timer|trace|span|log|debug|heartbeat|status_code|response|header|reply|buffer|"
    r"progress_bar|keepalive|task_name|"
    r"cache|label|mock|sleep|lock|signal|shutdown)\w*"
)
_WAITING = ("join", "result", "wait", "gather", "as_completed", "shutdown")
_OBSERVERS = Regex(
    r"\w*(?:log|metric|stat|statsd|span|trace|tracer|sentry|prometheus|monitor|telemetry|profil|loop|parser|hash|md5|sha\d+)\w*"
)


@dataclass(slots=True, eq=False)
class WorkCall:
    """A call that does work: how sure that is, and what knowledge says of it (None: only its name tells)."""

    call: cst.Call
    confidence: Confidence
    match: Match | None = None

    @property
    def durable(self) -> bool:
        """True when knowledge knows the effect, false when only a name tells it."""
        return self.match is not None


class Work:
    """The work that the functions of one file do."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._known: dict[int, WorkCall | None] = {}
        self._inside: dict[int, Match | None] = {}
        self._of: dict[int, list[WorkCall]] = {}
        self._points: dict[int, dict[int, WorkCall]] = {}

    def of(self, function: cst.CSTNode) -> list[WorkCall]:
        """The work a function (or the module) does itself or through its helpers in this file, in source order."""
        if (known := self._of.get(id(function))) is None:
            calls = self.facts.summaries.calls_of(function)
            known = self._of[id(function)] = [work for call in calls if (work := self.of_call(call)) is not None]
        return known

    def points(self, function: cst.FunctionDef | cst.Lambda | cst.Module) -> dict[int, WorkCall]:
        """The work of a function by index of its flow points."""
        if (known := self._points.get(id(function))) is None:
            flow = self.facts.flow(function)
            known = {point.index: work for work in reversed(self.of(function)) for point in flow.points_of(work.call)}
            self._points[id(function)] = known
        return known

    def of_call(self, call: cst.Call) -> WorkCall | None:
        """What a call does, when that is work."""
        key = id(call)
        if key not in self._known:
            self._known[key] = None
            self._known[key] = self._find(call)
        return self._known[key]

    def durable(self, call: cst.Call, kinds: tuple[str, ...] = DURABLE) -> Match | None:
        """The row that makes a call a durable effect; statements that only read are none."""
        match = self.facts.match(call, *kinds)
        if (
            match is not None
            and match.row.kind == "durable-write"
            and match.row.get("sql") is not None
            and not self.changes(match)
        ):
            return None
        return match

    def changes(self, match: Match) -> bool:
        """True when the statement handed to a database is seen to change something."""
        parameter = match.row.parameter("sql")
        statement = argument(match.call, parameter) if parameter is not None else None
        if statement is None and match.call.args and not match.call.args[0].star:
            statement = match.call.args[0].value
        return statement is not None and any(self._changes(origin.node) for origin in self.facts.origins.trail(statement)[:6])

    def _changes(self, statement: cst.CSTNode) -> bool:
        while isinstance(statement, cst.Call) and isinstance(statement.func, cst.Attribute):
            if statement.func.attr.value in _STATEMENT_MAKERS:
                return True
            if statement.func.attr.value in ("text", "SQL", "format", "sql", "dedent") and not isinstance(
                statement.func.value, cst.Call
            ):
                inner = (
                    statement.args[0].value if statement.args and statement.func.attr.value != "format" else statement.func.value
                )
                return self._changes(inner)
            statement = statement.func.value
        if isinstance(statement, cst.Call):
            if last_name(statement.func) in _STATEMENT_MAKERS:
                return True
            return (
                last_name(statement.func) in ("text", "SQL", "dedent")
                and bool(statement.args)
                and self._changes(statement.args[0].value)
            )
        if isinstance(statement, cst.BinaryOperation):
            return self._changes(statement.left)
        text = string_parts(statement)
        return text is not None and _CHANGES.match(text) is not None

    def _find(self, call: cst.Call) -> WorkCall | None:
        if (match := self.durable(call)) is not None and not self.handed_over(call):
            return WorkCall(call, match.confidence, match)
        if self.facts.match(call, *_NEVER) is not None or self.handed_over(call):
            return None
        callee = self.facts.types.callee(call)
        if callee is not None and (inner := self._within(callee, _LEVELS)) is not None:
            return WorkCall(call, Confidence.weakest(inner.confidence, Confidence.MEDIUM), inner)
        return WorkCall(call, Confidence.MEDIUM) if self._tells(call) and not self.hands_on(call) else None

    def hands_on(self, call: cst.Call) -> bool:
        """True for a helper of this file that hands over what it is given, waits for nothing and does nothing else that lasts."""
        callee = self.facts.types.callee(call)
        if not isinstance(callee, cst.FunctionDef) or not self.facts.summaries.effects(callee, "hand-over", levels=1):
            return False
        calls = self.facts.summaries.calls_of(callee)
        waits = any(last_name(one.func) in _WAITING or self.facts.match(one, "ack") is not None for one in calls)
        return not waits and self._within(callee, _LEVELS) is None

    def _within(self, function: cst.FunctionDef | cst.Lambda, levels: int) -> Match | None:
        """The first durable effect of a function of this file."""
        key = id(function)
        if key not in self._inside:
            self._inside[key] = None  # recursion adds nothing
            found = None
            for call in self.facts.summaries.calls_of(function):
                if (found := self.durable(call)) is None and levels > 1 and (callee := self.facts.types.callee(call)) is not None:
                    found = self._within(callee, levels - 1)
                if found is not None:
                    break
            self._inside[key] = found
        return self._inside[key]

    def within(self, function: cst.FunctionDef | cst.Lambda) -> Match | None:
        """The first durable effect of a function of this file, also through its helpers; None when there is none."""
        return self._within(function, _LEVELS)

    def handed_over(self, call: cst.Call) -> bool:
        """True for the coroutine that is handed to something which runs it later: `create_task(save(x))`."""
        arg = self.facts.tree.parent(call)
        outer = self.facts.tree.parent(arg) if isinstance(arg, cst.Arg) else None
        return isinstance(outer, cst.Call) and self.facts.match(outer, "hand-over") is not None

    def tells(self, name: str | None) -> bool:
        """True for the name of a function that handles, saves, sends what it is given."""
        plain = (name or "").lstrip("_")
        return bool(_TELLING.fullmatch(plain)) and not _NOT_TELLING.fullmatch(plain)

    def _tells(self, call: cst.Call) -> bool:
        func = call.func
        if isinstance(func, cst.Attribute) and _OBSERVERS.fullmatch((last_name(func.value) or "").lower()):
            return False
        if not self.tells(last_name(func)) and not self._is_parameter(func):
            return False
        receiver = [func.value] if isinstance(func, cst.Attribute) else []
        return any(self._is_local(value) for value in (*receiver, *(arg.value for arg in call.args)))

    def _is_parameter(self, func: cst.BaseExpression) -> bool:
        found = self.facts.names.lookup(func) if isinstance(func, cst.Name) else None
        return found is not None and all(binding.how == "parameter" for binding in found[1])

    def _is_local(self, value: cst.CSTNode) -> bool:
        """True when a value mentions a local name: something that this call of the function is about."""
        for node in descendants(value, into_definitions=False):
            if isinstance(node, cst.Name) and node.value not in ("self", "cls"):
                found = self.facts.names.lookup(node)
                if found is not None and isinstance(found[0].node, (cst.FunctionDef, cst.Lambda)):
                    return True
        return False


def new_round(facts: Facts, around: cst.CSTNode) -> frozenset[int]:
    """Ids of the loops around a node: taking their next round means the next message."""
    function = facts.tree.function_of(around)
    found = []
    for ancestor in facts.tree.ancestors(around):
        if ancestor is function:
            break
        if isinstance(ancestor, (cst.For, cst.While)):
            found.append(id(ancestor) if isinstance(ancestor, cst.For) else id(ancestor.test))
    return frozenset(found)


def starts_round(point: Point, loops: frozenset[int]) -> bool:
    """True for the point at which one of these loops begins its next round."""
    return point.kind == "branch" and point.outcome is True and id(point.node) in loops
