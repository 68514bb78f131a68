"""From findings with fixes to a new text that is provably no worse, in at most ten rounds."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from safeboundary_lint.core.finding import Applicability, FileReport, Finding, Fix, Problem
from safeboundary_lint.core.source import Source, Undecodable
from safeboundary_lint.core.syntax import Unparsable
from safeboundary_lint.fixes import imports
from safeboundary_lint.fixes.proof import Parsed, same_outside
from safeboundary_lint.fixes.splice import Conflict, Kept, Patch, Splice

ROUNDS = 10
Analyse = Callable[[bytes], FileReport]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What fixing made of one file: its new content, the findings that were fixed, what is still found, what went wrong."""

    new_source: bytes
    applied: tuple[Finding, ...]
    report: FileReport
    problems: tuple[Problem, ...] = ()


class Refused(Exception):
    """Why a fix may not be applied."""


@dataclass(frozen=True, slots=True)
class _Change:
    """One fix and the findings that offer exactly this one."""

    findings: tuple[Finding, ...]
    splices: tuple[Splice, ...]
    imports: tuple[imports.Wanted, ...]

    def meets(self, other: _Change) -> bool:
        return any(one.meets(two) for one in self.splices for two in other.splices)


@dataclass(frozen=True, slots=True)
class _Step:
    """A verified next version of the file."""

    source: Source
    report: FileReport
    patch: Patch
    findings: tuple[Finding, ...]


@dataclass
class _Fixing:
    """One file on its way through the rounds."""

    path: str
    analyse: Analyse
    wanted: frozenset[Applicability]
    source: Source
    report: FileReport
    applied: list[Finding] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    refused: set[tuple[str, int]] = field(default_factory=set)  # code and offset of findings whose fix was no good

    def run(self) -> None:
        for _ in range(ROUNDS):
            if not (fixable := self.fixable()):
                return
            step = _Round(self, fixable).run()
            if step is not None:
                self.applied += step.findings
                self.refused = {(code, step.patch.moved(offset)) for code, offset in self.refused}
                self.source, self.report = step.source, step.report
        if left := self.fixable():
            self._tell(left[0], f"{len(left)} fixes are left after {ROUNDS} rounds: run the fix again")

    def fixable(self) -> list[Finding]:
        """The findings whose fix may be applied and was not refused."""
        return [
            finding
            for finding in self.report.findings
            if (fix := finding.fix) and fix.edits and fix.applicability in self.wanted and self._key(finding) not in self.refused
        ]

    def _key(self, finding: Finding) -> tuple[str, int]:
        return finding.code, start_of(finding, self.source)

    def refuse(self, findings: Sequence[Finding], reason: str) -> None:
        """Leave these findings as they are, and say why."""
        self.refused |= {self._key(finding) for finding in findings}
        self._tell(findings[0], f"the fix of {findings[0].code} was not applied: {reason}; change it by hand")

    def _tell(self, finding: Finding, message: str) -> None:
        self.problems.append(Problem(self.path, message, finding.span.line))


