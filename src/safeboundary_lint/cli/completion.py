"""The command `completion`."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      eval "$(safeboundary-lint completion bash)"     in ~/.bashrc
      eval "$(safeboundary-lint completion zsh)"      in ~/.zshrc
      safeboundary-lint completion fish > ~/.config/fish/completions/safeboundary-lint.fish
    """
    from click.shell_completion import get_completion_class

    root = ctx.find_root()
    program = root.info_name or "safeboundary-lint"
    variable = f"_{program}_COMPLETE".replace("-", "_").upper()
    shell_class = get_completion_class(shell)
    if shell_class is None:
        raise click.UsageError(f"no completion for {shell!r}; there is one for {', '.join(SHELLS)}")
    script = shell_class(root.command, {}, program, variable)
    # Not `source()`: for bash it first starts the bash that is found and refuses by its version, which need not be the one used.
    click.echo(script.source_template % script.source_vars())
