"""The command line: parse options, call the run, choose a report; nothing else.

Exit codes: 0 nothing to report, 1 findings, 2 the run could not do its job, 130 interrupted, 141 nobody reads the output.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click
from click.exceptions import Exit

from safeboundary_lint import __version__
from safeboundary_lint.cli.check import check
from safeboundary_lint.cli.cleaning import clean
from safeboundary_lint.cli.completion import completion
from safeboundary_lint.cli.rules import explain, rules
from safeboundary_lint.cli.settings import config
from safeboundary_lint.config import ConfigError

PROGRAM = "safeboundary-lint"
FAILED, INTERRUPTED, UNREAD, TERMINATED = 2, 130, 141, 143


class Program(click.Group):
    """A group of commands that ends quietly when it is interrupted or nobody reads what it prints."""

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
    """Finds the places where a Python service's correctness at its boundaries depends on luck.

    It reads source and reports where clocks, retries, acknowledgements, parsing, protocol negotiation or changes of state can go wrong,
    with the story of the failure step by step.

    \b
    Examples:
      safeboundary-lint check                     everything below this folder
      safeboundary-lint check src --fix           and apply the safe fixes
      safeboundary-lint explain ack-before-write  what a rule means, and what to do
    """


for command in (check, explain, rules, config, clean, completion):
    cli.add_command(command)


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
