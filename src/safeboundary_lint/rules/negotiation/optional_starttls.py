"""SBL505: a connection is upgraded to TLS only when the peer offers it, or stays in plaintext when the upgrade fails."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.refusals import let_out, raised_else
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_FLAGS = ("ssl", "tls")
_SAID = ("capab", "feature", "extension", "server_flags", "supports")


class OptionalStarttls(Rule):
    """A connection is upgraded to TLS only when the peer says it can, or goes on in plaintext when the upgrade fails.

    What it does
    ------------
    Finds STARTTLS behind a look at what the (still unauthenticated) peer offers with nothing that refuses on the other branch;
    failures of the upgrade that are logged and passed; and clients of any protocol that wrap the connection only when both a
    TLS configuration and a capability bit of the peer are there, and send credentials either way.

    Why it matters
    --------------
    The list of capabilities travels in plaintext. An attacker strikes STARTTLS out of it, and the client sends the password in
    the clear although both sides can do TLS.

    Example
    -------

        import smtplib
        import ssl

        def send(host, user, password, message):
            server = smtplib.SMTP(host, 587)
            server.ehlo()
            if server.has_extn("STARTTLS"):
                server.starttls(context=ssl.create_default_context())
            server.login(user, password)
            server.send_message(message)

    Instead
    -------

        import smtplib
        import ssl

        def send(host, user, password, message):
            server = smtplib.SMTP(host, 587)
            server.starttls(context=ssl.create_default_context())
            server.login(user, password)
            server.send_message(message)

    Stays silent when
    -----------------
    The other branch raises, returns or closes before anything is sent; a required mode raises; TLS is chosen by configuration
    alone and its failure leaves; the mode is named opportunistic by an option.

    Fix safety
    ----------
    A suggestion, which raises where the peer offers no TLS or the upgrade fails: such peers can't be talked to afterwards, which is
    the point, and the caller has to be ready for the error.

    Known limits
    ------------
    Where the upgrade and the login stand in different functions, the finding has medium confidence.
    """

    code, name, since, severity = "SBL505", "optional-starttls", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("starttls", "tls-connect", "=ssl", "=tls"),)

    def visit_Module(self, node: cst.Module) -> None:
        seen: set[int] = set()
        for match in self.facts.calls("starttls", "tls-connect"):
            if id(match.call) not in seen and not self.facts.consent.asked(match.call):
                seen.add(id(match.call))
                self._check(match)
        for call in self.facts.tree.all(cst.Call):
            if id(call) not in seen and any(
                arg.keyword is not None and arg.keyword.value in _FLAGS and self._is_context(arg.value) for arg in call.args
            ):
                self._check_advertised(call, Confidence.MEDIUM)

    def _is_context(self, value: cst.BaseExpression) -> bool:
        name = (last_name(value) or "").lower()
        return isinstance(value, (cst.Name, cst.Attribute)) and any(flag in name for flag in (*_FLAGS, "ctx", "context"))

    def _check(self, match: Match) -> None:
        if not self._check_advertised(match.call, match.confidence) and match.row.kind == "starttls":
            self._check_failure(match)

    # -- only when the peer offers it ----------------------------------------------------------------------------------

    def _check_advertised(self, call: cst.Call, confidence: Confidence) -> bool:
        flow = self.facts.flow_around(call)
        for point in flow.points_of(call)[:1]:
            for test, outcome in self.facts.dominators(flow).guards(point):
                asked = next((part for part, truth in paths.implied(test, outcome) if self._asks_peer(part, truth)), None)
                if asked is None:
                    continue
                if self._refuses(flow):
                    return True
                way = self._goes_on(flow, flow.branches_of(test, not outcome), point)
                if way is not None:
                    self._tell_advertised(call, asked, way, confidence)
                return True
        return False

    def _asks_peer(self, part: cst.CSTNode, truth: bool, depth: int = 3) -> bool:
        """Is this a look at what the peer says it can do, gone the way that it can?"""
        if isinstance(part, cst.Comparison) and len(part.comparisons) == 1:
            operator, text = part.comparisons[0].operator, self._token(part.left)
            if text is not None and isinstance(operator, cst.In if truth else cst.NotIn):
                return (
                    any(flag in text for flag in ("starttls", "stls"))
                    or any(flag in text for flag in _FLAGS)
                    and self._says(part)
                )
            if isinstance(operator, cst.Equal if truth else cst.NotEqual) and self._answered(part.left):
                return True
            return isinstance(part.left, cst.BinaryOperation) and self._asks_peer(part.left, truth)
        if not truth:
            return False
        if isinstance(part, cst.BinaryOperation) and isinstance(part.operator, cst.BitAnd):
            return self._says(part) and any(flag in word for word in self._names(part) for flag in _FLAGS)
        if isinstance(part, cst.Call):
            if self.facts.match(part, "capability-check") is None:
                return False
            texts = [text for arg in part.args if (text := self._token(arg.value))]
            return not texts or any(flag in text for text in texts for flag in _FLAGS)
        if isinstance(part, (cst.Name, cst.Attribute)) and depth:
            return any(
                self._asks_peer(o.node, truth, depth - 1)
                for o in self.facts.origins.step(part)
                if o.how == "value" and o.node is not part
            )
        return False

    def _answered(self, value: cst.CSTNode) -> bool:
        """The value was read from the connection: `answer = sock.recv(1)`."""
        calls = (origin.node for origin in self.facts.origins.trail(value)[1:] if isinstance(origin.node, cst.Call))
        return any((last_name(call.func) or "").lower().startswith(("recv", "read", "receive")) for call in calls)

    def _token(self, node: cst.CSTNode) -> str | None:
        if isinstance(node, cst.SimpleString) and isinstance(node.evaluated_value, bytes):
            return node.evaluated_value.decode("latin-1").lower()
        return text.lower() if (text := string(node)) is not None else None

    def _says(self, part: cst.CSTNode) -> bool:
        return any(said in word for word in self._names(part) for said in _SAID)

    def _names(self, part: cst.CSTNode) -> Iterator[str]:
        for node in descendants(part):
            if isinstance(node, (cst.Name, cst.Attribute)):
                yield (last_name(node) or "").lower()

    def _refuses(self, flow: Flow) -> bool:
        """Somewhere in the function a missing capability, or TLS that was required and is not there, raises."""
        for point in flow:
            if isinstance(point.node, cst.Raise) and point.kind == "statement":
                if any(self._asks_peer(part, not truth) for part, truth in self.facts.consent.conditions(point.node)):
                    return True
        return False

    def _goes_on(self, flow: Flow, starts: list[Point], upgrade: Point) -> Point | None:
        """Where the connection is used without the upgrade: credentials sent, or the function left as if all were well."""
        sends = {index for index in self.facts.summaries.points(flow.root, "send-credentials")}  # type: ignore[arg-type]

        def used(point: Point) -> bool:
            return point.index in sends

        way = paths.find(starts, used, avoiding=lambda point: point is upgrade, raising=False)
        if way is not None:
            return way[-1]
        if sends:
            return None
        way = paths.find(
            starts, lambda point: point is flow.returned, avoiding=lambda p: p is upgrade or self._leaves(p), raising=False
        )
        return way[-1] if way is not None else None

    def _leaves(self, point: Point) -> bool:
        """An explicit way out: `return False`, `sys.exit()`, the connection closed."""
        node = point.node
        if isinstance(node, cst.Return):
            return node.value is None or self.facts.is_constant(node.value, False, None)
        calls = [below for below in descendants(node) if isinstance(below, cst.Call)] if isinstance(node, cst.Expr) else []
        return any(
            last_name(call.func) in ("close", "quit", "disconnect", "logout", "abort", "shutdown", "fail") for call in calls
        )

    def _tell_advertised(self, call: cst.Call, asked: cst.CSTNode, way: Point, confidence: Confidence) -> None:
        sent = (
            f", and line {self.facts.line(way.node)} sends `{self.facts.code(way.node, 40)}` either way"
            if way.node is not None
            else ""
        )
        self.report(
            call,
            f"TLS is used only if the peer offers it (`{self.facts.code(asked)}`){sent}: an attacker strikes the offer "
            f"out and reads on in plaintext",
            confidence=confidence if way.node is not None else Confidence.weakest(confidence, Confidence.MEDIUM),
            trace=[
                (asked, "what the unauthenticated peer says decides"),
                *([(way.node, "goes out in plaintext otherwise")] if way.node is not None else []),
            ],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"call `{self.facts.code(call)}` without asking, or raise when the peer does not offer it",
                self._refusal(call, asked),
            ),
        )

    def _refusal(self, call: cst.Call, asked: cst.CSTNode) -> tuple[Edit, ...]:
        branch = self.facts.tree.enclosing(call, cst.If, cst.FunctionDef, cst.Lambda)
        if not isinstance(branch, cst.If) or not self.facts.tree.within(call, branch.body):
            return ()
        return raised_else(self.facts, branch, asked, 'raise ConnectionError("the server offers no TLS")')

    # -- a failure that is passed --------------------------------------------------------------------------------------

    def _check_failure(self, match: Match) -> None:
        call, tree = match.call, self.facts.tree
        attempt = tree.enclosing(call, cst.Try, cst.FunctionDef, cst.Lambda)
        if not isinstance(attempt, cst.Try) or not tree.within(call, attempt.body):
            return
        flow = self.facts.flow_around(call)
        for upgrade in flow.points_of(call)[:1]:
            for handler in attempt.handlers:
                starts = [point for point in flow.points_of(handler) if point.kind == "handler"]
                retried = any(
                    last_name(node.func) in ("connect", "open")
                    for node in descendants(handler.body)
                    if isinstance(node, cst.Call)
                )
                way = self._goes_on(flow, starts, upgrade)
                if way is not None and not retried and (way.node is not None or not self._answers(handler)):
                    self._tell_failure(match, handler, way)
                    return

    def _answers(self, handler: cst.ExceptHandler) -> bool:
        return any(isinstance(node, (cst.Return, cst.Raise)) for node in descendants(handler.body))

    def _tell_failure(self, match: Match, handler: cst.ExceptHandler, way: Point) -> None:
        sent = (
            f"line {self.facts.line(way.node)} sends `{self.facts.code(way.node, 40)}`"
            if way.node is not None
            else "the caller goes on"
        )
        self.report(
            match.call,
            f"when `{self.facts.code(match.call)}` fails, line {self.facts.line(handler)} passes over it and {sent} in "
            f"plaintext: "
            "an attacker only has to make the upgrade fail",
            confidence=match.confidence if way.node is not None else Confidence.MEDIUM,
            trace=[
                (handler, "the failed upgrade is passed over here"),
                *([(way.node, "goes out in plaintext")] if way.node is not None else []),
            ],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"let the failure of `{self.facts.code(match.call)}` reach the caller before anything is sent",
                let_out(self.facts, handler),
            ),
        )
