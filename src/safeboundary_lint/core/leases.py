"""Which code decides who holds something: the words of locks and leases, and statements that ask whether one is over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, string_parts
from safeboundary_lint.core.clocks import ClockValue
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes.ordering import snake
from safeboundary_lint.core.sql import StampTest, is_statement, stamp_tests
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_WORDS = frozenset(
    "lock locks locked locking lockfile lease leases leased leader leadership mutex mutexes heartbeat heartbeats claim "
    "claimed claimant lockout".split()
)
# In words: what is searched for as it is written, and whatever the case.
MENTIONS = ("%(?-i:[bc]Lock)", r"%lock(?<![^a-z]clock)(?<!^clock)(?<![^a-z]block)(?<!^block)|lease|leader|mutex|heartbeat|claim")
_SIGNS = frozenset(("heartbeat", "heartbeats"))
_ACCOUNTS = frozenset("user account login password lockout failed attempts otp pin auth jwt token exp nbf iat unlock clock".split())
_LEADERS = frozenset(("leader", "leadership"))
_LIFETIME = Regex(r"expir|until|deadline|heartbeat|renew|ttl|seen|alive|updated|acquired|elected|term")
_CLOCKS_AGREE = Regex(r"\bclocks?\b[^.]{0,120}\b(synchron|in sync|in step|skew|drift|ntp)|(synchron|skew|ntp)[^.]{0,60}\bclocks?\b")
_NOT_A_LOCK = Regex(
    r"for\s+update(?:\s+of\s+\w+)?(?:\s+skip\s+locked|\s+nowait)?|skip\s+locked|nolock|lock\s+in\s+share\s+mode|lock\s+table",
    re.IGNORECASE,
)
_FENCING = Regex(r"fenc(e|ing)|(^|_)epoch(_|$)|generation|(^|_)term(_|$)|lease_version|lock_version", re.IGNORECASE)
_RUNNING = Regex(r"^(a?execute\w*|fetch\w*|scalars?|query\w*|run\w*|raw|exec\w*|select\w*|update\w*|all|first|one\w*)$")
_LOOKING_IN = frozenset("get pop popitem items values copy deepcopy list tuple sorted iter reversed".split())
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
_PARTS = 12  # of a test
_TEXT_MAKERS = frozenset(("text", "dedent", "SQL", "strip", "format"))


@dataclass(slots=True, eq=False)
class LeaseQuery:
    """A statement that lets the moment of this host decide which locks or leases are over."""

    call: cst.Call
    test: StampTest
    moment: cst.CSTNode
    value: ClockValue


def lease_word(names: list[str]) -> str | None:
    """The word of these names that speaks of a lock, lease or leader; None when they speak of accounts that are locked out."""
    words = [word for name in names for word in re.split(r"[^a-z0-9]+", snake(name))]
    if _ACCOUNTS.intersection(words):
        return None
    found = [word for word in words if word in _WORDS]
    return next((word for word in found if word not in _SIGNS), found[0] if found else None)


def is_only_a_sign(word: str) -> bool:
    """True for a word that tells that somebody lives, not that he holds something."""
    return word in _SIGNS


class Leases:
    """Locks and leases of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def word_at(self, node: cst.CSTNode, *operands: cst.CSTNode) -> str | None:
        """The word for what is held by which operands, their way back, or the function and class around speak of it."""
        own = [name for operand in operands for name in self._names_of(operand)]
        if (found := lease_word(own)) is not None and not is_only_a_sign(found):
            return found
        around = self.facts.tree.symbol_of(node).split(".")[-2:]
        if found is None and lease_word(around) in _LEADERS and not any(_LIFETIME.search(snake(name)) for name in own):
            return None  # one of several events or requests that leads the others
        return lease_word([*around, *own]) if found is not None or lease_word(around) is not None else None

    def is_fenced(self, node: cst.CSTNode) -> bool:
        """True when the function around carries a fencing token, a generation or a term."""
        function = self.facts.tree.function_of(node)
        parts = descendants(function) if function is not None else ()
        return any(
            isinstance(part, (cst.Name, cst.Attribute))
            and _FENCING.search(last_name(part) or "")
            or isinstance(part, cst.SimpleString)
            and _FENCING.search(part.value)
            for part in parts
        )

    def is_agreed(self, node: cst.CSTNode) -> bool:
        """True where a docstring around says what the clocks of the hosts have to be like: the contract is written down."""
        around = [one for one in self.facts.tree.ancestors(node) if isinstance(one, (cst.FunctionDef, cst.ClassDef, cst.Module))]
        return any(_CLOCKS_AGREE.search((one.get_docstring() or "").lower()) for one in around)

    def is_in_memory(self, test: cst.CSTNode, stored: cst.CSTNode) -> bool:
        """True for a stamp in a record that an object keeps in memory, where this file took it, or the test picks records to drop."""
        if not self._is_stamped_here(stored) and self.facts.tree.enclosing(test, cst.CompFor) is None:
            return False

        def is_own(node: cst.CSTNode) -> bool:
            return isinstance(node, cst.Attribute) and self.facts.contents.is_own(node) and not self._is_fetched(node)

        def through(node: cst.CSTNode) -> bool:
            return not isinstance(node, cst.Call) or last_name(node.func) in _LOOKING_IN

        return self.facts.origins.derivation(stored, is_own, through=through) is not None

    def _is_stamped_here(self, stored: cst.CSTNode) -> bool:
        """`record._replace(sent_at=time.time())`."""
        return any(
            arg.keyword is not None and arg.keyword.value == last_name(stored) and self.facts.clocks.own_reading(arg.value) is not None
            for arg in self.facts.tree.all(cst.Arg)
        )

    def _is_fetched(self, container: cst.CSTNode) -> bool:
        """True where a container holds what was waited for: it may be a copy of a store's."""
        held = self.facts.contents.held(container)
        return any(isinstance(origin.node, cst.Await) for one in held for origin in self.facts.origins.trail(one))

    def margin(self, test: cst.CSTNode) -> float:
        """The seconds that a lock must have been left alone, where a constant in sight says so; 0 where none does."""
        compared = [one for use in (test, *self._uses_of(test)) if (one := self.facts.tree.enclosing(use, cst.Comparison))]
        parts = [part for one in (test, *compared) for part in descendants(one) if isinstance(part, (cst.Name, cst.Attribute, cst.Call))]
        origins = (origin.node for part in parts[:_PARTS] for origin in self.facts.origins.trail(part)[:4])
        return max((self._seconds(node) for node in origins if isinstance(node, cst.Call)), default=0)

    def _uses_of(self, test: cst.CSTNode) -> list[cst.Name]:
        parent = self.facts.tree.parent(test)
        return self.facts.readings.uses(parent.targets[0].target) if isinstance(parent, cst.Assign) else []

    def _seconds(self, call: cst.Call) -> float:
        """How long `timedelta(hours=1)` is; 0 for what is no constant."""
        if self.facts.match(call, "duration") is None:
            return 0
        given = [(arg.keyword.value, arg.value) for arg in call.args if arg.keyword is not None and arg.keyword.value in _UNITS]
        try:
            values = [(self.facts.constant(value), _UNITS[unit]) for unit, value in given]
        except NotConstant:
            return 0
        return sum(value * unit for value, unit in values if isinstance(value, (int, float)))

    def _names_of(self, operand: cst.CSTNode) -> Iterator[str]:
        for origin in self.facts.origins.trail(operand)[:8]:
            for part in descendants(origin.node, into_definitions=False):
                if isinstance(part, cst.Name):
                    yield part.value
                    yield from self._source_names(part)
                elif isinstance(part, cst.SimpleString) and len(part.value) < 30:
                    yield part.value
                elif isinstance(part, cst.Attribute):
                    yield part.attr.value

    def _source_names(self, name: cst.Name) -> Iterator[str]:
        """Names in what a variable was made of: `json.load(open(lock_path))`."""
        for origin in self.facts.origins.step(name)[:3]:
            if isinstance(origin.node, cst.Call):
                yield from (part.value for part in descendants(origin.node) if isinstance(part, cst.Name))

    def queries(self) -> Iterator[LeaseQuery]:
        """Statements about locks and leases that are given this host's time."""
        for call in self.facts.tree.all(cst.Call):
            if len(call.args) < 2 or not _RUNNING.match(last_name(call.func) or ""):
                continue
            text = self._statement(call.args[0].value)
            if text is None or lease_word([_NOT_A_LOCK.sub(" ", text)]) is None:
                continue
            for test in stamp_tests(text):
                if (moment := self._bound_to(call, test)) is not None and (
                    value := self.facts.clocks.own_reading(moment)
                ) is not None:
                    yield LeaseQuery(call, test, moment, value)
                    break

    def _statement(self, expression: cst.CSTNode) -> str | None:
        for origin in self.facts.origins.trail(expression):
            node = origin.node
            while isinstance(node, cst.Call) and node.args and last_name(node.func) in _TEXT_MAKERS:
                node = (
                    node.args[0].value
                    if not isinstance(node.func, cst.Attribute) or string_parts(node.func.value) is None
                    else node.func.value
                )
            if (text := string_parts(node)) is not None and is_statement(text):
                return text
        return None

    def _bound_to(self, call: cst.Call, test: StampTest) -> cst.CSTNode | None:
        """What is passed for the parameter of a test: by its name where it has one, else any reading among the arguments."""
        name = re.sub(r"\W", "", test.bound.removesuffix("s") if test.bound.startswith("%(") else test.bound)
        named = not (test.bound in ("%s", "?", "{}") or name.isdigit())
        for arg in call.args[1:]:
            if named and arg.keyword is not None and arg.keyword.value == name:
                return arg.value
            for value in self.facts.contents.values(arg.value):
                if named and isinstance(value, cst.Dict):
                    for element in value.elements:
                        if isinstance(element, cst.DictElement) and string_parts(element.key) == name:
                            return element.value
                elif not named:
                    parts = (
                        [element.value for element in value.elements] if isinstance(value, (cst.Tuple, cst.List)) else [arg.value]
                    )
                    for part in parts:
                        if self.facts.clocks.own_reading(part) is not None:
                            return part
        return None
