"""The same analysis inside flake8. Adaptation, nothing else: what is checked and what it means is decided elsewhere.

flake8 has its own `noqa`, `--extend-ignore` and `--per-file-ignores`, and they work on our codes as on all others; this
plugin only honours the comments that are ours. `--isolated` is about flake8's own configuration and flake8 tells it to no
plugin: the settings in pyproject.toml hold with it too.
"""

from __future__ import annotations

import argparse
import ast
import functools
import gc
import multiprocessing
import os
import tokenize
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from flake8.exceptions import ExecutionError

from safeboundary_lint import __version__
from safeboundary_lint.config import COMMAND_LINE, ConfigError, Overrides, Selection, known
from safeboundary_lint.core.finding import Confidence, Problem
from safeboundary_lint.garbage import not_collected
from safeboundary_lint.projects import Projects
from safeboundary_lint.ruleset import knowledge_of, screen_of

if TYPE_CHECKING:
    from flake8.options.manager import OptionManager

    from safeboundary_lint.analyse import Options

Line = tuple[int, int, str, type]  # 1-based line, 0-based column, "CODE message", and the plugin, as flake8 wants them


class Plugin:
    """flake8's view of the linter. One is made for every file."""

    name = "safeboundary-lint"
    version = __version__
    overrides: ClassVar[Overrides] = Overrides()  # a class attribute, because flake8 gives options to the class

    def __init__(self, tree: ast.Module, lines: Sequence[str], filename: str) -> None:
        self.tree = tree
        self.lines = lines
        self.filename = filename

    @staticmethod
    def add_options(manager: OptionManager) -> None:
        """Declare the options, all of which may stand in flake8's configuration too."""
        manager.add_option(
            "--safeboundary-select",
            comma_separated_list=True,
            parse_from_config=True,
            metavar="RULES",
            help="Rules to run instead of the configured ones: codes, prefixes, names, families or ALL.",
        )
        manager.add_option(
            "--safeboundary-preview", action="store_true", parse_from_config=True, help="Run the rules in preview too."
        )
        manager.add_option(
            "--safeboundary-min-confidence",
            parse_from_config=True,
            metavar="LEVEL",
            help="Leave out findings less certain than this: high, medium or low.",
        )

    @classmethod
    def parse_options(cls, options: argparse.Namespace) -> None:
        """Keep what was chosen. Raises flake8's ExecutionError for a rule or level there is none of."""
        level = options.safeboundary_min_confidence
        try:
            select = None if options.safeboundary_select is None else known(options.safeboundary_select)
        except ConfigError as error:
            raise ExecutionError(f"--safeboundary-select: {error}") from None
        if level is not None and level not in {one.value for one in Confidence}:
            raise ExecutionError(f"--safeboundary-min-confidence: {level!r} is none of high, medium, low")
        cls.overrides = Overrides(
            Selection(select, origin=COMMAND_LINE),
            preview=options.safeboundary_preview or None,
            min_confidence=None if level is None else Confidence(level),
        )
        if multiprocessing.get_start_method() == "fork":
            _load()  # flake8's processes are copies of this one: none of them loads it again

    def run(self) -> Iterator[Line]:
        """The findings of this file. A defect of ours is one SBL000 line and never the end of flake8's run."""
        try:
            yield from self._lines()
        except Exception as error:  # noqa: BLE001 -- flake8 would stop checking all files
            yield self._line(1, 1, f"SBL000 internal error: {type(error).__name__}: {error}. Please report it")

    def _lines(self) -> Iterator[Line]:
        _load()
        from safeboundary_lint.analyse import analyse

        options, problems = _options(self.overrides, os.path.abspath(self.filename), os.getcwd())
        for problem in problems:
            yield self._line(1, 1, f"SBL000 {problem.path}: {problem.message}")
        if options is None:
            return
        with not_collected():
            report = analyse(_encoded(self.lines), self.filename, options, self.tree)
        for problem in report.problems:
            yield self._line(problem.line or 1, 1, f"SBL000 {problem.message}")
        for finding in report.findings:
            yield self._line(finding.span.line, finding.span.column, f"{finding.code} {finding.message}")

    def _line(self, line: int, column: int, text: str) -> Line:
        return line, column - 1, text, type(self)


@functools.cache
def _load() -> None:
    """All that the analysis takes, once. The rest of flake8's run does not look through it for garbage."""
    with not_collected():
        from safeboundary_lint import engine, rules  # noqa: F401

        rules.load()
        knowledge_of(())
        screen_of(())
    gc.freeze()


def _options(overrides: Overrides, path: str, here: str) -> tuple[Options | None, tuple[Problem, ...]]:
    """What to look for in the file at the absolute `path`, None when it is excluded, and what is wrong with its settings."""
    projects, problems = _governing(overrides, os.path.dirname(path), here)
    if projects.excluded(path, here):
        return None, problems
    return projects.settings_for(os.path.dirname(path), here).options_for(path)._replace(honour_noqa=False), problems


@functools.lru_cache(maxsize=1024)
def _governing(overrides: Overrides, folder: str, here: str) -> tuple[Projects, tuple[Problem, ...]]:
    """One reading of the settings for each folder, so that what is wrong with them is told for all files or for none."""
    projects = Projects(overrides)
    projects.excluded(os.path.join(folder, ""), here)
    projects.settings_for(folder, here)
    return projects, tuple(projects.problems)


def _encoded(lines: Sequence[str]) -> bytes:
    """The file again, in the encoding it declares: flake8 gives decoded lines without the byte order mark."""
    head = lines[:2]
    encoding = "utf-8"
    if any("coding" in line for line in head):
        encoding, _ = tokenize.detect_encoding(iter([line.encode() for line in head]).__next__)
    return "".join(lines).encode(encoding)
