"""The command `check`."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from safeboundary_lint import reports
from safeboundary_lint.cli import output
from safeboundary_lint.cli.options import configuration, overrides

if TYPE_CHECKING:
    from safeboundary_lint.cache import Cache
    from safeboundary_lint.core.finding import RunReport
    from safeboundary_lint.executors import Executor
    from safeboundary_lint.files import Selected
    from safeboundary_lint.projects import Projects

CLEAN, FINDINGS, FAILED = 0, 1, 2


@click.command()
@click.argument("paths", nargs=-1, type=click.Path())
@configuration
@click.option("--fix", is_flag=True, help="Apply the safe fixes and report what remains.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also fixes that can change what the code does.")
@click.option("--diff", is_flag=True, help="Print what --fix would change and write nothing.")
@click.option("--exit-non-zero-on-fix", is_flag=True, help="Exit with 1 when a fix was applied, also when nothing remains.")
@click.option(
    "--output-format",
    type=click.Choice(list(reports.FORMATS)),
    help="The report on standard output. Default: text.",
)
@click.option("--output-file", metavar="FILE", type=click.Path(), help="Write that report to FILE instead.")
@click.option(
    "--report",
    "extra",
    multiple=True,
    metavar="FORMAT[=FILE]",
    type=output.Destination(),
    help="A further report, to FILE or standard output; can be repeated. Without FILE it takes the place of the text.",
)
@click.option("--statistics", is_flag=True, help="Count the findings by rule at the end.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 when there are findings; errors still exit with 2.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), metavar="N", help="Number of processes. Default: the cores at hand.")
@click.option("--executor", type=click.Choice(["local", "dask"]), default="local", help="Where to check files. Default: local.")
@click.option("--scheduler", metavar="ADDRESS", help="The scheduler of a Dask cluster, such as tcp://host:8786.")
@click.option("--no-cache", is_flag=True, help="Neither use nor write what earlier runs found.")
@click.option("--cache-dir", metavar="DIR", type=click.Path(), help="Where to keep it. Default: .safeboundary_cache in the project.")
@click.option("--stdin-filename", metavar="FILE", help="The name of what is read from standard input by the path '-'.")
@click.option("--quiet", "-q", is_flag=True, help="Findings and errors only: no notes, no progress, no report of nothing.")
@click.option("--verbose", "-v", is_flag=True, help="Tell on standard error which settings hold and what was checked.")
def check(paths: tuple[str, ...], **options: Any) -> int:
    """Report findings in files, folders and standard input (-); without PATHS below the current folder.

    Exits with 0 when there is nothing to report, with 1 when there are findings, and with 2 when something could not be checked: a bad
    option or configuration, a file that cannot be read or parsed.

    \b
    Examples:
      safeboundary-lint check src tests
      safeboundary-lint check --select acks,SBL102 worker.py
      safeboundary-lint check --diff                       what the safe fixes would change
      safeboundary-lint check --report sarif=out.sarif --report github
      cat app.py | safeboundary-lint check - --stdin-filename app.py
    """
    from safeboundary_lint import files, run
    from safeboundary_lint.projects import Projects, shown

    destinations = _destinations(options)
    _refuse_contradictions(paths, options, destinations)
    began = time.monotonic()
    notes = output.Notes(quiet=options["quiet"], verbose=options["verbose"])
    cache = _cache(options)
    wanted = overrides(options["select"], options["extend_select"], options["ignore"], options["preview"], options["min_confidence"])
    projects = Projects(wanted, isolated=options["isolated"], file=options["config_file"])
    stdin = functools.cache(sys.stdin.buffer.read)
    selected = files.select(paths or (os.curdir,), projects, stdin=stdin, stdin_filename=options["stdin_filename"])
    _tell_selection(selected, projects, notes)
    with output.progress(len(selected.files), quiet=options["quiet"]) as progress:
        checked = run.check_all(selected.files, _executor(options), cache=cache, progress=progress)
    if cache is not None:
        notes.detail(f"{output.counted(cache.recalled, 'file')} unchanged since an earlier run, told by {shown(cache.folder)}")
    fixing = None
    if options["fix"] or options["diff"]:
        from safeboundary_lint.cli.fixing import Fixing

        fixing = Fixing(unsafe=options["unsafe_fixes"], write=not options["diff"])
        checked = [fixing.apply(file, one) for file, one in zip(selected.files, checked)]
        fixing.print(notes)
        if options["fix"] and files.STDIN in paths and not any(file.source is not None for file in selected.files):
            click.echo(stdin(), nl=False)  # excluded: who reads the fixed source gets it back as it was
    report = run.collected(checked, selected.problems)
    notes.detail(f"{output.counted(report.files, 'file')} checked in {time.monotonic() - began:.2f} s")
    _publish(report, destinations, options, taken=_takes_stdout(paths, options))
    return _exit_code(report, options, len(fixing.applied) if fixing else 0)


def _cache(options: dict[str, Any]) -> Cache | None:
    """What earlier runs found. Opened before anything asks for the names of the rules, which it knows too."""
    if options["no_cache"]:
        return None
    from safeboundary_lint.cache import open_cache

    return open_cache(options["cache_dir"])


def _executor(options: dict[str, Any]) -> Executor:
    from safeboundary_lint import executors

    if options["executor"] == "dask":
        return executors.cluster(options["scheduler"])
    return executors.local(options["jobs"] or executors.available_cores())


def _exit_code(report: RunReport, options: dict[str, Any], applied: int) -> int:
    if report.problems:
        return FAILED
    if options["diff"]:
        return FINDINGS if applied and not options["exit_zero"] else CLEAN
    if applied and options["exit_non_zero_on_fix"]:
        return FINDINGS
    return FINDINGS if report.findings and not options["exit_zero"] else CLEAN


def _destinations(options: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Format and file of each report; None is standard output."""
    destinations: list[tuple[str, str | None]] = list(options["extra"])
    replaced = any(file is None for _, file in destinations)
    if options["output_format"] or options["output_file"] or not (replaced or options["diff"]):
        destinations.insert(0, (options["output_format"] or "text", options["output_file"]))
    return destinations


