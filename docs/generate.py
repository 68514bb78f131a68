"""Writes docs/rules/*.md from the docstrings of the rules: `python docs/generate.py`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from safeboundary_lint.core.rule import Rule
from safeboundary_lint.rules import load

FOLDER = Path(__file__).parent / "rules"

FAMILIES = {
    "comments": "Comments about boundaries",
    "ordering": "Ordering: clocks and order",
    "retries": "Retries: repeating and deduplicating",
    "acks": "Acks: acknowledging and making durable",
    "parsing": "Parsing: bounded work",
    "negotiation": "Negotiation: fallback and downgrade",
    "transitions": "Transitions: state and invariants",
    "evidence": "Evidence: what is left to read afterwards",
}

PEERS = {
    "ruff": "https://docs.astral.sh/ruff/rules/#{code}",
    "bandit": "https://bandit.readthedocs.io/en/latest/plugins/index.html",
    "pylint": "https://pylint.readthedocs.io/en/stable/user_guide/messages/messages_overview.html",
    "bugbear": "https://github.com/PyCQA/flake8-bugbear#list-of-warnings",
}


def pages() -> dict[Path, str]:
    """The text of each page by the file it belongs into."""
    rules = load().rules
    return {FOLDER / "index.md": index(rules)} | {FOLDER / f"{rule.name}.md": page(rule) for rule in rules}


def page(rule: type[Rule]) -> str:
    """One rule: its metadata as a table, its docstring with the headings as Markdown has them."""
    sections = rule.page()
    facts = {
        "Code": f"`{rule.code}`",
        "Family": FAMILIES[rule.family()].partition(":")[0].lower(),
        "Status": f"{rule.status.value} since {rule.since}",
        "Severity": rule.severity.value,
        "Fix": rule.fixable.value if rule.fixable else "described in words",
        "Overlaps": ", ".join(peer(one) for one in rule.overlaps) or "none",
    }
    table = [f"| {' | '.join(facts)} |", f"|{' --- |' * len(facts)}", f"| {' | '.join(facts.values())} |"]
    parts = [f"# {rule.name} ({rule.code})", sections.pop(""), "\n".join(table)]
    parts += [f"## {heading}\n\n{text}" for heading, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def index(rules: tuple[type[Rule], ...]) -> str:
    """All rules by family, a line each."""
    parts = ["# Rules", "Generated from the docstrings of the rules; `safeboundary-lint explain CODE` prints the same pages in a terminal."]
    for family, members in groupby(rules, key=lambda rule: rule.family()):
        rows = [f"| `{rule.code}` | [{rule.name}]({rule.name}.md) | {rule.page()['']} |" for rule in members]
        parts.append("\n".join([f"## {FAMILIES[family]}", "", "| Code | Name | Finds |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"


def peer(overlap: str) -> str:
    """`ruff:S113` as a link to the documentation of the peer, when it is one with documentation by rule."""
    name, _, code = overlap.partition(":")
    return f"[{name} {code}]({PEERS[name].format(code=code)})" if name in PEERS else f"{name} {code}"


def main() -> None:
    """Write every page and remove those of rules that are gone."""
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for stale in set(FOLDER.glob("*.md")) - set(wanted):
        stale.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
