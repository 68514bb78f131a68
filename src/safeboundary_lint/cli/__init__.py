"""The command line: parse options, call the run, choose a report; nothing else.

Exit codes: 0 nothing to report, 1 findings, 2 the run could not do its job, 130 interrupted, 141 nobody reads the output.
"""

from __future__ import annotations

import atexit
import gc
import sys

from safeboundary_lint import __version__

PROGRAM = "safeboundary-lint"
VERSION = f"{PROGRAM}, version {__version__}\n"
HELP = """\
Usage: safeboundary-lint [OPTIONS] COMMAND [ARGS]...

  Finds the places where a Python service's correctness at its boundaries
  depends on luck.

  It reads source and reports where clocks, retries, acknowledgements, parsing,
  protocol negotiation or changes of state can go wrong, with the story of the
  failure step by step.

  Examples:
    safeboundary-lint check                     everything below this folder
    safeboundary-lint check src --fix           and apply the safe fixes
    safeboundary-lint explain ack-before-write  what a rule means, what to do

Options:
  -V, --version  Show the version and exit.
  -h, --help     Show this message and exit.

Commands:
  check       Report findings in files, folders and standard input.
  clean       Delete what earlier runs found and keep for the next one.
  completion  Print the completion script for a shell.
  config      Show the effective settings for a path, and where each came from.
  explain     Print the page of a rule: what it does, and what to do instead.
  rules       List all rules: code, name, family, status, severity, fix.
"""

_PAGES = {"-V": VERSION, "--version": VERSION, "-h": HELP, "--help": HELP}


def main() -> int:
    """Run the command line; returns the exit code. Errors are one line each, never a traceback."""
    if len(sys.argv) == 2 and sys.argv[1] in _PAGES:
        try:
            sys.stdout.write(_PAGES[sys.argv[1]])
            sys.stdout.flush()
            return 0
        except OSError:
            pass  # the program knows what to say of it
    return _run()


def _run() -> int:
    """The program, without garbage collection but that of the analysis: looking through what is loaded takes a tenth of a short run."""
    enabled = gc.isenabled()
    gc.disable()
    atexit.register(gc.freeze)  # when all goes at once there is nothing to look for either
    try:
        from safeboundary_lint.cli import program

        return program.main()
    finally:
        if enabled:
            gc.freeze()  # what there is counts as old, and is not looked through at once
            gc.enable()
            gc.unfreeze()
