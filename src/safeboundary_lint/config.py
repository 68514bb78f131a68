"""`[tool.safeboundary-lint]`: what one configuration file says, validated and frozen.

Which file governs which path is the business of `projects`.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from safeboundary_lint.core.finding import Confidence, Problem
from safeboundary_lint.patterns import matcher

if TYPE_CHECKING:
    from safeboundary_lint.core.options import Options

TABLE = "safeboundary-lint"
COMMAND_LINE = "command line"
DEFAULT = "default"

DEFAULT_EXCLUDE = (
    ".git/", ".hg/", ".svn/", ".venv/", "venv/", ".tox/", ".nox/", ".direnv/", ".eggs/", "*.egg-info/",
    "__pycache__/", "__pypackages__/", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/",
    ".safeboundary_cache/", "node_modules/", "site-packages/", "build/", "dist/",
)  # fmt: skip
DEFAULT_TESTS = ("tests/", "test/", "testing/", "test_*.py", "*_test.py", "tests.py", "conftest.py")


class ConfigError(ValueError):
    """A setting that cannot be used. The message names the file or option, the key, and what to do."""


class Selection(NamedTuple):
    """One layer of rule selectors: it replaces or extends what the layers before it chose."""

    select: tuple[str, ...] | None = None  # None: what was chosen before stays
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    origin: str = DEFAULT

    def keys(self) -> dict[str, tuple[str, ...]]:
        """The selectors that say something, by key."""
        said = {"select": self.select, "extend-select": self.extend_select, "ignore": self.ignore}
        return {key: value for key, value in said.items() if value or (value is not None and key == "select")}


class Overrides(NamedTuple):
    """What the command line says; None and empty leave the setting as it is."""

    selection: Selection = Selection(origin=COMMAND_LINE)
    preview: bool | None = None
    min_confidence: Confidence | None = None


class Settings(NamedTuple):
    """The settings that govern a folder. `root` is the absolute folder all patterns are relative to."""

    root: str
    file: str | None = None  # the configuration file they were read from
    layers: tuple[Selection, ...] = ()  # later ones have the last word
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    preview: bool = False
    min_confidence: Confidence = Confidence.MEDIUM
    tests: tuple[str, ...] = DEFAULT_TESTS
    knowledge: tuple[tuple[str, str], ...] = ()
    origins: tuple[tuple[str, str], ...] = ()  # key -> where its value came from, for keys that are not defaults

    def origin(self, key: str) -> str:
        """Where the value of `key` came from: a file, the command line, or the defaults."""
        return dict(self.origins).get(key, DEFAULT)

    def overridden(self, overrides: Overrides) -> Settings:
        """These settings with those of the command line on top."""
        changes: dict[str, Any] = {}
        if overrides.preview is not None:
            changes["preview"] = overrides.preview
        if overrides.min_confidence is not None:
            changes["min_confidence"] = overrides.min_confidence
        origins = self.origins + tuple((key.replace("_", "-"), COMMAND_LINE) for key in changes)
        if overrides.selection.keys():
            changes["layers"] = (*self.layers, overrides.selection)
        return self._replace(origins=origins, **changes)

    def excludes(self, path: str) -> bool:
        """True when the absolute `path` is left out; a folder's path ends with a separator."""
        return matches((*self.exclude, *self.extend_exclude), self._place(path))

    def is_test(self, path: str) -> bool:
        """True when the file at the absolute `path` is a test, for which fewer rules are on by default."""
        return matches(self.tests, self._place(path))

    def options_for(self, path: str) -> Options:
        """What to look for in the file at the absolute `path`. Equal options are the same object."""
        place = self._place(path)
        ignored = tuple(selectors for pattern, selectors in self.per_file_ignores if matches((pattern,), place))
        return _options(self.layers, ignored, self.preview, self.min_confidence, self.knowledge, matches(self.tests, place))

    def _place(self, path: str) -> str:
        root = self.root if self.root.endswith(os.sep) else self.root + os.sep
        place = path[len(root) :] if path.startswith(root) else os.path.basename(path.rstrip(os.sep))
        return place if os.sep == "/" else place.replace(os.sep, "/")


def matches(patterns: tuple[str, ...], place: str) -> bool:
    """True when a gitignore-style pattern matches `place`, a path with forward slashes relative to the patterns' root."""
    return bool(place) and bool(matcher(patterns)(place))


@functools.lru_cache(maxsize=None)
def _options(
    layers: tuple[Selection, ...],
    ignored: tuple[tuple[str, ...], ...],
    preview: bool,
    min_confidence: Confidence,
    knowledge: tuple[tuple[str, str], ...],
    test_file: bool,
) -> Options:
    from safeboundary_lint.core.options import Options
    from safeboundary_lint.ruleset import catalogue

    rules = catalogue()
    codes = rules.default(preview=preview, test_file=test_file)
    for layer in layers:
        if layer.select is not None:
            codes = rules.expand(layer.select)
        codes = (codes | rules.expand(layer.extend_select)) - rules.expand(layer.ignore)
    for selectors in ignored:
        codes -= rules.expand(selectors)
    return Options(codes=codes, min_confidence=min_confidence, knowledge=knowledge)


