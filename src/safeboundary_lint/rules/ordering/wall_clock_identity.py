"""SBL103: a reading of the wall clock is all that tells one thing from another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.identity import Recipe, is_version
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.ordering import identifies, is_identity, snake
from safeboundary_lint.rules.ordering import unique_parts

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_SHOWN = Regex(r"notification|toast|popup|dialog|widget")
_PASSING = Regex(r"(^|_)(temp|temporary|tmp|debug|dummy|fake|scratch|adhoc|dry_run)(_|$)")
_NUMBERED = ("nonce", "seq", "version", "revision", "generation", "serial")


class WallClockIdentity(Rule):
    """A reading of the wall clock is used as an identifier, version, nonce, sequence number or object key.

    What it does
    ------------
    Finds identifiers whose only varying part is a reading of the wall clock: assigned, passed, returned or stored under a
    name such as `request_id`, `nonce`, `version`, `sequence`, or used as the key of a stored object.

    Why it matters
    --------------
    Two calls within one tick of the clock get the same value, and the second one overwrites or answers for the first. When the
    clock is set back, values repeat and an order built on them goes backwards: peers refuse the nonce, the newest version is
    not the last one.

    Example
    -------

        import time

        def enqueue(queue, payload):
            job_id = f"job-{int(time.time())}"
            queue.put({"id": job_id, "payload": payload})
            return job_id

    Instead
    -------

        import uuid

        def enqueue(queue, payload):
            job_id = f"job-{uuid.uuid4()}"
            queue.put({"id": job_id, "payload": payload})
            return job_id

    Stays silent when
    -----------------
    The identifier has a random part, a counter or a process id beside the time, the value is kept above the one before
    (`max(now, last + 1)`), it is the number of a period (`int(time.time() // 60)`), it tells one boot from the next, or it is a
    time stamp by name and use. What is only shown to people, a notification or a dialog, and what is temporary or for debugging
    by its name, is of low confidence.

    Fix safety
    ----------
    A suggestion: a random part is added, or a number is taken from a counter that starts at the time. Whoever reads the
    identifier may rely on its form, and a counter starts anew with the process.

    Known limits
    ------------
    An `if new == last: new += 1` is no guard: it repeats a value after the next tick. A guard in another function is not seen.
    """

    code, name, since, severity = "SBL103", "wall-clock-identity", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("wall-clock", "file-time"), ("named-object", identifies))

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._told: set[int] = set()

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            for one, value in _pairs(target.target, node.value):
                self._assigned(one, value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self._assigned(node.target, node.value)

    def visit_Arg(self, node: cst.Arg) -> None:
        if node.keyword is not None and is_identity(node.keyword.value):
            self._check(node.value, node.keyword.value)

    def visit_DictElement(self, node: cst.DictElement) -> None:
        if (key := string(node.key)) is not None and is_identity(key):
            self._check(node.value, key)

    def visit_Return(self, node: cst.Return) -> None:
        function = self.facts.tree.function_of(node)
        if node.value is not None and isinstance(function, cst.FunctionDef) and is_identity(function.name.value):
            self._check(node.value, function.name.value)

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("named-object"):
            parameter = match.row.parameter("name")
            name = argument(match.call, parameter) if parameter is not None else None
            if name is not None:
                self._check(name, "object key", stored=True)

    def _assigned(self, target: cst.CSTNode, value: cst.BaseExpression) -> None:
        name = None
        if isinstance(target, cst.Name):
            name = target.value
        elif isinstance(target, cst.Attribute):
            name = target.attr.value
        elif isinstance(target, cst.Subscript) and isinstance(target.slice[0].slice, cst.Index):
            name = string(target.slice[0].slice.value)
        if name is not None and is_identity(name) and not self.facts.identities.is_kept_in_order(target):
            self._check(value, name)

    def _check(self, value: cst.BaseExpression, name: str, *, stored: bool = False) -> None:
        recipe = self.facts.identities.recipe(value)
        if not recipe.stamps or recipe.unique or recipe.guarded or recipe.period:
            return
        stamp, clock = recipe.stamps[0]
        reading = clock.readings[0].node
        if id(reading) in self._told or is_version(name) and recipe.named or self._is_made_elsewhere(reading, value):
            return
        self._told.add(id(reading))
        what = f"`{snake(name)}`" if not stored else "the object key"
        self.report(
            value,
            f"{what} is nothing but the wall clock (`{self.facts.code(reading)}` in line {self.facts.line(reading)}): two "
            f"within one tick, or after "
            f"the clock was set back, are the same, and the second {'overwrites' if stored else 'is taken for'} the first",
            confidence=Confidence.weakest(clock.confidence, _sureness(recipe, name)),
            trace=[(stamp, f"made of the wall clock here: `{self.facts.code(stamp)}`")] if stamp is not value else (),
            fix=lambda: self._fix(value, name, stored),
        )

    def _is_made_elsewhere(self, reading: cst.CSTNode, value: cst.CSTNode) -> bool:
        """True where a function that is named after the identifier makes it: told there."""
        maker = self.facts.tree.function_of(reading)
        return (
            isinstance(maker, cst.FunctionDef)
            and is_identity(maker.name.value)
            and maker is not self.facts.tree.function_of(value)
            and bool(self.facts.origins.returned(maker))
        )

    def _fix(self, value: cst.BaseExpression, name: str, stored: bool) -> Fix:
        plain = snake(name)
        edits, imports = unique_parts.with_random_part(self.facts, value)
        if stored:
            words = "put a random part into the key (`uuid.uuid4().hex`); the time may stay in front of it"
        elif any(word in plain for word in _NUMBERED):
            words = f"keep `{plain}` above the one before, under a lock and stored: `max(now, last + 1)`, or count"
            if not edits or unique_parts.is_number(value):
                edits, imports = unique_parts.counted(self.facts, value, plain.removeprefix("get_").removeprefix("next_"))
        else:
            words = f"make `{plain}` from `uuid.uuid4()`, or add a random part to the time"
        return Fix(Applicability.SUGGESTION, words, edits, imports if edits else ())


def _pairs(target: cst.BaseExpression, value: cst.BaseExpression) -> list[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """What is given to what: `self.link, self.nonce = Link(), int(time.time())` gives two pairs."""
    if not isinstance(target, (cst.Tuple, cst.List)) or not isinstance(value, (cst.Tuple, cst.List)):
        return [(target, value)]
    if len(target.elements) != len(value.elements):
        return []
    return [(one.value, other.value) for one, other in zip(target.elements, value.elements)]


def _sureness(recipe: Recipe, name: str) -> Confidence:
    if recipe.identified or _SHOWN.search(snake(name)) or _PASSING.search(snake(name)):
        return Confidence.LOW  # it would take the same one twice within a tick; people don't
    return Confidence.MEDIUM if recipe.named else Confidence.HIGH
