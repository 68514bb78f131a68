"""Which settings govern which path: the nearest pyproject.toml with a table of ours, upward from the file."""

from __future__ import annotations

import os
from collections.abc import Set

from safeboundary_lint import config
from safeboundary_lint.config import ConfigError, Overrides, Settings
from safeboundary_lint.core.finding import Problem
from safeboundary_lint.core.properties import cached_property


_TELLING = frozenset((".git", "pyproject.toml"))  # a folder that holds one of these may have settings of its own


class Projects:
    """The configurations of one run. Each governs the files below its folder; an inner one replaces the outer one.

    `file` is the one configuration to use for every path; `isolated` means none. What is wrong with a configuration
    found on the way is told once, in `problems`. Raises ConfigError when `file` itself cannot be used, or both are given.
    """

    def __init__(self, overrides: Overrides = Overrides(), *, isolated: bool = False, file: str | None = None) -> None:
        if isolated and file:
            raise ConfigError("--isolated and --config exclude each other: leave one out")
        self.problems: list[Problem] = []
        self._overrides = overrides
        self._isolated = isolated
        self._nearest_at: dict[str, Settings | None] = {}
        self._settled: dict[tuple[str, str], Settings] = {}
        self._only = self._read_only(os.path.abspath(file)) if file else None

    @property
    def used(self) -> list[str]:
        """The configuration files that governed a path so far."""
        return sorted({settings.file for settings in self._settled.values() if settings.file})

    def settings_for(self, folder: str, base: str) -> Settings:
        """The settings for the files in the absolute `folder`.

        Without a configuration, patterns are relative to the git repository; outside of one to the current folder, and
        elsewhere to `base`, the folder the user named: names of folders above it must not exclude what is below.
        """
        if (folder, base) not in self._settled:
            self._settled[folder, base] = self._settle(folder, base)
        return self._settled[folder, base]

    def settings_inside(self, outer: Settings, folder: str, names: Set[str], base: str) -> Settings:
        """Likewise for a folder that holds `names`, in one that has the settings `outer`: mostly these, and no look at the disk."""
        if _TELLING.isdisjoint(names) and folder not in self._turns:
            return outer
        return self.settings_for(folder, base)

    @cached_property
    def _turns(self) -> tuple[str, ...]:
        """Folders in which patterns are relative to others than around them, whatever they hold."""
        return (os.getcwd(), *([self._only.root] if self._only else ()))

    def _settle(self, folder: str, base: str) -> Settings:
        if self._only is None:
            found = None if self._isolated else self._nearest(folder)
            return found or self._bare(folder, base)
        if is_below(folder, self._only.root):
            return self._only
        return self._only._replace(root=self._bare(folder, base).root)

    def excluded(self, path: str, base: str) -> bool:
        """True when the configuration that governs the absolute `path`, or one around that, excludes it."""
        folder = os.path.dirname(path.rstrip(os.sep))
        settings = self.settings_for(folder, base)
        if settings.excludes(path):
            return True
        above = os.path.dirname(settings.root)
        inner = self._only is None and settings.file is not None and self._nearest(above) is not None
        return inner and self.excluded(os.path.join(settings.root, ""), base)

    def _read_only(self, file: str) -> Settings:
        found = config.read(file)
        if found is None:
            raise ConfigError(f"{shown(file)}: has no [tool.{config.TABLE}] table; add one or leave out --config")
        settings, problems = found
        if problems:
            raise ConfigError(f"{shown(file)}: {problems[0].message}")
        return settings.overridden(self._overrides)

    def _nearest(self, folder: str) -> Settings | None:
        """The settings of the nearest configuration at or above `folder`."""
        passed = []
        while folder not in self._nearest_at:
            passed.append(folder)
            above = os.path.dirname(folder)
            own = self._read(os.path.join(folder, "pyproject.toml"))
            if own is not None or above == folder:
                self._nearest_at[folder] = own
            else:
                folder = above
        self._nearest_at.update(dict.fromkeys(passed, self._nearest_at[folder]))
        return self._nearest_at[folder]

    def _read(self, file: str) -> Settings | None:
        """The settings of `file` when it has a table of ours that can be read at all."""
        found = config.read(file) if os.path.lexists(file) else None
        if found is None:
            return None
        settings, problems = found
        unused = "" if settings.file else "; its settings are not used"
        self.problems += (one._replace(path=shown(file), message=one.message + unused) for one in problems)
        return settings.overridden(self._overrides) if settings.file else None

    def _bare(self, folder: str, base: str) -> Settings:
        here = os.getcwd()
        root = git_root(folder) or (here if is_below(folder, here) else base)
        return Settings(root=root).overridden(self._overrides)


def git_root(folder: str) -> str | None:
    """The nearest folder at or above the absolute `folder` that holds a `.git`; None outside of a repository."""
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def is_below(path: str, folder: str) -> bool:
    """True when the absolute `path` is `folder` or lies below it."""
    return os.path.join(path, "").startswith(os.path.join(folder, ""))


def shown(path: str) -> str:
    """The absolute `path` as people read it: relative when it is below the current folder."""
    here = os.path.join(os.getcwd(), "")
    return path[len(here) :] if path.startswith(here) else path
