"""The command `config`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from safeboundary_lint import config as configuration_file
from safeboundary_lint.cli import output
from safeboundary_lint.cli.options import configuration, overrides
from safeboundary_lint.projects import Projects, shown

if TYPE_CHECKING:
    from safeboundary_lint.config import Settings


@click.command()
@click.argument("path", type=click.Path(), default=os.curdir)
@configuration
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", help="Default: text.")
def config(path: str, output_format: str, **options: Any) -> int:
    """Show the effective settings for PATH, and where each came from.

    \b
    Examples:
      safeboundary-lint config
      safeboundary-lint config tests/test_worker.py     is it a test, is it excluded, which rules run
    """
    if not os.path.exists(path):
        raise configuration_file.ConfigError(f"{path}: no such file or folder")
    wanted = overrides(
        options["select"], options["extend_select"], options["ignore"], options["preview"], options["min_confidence"]
    )
    projects = Projects(wanted, isolated=options["isolated"], file=options["config_file"])
    absolute = os.path.abspath(path)
    folder = absolute if os.path.isdir(absolute) else os.path.dirname(absolute)
    settings = projects.settings_for(folder, folder)
    excluded = projects.excluded(os.path.join(absolute, "") if folder == absolute else absolute, folder)
    rows = [*_about(path, absolute, settings, excluded), *_said(settings)]
    if output_format == "json":
        click.echo(json.dumps({"path": path, "settings": rows}, indent=2))
    else:
        texts = [{key: _text(row[key]) for key in ("key", "origin", "value")} for row in rows]
        click.echo(output.table(texts), color=True)
    for problem in projects.problems:
        click.echo(f"error: {problem.path}: {problem.message}", err=True)
    return 2 if projects.problems else 0


def _about(path: str, absolute: str, settings: Settings, excluded: bool) -> list[dict[str, Any]]:
    """What the settings mean for one path."""
    codes = sorted(settings.options_for(absolute).codes)
    file = shown(settings.file) if settings.file else "none"
    return [
        {"key": "configuration", "value": file, "origin": "found" if settings.file else "default"},
        {"key": "root", "value": settings.root, "origin": "folder the patterns are relative to"},
        {"key": "excluded", "value": excluded, "origin": "exclude, extend-exclude"},
        {"key": "test file", "value": settings.is_test(absolute), "origin": "tests"},
        {"key": "rules", "value": codes, "origin": f"those that run on {path}"},
    ]


def _said(settings: Settings) -> list[dict[str, Any]]:
    """The keys of the configuration with their values; a selector key once for each layer that gives it."""
    rows = []
    for key in configuration_file.KEYS:
        if key in ("select", "extend-select", "ignore"):
            layers = [(layer.keys()[key], layer.origin) for layer in settings.layers if key in layer.keys()]
            for value, origin in layers or [((), configuration_file.DEFAULT)]:
                rows.append({"key": key, "value": list(value), "origin": shown(origin)})
        else:
            value = getattr(settings, key.replace("-", "_"))
            rows.append({"key": key, "value": _plain(key, value), "origin": shown(settings.origin(key))})
    return rows


def _plain(key: str, value: Any) -> Any:
    """A setting as JSON has it."""
    if key == "per-file-ignores":
        return {pattern: list(selectors) for pattern, selectors in value}
    if key == "knowledge":
        return {kind: json.loads(rows) for kind, rows in value}
    if key == "min-confidence":
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return json.dumps(value) if value else "-"
    return ", ".join(value) or "-" if isinstance(value, list) else str(value)
