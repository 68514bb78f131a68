"""Writes what can be told from the code: `python docs/generate.py`.

docs/rules/*.md from the docstrings of the rules, docs/kinds.md from the kinds of knowledge, docs/modules.md from the
docstrings of the modules, in the README what the command prints that stands there, and in the changelog a line for each
rule that has none.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from safeboundary_lint.core.rule import Rule
from safeboundary_lint.rules import load

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "rules"
README = ROOT / "README.md"
CHANGELOG = ROOT / "CHANGELOG.md"
PACKAGE = ROOT / "src" / "safeboundary_lint"

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
    about_rules = {FOLDER / "index.md": index(rules)} | {FOLDER / f"{rule.name}.md": page(rule) for rule in rules}
    return about_rules | {
        ROOT / "docs" / "kinds.md": kinds(),
        ROOT / "docs" / "modules.md": modules(),
        README: with_output(README.read_text(encoding="utf-8")),
        CHANGELOG: with_new_rules(CHANGELOG.read_text(encoding="utf-8"), rules),
    }


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


def kinds() -> str:
    """What a row of knowledge can be, and what it can state."""
    declared = tomllib.loads((PACKAGE / "knowledge" / "kinds.toml").read_text(encoding="utf-8"))
    rows = [f"| `{kind}` | {one['meaning']} | {_facts(one.get('facts', {}))} |" for kind, one in declared.items()]
    table = ["| Kind | A row says that its names | Facts |", "| --- | --- | --- |", *rows]
    return "\n\n".join(["# Kinds", "Generated from `kinds.toml`. What rows are: [Knowledge](knowledge.md).", "\n".join(table)]) + "\n"


def _facts(facts: Mapping[str, str]) -> str:
    return ", ".join(f"`{fact}` ({kind})" for fact, kind in facts.items())


def modules() -> str:
    """What each module answers: the first paragraph of its docstring. Rules are told of on pages of their own."""
    parts = ["# Modules", "Generated from the docstrings of the modules. How they hang together: [Architecture](architecture.md)."]
    for folder in [PACKAGE, *sorted(path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "rules")]:
        rows = []
        for path in sorted(folder.glob("*.py")):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            if docstring:
                first = " ".join(docstring.split("\n\n")[0].split())
                rows.append(f"| `{path.relative_to(PACKAGE).as_posix()}` | {first.replace('|', '&#124;')} |")
        if rows:
            parts.append("\n".join([f"## {folder.relative_to(PACKAGE.parent).as_posix()}", "", "| Module | Answers |", "| --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"


def with_output(text: str) -> str:
    """The text with each console block holding what its command prints now."""

    def run(block: re.Match[str]) -> str:
        command = [sys.executable, "-m", "safeboundary_lint", *block["arguments"].split()]
        environment = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if ran.returncode not in (0, 1) or not ran.stdout:
            raise SystemExit(f"README.md: `safeboundary-lint {block['arguments']}` fails:\n{ran.stderr}")
        return f"```console\n$ safeboundary-lint {block['arguments']}\n{ran.stdout.rstrip()}\n```"

    return re.sub(r"```console\n\$ safeboundary-lint (?P<arguments>.*)\n(?s:.*?)```", run, text)


def with_new_rules(text: str, rules: tuple[type[Rule], ...]) -> str:
    """The changelog with the rules that it does not mention yet at the end of the newest list of new rules."""
    lines = [f"- {rule.code} `{rule.name}`\n" for rule in rules if f"{rule.code} `{rule.name}`" not in text]
    return re.sub(r"(### New rule\n\n(?:- .*\n(?:  .*\n)*)*)", lambda found: found[1] + "".join(lines), text, count=1)


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
