"""Everything a rule can ask about one file, computed on first use and remembered."""

from __future__ import annotations

from collections.abc import Mapping

import libcst as cst

from safeboundary_lint.core.acks import Acks
from safeboundary_lint.core.boundary import Boundary
from safeboundary_lint.core.buffers import Buffers
from safeboundary_lint.core.calls import NotConstant, literal
from safeboundary_lint.core.clocks import Clocks
from safeboundary_lint.core.consent import Consent
from safeboundary_lint.core.contents import Contents
from safeboundary_lint.core.counting import Counting
from safeboundary_lint.core.downgrades import Downgrades
from safeboundary_lint.core.exceptions import Exceptions
from safeboundary_lint.core.files import Files
from safeboundary_lint.core.finding import Confidence, Span
from safeboundary_lint.core.flow import Flow
from safeboundary_lint.core.guards import Guards
from safeboundary_lint.core.http import Requests
from safeboundary_lint.core.keyed import KeyedMaps
from safeboundary_lint.core.identity import Identities
from safeboundary_lint.core.knowledge import Knowledge
from safeboundary_lint.core.leases import Leases
from safeboundary_lint.core.loops import Loops
from safeboundary_lint.core.matching import Match, Matcher
from safeboundary_lint.core.names import Names
from safeboundary_lint.core.origins import Origins
from safeboundary_lint.core.outcomes import Outcomes
from safeboundary_lint.core.paths import Dominators
from safeboundary_lint.core.positions import Positions
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.queues import Queues
from safeboundary_lint.core.circles import Circles
from safeboundary_lint.core.readings import Readings
from safeboundary_lint.core.retries import Retries
from safeboundary_lint.core.security import Security
from safeboundary_lint.core.stakes import Stakes
from safeboundary_lint.core.summaries import Summaries
from safeboundary_lint.core.tree import Tree
from safeboundary_lint.core.types import Types
from safeboundary_lint.core.urls import Urls
from safeboundary_lint.core.wire import Wire
from safeboundary_lint.core.work import Work

_MAXIMA = {"sys.maxsize": 2**63 - 1, "math.inf": float("inf")}


