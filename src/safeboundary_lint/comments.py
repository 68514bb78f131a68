"""What the comments of a file say about it, and which findings they answer.

    # safeboundary: ignore[SBL102] -- shown to the operator only
    # safeboundary: ack=best-effort -- metrics, re-sent every minute
    # noqa: SBL102
    # flake8: noqa: SBL3

A comment covers its logical line; on its own line, the next one; on a `def` or `class` line or above it, the whole
definition; in the first comment block of a file, the file. `noqa` means what it means to flake8: its logical line only.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from safeboundary_lint.core.catalogue import UnknownRule
from safeboundary_lint.core.finding import Applicability, Confidence, Finding, Fix, Severity, Span
from safeboundary_lint.core.layout import Extent, Layout, PlacedComment
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.ruleset import catalogue

# What a contract may claim, and the rules that the claim answers. A claim that answers none is an obligation or a
# statement: it stands in the ledger, silences nothing, and is never called unused. `bounded` takes any place as value.
CLAIMS: dict[str, dict[str, tuple[str, ...]]] = {
    "clock": {"advisory": ("SBL101", "SBL102", "SBL103", "SBL104", "SBL105", "SBL106"), "monotonic": ()},
    "ack": {
        "best-effort": ("SBL301", "SBL302", "SBL303", "SBL304", "SBL305", "SBL308", "SBL310", "SBL605"),
        "durable": (),
        "ambiguous": (),
    },
    "retry": {"idempotent": ("SBL201", "SBL202", "SBL206", "SBL207"), "unsafe": ()},
    "outcome": {"ambiguous": ()},
    "bounded": {"*": ("SBL401", "SBL402", "SBL403", "SBL404", "SBL406", "SBL407", "SBL408", "SBL410", "SBL411")},
    "fallback": {
        "accepted": ("SBL501", "SBL502", "SBL503", "SBL505", "SBL506", "SBL507", "SBL508", "SBL509", "SBL510", "SBL511"),
        "none": (),
    },
    "state": {"guarded": ("SBL601", "SBL602")},
}

_START = Regex(r"#\s*(?:(?P<own>safeboundary:)|(?P<file>(?i:flake8[:=]\s*noqa\b))|(?P<noqa>(?i:noqa\b)))")
_NOQA_CODES = Regex(r":\s*((?:[A-Z]+[0-9]+[,\s]*)+)", re.IGNORECASE)
_IGNORE = Regex(r"ignore\s*\[([^\]]*)\]")
_CONTRACT = Regex(r"(\w+)\s*=\s*(\S+)")
UNUSED, NO_REASON = "SBL001", "SBL002"


class Contract(NamedTuple):
    """A semantics that the code claims for itself."""

    key: str
    value: str
    reason: str
    span: Span  # of the comment
    first_line: int  # of the code it covers
    last_line: int

    @property
    def answers(self) -> tuple[str, ...]:
        """Codes of the rules that a waiver silences; empty for obligations and statements."""
        values = CLAIMS[self.key]
        return values.get(self.value) or values.get("*", ())


@dataclass(eq=False, slots=True)
class _Directive:
    """One instruction to this tool; a comment may hold several."""

    place: PlacedComment
    span: Span
    extent: Extent | None  # the code it covers
    is_noqa: bool = False
    selectors: tuple[str, ...] | None = ()  # None: every rule (a bare noqa)
    contract: Contract | None = None
    reason: str = ""
    fault: str = ""  # why it is refused


class Comments:
    """The comments of one file. Nothing is tokenized before it is needed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._read: _Reading | None = None

    @classmethod
    def of(cls, text: str) -> Comments:
        """The comments of a file's text; none when it can't be tokenized."""
        return cls(text)

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """Every valid contract of the file, in source order."""
        if "safeboundary:" not in self.text:
            return ()
        return tuple(directive.contract for directive in self._reading().directives if directive.contract)

    @property
    def may_answer(self) -> bool:
        """False when surely no comment answers a finding."""
        return "safeboundary:" in self.text or "noqa" in self.text.lower()

    def judge(
        self, findings: Sequence[Finding], *, path: str, ran: frozenset[str], honour_noqa: bool
    ) -> tuple[list[Finding], int]:
        """Findings that no comment answers, with those about the comments themselves, and the number answered.

        `ran` are the codes of the rules that looked at the file: only they are judged. Give findings of every confidence,
        else a comment that answers a hidden one is called unused.
        """
        if not self._worth_reading(findings, ran):
            return sorted(findings, key=lambda finding: finding.order), 0
        reading = self._reading()
        directives = [one for one in reading.directives if honour_noqa or not one.is_noqa]
        court = _Court(reading.layout, directives)
        kept = [finding for finding in findings if not court.answers(finding)]
        suppressed = len(findings) - len(kept)
        complaints = [*_without_reason(directives, path, ran), *_unused(directives, court.used, path, ran)]
        kept += [complaint for complaint in complaints if not court.answers(complaint)]
        return sorted(kept, key=lambda finding: finding.order), suppressed

    def _worth_reading(self, findings: Sequence[Finding], ran: frozenset[str]) -> bool:
        """Many files say noqa; without findings, only a comment that names this tool matters."""
        if "safeboundary:" in self.text:
            return bool(findings) or not ran.isdisjoint((UNUSED, NO_REASON))
        if not findings and UNUSED not in ran:
            return False
        lowered = self.text.lower()  # a tenth of the time of a search that ignores the case
        return "noqa" in lowered and (bool(findings) or "sbl" in lowered)

    def _reading(self) -> _Reading:
        if self._read is None:
            layout = Layout.of(self.text) if "safeboundary:" in self.text or "noqa" in self.text.lower() else None
            self._read = _Reading(
                layout, [one for place in layout.comments for one in _directives(place, layout)] if layout else []
            )
        return self._read


