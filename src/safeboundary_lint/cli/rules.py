"""The commands `rules` and `explain`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from safeboundary_lint.cli import output
from safeboundary_lint.cli.options import complete_rules
from safeboundary_lint.config import ConfigError

if TYPE_CHECKING:
    from safeboundary_lint.core.rule import Rule


@click.command()
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
def rules(output_format: str) -> None:
    """List all rules: code, name, family, status, severity, fix, and rules of other linters that overlap.

    \b
    Examples:
      safeboundary-lint rules
      safeboundary-lint rules --output-format json | jq '.[] | select(.fix == "safe")'
    """
    from safeboundary_lint.rules import load

    rows = [_row(rule) for rule in load().rules]
    if output_format == "json":
        click.echo(json.dumps(rows, indent=2))
    else:
        texts = [
            {key: ", ".join(value) if isinstance(value, list) else value or "-" for key, value in row.items()} for row in rows
        ]
        click.echo(
            output.table([{key: text for key, text in row.items() if key not in ("since", "summary")} for row in texts]),
            color=True,
        )


def _row(rule: type[Rule]) -> dict[str, str | list[str] | None]:
    return {
        "code": rule.code,
        "name": rule.name,
        "family": rule.family(),
        "status": rule.status.value,
        "since": rule.since,
        "severity": rule.severity.value,
        "fix": rule.fixable.value if rule.fixable else None,
        "overlaps": list(rule.overlaps),
        "summary": " ".join(rule.page()[""].split()),
    }


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RULE...", shell_complete=complete_rules)
def explain(names: tuple[str, ...]) -> None:
    """Print the page of a rule: what it does, why it matters, an example, and what to do instead.

    RULE is a code or a name; a prefix or a family stands for all of its rules.

    \b
    Examples:
      safeboundary-lint explain SBL301
      safeboundary-lint explain ack-before-write | less
      safeboundary-lint explain acks
    """
    from safeboundary_lint.core.rule import UnknownRule
    from safeboundary_lint.rules import load

    try:
        codes = [code for name in names for code in sorted(load().expand([name]))]
    except UnknownRule as error:
        raise ConfigError(str(error)) from None
    pages = [_page(load().get(code)) for code in dict.fromkeys(codes)]
    click.echo(_rendered("\n\n".join(pages)), color=True)


def _page(rule: type[Rule]) -> str:
    """The page of a rule as Markdown."""
    fix = f"{rule.fixable.value} fix" if rule.fixable else "no fix"
    facts = f"{rule.family()}, {rule.status.value} since {rule.since}, {rule.severity.value}, {fix}"
    if rule.overlaps:
        facts += f"; overlaps {', '.join(rule.overlaps)}"
    sections = rule.page()
    parts = [f"# {rule.code} {rule.name}", sections.pop(""), facts]
    return "\n\n".join([*parts, *(f"## {heading}\n\n{text}" for heading, text in sections.items())])


def _rendered(page: str) -> str:
    """For a terminal with colour as rich shows Markdown, else as it is."""
    if not output.look(sys.stdout)[0]:
        return page
    from rich.markdown import Markdown

    terminal = output.console(sys.stdout)
    with terminal.capture() as capture:
        terminal.print(Markdown(page), width=min(terminal.width, 110))
    return capture.get().rstrip()
