"""Bytes of one file in, findings out. Pure: no I/O, no globals that change.

This is the unit that is cached, run in a process pool, inside flake8 and in every test.
"""

from __future__ import annotations

import ast
from collections import Counter

from safeboundary_lint.comments import Comments
from safeboundary_lint.core.finding import Confidence, FileReport, Finding, Problem, fingerprint
from safeboundary_lint.core.needs import Asked
from safeboundary_lint.core.options import Options
from safeboundary_lint.core.outline import Outline
from safeboundary_lint.core.source import LINE_END, Source, Undecodable
from safeboundary_lint.core.syntax import Unparsable, syntax_problem
from safeboundary_lint.core.thinning import Thinning
from safeboundary_lint.core.words import Words
from safeboundary_lint.ruleset import screen_of


def analyse(source: bytes, path: str, options: Options, module: ast.Module | None = None) -> FileReport:
    """Findings of the file `path` with the content `source`. Never raises: what goes wrong is a Problem.

    `module` is Python's tree of the file, where somebody has parsed it already.
    """
    try:
        decoded = Source.decode(source)
    except Undecodable as error:
        return FileReport(path, problems=(Problem(path, f"can't be decoded: {error}. Save it as UTF-8 or declare its encoding", 1),))
    if "\0" in decoded.text:
        line = decoded.place(decoded.text.index("\0"))[0]
        return FileReport(path, problems=(Problem(path, "contains a NUL byte: this is no Python source. Exclude it", line),))
    screen, words = screen_of(options.knowledge), Words(decoded.text)
    wanted = screen.wanted(options.codes)
    left = screen.possible(wanted, words) if options.screening else wanted
    text, indented = decoded.for_parser
    counted = 0
    if not left:
        problem = syntax_problem(text, path) if module is None else None
        return _judged(path, decoded, [], [problem] if problem else [], options)
    if options.screening and (outline := Outline.of(text, None if indented else module)) is not None:
        thinning = Thinning.of(outline, left, screen, words)
        left, counted = _undecided(outline, thinning, path, options, decoded)
        if not left:
            return _judged(path, decoded, [], [], options, counted)
        text = Thinning.of(outline, left, screen, words).text()
        del outline, thinning  # Python's tree makes room for LibCST's parser
    from safeboundary_lint import engine

    try:
        findings, problems = engine.found(text, indented, left, path, options)
    except Unparsable as error:
        return FileReport(path, problems=(Problem(path, str(error), error.line),))
    return _judged(path, decoded, findings, problems, options, counted)


def _undecided(outline: Outline, thinning: Thinning, path: str, options: Options, source: Source) -> tuple[list[Asked], int]:
    """The rules that still have something to say after a look at a draft, and how many findings of the others are not shown."""
    if not thinning.rules:
        return [], 0  # so it is for most files: neither a rule nor LibCST has been imported for them
    from safeboundary_lint import engine

    return engine.undecided(outline, thinning, path, options, _shown(source, options))


def _shown(source: Source, options: Options) -> Confidence:
    """How sure a finding must be to be more than a number: what a comment may answer has to be known with its place."""
    return Confidence.LOW if options.honour_comments and Comments.of(source.text).may_answer else options.min_confidence


def _judged(path: str, source: Source, findings: list[Finding], problems: list[Problem], options: Options, counted: int = 0) -> FileReport:
    """Comments, confidence, order and fingerprints; so many more findings are not shown and have only been counted."""
    findings = list(dict.fromkeys(sorted(findings, key=lambda finding: finding.order)))
    suppressed = 0
    if options.honour_comments:
        findings, suppressed = Comments.of(source.text).judge(findings, path=path, ran=options.codes, honour_noqa=options.honour_noqa)
    shown = [finding for finding in findings if finding.confidence.at_least(options.min_confidence)]
    lines = LINE_END.split(source.text) if shown else []
    seen: Counter[str] = Counter()
    placed = []
    for finding in sorted(shown, key=lambda finding: finding.order):
        line = lines[finding.span.line - 1] if finding.span.line <= len(lines) else ""
        key = fingerprint(finding.code, path, finding.symbol, line, 0)
        placed.append(finding._replace(fingerprint=fingerprint(finding.code, path, finding.symbol, line, seen[key])))
        seen[key] += 1
    return FileReport(path, tuple(placed), tuple(problems), suppressed, len(findings) - len(shown) + counted)
