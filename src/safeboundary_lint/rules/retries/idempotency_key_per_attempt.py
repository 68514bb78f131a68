"""SBL202: each attempt gets an idempotency key of its own."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core import edits
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.finding import Applicability, Edit, Fix, Severity, Span
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.retries import Region
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.ordering import snake
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.retries import sent_keys

_KEYS = (

    "*idempot*", "*dedup*", "*de_dup*", "*clienttoken", "*client_token*", "*clientrequesttoken*", "*client_order_id*",
    "*clientorderid*", "*client_msg_id*",
    "*request_token*", "*operation_key*", "*unique_request*", "nonce",
)  # fmt: skip


class IdempotencyKeyPerAttempt(Rule):
    """The idempotency key is made anew for each attempt, so that it marks nothing as a repetition.

    What it does
    ------------
    Finds values named like idempotency keys (headers, arguments, entries, variables) that are made by a random or unique-id
    function inside what is repeated: the body of a retry loop or of a function under a retry decorator.

    Why it matters
    --------------
    The key is there so that the peer can recognise the second attempt as the first. With a new key for each attempt every one
    is a new order, and the code looks as if it were safe.

    Example
    -------

        import uuid
        import requests
        from tenacity import retry, stop_after_attempt

        @retry(stop=stop_after_attempt(3))
        def charge(card, amount):
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            return requests.post("https://pay.example/charges", json={"card": card, "amount": amount}, headers=headers, timeout=5)

    Instead
    -------

        import uuid
        import requests
        from tenacity import retry, stop_after_attempt

        def charge(card, amount):
            return _charge(card, amount, str(uuid.uuid4()))

        @retry(stop=stop_after_attempt(3))
        def _charge(card, amount, key):
            headers = {"Idempotency-Key": key}
            return requests.post("https://pay.example/charges", json={"card": card, "amount": amount}, headers=headers, timeout=5)

    Stays silent when
    -----------------
    The key is made outside and handed in, or the value is an id for tracing (`X-Request-Id`, `request_guid`).

    Fix safety
    ----------
    Unsafe in a loop: the key is made in front of it. A peer that refused the first attempt for good refuses the others by the
    same key then. In a decorated function a suggestion: the key becomes a parameter, which callers in other files lack.

    Known limits
    ------------
    Keys made in another file are not seen.
    """

    code, name, since, severity = "SBL202", "idempotency-key-per-attempt", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("unique-value",), ("retry-decorator", "retry-caller", "=while", "=for", "=except"))
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        seen: set[int] = set()
        made = self.facts.calls("unique-value")
        for region in self.facts.retries.regions() if made else ():
            if (
                region.loop is not None
                and region.how == "loop"
                and not region.loop.exits
                and not self.facts.loops.ends_on_success(region.loop)
            ):
                continue
            for source, via in self._made_within(region, made):
                slot = self._slot(source.call)
                if slot is not None and id(source.call) not in seen:
                    seen.add(id(source.call))
                    self._report(region, source, slot, via)

    def _made_within(self, region: Region, made: list[Match]) -> Iterator[tuple[Match, cst.Call | None]]:
        """Unique values made in what is repeated, or in helpers of this file that it calls."""
        helpers = {}
        for node in descendants(region.body):
            if (
                isinstance(node, cst.Call)
                and isinstance(helper := self.facts.types.callee(node), cst.FunctionDef)
                and helper is not region.function
            ):
                helpers.setdefault(id(helper), (helper, node))
        for source in made:
            if self.facts.tree.within(source.call, region.body):
                yield source, None
            else:
                around = self.facts.tree.function_of(source.call)
                if around is not None and id(around) in helpers:
                    yield source, helpers[id(around)][1]

    def _slot(self, call: cst.Call) -> str | None:
        """What the value is called where it is put, if that is the name of a key."""
        below: cst.CSTNode = call
        for above in self.facts.tree.ancestors(call):
            named = None
            if isinstance(above, cst.Arg) and above.keyword is not None:
                named = above.keyword.value
            elif isinstance(above, cst.DictElement) and above.value is below:
                named = string(above.key) or last_name(above.key)
            elif isinstance(above, cst.Assign):
                target = above.targets[0].target
                index = target.slice[0].slice if isinstance(target, cst.Subscript) else None
                named = (string(index.value) or last_name(index.value)) if isinstance(index, cst.Index) else last_name(target)
            elif isinstance(above, (cst.FunctionDef, cst.BaseCompoundStatement)):
                return None
            if named is not None and named_like(named.replace("-", "_"), *_KEYS):
                return named
            below = above
        return None

    def _report(self, region: Region, source: Match, slot: str, via: cst.Call | None) -> None:
        site = region.site.decorator if isinstance(region.site, cst.Decorator) else region.site
        where = site.test if isinstance(site, cst.While) else site.iter if isinstance(site, cst.For) else site
        trace = [(where, "what is below is repeated after a failure")] + (
            [(via, "made anew by each call of this helper")] if via is not None else []
        )
        self.report(
            source.call,
            f"`{slot}` gets a new value in each attempt (repeated from line "
            f"{self.facts.line(where)}): the peer takes the second attempt for a new request",
            confidence=source.confidence,
            trace=trace,
            fix=lambda: self._fix(region, source, slot, via),
        )

    def _fix(self, region: Region, source: Match, slot: str, via: cst.Call | None) -> Fix:
        loop = region.loop.node if region.how == "loop" and region.loop is not None else None
        line = self.facts.tree.enclosing(source.call, cst.SimpleStatementLine)
        if loop is not None and line is not None and self._can_move(line, loop):
            return Fix(Applicability.UNSAFE, f"make `{slot}` once, before the loop", self._moved(line, loop))
        value = self._value(source.call)
        made, names = edits.source_of(self.facts, value), {n.value for n in descendants(value) if isinstance(n, cst.Name)}
        lookup, module = self.facts.names.lookup_in, self.facts.names.module_scope
        outside = all(lookup(module, name) is not None for name in names - set(dir(builtins)))
        words = f"make `{slot}` once, outside what is repeated, and hand it in"
        brought = sent_keys.from_outside(self.facts, region, snake(slot.replace("-", "_")), made) if outside else None
        if brought is None or not brought[1]:
            return Fix(Applicability.SUGGESTION, words)
        key, before = brought
        given = edits.replaced(self.facts, value, key)
        if via is None:
            level = Applicability.UNSAFE if loop is not None else Applicability.SUGGESTION
            return Fix(level, f"make `{slot}` once, before the loop" if loop is not None else words, (*before, given))
        helper = self.facts.tree.function_of(source.call)
        handed = sent_keys.through(self.facts, helper, via, key, key) if helper is not None else ()
        return Fix(Applicability.SUGGESTION, words, (*before, *handed, given) if handed else ())

    def _value(self, call: cst.Call) -> cst.BaseExpression:
        """The whole of what is put into the slot: `str(uuid.uuid4())`."""
        below: cst.BaseExpression = call
        for above in self.facts.tree.ancestors(call):
            slot = isinstance(above, cst.Arg) and above.keyword is not None
            if slot or isinstance(above, (cst.DictElement, cst.Assign)):
                break
            if isinstance(above, cst.BaseExpression):
                below = above
        return below

    def _can_move(self, line: cst.SimpleStatementLine, loop: cst.For | cst.While) -> bool:
        statement = line.body[0]
        if (
            len(line.body) != 1
            or not isinstance(statement, cst.Assign)
            or not isinstance(statement.targets[0].target, cst.Name)
            or line.leading_lines
        ):
            return False
        block = self.facts.tree.parent(line)
        inside = {
            n.target.value for n in descendants(loop.body) if isinstance(n, cst.AssignTarget) and isinstance(n.target, cst.Name)
        }
        inside |= {n.value for n in descendants(loop.target) if isinstance(n, cst.Name)} if isinstance(loop, cst.For) else set()
        used = {n.value for n in descendants(statement.value) if isinstance(n, cst.Name)}
        own = statement.targets[0].target.value
        once = (
            sum(
                isinstance(n, cst.AssignTarget) and isinstance(n.target, cst.Name) and n.target.value == own
                for n in descendants(loop.body)
            )
            == 1
        )
        return isinstance(block, cst.IndentedBlock) and len(block.body) > 1 and once and not used & (inside - {own})

    def _moved(self, line: cst.SimpleStatementLine, loop: cst.For | cst.While) -> tuple[Edit, ...]:
        span = self.facts.span(line)
        comment = line.trailing_whitespace.comment
        text = edits.standing_text(self.facts, line.body[0]) + (f"  {comment.value}" if comment is not None else "")
        whole = Span(span.line, 1, span.line + (1 if span.end_line == span.line else span.end_line - span.line + 1), 1)
        return edits.inserted_before(self.facts, loop, f"{text}\n{edits.indent_of(self.facts, loop)}"), Edit(whole, "")
