"""Bytes of one file in, findings out. Pure: no I/O, no globals that change.

This is the unit that is cached, run in a process pool, inside flake8 and in every test.
"""

from __future__ import annotations

import codecs
import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import libcst as cst

from safeboundary_lint import rules
from safeboundary_lint.comments import Comments
from safeboundary_lint.core import knowledge
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.finding import Confidence, FileReport, Finding, Problem, Step, fingerprint
from safeboundary_lint.core.rule import Report, Rule

_LINE_END = re.compile(r"\r\n|\n|\r")
_WORD = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Options:
    """What to look for in one file. Hashable and picklable: it is part of the cache key and travels to workers."""

    codes: frozenset[str]  # rules to run
    min_confidence: Confidence = Confidence.MEDIUM
    knowledge: tuple[tuple[str, str], ...] = ()  # user rows: (section, JSON of its content), validated by config
    honour_noqa: bool = True  # False inside flake8, which applies `# noqa` itself
    honour_comments: bool = True  # False shows what the comments silence
    screening: bool = True  # False runs every rule on every file: slower, same findings


def analyse(source: bytes, path: str, options: Options) -> FileReport:
    """Findings of the file `path` with the content `source`. Never raises: what goes wrong is a Problem."""
    try:
        text = decode(source)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        return FileReport(path, problems=(Problem(path, f"can't be decoded: {error}. Save it as UTF-8 or declare its encoding", 1),))
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return FileReport(path, problems=(Problem(path, "contains a NUL byte: this is no Python source. Exclude it", line),))
    wanted = [rule for rule in rules.load().rules if rule.code in options.codes]
    known = knowledge.load(options.knowledge)
    left = _screened(wanted, source, known) if options.screening else wanted
    findings: list[Finding] = []
    problems: list[Problem] = []
    if left:
        try:
            module = cst.parse_module(text)
        except BaseException as error:  # noqa: BLE001 -- LibCST's native parser panics with a BaseException
            if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
                raise
            return FileReport(path, problems=(_unparsable(path, error),))
        findings, problems = _run(left, Facts(module, known, path), text)
    return _judged(path, text, findings, problems, options)


def decode(source: bytes) -> str:
    """The text of a source file by its BOM and encoding cookie, without the BOM. Raises SyntaxError, UnicodeDecodeError."""
    encoding, _lines = tokenize.detect_encoding(io.BytesIO(source).readline)
    return source.removeprefix(codecs.BOM_UTF8).decode("utf-8" if encoding == "utf-8-sig" else encoding)


def _unparsable(path: str, error: BaseException) -> Problem:
    if isinstance(error, cst.ParserSyntaxError):
        reason = str(error.message).strip().splitlines()[0] if error.message else "invalid syntax"
        return Problem(path, f"syntax error: {reason}", error.raw_line)
    return Problem(path, f"can't be parsed: {type(error).__name__}: {error}")


def _screened(wanted: Sequence[type[Rule]], source: bytes, known: knowledge.Knowledge) -> list[type[Rule]]:
    """The rules that could fire: of each of a rule's needs, some name must occur in the file."""
    words = {word.decode("utf-8", "replace") for word in set(_WORD.findall(source))}

    def present(kind: str) -> bool:
        return kind[1:] in words if kind.startswith("=") else not words.isdisjoint(known.words.get(kind, frozenset()))

    remembered: dict[str, bool] = {}

    def remember(kind: str) -> bool:
        if kind not in remembered:
            remembered[kind] = present(kind)
        return remembered[kind]

    return [rule for rule in wanted if all(any(remember(kind) for kind in several) for several in rule.needs)]


def _run(wanted: Iterable[type[Rule]], facts: Facts, text: str) -> tuple[list[Finding], list[Problem]]:
    problems: list[Problem] = []
    handlers: dict[type[cst.CSTNode], list[tuple[Rule, Callable[[cst.CSTNode], object]]]] = defaultdict(list)
    running: list[Rule] = []
    for rule in wanted:
        instance = rule(facts)
        running.append(instance)
        for node_type, method in rule.visitors():
            handlers[getattr(cst, node_type)].append((instance, getattr(instance, method)))
    failed: set[int] = set()
    visits = [(rule, visit, node) for node_type, several in handlers.items() for rule, visit in several for node in facts.tree.all(node_type)]
    for rule, visit, node in [*visits, *((rule, lambda _, rule=rule: rule.finish(), facts.tree.module) for rule in running)]:
        if id(rule) in failed:
            continue
        try:
            visit(node)
        except Exception as error:  # noqa: BLE001 -- one rule's defect must not hide the others' findings
            failed.add(id(rule))
            where = facts.line(node) if node is not facts.tree.module else None
            problems.append(Problem(facts.path, f"internal error in {rule.code}: {type(error).__name__}: {error}. Please report it", where))
    told = [report for rule in running if id(rule) not in failed for report in rule.reports]
    return _placed(told, facts, text), problems


def _placed(told: Iterable[Report], facts: Facts, text: str) -> list[Finding]:
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


def _judged(path: str, text: str, findings: list[Finding], problems: list[Problem], options: Options) -> FileReport:
    """Comments, confidence, order and fingerprints."""
    findings = list(dict.fromkeys(sorted(findings, key=lambda finding: finding.order)))
    suppressed = 0
    if options.honour_comments:
        findings, suppressed = Comments.of(text).judge(findings, path=path, ran=options.codes, honour_noqa=options.honour_noqa)
    shown = [finding for finding in findings if finding.confidence.at_least(options.min_confidence)]
    lines = _LINE_END.split(text) if shown else []
    seen: Counter[str] = Counter()
    placed = []
    for finding in sorted(shown, key=lambda finding: finding.order):
        line = lines[finding.span.line - 1] if finding.span.line <= len(lines) else ""
        key = fingerprint(finding.code, path, finding.symbol, line, 0)
        placed.append(replace(finding, fingerprint=fingerprint(finding.code, path, finding.symbol, line, seen[key])))
        seen[key] += 1
    return FileReport(path, tuple(placed), tuple(problems), suppressed, len(findings) - len(shown))
