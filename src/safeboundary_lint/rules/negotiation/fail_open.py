"""SBL506: when a check can't be made, the request passes."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core import decisions, paths
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.edits import replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.refusals import let_out, raised_instead, required
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.negotiation import NOBODY, may_be_unset, may_let_pass
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.negotiation.unset_secrets import is_told_by_data, unset

_MISSING = Regex(
    r"secret$|secret_key$|(^|_)sig$|api_key$|signing_key|public_key|hmac|verifier|authenticator|checker|webhook_id|"
    r"webhook_key|jwks|signature|auth_backend|auth_service|validator|required_headers|sig_header|cert_url|_manager$|"
    r"_client$"
)
_STORE = Regex(r"(^|_)(db|database|prisma|sql\w*|redis|mongo\w*|postgres\w*|cache|supabase)(_|$)")
_ABOUT_REQUEST = Regex(r"^(.*request|req|state|session|headers|scope|context|ctx|environ|cookies|claims)$")


class FailOpen(Rule):
    """When an authorisation check, a signature check or a limit can't be decided, the request passes.

    What it does
    ------------
    Finds functions that decide who may do what and answer "allowed" in an exception handler, or when the secret, the verifier
    or the proof is missing: `True`, `{"status": "allow"}`, the unfiltered input, no exception where denying means raising; and
    identities that default to a real account.

    Why it matters
    --------------
    Failures can be provoked: a header that can't be parsed, a backend that is flooded, a deployment without the secret. A check
    that passes when it fails protects only against those who don't try.

    Example
    -------

        import logging

        def is_authorized(user, action, policy_client):
            try:
                return policy_client.decide(user, action)
            except Exception:
                logging.exception("policy service failed")
                return True

    Instead
    -------

        import logging

        def is_authorized(user, action, policy_client):
            try:
                return policy_client.decide(user, action)
            except Exception:
                logging.exception("policy service failed")
                return False

    Stays silent when
    -----------------
    True means deny (`is_blocked`, `is_expired`); the handler denies, raises or tries the next key; another check has to come out
    well after the failure; the refusal is noted in an attribute (`context.rejected`); the function asks whether something exists
    (`check_alias_exists`), or grants what is lacking (`ensure_use_permission`); nothing is configured that could decide, by design.
    Where a comment says that the check fails open, and where no webhook secret is configured, the finding is information.

    Fix safety
    ----------
    A suggestion: whom a failing check locks out is for the author to say.

    Known limits
    ------------
    The meaning of a function is told from its name. What a function of the file makes or leaves out by what it is given has low
    confidence: signing may be optional. So has a database that is missing: without it there may be nobody to restrict. Decorators and middleware that swallow the exception are not seen.
    """

    code, name, since, severity = "SBL506", "fail-open", "0.1", Severity.ERROR
    overlaps = ()
    needs = (
        (f"${decisions.NAMES}", f"${decisions.JUDGING_NAMES}", "%^(is_)?(allow|permit|grant|authorized|authenticated)", "%(verif|check|validat).*(sig|hmac|webhook|payload|request)|^compare_digest$"),
        (may_let_pass, may_be_unset),
    )
    local = True

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        how = decisions.meaning(self.facts, node)
        if how == decisions.IDENTITY:
            self._check_identity(node)
        elif how is None:
            self._check_plain_answers(node)
            self._check_unset(node)
        elif how is not None and not self.facts.consent.named_for_it(node) and not self._gives(node):
            self._check_handlers(node, how)
            if how in (decisions.TRUE, decisions.RAISING):
                self._check_missing(node, how)

    @staticmethod
    def _gives(function: cst.FunctionDef) -> bool:
        """`ensure_use_permission` that grants what is lacking: when it fails, somebody has fewer rights."""
        below = descendants(function.body) if named_like(function.name.value, "ensure_*") else ()
        called = (last_name(node.func) for node in below if isinstance(node, cst.Call))
        return any(named_like(name, "grant_*", "*_grant", "assign_*") for name in called)

    # -- in handlers -----------------------------------------------------------------------------------------------------

    def _check_handlers(self, function: cst.FunctionDef, how: str) -> None:
        attempts = [
            node for node in descendants(function.body, into_definitions=False) if isinstance(node, cst.Try) and node.handlers
        ]
        if not attempts:
            return
        flow = self.facts.flow(function)
        for attempt in attempts:
            if not any(
                isinstance(node, (cst.Call, cst.Subscript, cst.Attribute))
                for node in descendants(attempt.body, into_definitions=False)
            ):
                continue
            for handler in attempt.handlers:
                way = self._allowed_after(flow, function, attempt, handler, how)
                if way is not None:
                    self._tell_handler(function, handler, way, how)

    def _allowed_after(
        self, flow: Flow, function: cst.FunctionDef, attempt: cst.Try, handler: cst.ExceptHandler, how: str
    ) -> Point | None:
        """The point at which a failure that this handler takes is answered with "allowed", without another try."""
        tree = self.facts.tree
        starts = [
            point for point in flow.by_node.get(id(handler), ()) if point.kind == "handler"
        ]  # also behind what the graph takes for safe

        def again(point: Point) -> bool:
            return point.node is not None and tree.within(point.node, attempt.body)

        def goal(point: Point) -> bool:
            if isinstance(point.node, cst.Return):
                return decisions.allows(self.facts, function, how, point.node.value)
            return how == decisions.RAISING and point is flow.returned

        def denied(point: Point) -> bool:
            refused = isinstance(point.node, cst.Return) and not goal(point)
            noted = point.node is not None and decisions.notes_denial(self.facts, point.node)
            return again(point) or refused or noted or decisions.is_passed(self.facts, function, how, handler, point)

        way = paths.find(starts, goal, avoiding=denied, raising=False)
        if way is None or any(point.kind == "next" for point in way) and not decisions.all_must_pass(self.facts, function, handler, how):
            return None
        after = [
            point
            for point in way
            if isinstance(point.node, cst.Expr) and not tree.within(point.node, handler) and self._checks(point.node)
        ]
        return None if after else way[-1]

    def _checks(self, statement: cst.Expr) -> bool:
        """Another check that follows."""
        calls = [node for node in descendants(statement) if isinstance(node, cst.Call)]
        return any(re.search(r"check|verify|validate|require|authori", (last_name(call.func) or "").lower()) for call in calls)

    def _tell_handler(self, function: cst.FunctionDef, handler: cst.ExceptHandler, way: Point, how: str) -> None:
        at = way.node if isinstance(way.node, cst.Return) and self.facts.tree.within(way.node, handler) else handler
        broad = self.facts.exceptions.catches_all(handler.type)
        answer = f"`{self.facts.code(way.node)}`" if isinstance(way.node, cst.Return) else "no exception"
        self.report(
            at,
            f"a failure of the check in `{function.name.value}` is answered with {answer}, which lets the request pass: "
            "whoever makes the check fail is allowed",
            severity=Severity.INFO if self._says_so(function) else self.severity,
            confidence=(
                Confidence.HIGH
                if broad and how == decisions.TRUE
                else Confidence.MEDIUM if broad or self._is_failure(handler) else Confidence.LOW
            ),
            trace=[
                (handler, "the failure is taken here"),
                *([(way.node, "and the request passes")] if way.node is not None and way.node is not at else []),
            ],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"deny in the handler of `{function.name.value}`, or let the failure reach the caller",
                self._denied(at) if isinstance(at, cst.Return) else let_out(self.facts, handler),
            ),
        )

    def _is_failure(self, handler: cst.ExceptHandler) -> bool:
        """Something went wrong outside (a connection, a library), rather than a lookup that found nothing."""
        for name in self.facts.exceptions.classes(handler.type):
            if re.search(
                r"NotFound|DoesNotExist|NotExist|NoResult|Missing|StopIteration|KeyError|IndexError|NotImplemented|LookupError",
                name,
            ):
                return False
        return True

    def _says_so(self, function: cst.FunctionDef) -> bool:
        """A comment or the docstring says that failing means passing."""
        text = self.facts.text(function).lower().replace("-", " ")
        return "fail open" in text or "fails open" in text or "failing open" in text

    def _check_plain_answers(self, function: cst.FunctionDef) -> None:
        """A handler that says "allowed" in so many words decides about access, whatever the function is called."""
        for returned in self.facts.origins.returned(function):
            handler = self.facts.tree.enclosing(returned, cst.ExceptHandler, cst.FunctionDef, cst.Lambda)
            if isinstance(handler, cst.ExceptHandler) and decisions.says_allowed(self.facts, returned):
                self.report(
                    returned,
                    f"a failure in `{function.name.value}` is answered with `{self.facts.code(returned)}`: whoever "
                    f"makes it fail is allowed",
                    severity=Severity.INFO if self._says_so(function) else self.severity,
                    confidence=(
                        Confidence.MEDIUM
                        if self._is_failure(handler) or self.facts.exceptions.catches_all(handler.type)
                        else Confidence.LOW
                    ),
                    trace=[(handler, "the failure is taken here")],
                    fix=lambda: Fix(
                        Applicability.SUGGESTION,
                        "answer a failure with a refusal",
                        self._denied(self.facts.tree.statement_of(returned)),
                    ),
                )

    def _denied(self, answer: cst.CSTNode, otherwise: str = "raise") -> tuple[Edit, ...]:
        """The opposite answer where there is one, in so many words or as an entry of a decision; else a raise."""
        value = answer.value if isinstance(answer, cst.Return) else None
        entries = value.elements if isinstance(value, cst.Dict) else ()
        said = [one.value for one in entries if isinstance(one, cst.DictElement) and self.facts.is_constant(one.value, True)]
        told = value if value is not None and self.facts.is_constant(value, True, False) else said[0] if len(said) == 1 else None
        if told is not None:
            return (replaced(self.facts, told, "False" if self.facts.is_constant(told, True) else "True"),)
        return raised_instead(self.facts, answer, otherwise)

    # -- when something is missing ---------------------------------------------------------------------------------------

    def _check_missing(self, function: cst.FunctionDef, how: str) -> None:
        for node in descendants(function.body, into_definitions=False):
            if not isinstance(node, cst.If) or (missing := self._missing(node.test)) is None:
                continue
            answer = next(
                (
                    s
                    for line in node.body.body
                    if isinstance(line, cst.SimpleStatementLine)
                    for s in line.body
                    if isinstance(s, (cst.Return, cst.Raise))
                ),
                None,
            )
            if isinstance(answer, cst.Return) and decisions.allows(self.facts, function, how, answer.value):
                unsure = _STORE.search(missing.lower()) is not None or is_told_by_data(self.facts, node.test)
                sure = Confidence.LOW if unsure else Confidence.MEDIUM
                self._tell_missing(function, answer, missing, sure)

    def _check_unset(self, function: cst.FunctionDef) -> None:
        """A function that verifies on its way, if there is a secret to verify with."""
        for test, secret in unset(self.facts, function):
            self.report(
                test.test,
                f"without `{secret}` nothing in `{function.name.value}` is verified: a deployment that lacks it takes whatever is sent",
                severity=Severity.INFO,
                confidence=Confidence.MEDIUM,
                fix=lambda: Fix(Applicability.SUGGESTION, f"refuse when `{secret}` is missing, or do not offer the endpoint without it"),
            )

    def _missing(self, test: cst.BaseExpression) -> str | None:
        """What an `if` finds missing: `not secret`, `secret is None`, `not all(required_headers.values())`."""
        for part, truth in paths.implied(test, True):
            if isinstance(part, cst.Comparison):
                operator = part.comparisons[0].operator
                if not self.facts.is_constant(part.comparisons[0].comparator, None) or not isinstance(
                    operator, cst.Is if truth else cst.IsNot
                ):
                    continue
                name = last_name(part.left)
            elif truth:
                continue
            elif (
                isinstance(part, cst.Call)
                and self.facts.names.qualified(part.func) in ("builtins.all", "builtins.any")
                and part.args
            ):
                name = next(
                    (
                        n.value
                        for n in descendants(part.args[0].value)
                        if isinstance(n, cst.Name) and _MISSING.search(n.value.lower())
                    ),
                    None,
                )
            else:
                name = last_name(part)
            named = [name, *self._looked_up(part)] if name is not None else []
            if (found := next((one for one in named if _MISSING.search(one.lower())), None)) is not None:
                return found
        return None

    def _looked_up(self, part: cst.CSTNode) -> list[str]:
        """The names under which the configuration has the value."""
        calls = (origin.node for origin in self.facts.origins.trail(part if not isinstance(part, cst.Comparison) else part.left))
        found = (
            call
            for call in calls
            if isinstance(call, cst.Call) and self.facts.match(call, "environment-lookup") is not None and call.args
        )
        return [text for call in found if (text := string(call.args[0].value)) is not None]

    def _tell_missing(self, function: cst.FunctionDef, answer: cst.Return, missing: str, confidence: Confidence) -> None:
        unset = re.search(r"secret|webhook_id|webhook_key", missing.lower()) is not None
        self.report(
            answer,
            f"without `{missing}` the check in `{function.name.value}` answers `{self.facts.code(answer)}`, which lets "
            f"every request pass",
            severity=Severity.INFO if unset or self._says_so(function) else self.severity,
            confidence=confidence,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"deny when `{missing}` is missing, and refuse to start where it has to be configured",
                self._denied(answer, f'raise PermissionError("{missing} is not configured")'),
            ),
        )

    # -- identities ----------------------------------------------------------------------------------------------------

    def _check_identity(self, function: cst.FunctionDef) -> None:
        for returned in self.facts.origins.returned(function):
            handler = self.facts.tree.enclosing(returned, cst.ExceptHandler, cst.FunctionDef, cst.Lambda)
            if isinstance(handler, cst.ExceptHandler) and (string(returned) or "").lower() not in NOBODY:
                self._tell_identity(function, returned)
                return
            for origin in self.facts.origins.trail(returned):
                default = self._default(origin.node)
                if default is not None and self.facts.tree.within(default, function):
                    self._tell_identity(function, default)
                    return

    def _default(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The account that stands in for nobody: `getattr(state, "user", "x")`, `headers.get("user", "x")`, `user or "x"`."""
        default: cst.CSTNode | None = None
        if (
            isinstance(node, cst.Call)
            and last_name(node.func) in ("getattr", "get")
            and len(node.args) == (3 if last_name(node.func) == "getattr" else 2)
        ):
            default = node.args[-1].value
        elif isinstance(node, cst.BooleanOperation) and isinstance(node.operator, cst.Or):
            default = node.right
        text = string(default)
        if text is None or text.lower() in NOBODY:
            return None
        words = ((last_name(part) or "").lower() for part in descendants(node) if isinstance(part, (cst.Name, cst.Attribute)))
        return default if any(_ABOUT_REQUEST.match(word) for word in words) else None

    def _tell_identity(self, function: cst.FunctionDef, default: cst.CSTNode) -> None:
        self.report(
            default,
            f"`{function.name.value}` answers {self.facts.code(default)} for a request that nobody has authenticated: "
            f"it acts with that account's rights",
            confidence=Confidence.MEDIUM,
            fix=lambda: Fix(Applicability.SUGGESTION, "refuse the request when it carries no identity", self._unnamed(default)),
        )

    def _unnamed(self, default: cst.CSTNode) -> tuple[Edit, ...]:
        """Without the account that stands in for nobody."""
        holder = self.facts.tree.parent(default)
        if isinstance(holder, cst.Arg):
            holder = self.facts.tree.parent(holder)
        if isinstance(holder, cst.Return):
            return raised_instead(self.facts, default, "raise")
        if isinstance(holder, cst.BooleanOperation):
            return (replaced(self.facts, holder, source_of(self.facts, holder.left)),)
        edit = required(self.facts, holder) if isinstance(holder, cst.Call) else None
        return (edit,) if edit is not None else ()
