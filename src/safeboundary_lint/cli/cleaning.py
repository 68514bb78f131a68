"""The command `clean`."""

from __future__ import annotations

import click


@click.command()
@click.option("--cache-dir", metavar="DIR", type=click.Path(), help="The folder given to `check`. Default: .safeboundary_cache in the project.")
def clean(cache_dir: str | None) -> None:
    """Delete what earlier runs found and keep for the next one. Other files in that folder stay.

    \b
    Examples:
      safeboundary-lint clean
    """
    from safeboundary_lint import cache
    from safeboundary_lint.projects import shown

    folder = cache.clean(cache_dir)
    click.echo(f"note: {'deleted ' + shown(folder) if folder else 'there is nothing to delete'}", err=True)