class _Reading(NamedTuple):
    layout: Layout | None
    directives: list[_Directive]


class _Court:
    """Which directive answers a finding, and which have answered one."""

    def __init__(self, layout: Layout | None, directives: Sequence[_Directive]) -> None:
        self.layout = layout
        self.used: set[_Directive] = set()
        self._by_extent: dict[Extent, list[_Directive]] = {}
        self._by_line: dict[int, list[_Directive]] = {}  # a comment on its own line also answers for itself
        self._outer: dict[int, Extent] = {}
        for directive in directives:
            if not directive.fault and directive.extent is not None:
                self._by_extent.setdefault(directive.extent, []).append(directive)
            if not directive.fault and directive.place.own_line:
                self._by_line.setdefault(directive.place.line, []).append(directive)
            if directive.place.own_line and directive.place.outer:
                self._outer[directive.place.line] = directive.place.outer

    def answers(self, finding: Finding) -> bool:
        """True when a comment silences the finding. Every comment that does counts as used."""
        matching = [directive for directive in self._covering(finding.span.line) if _names(directive, finding)]
        self.used.update(matching)
        return bool(matching)

    def _covering(self, line: int) -> Iterator[_Directive]:
        if self.layout is None:
            return
        yield from self._by_line.get(line, ())
        for extent in (self.layout.statement_at(line) or self._outer.get(line) or self.layout.file).chain():
            yield from self._by_extent.get(extent, ())


def _names(directive: _Directive, finding: Finding) -> bool:
    if directive.contract:
        return finding.code in directive.contract.answers
    return directive.selectors is None or any(finding.code in _codes(selector) for selector in directive.selectors)


@functools.lru_cache(maxsize=256)
def _codes(selector: str) -> frozenset[str]:
    """Codes meant by a selector; none when it means no rule."""
    try:
        return catalogue().expand([selector])
    except UnknownRule:
        return frozenset()


def _directives(place: PlacedComment, layout: Layout) -> Iterator[_Directive]:
    """The instructions in one comment token. What stands between them is for other tools and for people."""
    starts = list(_START.finditer(place.text))
    ends = [*(start.start() for start in starts[1:]), len(place.text)]
    for start, end in zip(starts, ends):
        body = place.text[start.end() : end].rstrip()
        span = Span(place.line, place.column + start.start(), place.line, place.column + start.end() + len(body))
        if start["own"]:
            yield _own(_Directive(place, span, place.extent), body)
        elif start["noqa"] or place.own_line:
            extent = place.statement if start["noqa"] else layout.file
            codes = _NOQA_CODES.match(body)
            selectors = tuple(re.findall(r"[A-Z]+[0-9]+", codes[1].upper())) if codes else None
            yield _Directive(place, span, extent, is_noqa=True, selectors=selectors)