class Facts:
    """Lazy facts about one file. Rules get it as `self.facts`."""

    def __init__(self, module: cst.Module, knowledge: Knowledge, path: str = "", text: str | None = None, indented: Mapping[int, int] | None = None) -> None:
        self.path = path
        self._text = text  # what was parsed
        self._indented = indented or {}  # characters that the parser did not see at the start of a line
        self.knowledge = knowledge
        self.tree = Tree(module)
        self._flows: dict[int, Flow] = {}
        self._dominators: dict[int, Dominators] = {}
        self._calls: dict[str, list[Match]] = {}
        self._matches: dict[tuple[int, tuple[str, ...]], Match | None] = {}

    def close(self) -> None:
        """Forget all of it: facts refer to each other in circles, and nobody looks for such garbage after each file."""
        for flow in self._flows.values():
            flow.close()
        self.__dict__.clear()

    @cached_property
    def names(self) -> Names:
        """Scopes and imports."""
        return Names(self.tree)

    @cached_property
    def types(self) -> Types:
        """Types of expressions."""
        return Types(self.tree, self.names, self.knowledge)

    @cached_property
    def matcher(self) -> Matcher:
        """Knowledge rows that explain expressions."""
        return Matcher(self.names, self.types, self.knowledge)

    @cached_property
    def origins(self) -> Origins:
        """Where values come from."""
        return Origins(self)

    @cached_property
    def contents(self) -> Contents:
        """What containers and records hold."""
        return Contents(self)

    @cached_property
    def clocks(self) -> Clocks:
        """Clock domains of values."""
        return Clocks(self)

    @cached_property
    def readings(self) -> Readings:
        """Where clock readings go."""
        return Readings(self)

    @cached_property
    def stakes(self) -> Stakes:
        """What hangs on a span or a moment."""
        return Stakes(self)

    @cached_property
    def identities(self) -> Identities:
        """What identifiers are made of."""
        return Identities(self)

    @cached_property
    def leases(self) -> Leases:
        """What is held for a time."""
        return Leases(self)

    @cached_property
    def exceptions(self) -> Exceptions:
        """What handlers catch."""
        return Exceptions(self)

    @cached_property
    def summaries(self) -> Summaries:
        """What functions do."""
        return Summaries(self)

    @cached_property
    def work(self) -> Work:
        """What calls do that a crash must not lose."""
        return Work(self)

    @cached_property
    def acks(self) -> Acks:
        """Where messages are acknowledged."""
        return Acks(self)

    @cached_property
    def queues(self) -> Queues:
        """Which queues are meant to vanish."""
        return Queues(self)

    @cached_property
    def loops(self) -> Loops:
        """Loops that repeat until it works."""
        return Loops(self)

    @cached_property
    def outcomes(self) -> Outcomes:
        """What is known after a failure."""
        return Outcomes(self)

    @cached_property
    def requests(self) -> Requests:
        """What HTTP requests send."""
        return Requests(self)

    @cached_property
    def retries(self) -> Retries:
        """What is repeated after a failure."""
        return Retries(self)

    @cached_property
    def downgrades(self) -> Downgrades:
        """Weaker second attempts."""
        return Downgrades(self)

    @cached_property
    def consent(self) -> Consent:
        """Whether an option asks for the weaker way."""
        return Consent(self)

    @cached_property
    def security(self) -> Security:
        """Security settings that are turned off."""
        return Security(self)

    @cached_property
    def boundary(self) -> Boundary:
        """Who wrote a value."""
        return Boundary(self)

    @cached_property
    def guards(self) -> Guards:
        """What is bounded by checks."""
        return Guards(self)

    @cached_property
    def counting(self) -> Counting:
        """What is counted while it grows."""
        return Counting(self)

    @cached_property
    def circles(self) -> Circles:
        """Functions that call each other in a circle."""
        return Circles(self)

    @cached_property
    def buffers(self) -> Buffers:
        """Where data of the boundary piles up."""
        return Buffers(self)

    @cached_property
    def keyed(self) -> KeyedMaps:
        """Maps that live as long as the process."""
        return KeyedMaps(self)

    @cached_property
    def wire(self) -> Wire:
        """Numbers that the peer wrote."""
        return Wire(self)

    @cached_property
    def files(self) -> Files:
        """Which files are written, read and renamed."""
        return Files(self)

    @cached_property
    def urls(self) -> Urls:
        """Who chose the host of a URL."""
        return Urls(self)

    def flow(self, function: cst.FunctionDef | cst.Lambda | cst.Module) -> Flow:
        """The control-flow graph of a function, or of the module's own statements."""
        if (found := self._flows.get(id(function))) is None:
            found = self._flows[id(function)] = Flow(self.tree, function, self.exceptions.model())
        return found

    def flow_around(self, node: cst.CSTNode) -> Flow:
        """The control-flow graph that holds this node."""
        return self.flow(self.tree.function_of(node) or self.tree.module)

    def dominators(self, flow: Flow) -> Dominators:
        """The dominator tree of a graph."""
        if (found := self._dominators.get(id(flow))) is None:
            found = self._dominators[id(flow)] = Dominators(flow)
        return found

    # -- knowledge ---------------------------------------------------------------------------------------------------

    def match(self, expression: cst.CSTNode, *kinds: str) -> Match | None:
        """The row of one of these kinds that explains a call (by what it calls), a name or an attribute."""
        key = (id(expression), kinds)
        if key not in self._matches:
            self._matches[key] = self.matcher.match(expression, *kinds)
        return self._matches[key]

    def calls(self, *kinds: str) -> list[Match]:
        """Every call in the file that a row of these kinds explains, in source order."""
        return [match for kind in kinds for match in self._calls_of(kind)]

    def _calls_of(self, kind: str) -> list[Match]:
        if kind not in self._calls:
            words = self.knowledge.words.get(kind, frozenset())
            through = (call for call in self.names.calls_of(words) if type(call.func) is cst.Attribute)
            several = [[match for call in calls if (match := self._explained(call, kind)) is not None] for calls in (through, self._bare_calls)]
            apart = not all(several)  # each of the two is in order by itself
            self._calls[kind] = several[0] or several[1] if apart else self.tree.in_order((*several[0], *several[1]), lambda match: match.node)
        return self._calls[kind]

    @cached_property
    def _bare_calls(self) -> list[cst.Call]:
        """Calls of a bare name, which may be an alias of anything, that some row explains."""
        return [call for call in self.tree.all(cst.Call) if type(call.func) is cst.Name and self.matcher.rows(call.func)]

    def _explained(self, call: cst.Call, kind: str) -> Match | None:
        for row, confidence, dotted in self.matcher.rows(call.func):
            if row.kind == kind:
                return Match(call, row, confidence, dotted)
        return None

    # -- constants, places -------------------------------------------------------------------------------------------

    def constant(self, expression: cst.CSTNode | None) -> object:
        """The Python value of a literal, of arithmetic on them, or of a name bound once to such. Raises NotConstant."""
        try:
            return literal(expression)
        except NotConstant:
            if expression is None:
                raise
        if isinstance(expression, (cst.Name, cst.Attribute)):
            dotted = self.names.qualified(expression)
            if dotted in _MAXIMA:
                return _MAXIMA[dotted]
            steps = self.origins.step(expression)
            if len(steps) == 1 and steps[0].how == "value" and steps[0].node is not expression:
                return literal(steps[0].node)
        raise NotConstant

    def is_constant(self, expression: cst.CSTNode | None, *values: object) -> bool:
        """True when the expression is known to be one of these values; True and 1 are not the same."""
        try:
            found = self.constant(expression)
        except NotConstant:
            return False
        return any(found == value and type(found) is type(value) for value in values)

    @cached_property
    def _positions(self) -> Positions:
        return Positions(self.tree, self._text if self._text is not None else self.tree.module.code)

    def span(self, node: cst.CSTNode) -> Span:
        """Where a node stands in the file."""
        line, column, end_line, end_column = self._positions.range(node)
        before, after = self._indented.get(line, 0), self._indented.get(end_line, 0)
        return Span(line, column + 1 + before, end_line, end_column + 1 + after)

    def line(self, node: cst.CSTNode) -> int:
        """The 1-based line a node starts at."""
        return self.span(node).line

    def in_full(self, confidence: Confidence) -> bool:
        """True when what is reported so surely is told with all that belongs to it; where that takes a better tree, this raises."""
        return True

    def text(self, node: cst.CSTNode) -> str:
        """The text of a node as it stands in the file."""
        return self.tree.module.code_for_node(node)

    def code(self, node: cst.CSTNode, limit: int = 60) -> str:
        """The source of a node on one line, for messages; cut in the middle of nothing longer than `limit` characters."""
        text = " ".join(self.text(node).split())
        return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."
