"""Bytes of one file in, findings out. Pure: no I/O, no globals that change.

This is the unit that is cached, run in a process pool, inside flake8 and in every test.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

import safeboundary_lint.core.node_classes  # noqa: F401, I001 -- before anything that imports LibCST
import libcst as cst

from safeboundary_lint import rules
from safeboundary_lint.comments import Comments
from safeboundary_lint.core import knowledge
from safeboundary_lint.core.drafts import Draft, DraftFacts
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.finding import Confidence, FileReport, Finding, Problem, Step, fingerprint
from safeboundary_lint.core.knowledge import Knowledge
from safeboundary_lint.core.options import Options
from safeboundary_lint.core.outline import Outline
from safeboundary_lint.core.rule import Report, Rule
from safeboundary_lint.core.screen import screen_of
from safeboundary_lint.core.source import LINE_END, Source, Undecodable
from safeboundary_lint.core.syntax import Unparsable, parse, syntax_problem
from safeboundary_lint.core.thinning import Thinning
from safeboundary_lint.core.words import Words
from safeboundary_lint.garbage import give_back_memory


_LARGE = 200_000  # characters for which LibCST's parser takes 50 MB, and more than that for more


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
    wanted = [rule for rule in rules.load().rules if rule.code in options.codes]
    known = knowledge.load(options.knowledge)
    screen, words = screen_of(known), Words(decoded.text)
    left = screen.possible(wanted, words) if options.screening else wanted
    text, indented = decoded.for_parser
    counted = 0
    if not left:
        problem = syntax_problem(text, path) if module is None else None
        return _judged(path, decoded, [], [problem] if problem else [], options)
    if options.screening and (outline := Outline.of(text, None if indented else module)) is not None:
        thinning = Thinning.of(outline, left, screen, words)
        left, counted = _undecided(outline, thinning, known, path, _shown(decoded, options))
        if not left:
            return _judged(path, decoded, [], [], options, counted)
        text = Thinning.of(outline, left, screen, words).text()
        del outline, thinning  # Python's tree makes room for LibCST's parser
    try:
        facts = Facts(parse(text), known, path, text, indented)
    except Unparsable as error:
        return FileReport(path, problems=(Problem(path, str(error), error.line),))
    if len(text) >= _LARGE:
        give_back_memory()  # that of the parser, which takes ten times as much as its tree
    try:
        with closing(facts):
            findings, problems = _run(left, facts)
    except RecursionError:
        return FileReport(path, problems=(Problem(path, "holds an expression or block that is nested too deeply to be checked. Split it, or exclude the file"),))
    return _judged(path, decoded, findings, problems, options, counted)


def _shown(source: Source, options: Options) -> Confidence:
    """How sure a finding must be to be more than a number: what a comment may answer has to be known with its place."""
    return Confidence.LOW if options.honour_comments and Comments.of(source.text).may_answer else options.min_confidence


def _undecided(
    outline: Outline, thinning: Thinning, known: Knowledge, path: str, shown: Confidence
) -> tuple[list[type[Rule]], int]:
    """The rules that a draft of the file does not show to be silent, and how many findings the others have that are not shown."""
    if not thinning.rules:
        return [], 0
    try:
        facts = DraftFacts(Draft(outline.text, outline.module, thinning.dropped()), known, path, shown)
    except (RecursionError, cst.ParserSyntaxError):
        return thinning.rules, 0
    with closing(facts):
        return _counted(thinning.rules, facts)


def _counted(wanted: Sequence[type[Rule]], facts: Facts) -> tuple[list[type[Rule]], int]:
    """The rules that a draft does not show to be silent, and how many findings the others have."""
    running = [rule(facts) for rule in wanted]
    fired: set[int] = set()
    for rule, visit, node in _visits(running, facts):
        if id(rule) not in fired:
            try:
                visit(node)
            except Exception:  # noqa: BLE001 -- it has something to tell, or asks what only LibCST's own tree can tell
                fired.add(id(rule))
    for rule in running:
        if len({report.message for report in rule.reports}) < len(rule.reports):
            fired.add(id(rule))  # the same may have been found twice, and counts once
    decided = [rule for rule in running if id(rule) not in fired]
    return [type(rule) for rule in running if id(rule) in fired], sum(len(rule.reports) for rule in decided)


def _visits(running: Sequence[Rule], facts: Facts) -> Iterator[tuple[Rule, Callable[[cst.CSTNode], object], cst.CSTNode]]:
    """Each rule with each node that it wants to see, and at last with the module."""
    handlers: dict[type[cst.CSTNode], list[tuple[Rule, Callable[[cst.CSTNode], object]]]] = defaultdict(list)
    for rule in running:
        for node_type, method in rule.visitors():
            handlers[node_type].append((rule, getattr(rule, method)))
    # By name, so that the order in which a rule sees the nodes does not hang on which other rules run.
    for node_type, several in sorted(handlers.items(), key=lambda item: item[0].__name__):
        for rule, visit in several:
            for node in facts.tree.all(node_type):
                yield rule, visit, node
    for rule in running:
        yield rule, lambda _module, rule=rule: rule.finish(), facts.tree.module


def _run(wanted: Iterable[type[Rule]], facts: Facts) -> tuple[list[Finding], list[Problem]]:
    problems: list[Problem] = []
    running = [rule(facts) for rule in wanted]
    failed: set[int] = set()
    for rule, visit, node in _visits(running, facts):
        if id(rule) in failed:
            continue
        try:
            visit(node)
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001 -- one rule's defect must not hide the others' findings
            failed.add(id(rule))
            where = facts.line(node) if node is not facts.tree.module else None
            problems.append(Problem(facts.path, f"internal error in {rule.code}: {type(error).__name__}: {error}. Please report it", where))
    told = [report for rule in running if id(rule) not in failed for report in rule.reports]
    return _placed(told, facts), problems


def _placed(told: Iterable[Report], facts: Facts) -> list[Finding]:
    findings = []
    for report in told:
        findings.append(
            Finding(
                report.rule.code,
                report.rule.name,
                report.message,
                facts.path,
                facts.span(report.node),
                facts.tree.symbol_of(report.node),
                report.severity,
                report.confidence,
                tuple(Step(facts.span(node), message) for node, message in report.trace),
                report.fix,
            )
        )
    return findings


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
