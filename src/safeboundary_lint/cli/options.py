"""Options that several commands share, and what their values mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from safeboundary_lint.config import COMMAND_LINE, ConfigError, Overrides, Selection, known
from safeboundary_lint.core.finding import Confidence

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])


class Selectors(click.ParamType):
    """Codes, prefixes, names and families, separated by commas."""

    name = "rules"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The selectors; `overrides` tells whether they mean rules, when it is known whether rules must be imported for that."""
        return value if isinstance(value, tuple) else tuple(one.strip() for one in value.split(",") if one.strip())

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Codes, names and families that continue the last selector."""
        return complete_rules(ctx, param, incomplete)


def complete_rules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Codes, names and families that continue the last word of a comma separated list."""
    from click.shell_completion import CompletionItem

    from safeboundary_lint.rules import load

    before, comma, begun = incomplete.rpartition(",")
    words = {rule.code: rule.name for rule in load().rules} | {rule.name: rule.code for rule in load().rules}
    words |= {rule.family(): "family" for rule in load().rules}
    begun = begun.upper() if begun.lower().startswith("sbl") else begun
    return [CompletionItem(before + comma + word, help=told) for word, told in words.items() if word.startswith(begun)]


def configuration(command: Command) -> Command:
    """Adds the options by which the command line changes the settings; `overrides` makes sense of them."""
    for option in (
        click.option("--isolated", is_flag=True, help="Read no configuration file."),
        click.option(
            "--config",
            "config_file",
            metavar="FILE",
            type=click.Path(),
            help="Read this file instead of the nearest pyproject.toml.",
        ),
        click.option(
            "--min-confidence",
            type=click.Choice([one.value for one in Confidence]),
            help="Show findings that are at least this sure. Default: medium.",
        ),
        click.option("--preview/--no-preview", default=None, help="Also run the rules in preview."),
        click.option(
            "--ignore",
            type=Selectors(),
            multiple=True,
            metavar="RULES",
            help="Do not run these rules, besides those ignored already.",
        ),
        click.option("--extend-select", type=Selectors(), multiple=True, metavar="RULES", help="Run these rules too."),
        click.option(
            "--select",
            type=Selectors(),
            multiple=True,
            metavar="RULES",
            help="Run these rules only: codes, prefixes, names, families or ALL, separated by commas.",
        ),
    ):
        command = option(command)
    return command


def overrides(
    select: tuple[tuple[str, ...], ...],
    extend_select: tuple[tuple[str, ...], ...],
    ignore: tuple[tuple[str, ...], ...],
    preview: bool | None,
    min_confidence: str | None,
) -> Overrides:
    """What the options of `configuration` say. Raises ConfigError for a selector that means no rule."""
    chosen = {"--select": sum(select, ()), "--extend-select": sum(extend_select, ()), "--ignore": sum(ignore, ())}
    for option, selectors in chosen.items():
        try:
            known(selectors)
        except ConfigError as error:
            raise ConfigError(f"{option}: {error}") from None
    selection = Selection(chosen["--select"] if select else None, chosen["--extend-select"], chosen["--ignore"], COMMAND_LINE)
    return Overrides(selection, preview, Confidence(min_confidence) if min_confidence else None)