def read(file: str) -> tuple[Settings, tuple[Problem, ...]] | None:
    """The settings of the TOML file at the absolute path `file`, and what is wrong with it; None when it has no table of ours.

    A key that is wrong keeps its default, so that one slip does not undo the rest of the file.
    """
    settings = Settings(root=os.path.dirname(file))
    try:
        tool = _toml(file).get("tool")
    except ConfigError as error:
        line = re.search(r"at line (\d+)", str(error))
        return settings, (Problem(file, str(error), int(line[1]) if line else None),)
    if not isinstance(tool, dict):
        return None
    if TABLE not in tool:
        import difflib

        wrong = difflib.get_close_matches(TABLE, list(tool), n=1, cutoff=0.9)
        return (settings, (Problem(file, f"[tool.{wrong[0]}] is read by nothing: call it [tool.{TABLE}]"),)) if wrong else None
    if not isinstance(tool[TABLE], dict):
        return settings, (Problem(file, f"tool.{TABLE} must be a table: write [tool.{TABLE}]"),)
    return _validated(tool[TABLE], file)


def _toml(file: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(file, "rb") as stream:
            return tomllib.load(stream)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not valid TOML: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except RecursionError:
        raise ConfigError("not valid TOML: nested too deeply") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}") from None


def _validated(table: Mapping[str, object], file: str) -> tuple[Settings, tuple[Problem, ...]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in table.items():
        try:
            if key not in _KEYS:
                raise ConfigError(f"unknown key{_did_you_mean(key, _KEYS)}; the keys are {', '.join(_KEYS)}")
            values[key] = _KEYS[key](value)
        except ConfigError as error:
            problems.append(Problem(file, f"tool.{TABLE}.{key}: {error}"))
    selection = Selection(values.pop("select", None), values.pop("extend-select", ()), values.pop("ignore", ()), origin=file)
    settings = Settings(
        root=os.path.dirname(file),
        file=file,
        layers=(selection,) if selection.keys() else (),
        origins=tuple((key, file) for key in values),
        **{key.replace("-", "_"): value for key, value in values.items()},
    )
    return settings, tuple(problems)


def known(selectors: Iterable[str]) -> tuple[str, ...]:
    """The selectors, when each means a rule. Raises ConfigError for one that means none."""
    from safeboundary_lint.core.catalogue import UnknownRule
    from safeboundary_lint.ruleset import catalogue

    wanted = tuple(selectors)
    try:
        catalogue().expand(wanted)
    except UnknownRule as error:
        raise ConfigError(str(error)) from None
    return wanted


def _did_you_mean(word: str, words: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word.replace("_", "-"), list(words), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"must be a list of strings, not {_told(value)}")
    return tuple(value)


def _selectors(value: object) -> tuple[str, ...]:
    return known(_strings(value))


def _patterns(value: object) -> tuple[str, ...]:
    patterns = _strings(value)
    for pattern in patterns:
        try:
            matcher((pattern,))
        except ValueError:
            raise ConfigError(f"{pattern!r} is not a pattern: write it as in a .gitignore file") from None
    return patterns


def _ignores_by_pattern(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ConfigError(f"must be a table of pattern = [rules], not {_told(value)}")
    ignores = []
    for pattern, selectors in value.items():
        if pattern.startswith("!"):
            raise ConfigError(f"{pattern!r}: a pattern that starts with '!' matches nothing here; name the files it is for")
        _patterns([pattern])
        try:
            ignores.append((pattern, _selectors(selectors)))
        except ConfigError as error:
            raise ConfigError(f"{pattern!r}: {error}") from None
    return tuple(ignores)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"must be true or false, not {_told(value)}")
    return value


def _confidence(value: object) -> Confidence:
    try:
        return Confidence(value)
    except ValueError:
        raise ConfigError(f"must be one of {', '.join(repr(one.value) for one in Confidence)}, not {_told(value)}") from None


def _knowledge(value: object) -> tuple[tuple[str, str], ...]:
    from safeboundary_lint.core.knowledge import KnowledgeError, validate_user_rows

    if not isinstance(value, dict):
        raise ConfigError(f"must be a table of kind = [rows], not {_told(value)}")
    try:
        return validate_user_rows(value)
    except (KnowledgeError, TypeError) as error:  # TypeError: a date or time, which no row may hold
        raise ConfigError(str(error)) from None


def _told(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}
    text = repr(value)
    return f"{kinds.get(type(value), 'a ' + type(value).__name__)} ({text if len(text) < 40 else text[:37] + '...'})"


_KEYS: dict[str, Callable[[object], Any]] = {
    "select": _selectors,
    "extend-select": _selectors,
    "ignore": _selectors,
    "per-file-ignores": _ignores_by_pattern,
    "exclude": _patterns,
    "extend-exclude": _patterns,
    "preview": _boolean,
    "min-confidence": _confidence,
    "tests": _patterns,
    "knowledge": _knowledge,
}
KEYS = tuple(_KEYS)
