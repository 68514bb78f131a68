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
        paint, severity = self.paint, finding.severity.value
        shown = [finding.span.line, *(step.span.line for step in finding.trace)]
        margin = _Margin(len(str(max(shown))) + 1, paint)
        title = paint(f"{severity}[{finding.code}]", severity)
        inside = paint(f" in {printable(finding.symbol)}", "faint") if finding.symbol else ""
        yield f"{title} {finding.name}: {paint(printable(finding.message), 'bold')}"
        yield margin.arrow("-->", finding.path, finding.span) + inside
        yield margin.bar
        labels = [printable(step.message) for step in finding.trace]
        if len(labels) > 1:
            labels = [f"{number}. {label}" for number, label in enumerate(labels, start=1)]
        steps = list(zip(finding.trace, labels, strict=True))
        own = next((one for one in steps if one[0].span == finding.span and one[0].path in ("", finding.path)), None)
        yield from self.marked(finding.path, finding.span, margin, "^", severity, own[1] if own else "")
        for step, label in steps:
            if own and step is own[0]:
                continue
            elsewhere = step.path not in ("", finding.path)
            yield margin.arrow(":::", step.path, step.span) if elsewhere else margin.bar
            yield from self.marked(step.path or finding.path, step.span, margin, "-", "step", label)
        yield margin.bar
        if finding.fix:
            yield from self.fix(finding, finding.fix, margin)
        else:
            yield margin.help(finding.help)

    def marked(self, path: str, span: Span, margin: _Margin, mark: str, style: str, label: str) -> Iterator[str]:
        """A source line, and below it the underline with what is said about it."""
        lines = self.source(path)
        if span.line > len(lines):
            yield margin.line(span.line, self.paint(label, style))
            return
        line = lines[span.line - 1]
        end = span.end_column - 1 if span.end_line == span.line else len(line.rstrip())
        text, start, length = excerpt(line, span.column - 1, end, self.room(margin))
        yield margin.line(span.line, text)
        more = "" if span.end_line == span.line else f"... to line {span.end_line} "
        yield f"{margin.bar} {' ' * start}{self.paint(f'{mark * length} {more}{label}'.rstrip(), style)}"

    def room(self, margin: _Margin) -> int:
        """Cells there are for a source line."""
        return max(NARROWEST, self.width - margin.width - 2)

    def fix(self, finding: Finding, fix: Fix, margin: _Margin) -> Iterator[str]:
        """What to do, with which option, and for a suggestion the code."""
        command = COMMANDS.get(fix.applicability) if fix.edits else None
        yield margin.help(f"{printable(fix.message)} ({command})" if command else printable(fix.message))
        if fix.edits and not command and finding.path in self.run.sources:
            for line in [*(f"+{statement}" for statement in fix.imports), *self.proposed(finding.path, fix.edits)]:
                style = {"+": "added", "-": "removed"}.get(line[0], "faint")
                text = excerpt(line[1:], 0, 0, self.room(margin) - 2)[0]
                yield f"{margin.bar} {self.paint(f'{line[0]} {text}'.rstrip(), style)}"

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
            kinds = joined(
                f"{several[one]} info" if one is Severity.INFO else counted(several[one], one.value)
                for one in Severity
                if several[one]
            )
            places = len({finding.path for finding in run.findings})
            number = paint(counted(len(run.findings), "problem"), "bold")
            said = f"Found {number} ({kinds}) in {places} of {counted(run.files, 'file')}"
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


class _Margin:
    """What stands left of the source: line numbers and the bar."""

    def __init__(self, width: int, paint: Paint) -> None:
        self.width, self._paint = width, paint
        self.bar = " " * width + paint("|", "frame")

    def line(self, number: int, text: str) -> str:
        """A line with its number."""
        return f"{self._paint(str(number).rjust(self.width - 1), 'frame')} {self._paint('|', 'frame')} {text}".rstrip()

    def arrow(self, arrow: str, path: str, span: Span) -> str:
        """Where the following lines are."""
        return f"{' ' * (self.width - 1)}{self._paint(arrow, 'frame')} {printable(path)}:{span.line}:{span.column}"

    def help(self, text: str) -> str:
        """What to do."""
        return f"{' ' * self.width}{self._paint('=', 'frame')} {self._paint('help', 'help')}: {text}"
