"""The report for people: each finding with its source, its story and what to do about it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence

from safeboundary_lint.core.finding import Applicability, Edit, Finding, Fix, RunReport, Severity, Span
from safeboundary_lint.core.source import LINE_END, Source
from safeboundary_lint.reports.screen import Paint, counted, excerpt, joined, printable, problem_line

NARROWEST = 40  # cells for a source line, however narrow the terminal
COMMANDS = {Applicability.SAFE: "--fix", Applicability.UNSAFE: "--fix --unsafe-fixes"}


def render(run: RunReport, *, color: bool, width: int) -> str:
    """All problems, all findings, and a summary line."""
    page = _Page(run, Paint(color), width)
    return "\n".join([*page.lines(), page.summary()]) + "\n"


class _Page:
    def __init__(self, run: RunReport, paint: Paint, width: int) -> None:
        self.run, self.paint, self.width = run, paint, width
        self._lines: dict[str, Sequence[str]] = {}

    def lines(self) -> Iterator[str]:
        for finding in self.run.findings:
            yield from self.finding(finding)
            yield ""
        for problem in self.run.problems:
            yield problem_line(problem, self.paint)

    def finding(self, finding: Finding) -> Iterator[str]:
        shown = [finding.span.line, *(step.span.line for step in finding.trace)]
        gutter = " " * (len(str(max(shown))) + 1)
        paint, bar = self.paint, gutter + self.paint("|", "frame")
        severity = finding.severity.value
        title = f"{paint(f'{severity}[{finding.code}]', severity)} {finding.name}: {paint(printable(finding.message), 'bold')}"
        inside = paint(f" in {printable(finding.symbol)}", "faint") if finding.symbol else ""
        yield title
        yield f"{gutter[:-1]}{paint('-->', 'frame')} {printable(finding.path)}:{finding.span.line}:{finding.span.column}{inside}"
        yield bar
        steps = list(enumerate(finding.trace, start=1))
        own = next((number for number, step in steps if step.span == finding.span and step.path in ("", finding.path)), None)
        label = finding.trace[own - 1].message if own else ""
        yield from self.marked(finding.path, finding.span, gutter, "^", severity, self.numbered(finding, own, label))
        for number, step in steps:
            if number == own:
                continue
            if step.path not in ("", finding.path):
                yield f"{gutter[:-1]}{paint(':::', 'frame')} {printable(step.path)}:{step.span.line}:{step.span.column}"
            else:
                yield bar
            yield from self.marked(step.path or finding.path, step.span, gutter, "-", "step", self.numbered(finding, number, step.message))
        yield bar
        if finding.fix:
            yield from self.fix(finding, finding.fix, gutter)
        else:
            yield f"{gutter}{paint('=', 'frame')} {paint('help', 'help')}: {finding.help}"

    def numbered(self, finding: Finding, number: int | None, message: str) -> str:
        """The sentence of a step, with its number when there are several."""
        return f"{number}. {printable(message)}" if number and len(finding.trace) > 1 else printable(message)

    def marked(self, path: str, span: Span, gutter: str, mark: str, style: str, label: str) -> Iterator[str]:
        """A source line, and below it the underline with what is said about it."""
        bar = gutter + self.paint("|", "frame")
        lines = self.source(path)
        if span.line > len(lines):
            yield f"{self.paint(str(span.line).rjust(len(gutter) - 1), 'frame')} {self.paint('|', 'frame')} {self.paint(label, style)}".rstrip()
            return
        line = lines[span.line - 1]
        end = span.end_column - 1 if span.end_line == span.line else len(line.rstrip())
        text, start, length = excerpt(line, span.column - 1, end, max(NARROWEST, self.width - len(gutter) - 2))
        yield f"{self.paint(str(span.line).rjust(len(gutter) - 1), 'frame')} {self.paint('|', 'frame')} {text}"
        more = "" if span.end_line == span.line else f"... to line {span.end_line} "
        yield f"{bar} {' ' * start}{self.paint(f'{mark * length} {more}{label}'.rstrip(), style)}"

    def fix(self, finding: Finding, fix: Fix, gutter: str) -> Iterator[str]:
        """What to do, with which option, and for a suggestion the code."""
        command = COMMANDS.get(fix.applicability) if fix.edits else None
        how = f" ({command})" if command else ""
        yield f"{gutter}{self.paint('=', 'frame')} {self.paint('help', 'help')}: {printable(fix.message)}{how}"
        if fix.edits and not command and finding.path in self.run.sources:
            bar = gutter + self.paint("|", "frame")
            width = max(NARROWEST, self.width - len(gutter) - 4)
            for line in [*(f"+{statement}" for statement in fix.imports), *self.proposed(finding.path, fix.edits)]:
                style = {"+": "added", "-": "removed"}.get(line[0], "faint")
                yield f"{bar} {self.paint(f'{line[0]} {excerpt(line[1:], 0, 0, width)[0]}'.rstrip(), style)}"

    def proposed(self, path: str, edits: Sequence[Edit]) -> list[str]:
        """The changed lines of a suggestion as a difference without its headers."""
        source = Source(self.run.sources[path])
        text = source.text
        for edit in sorted(edits, key=lambda edit: edit.span, reverse=True):
            start, end = source.extent(edit.span)
            text = text[:start] + edit.text + text[end:]
        old, new = LINE_END.split(source.text), LINE_END.split(text)
        first, last = min(edit.span.line for edit in edits), max(edit.span.end_line for edit in edits)
        difference = difflib.unified_diff(old[first - 1 : last], new[first - 1 : len(new) - (len(old) - last)], lineterm="")
        return [line for line in difference if not line.startswith(("---", "+++", "@@"))]

    def source(self, path: str) -> Sequence[str]:
        if path not in self._lines:
            self._lines[path] = LINE_END.split(self.run.sources[path]) if path in self.run.sources else ()
        return self._lines[path]

    def summary(self) -> str:
        run, paint = self.run, self.paint
        if run.findings:
            several = Counter(finding.severity for finding in run.findings)
            kinds = joined(counted(several[one], "note" if one is Severity.INFO else one.value) for one in Severity if several[one])
            places = len({finding.path for finding in run.findings})
            said = f"Found {paint(counted(len(run.findings), 'problem'), 'bold')} ({kinds}) in {places} of {counted(run.files, 'file')}"
        else:
            said = f"{paint('No problems found', 'bold')} in {counted(run.files, 'file')}"
        return "; ".join([said, *self.notes()]) + "."

    def notes(self) -> Iterator[str]:
        run = self.run
        fixes = Counter(finding.fix.applicability for finding in run.findings if finding.fix and finding.fix.edits)
        if fixes[Applicability.SAFE]:
            yield f"--fix mends {fixes[Applicability.SAFE]}"
        if fixes[Applicability.UNSAFE]:
            yield f"--fix --unsafe-fixes mends {fixes[Applicability.UNSAFE]}{' more' if fixes[Applicability.SAFE] else ''}"
        if run.suppressed:
            yield f"{run.suppressed} silenced by comments"
        if run.baselined:
            yield f"{run.baselined} known to the baseline"
        if run.hidden:
            yield f"{run.hidden} of lower confidence hidden (--min-confidence low shows all)"
        if run.problems:
            yield f"{counted(len({problem.path for problem in run.problems}), 'file')} could not be checked"
