"""What a rule is: a LibCST visitor with metadata, and the registry that selectors are resolved against."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import safeboundary_lint.core.node_classes  # noqa: F401, I001 -- before anything that imports LibCST
import libcst as cst

from safeboundary_lint.core.catalogue import Catalogue, Entry, Status, UnknownRule
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.shapes import Shape, Unless
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity, Step

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

HEADINGS = ("What it does", "Why it matters", "Example", "Instead", "Stays silent when", "Fix safety", "Known limits")


@dataclass(slots=True)
class Report:
    """A finding as a rule tells it: nodes, not positions. The engine places it."""

    rule: type[Rule]
    node: cst.CSTNode
    message: str
    severity: Severity
    confidence: Confidence
    trace: tuple[tuple[cst.CSTNode, str], ...] = ()
    fix: Fix | None = None


class Rule(cst.CSTVisitor):
    """Base of all rules. A subclass has metadata, a docstring under `HEADINGS`, and `visit_<Node>` methods.

    The engine calls `visit_<Node>` once for each node of that type in source order, and `finish` after the
    last one. Children are always visited: what `visit_` methods return is ignored.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    since: ClassVar[str]
    severity: ClassVar[Severity]
    status: ClassVar[Status] = Status.STABLE
    overlaps: ClassVar[tuple[str, ...]] = ()  # "ruff:S113": peers that report the same
    fixable: ClassVar[Applicability | None] = None  # the best fix it can make; None: it only says in words what to do
    in_tests: ClassVar[bool] = False  # part of the default set of test files too

    # What a file, and a function in it, must hold to be parsed for the rule: see core.screen and core.thinning.
    needs: ClassVar[tuple[tuple[str | Shape | Unless, ...], ...]] = ()  # of each tuple one must be met
    mentions: ClassVar[tuple[tuple[str, ...], ...]] = ()  # likewise, but anywhere in the file: no function is chosen by it
    local: ClassVar[bool] = False  # all of them in one function (or around the functions), not somewhere in the file
    anchored: ClassVar[int] = 0  # the last one in one function, the others there or so many steps down in what it uses
    handed: ClassVar[bool] = False  # or in what so many calls up lead to it: what is handed over counts too
    parts: ClassVar[Callable[[Sequence[ast.AST]], Iterable[list[ast.stmt]]] | None] = None  # statements of it that the first is about
    own: ClassVar[bool] = False  # and that they or what they call must meet, whatever stands around the functions
    reach: ClassVar[int] = 1  # steps from there, to callers too, in which a finding looks for what values are and calls do
    beside: ClassVar[tuple[str | Shape, ...]] = ()  # what also counts, anywhere in a file that meets the needs
    whole: ClassVar[bool] = False  # and so does each use of a name that is bound there; without `local`, all of the file

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts
        self.reports: list[Report] = []

    def finish(self) -> None:
        """Called once after the walk, for rules that look at a file as a whole."""

    def report(
        self,
        node: cst.CSTNode,
        message: str,
        *,
        confidence: Confidence = Confidence.HIGH,
        severity: Severity | None = None,
        trace: Sequence[tuple[cst.CSTNode, str]] = (),
        fix: Fix | Callable[[], Fix | None] | None = None,
    ) -> None:
        """Report `node`. The message names the failure in the terms of the code at hand, the trace the steps to it.

        A fix that depends on the code is given as a function: it is made for what is told, not for what is only counted.
        """
        in_full = self.facts.in_full(confidence)
        if callable(fix):
            fix = fix() if in_full else None
        self.reports.append(Report(type(self), node, message, severity or self.severity, confidence, tuple(trace), fix))

    @classmethod
    def family(cls) -> str:
        """The folder the rule lives in: ordering, retries, acks, parsing, negotiation ..."""
        return cls.__module__.split(".")[-2]

    @classmethod
    def page(cls) -> dict[str, str]:
        """The docstring by heading; the summary line under the empty string."""
        page: dict[str, list[str]] = {"": []}
        lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
        heading = ""
        for index, line in enumerate(lines):
            following = lines[index + 1] if index + 1 < len(lines) else ""
            if line in HEADINGS and set(following) == {"-"}:
                page[heading := line] = []
            elif not (line and set(line) == {"-"} and index and lines[index - 1] in HEADINGS):
                page[heading].append(line)
        return {key: "\n".join(value).strip("\n") for key, value in page.items()}

    @classmethod
    def visitors(cls) -> tuple[tuple[type[cst.CSTNode], str], ...]:
        """Pairs of node type and method name, e.g. (Call, "visit_Call")."""
        return _visitors(cls)


@functools.cache
def _visitors(rule: type[Rule]) -> tuple[tuple[type[cst.CSTNode], str], ...]:
    own = (name for base in rule.__mro__[: rule.__mro__.index(Rule)] for name in vars(base) if name.startswith("visit_"))
    return tuple((getattr(cst, name.removeprefix("visit_")), name) for name in sorted(set(own)))


@dataclass(frozen=True)
class Registry:
    """All rules, and what a selector means."""

    rules: tuple[type[Rule], ...] = field(default=())

    def __post_init__(self) -> None:
        codes = [rule.code for rule in self.rules]
        names = [rule.name for rule in self.rules]
        for several in (codes, names):
            if twice := {one for one in several if several.count(one) > 1}:
                raise ValueError(f"rules declared twice: {sorted(twice)}")
        object.__setattr__(self, "rules", tuple(sorted(self.rules, key=lambda rule: rule.code)))

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the rules are called."""
        return Catalogue(Entry(rule.code, rule.name, rule.family(), rule.status, rule.in_tests) for rule in self.rules)

    def get(self, code_or_name: str) -> type[Rule]:
        """The rule of a code or name, whatever its case. Raises UnknownRule."""
        for rule in self.rules:
            if code_or_name.upper() == rule.code or code_or_name.lower() == rule.name:
                return rule
        raise UnknownRule(f"no rule is called {code_or_name!r}{self.catalogue.like(code_or_name)}")

    def expand(self, selectors: Iterable[str]) -> frozenset[str]:
        """Codes meant by codes, code prefixes, names, families and ALL. Raises UnknownRule for one that means none."""
        return self.catalogue.expand(selectors)

    def default(self, *, preview: bool = False, test_file: bool = False) -> frozenset[str]:
        """Codes on by default; fewer in test files."""
        return self.catalogue.default(preview=preview, test_file=test_file)


__all__ = ["HEADINGS", "Confidence", "Edit", "Fix", "Registry", "Report", "Rule", "Severity", "Status", "Step", "UnknownRule"]
