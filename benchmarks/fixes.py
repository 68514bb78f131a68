#!/usr/bin/env python3
"""Fix every file of real packages that can be fixed, in memory, and hold each patch to what is promised of it.

    python benchmarks/fixes.py --wild DIR [--report REPORT.json] [--patches DIR]

Every rule of any status and confidence is on, unsafe fixes are made. Each patch has to be taken by `git apply` and give what
fixing gave; that has to parse and compile, definitions in which no fix has an edit have to be the same, no comment may be lost,
and fixing again has to change nothing. Files are those in which a rule that can fix finds something or, with `--report`, those
that have a finding in a JSON report of a run that was made before, which takes less long. `--patches` keeps the patches, one
file for each, to be read. Prints a table by rule and why fixes were not made; exits with 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import ast
import collections
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import tokenize
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Applicability, Confidence, FileReport, Finding, Problem
from safeboundary_lint.fixes import Outcome, diff, fix_file
from safeboundary_lint.rules import load

APPLIED = (Applicability.SAFE, Applicability.UNSAFE)
EVERYTHING = Options(frozenset(rule.code for rule in load().rules), Confidence.LOW)
FIXING = Options(frozenset(rule.code for rule in load().rules if rule.fixable in APPLIED), Confidence.LOW)


@dataclass
class Tally:
    """What was counted, by rule."""

    found: collections.Counter[str] = field(default_factory=collections.Counter)
    shown: collections.Counter[str] = field(default_factory=collections.Counter)  # suggestions
    fixed: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    patches: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, path: pathlib.Path, before: FileReport, outcome: Outcome) -> None:
        """Count one file."""
        for finding in before.findings:
            if finding.fix and finding.fix.edits:
                (self.found if finding.fix.applicability in APPLIED else self.shown)[finding.code] += 1
        self.fixed.update(finding.code for finding in outcome.applied)
        for problem in outcome.problems:
            self.refused[told(problem)] += 1
            print(f"refused   {path}:{problem.line}: {problem.message}", file=sys.stderr)

    def print(self) -> None:
        """The tables."""
        print(f"{'rule':8} {'fixable':>8} {'fixed':>6} {'refused':>8} {'suggested':>10}")
        refused: collections.Counter[str] = collections.Counter()
        for (code, _why), count in self.refused.items():
            refused[code] += count
        codes = {*self.found, *self.shown, *refused}
        rows = [(code, self.found[code], self.fixed[code], refused[code], self.shown[code]) for code in codes]
        total = [sum(row[column] for row in rows) for column in range(1, 5)]
        for code, *numbers in [*sorted(rows), ("all", *total)]:
            print(f"{code:8} {numbers[0]:>8} {numbers[1]:>6} {numbers[2]:>8} {numbers[3]:>10}")
        for (code, why), count in sorted(self.refused.items()):
            print(f"refused   {count:>3} x {code}: {why}")
        print(f"{self.patches} patches, {len(self.broken)} broken promises")
        for one in self.broken:
            print(f"broken    {one}")


def main() -> int:
    """Fix them; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wild", type=pathlib.Path, required=True, help="the folder of the laid-out packages")
    parser.add_argument("--report", type=pathlib.Path, help="a JSON report of the packages that is there already")
    parser.add_argument("--patches", type=pathlib.Path, help="a folder to keep the patches in")
    args = parser.parse_args()
    tally, wild = Tally(), args.wild.resolve()
    for path in reported(wild, args.report) if args.report else fixable(wild):
        name = path.relative_to(wild).as_posix()
        try:
            patch = fixed(path, name, tally)
        except Exception:
            tally.broken.append(f"{name}: raised\n{traceback.format_exc()}")
            continue
        if patch and args.patches:
            args.patches.mkdir(parents=True, exist_ok=True)
            (args.patches / f"{name.replace('/', '__')}.patch").write_bytes(patch)
    tally.print()
    return 1 if tally.broken else 0