class _Round:
    """One round: as many fixes as fit together, made to one version of the file."""

    def __init__(self, fixing: _Fixing, fixable: Sequence[Finding]) -> None:
        self.fixing = fixing
        self.old = Parsed(fixing.source)
        self.best: _Step | None = None
        self.batch = self._chosen(fixable)

    def run(self) -> _Step | None:
        """The version with all the fixes that are good, or None when none is."""
        if self.batch:
            self._sift([], self.batch)
        return self.best

    def _chosen(self, fixable: Sequence[Finding]) -> list[_Change]:
        """The first by position wins, whatever meets it waits for the next round."""
        together: dict[Fix, list[Finding]] = {}
        for finding in fixable:
            together.setdefault(finding.fix, []).append(finding)  # type: ignore[arg-type]
        chosen: list[_Change] = []
        for change in sorted(filter(None, map(self._change, together.values())), key=lambda change: change.splices[0]):
            if not any(change.meets(other) for other in chosen):
                chosen.append(change)
        return chosen

    def _change(self, findings: Sequence[Finding]) -> _Change | None:
        """What the fix of these findings means for this version; None, and refused, when it can't be made."""
        fix: Fix = findings[0].fix  # type: ignore[assignment]
        try:
            splices = Patch.of(Splice.of(edit, self.old.source) for edit in fix.edits).splices
            wanted = tuple(one for statement in fix.imports for one in imports.Wanted.each(statement))
        except ValueError as error:
            self.fixing.refuse(findings, f"it is not a change that can be made ({error})")
            return None
        for one in wanted:
            if reason := imports.obstacle(self.old, one, splices):
                self.fixing.refuse(findings, f"it needs `{one}`, but {reason}")
                return None
        return _Change(tuple(findings), splices, wanted)

    def _sift(self, good: list[_Change], batch: list[_Change]) -> list[_Change]:
        """`good` and those of `batch` that can be added to it. Halving finds the bad ones without trying each alone."""
        try:
            self.best = self._attempt([*good, *batch])
        except Refused as refused:
            if len(batch) == 1:
                self.fixing.refuse(batch[0].findings, str(refused))
                return good
            middle = len(batch) // 2
            return self._sift(self._sift(good, batch[:middle]), batch[middle:])
        return [*good, *batch]

    def _attempt(self, changes: Sequence[_Change]) -> _Step:
        """The version with these changes made. Raises Refused when it is not clearly better."""
        splices = [change.splices for change in changes]
        wanted = [one for change in changes for one in change.imports]
        try:
            imported = imports.merge(self.old, wanted, min(several[0].start for several in splices))
            patch = Patch.of([*imported, *itertools.chain.from_iterable(splices)])
            data = self.old.source.encode(patch.apply(self.old.source.text))
            source = Source.decode(data)
            new = Parsed(source)
        except Conflict:
            raise Refused("it changes the place where its import has to stand") from None
        except UnicodeEncodeError:
            raise Refused(f"its text cannot be written in {self.old.source.encoding}") from None
        except (Undecodable, Unparsable):
            raise Refused("the result would not be Python") from None
        if self.old.compiles and not new.compiles:
            raise Refused("the result would not compile")
        if not same_outside(self.old, new, [imported, *splices]):
            raise Refused("it would change the meaning of code outside of it")
        report = self.fixing.analyse(data)
        findings = tuple(finding for change in changes for finding in change.findings)
        self._compare(report, source, patch, findings)
        return _Step(source, report, patch, findings)

    def _compare(self, report: FileReport, source: Source, patch: Patch, fixed: Sequence[Finding]) -> None:
        """Raises Refused unless the fixed findings are gone and nothing else has come."""
        before, after = Kept.before(patch), Kept.after(patch)
        if report.problems:
            raise Refused(f"the result could not be checked ({report.problems[0].message})")
        was = Counter(finding.code for finding in self.fixing.report.findings)
        places = Counter((f.code, before(start_of(f, self.old.source))) for f in self.fixing.report.findings)
        gone = Counter(finding.code for finding in fixed)
        gone_places = Counter((f.code, before(start_of(f, self.old.source))) for f in fixed)
        now = Counter(finding.code for finding in report.findings)
        now_places = Counter((f.code, after(start_of(f, source))) for f in report.findings)
        if any(now_places[place] > places[place] - count for place, count in gone_places.items()):
            raise Refused("the finding would still be there")
        if worse := now - (was - gone):
            raise Refused(f"it would leave or bring {min(worse)}")
        if report.hidden > self.fixing.report.hidden:
            raise Refused("it would bring a finding of lower confidence")


def start_of(finding: Finding, source: Source) -> int:
    """The offset at which a finding starts."""
    return source.offset(finding.span.line, finding.span.column)


def fix_file(path: str, source: bytes, analyse: Analyse, unsafe: bool = False) -> Outcome:
    """`source` with the safe fixes of its findings made, and with `unsafe` the unsafe ones too. Suggestions never.

    Every fix is all made or not at all. A fix is kept only when the result parses, is the same tree outside the edits,
    no longer has the finding, and has none that was not there; otherwise it is left out and a problem says why.
    """
    report = analyse(source)
    wanted = frozenset({Applicability.SAFE, Applicability.UNSAFE} if unsafe else {Applicability.SAFE})
    try:
        text = Source.decode(source)
    except Undecodable:
        return Outcome(source, (), report)
    fixing = _Fixing(path, analyse, wanted, text, report)
    if not fixing.fixable():
        return Outcome(source, (), report)
    if text.encode(text.text) != source:
        # A stateful encoding such as UTF-7 has several spellings for one text: the bytes outside could not be kept.
        message = f"no fix was applied: {text.encoding} text cannot be rewritten byte for byte; save the file as UTF-8"
        return Outcome(source, (), report, (Problem(path, message),))
    try:
        fixing.run()
    except (Unparsable, RecursionError) as error:
        message = f"no fix was applied: the file as a whole cannot be taken apart ({error}); fix it by hand"
        return Outcome(source, (), report, (Problem(path, message),))
    return Outcome(fixing.source.encode(fixing.source.text), tuple(fixing.applied), fixing.report, tuple(fixing.problems))