def _own(directive: _Directive, body: str) -> _Directive:
    """Fill in what `# safeboundary:` is followed by."""
    claim, _, reason = body.partition("--")
    claim, directive.reason = claim.strip(), reason.strip()
    if ignore := _IGNORE.match(claim):
        directive.selectors = tuple(selector.strip() for selector in ignore[1].split(",") if selector.strip())
        if not directive.selectors or any(selector.upper() in ("ALL", "SBL") for selector in directive.selectors):
            directive.fault = "it must name the rules that it silences, as in `ignore[SBL102]`"
    elif re.match(r"ignore\b", claim):
        directive.fault = "a blanket ignore would hide every later defect here too: name the rules, as in `ignore[SBL102]`"
    elif contract := _CONTRACT.match(claim):
        key, value = contract[1], contract[2]
        directive.fault = _contract_fault(key, value)
        if not directive.fault:
            covered = directive.extent or Extent(directive.span.line, directive.span.line)
            directive.contract = Contract(key, value, directive.reason, directive.span, covered.first, covered.last)
    else:
        directive.fault = "it is neither `ignore[CODE] -- reason` nor a contract such as `ack=best-effort -- reason`"
    return directive


def _contract_fault(key: str, value: str) -> str:
    if key not in CLAIMS:
        return f"there is no contract {key!r}{_meant(key, CLAIMS)}"
    if "*" not in CLAIMS[key] and value not in CLAIMS[key]:
        return f"{key!r} can't be {value!r}{_meant(value, CLAIMS[key])}"
    return ""


def _meant(word: str, known: Iterable[str]) -> str:
    import difflib

    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f": did you mean {close[0]!r}?" if close else f": choose from {', '.join(known)}"


def _without_reason(directives: Iterable[_Directive], path: str, ran: frozenset[str]) -> Iterator[Finding]:
    for directive in directives:
        if NO_REASON in ran and not (directive.is_noqa or directive.fault or directive.reason):
            message = "nobody can tell later whether this comment still holds: it gives no reason"
            fix = Fix(Applicability.SUGGESTION, "write why it is right here, after two dashes: `-- the broker redelivers`")
            yield _complaint(directive, path, NO_REASON, "comment-without-reason", message, Severity.WARNING, fix)


def _unused(directives: Iterable[_Directive], used: set[_Directive], path: str, ran: frozenset[str]) -> Iterator[Finding]:
    for directive in directives:
        if UNUSED not in ran or directive in used:
            continue
        if fault := directive.fault or _unknown_rule(directive):
            fix = Fix(Applicability.SUGGESTION, "correct the comment or remove it")
            yield _complaint(
                directive, path, UNUSED, "unused-comment", f"this comment silences nothing: {fault}", Severity.WARNING, fix
            )
        elif (answerable := _answerable(directive)) and answerable <= ran:
            message = f"this comment answers nothing: {_why_unused(directive)}"
            fix = Fix(Applicability.SUGGESTION, "remove the comment, before it hides a defect that comes later")
            yield _complaint(directive, path, UNUSED, "unused-comment", message, Severity.INFO, fix)


def _unknown_rule(directive: _Directive) -> str:
    for selector in directive.selectors or ():
        if (not directive.is_noqa or selector.startswith("SBL")) and not _codes(selector):
            return f"no rule is called {selector!r}"
    return ""


def _answerable(directive: _Directive) -> frozenset[str]:
    """Codes that the directive could silence and that it can be judged by; none when it can't be judged."""
    if directive.contract:
        return frozenset(code for code in directive.contract.answers if _codes(code))
    if directive.selectors is None or any(not _codes(selector) for selector in directive.selectors):
        return frozenset()  # a noqa that other tools may need
    codes = frozenset().union(*(_codes(selector) for selector in directive.selectors))
    return frozenset() if codes & {UNUSED, NO_REASON} else codes


def _why_unused(directive: _Directive) -> str:
    extent = directive.extent
    if extent is None:
        return "noqa covers its own line only" if directive.is_noqa else "no code follows it in its block"
    contract = directive.contract
    named = f"that {contract.key}={contract.value} would answer" if contract else "of " + ", ".join(directive.selectors or ())
    where = f"line {extent.first}" if extent.first == extent.last else f"lines {extent.first} to {extent.last}"
    return f"there is no finding {named} " + ("in this file" if extent.outer is None else f"on {where}")


def _complaint(directive: _Directive, path: str, code: str, name: str, message: str, severity: Severity, fix: Fix) -> Finding:
    symbol = directive.place.outer.symbol if directive.place.outer else ""
    return Finding(code, name, message, path, directive.span, symbol, severity, Confidence.HIGH, fix=fix)