def reported(wild: pathlib.Path, report: pathlib.Path) -> list[pathlib.Path]:
    """The files with findings in a report whose paths begin at the folder, or are whole."""
    return sorted({wild / finding["path"] for finding in json.loads(report.read_text())["findings"]})


def fixable(wild: pathlib.Path) -> Iterator[pathlib.Path]:
    """The files in which something can be fixed."""
    for path in sorted(wild.rglob("*.py")):
        report = analyse(path.read_bytes(), str(path), FIXING)
        if any(finding.fix and finding.fix.edits and finding.fix.applicability in APPLIED for finding in report.findings):
            yield path


def fixed(path: pathlib.Path, name: str, tally: Tally) -> bytes:
    """The patch that fixes a file, its promises looked at and counted; empty when nothing is fixed."""
    old = path.read_bytes()
    before = analyse(old, name, EVERYTHING)
    outcome = fix_file(name, old, lambda data: analyse(data, name, EVERYTHING), unsafe=True)
    tally.add(path, before, outcome)
    if outcome.new_source == old:
        return b""
    tally.patches += 1
    patch = diff(name, old, outcome.new_source).encode("utf-8")
    broken = [*unlike_the_patch(name, old, patch, outcome.new_source), *worse(old, outcome, before, name)]
    tally.broken += [f"{name}: {what}" for what in broken]
    return patch


def told(problem: Problem) -> tuple[str, str]:
    """The rule and the reason in the words of a refused fix, without what differs from place to place."""
    head, _, reason = problem.message.partition(" was not applied: ")
    code = head.rpartition(" ")[2]
    return (code, reason.partition(";")[0]) if reason else ("-", problem.message)


def unlike_the_patch(name: str, old: bytes, patch: bytes, new: bytes) -> Iterator[str]:
    """What is wrong with a patch: git does not take it, or makes something else of it."""
    if b"\r" in old and b"\n" not in old or not utf8(old):
        return  # the patch is text in UTF-8, whatever the file is in
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, name)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(old)
        command = ["git", "apply", "-p0", "--whitespace=nowarn", "-"]
        run = subprocess.run(command, cwd=folder, input=patch, capture_output=True)
        if run.returncode:
            yield f"git apply: {run.stderr.decode(errors='replace').strip()}"
        elif copy.read_bytes() != new:
            yield "git apply gives another text than fixing"


def worse(old: bytes, outcome: Outcome, before: FileReport, name: str) -> Iterator[str]:
    """What a fixed file has lost, or has that it should not."""
    new = outcome.new_source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            was = ast.parse(old)
            now = ast.parse(new)
            compile(new, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        yield f"does not compile: {error}"
        return
    if lost := comments(old) - comments(new):
        yield f"lost comments: {', '.join(lost)}"
    left = collections.Counter(map(ast.dump, now.body))
    for statement in was.body:
        if not left[ast.dump(statement)]:
            if not any(about(finding, statement) for finding in outcome.applied):
                yield f"line {statement.lineno}: changed, and no fix has an edit there"
        else:
            left[ast.dump(statement)] -= 1
    after = analyse(new, name, EVERYTHING)
    more = collections.Counter(one.code for one in after.findings) - collections.Counter(one.code for one in before.findings)
    if more:
        yield f"new findings: {', '.join(more)}"
    if fix_file(name, new, lambda data: analyse(data, name, EVERYTHING), unsafe=True).new_source != new:
        yield "fixing again changes more"


def about(finding: Finding, statement: ast.stmt) -> bool:
    """True when a fix belongs to a statement of the module: by name, because later rounds count lines anew, or by line."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return bool(finding.fix and finding.fix.imports)
    lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    edits = finding.fix.edits if finding.fix else ()
    name = getattr(statement, "name", None)
    by_name = name is not None and name == finding.symbol.partition(".")[0]
    return by_name or any(edit.span.line in lines or edit.span.end_line in lines for edit in edits)


def comments(data: bytes) -> collections.Counter[str]:
    """The comments of a text."""
    tokens = tokenize.tokenize(io.BytesIO(data).readline)
    return collections.Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


def utf8(data: bytes) -> bool:
    """True for text in UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
