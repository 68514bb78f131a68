"""Runs rules over a file: over a draft of it first, and over LibCST's tree where that leaves a question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

import safeboundary_lint.core.node_classes  # noqa: F401, I001 -- before anything that imports LibCST
import libcst as cst

from safeboundary_lint import rules
from safeboundary_lint.core.drafts import Draft, DraftFacts
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.finding import Confidence, Finding, Problem, Step
from safeboundary_lint.core.needs import Asked
from safeboundary_lint.core.options import Options
from safeboundary_lint.core.outline import Outline
from safeboundary_lint.core.parser import parse
from safeboundary_lint.core.rule import Report, Rule
from safeboundary_lint.core.syntax import Unparsable
from safeboundary_lint.core.thinning import Thinning
from safeboundary_lint.garbage import give_back_memory
from safeboundary_lint.ruleset import knowledge_of

_LARGE = 200_000  # characters for which LibCST's parser takes 50 MB, and more than that for more


def undecided(outline: Outline, thinning: Thinning, path: str, options: Options, shown: Confidence) -> tuple[list[Asked], int]:
    """The rules that a draft of the file does not show to be silent, and how many findings the others have that are not `shown`."""
    try:
        facts = DraftFacts(Draft(outline.text, outline.module, thinning.dropped()), knowledge_of(options.knowledge), path, shown)
    except (RecursionError, cst.ParserSyntaxError):
        return thinning.rules, 0
    with closing(facts):
        left, counted = _counted(rules.those(thinning.rules), facts)
    codes = {rule.code for rule in left}
    return [asked for asked in thinning.rules if asked.code in codes], counted


def found(text: str, indented: dict[int, int], left: Sequence[Asked], path: str, options: Options) -> tuple[list[Finding], list[Problem]]:
    """What the rules that are left find in a text as `Source.for_parser` gives it, and what went wrong. Raises Unparsable."""
    facts = Facts(parse(text), knowledge_of(options.knowledge), path, text, indented)
    if len(text) >= _LARGE:
        give_back_memory()  # that of the parser, which takes ten times as much as its tree
    try:
        with closing(facts):
            return _run(rules.those(left), facts)
    except RecursionError:
        raise Unparsable("holds an expression or block that is nested too deeply to be checked. Split it, or exclude the file") from None


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
