"""What `--fix` and `--diff` do between checking and reporting."""

from __future__ import annotations

import click

from safeboundary_lint import checking, fixes
from safeboundary_lint.cli.output import Notes, counted
from safeboundary_lint.core.finding import Applicability, Finding, Problem
from safeboundary_lint.core.source import Source
from safeboundary_lint.files import SourceFile
from safeboundary_lint.run import Checked


class Fixing:
    """The fixes of one run. With `write` files are changed, else only the difference is told."""

    def __init__(self, *, unsafe: bool, write: bool) -> None:
        self.applied: list[Finding] = []
        self._unsafe = unsafe
        self._write = write
        self._files = 0
        self._printed: list[str | bytes] = []

    def apply(self, file: SourceFile, checked: Checked) -> Checked:
        """Fix one file; returns what remains to be said about it."""
        report, text = checked
        if not any(self._applicable(finding) for finding in report.findings):
            if file.source is not None and self._write:
                self._printed.append(file.source)
            return checked
        try:
            source = checking.read(file).source
        except OSError as error:
            problem = Problem(file.path, f"cannot be read: {error.strerror or error}")
            return report._replace(problems=(*report.problems, problem)), text
        outcome = fixes.fix_file(file.path, source, lambda content: checking.report_of(file, content), self._unsafe)
        if outcome.new_source != source:
            try:
                self._deliver(file, source, outcome.new_source)
            except OSError as error:
                problem = Problem(file.path, f"the fixed text could not be written: {error.strerror or error}")
                return report._replace(problems=(*report.problems, problem)), text
            self.applied += outcome.applied
            self._files += 1
        after = outcome.report._replace(problems=(*outcome.report.problems, *outcome.problems))
        return after, Source.decode(outcome.new_source).text

    def _applicable(self, finding: Finding) -> bool:
        wanted = (Applicability.SAFE, Applicability.UNSAFE) if self._unsafe else (Applicability.SAFE,)
        return finding.fix is not None and finding.fix.applicability in wanted

    def _deliver(self, file: SourceFile, old: bytes, new: bytes) -> None:
        if not self._write:
            self._printed.append(fixes.diff(file.path, old, new))
        elif file.source is not None:
            self._printed.append(new)
        else:
            fixes.write_atomically(file.path, new, old)

    def print(self, notes: Notes) -> None:
        """Print the differences, or the fixed standard input, and tell what was done."""
        for text in self._printed:
            click.echo(text, nl=False)
        count = len(self.applied)
        if count or not self._write:
            verb = "applied" if self._write else "would apply"
            notes.say(f"{verb} {counted(count, 'fix', 'fixes')} in {counted(self._files, 'file')}")