def _takes_stdout(paths: Sequence[str], options: dict[str, Any]) -> bool:
    """True when standard output holds a difference or the fixed standard input, and must hold nothing else."""
    return options["diff"] or (options["fix"] and "-" in paths)


def _refuse_contradictions(paths: Sequence[str], options: dict[str, Any], destinations: Sequence[tuple[str, str | None]]) -> None:
    if options["unsafe_fixes"] and not (options["fix"] or options["diff"]):
        raise click.UsageError("--unsafe-fixes needs --fix or --diff")
    if (options["executor"] == "dask") != bool(options["scheduler"]):
        raise click.UsageError("--executor dask and --scheduler ADDRESS need each other")
    if options["no_cache"] and options["cache_dir"]:
        raise click.UsageError("--no-cache and --cache-dir exclude each other: leave one out")
    if options["stdin_filename"] and "-" not in paths:
        raise click.UsageError("--stdin-filename names what is read from standard input: add the path -")
    if _takes_stdout(paths, options):
        for form, file in destinations:
            if file is None and form not in output.FOR_PEOPLE:
                raise click.UsageError(f"standard output is taken by the changed source: write the report to a file, --report {form}=FILE")


def _tell_selection(selected: Selected, projects: Projects, notes: output.Notes) -> None:
    for file in projects.used:
        notes.detail(f"settings from {file}")
    for path in selected.excluded:
        notes.say(f"{path} is excluded by the settings; `safeboundary-lint config {path}` shows which")
    if not selected.files and not selected.problems and not selected.excluded:
        notes.say("no Python files found")


def _publish(report: RunReport, destinations: Sequence[tuple[str, str | None]], options: dict[str, Any], *, taken: bool) -> None:
    """Write all reports; those for people to standard error when standard output is `taken`."""
    told = False
    for form, file in destinations:
        if file is not None:
            output.write(file, reports.render(form, report, color=False, width=output.WIDTH))
            continue
        told |= form in output.FOR_PEOPLE
        if report.findings or report.problems or not (options["quiet"] and form in output.FOR_PEOPLE):
            output.show(form, report, error_stream=taken)
    if not told:
        for problem in report.problems:
            place = problem.path if problem.line is None else f"{problem.path}:{problem.line}"
            click.echo(f"error: {place}: {problem.message}", err=True)
    if options["statistics"]:
        click.echo(output.statistics(report.findings), nl=False, err=taken or not told)
