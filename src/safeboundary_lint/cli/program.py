"""The program and its commands. Each is imported when it is run: their options alone take longer than a short run."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

import click
from click.exceptions import Exit

from safeboundary_lint import __version__
from safeboundary_lint.cli import HELP, PROGRAM
from safeboundary_lint.config import ConfigError

COMMANDS = {
    "check": "check",
    "clean": "cleaning",
    "completion": "completion",
    "config": "settings",
    "explain": "rules",
    "rules": "rules",
}
"""The module of each command."""
FAILED, INTERRUPTED, UNREAD, TERMINATED = 2, 130, 141, 143


class Program(click.Group):
    """The group of all commands. It ends quietly when it is interrupted or nobody reads what it prints."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        module = COMMANDS.get(cmd_name)
        return getattr(importlib.import_module(f"safeboundary_lint.cli.{module}"), cmd_name) if module else None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the page that is printed without this group when nothing else is asked for."""
        formatter.write(HELP)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for; what click would answer with a message of its own becomes an exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
            return code
        except KeyboardInterrupt:
            raise Exit(INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit fails once more
            raise Exit(UNREAD) from None


@click.group(cls=Program, name=PROGRAM, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", prog_name=PROGRAM)
def cli() -> None:
    """Finds the places where a Python service's correctness at its boundaries depends on luck."""


def main() -> int:
    """Run the command line; returns the exit code. Errors are one line each, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a path or snippet that the terminal cannot show must not end the run
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(prog_name=PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return FAILED
    except ConfigError as error:
        return _failed(str(error))
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        return _failed(f"{error.filename or 'output'}: {error.strerror or error}")
    except Exception as error:
        return _failed(f"internal error{_place(error)}: {type(error).__name__}: {error}; please report it")


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)  # unwinds the process pool; the default would leave its processes behind


def _failed(message: str) -> int:
    click.echo(f"error: {message}", err=True)
    return FAILED


def _place(error: Exception) -> str:
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return ""
    return f" in {os.path.basename(innermost.tb_frame.f_code.co_filename)} line {innermost.tb_lineno}"
