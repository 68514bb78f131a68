"""Which files: paths, folders, standard input; what excludes and `.gitignore` leave out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from safeboundary_lint.core.finding import Problem
from safeboundary_lint.patterns import Matcher, matcher
from safeboundary_lint.projects import Projects, git_root

if TYPE_CHECKING:
    from safeboundary_lint.config import Settings
    from safeboundary_lint.core.options import Options

STDIN = "-"
Stamp = tuple[int, int, int, int]
"""Size, time of content and time of status in nanoseconds, inode: what tells a file from what it was, as git's index does."""


class SourceFile(NamedTuple):
    """A file to check. `path` is as people read it, relative where the argument was."""

    path: str
    options: Options
    size: int  # bytes
    source: bytes | None = None  # what was read already: standard input
    stamp: Stamp | None = None  # when it was found


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class Selected:
    """What a list of paths means."""

    def __init__(self) -> None:
        self.files: list[SourceFile] = []
        self.problems: list[Problem] = []
        self.excluded: list[str] = []  # paths the user named that the settings leave out


def select(
    paths: Sequence[str], projects: Projects, *, stdin: Callable[[], bytes], stdin_filename: str | None = None
) -> Selected:
    """The files that `paths` mean, sorted by path, each once however many ways lead to it.

    Folders are searched for `.py` files; symlinked folders in them are not entered. A file the user names is checked
    whatever it is called and whether git ignores it, unless the settings exclude it. `stdin` is called for the path `-`.
    """
    selected = Selected()
    seen: dict[str, SourceFile] = {}
    links: list[tuple[str, SourceFile]] = []
    for path in dict.fromkeys(paths):
        if path == STDIN:
            _add_stdin(selected, projects, stdin, stdin_filename)
            continue
        path = os.path.normpath(path)
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            selected.problems.append(Problem(path, _reason(error)))
            continue
        absolute = os.path.abspath(path)
        folder = stat.S_ISDIR(status.st_mode)
        if not folder and not stat.S_ISREG(status.st_mode):
            selected.problems.append(Problem(path, "not a regular file: name Python files, folders, or - for standard input"))
        elif projects.excluded(
            os.path.join(absolute, "") if folder else absolute, absolute if folder else os.path.dirname(absolute)
        ):
            selected.excluded.append(path)
        elif folder:
            for file, place, is_link in _Walk(absolute, path, projects, selected.problems):
                if is_link:
                    links.append((place, file))
                else:
                    seen.setdefault(place, file)
        else:
            settings = projects.settings_for(os.path.dirname(absolute), os.path.dirname(absolute))
            seen.setdefault(
                os.path.realpath(path), SourceFile(path, settings.options_for(absolute), status.st_size, stamp=stamp_of(status))
            )
    for place, file in links:  # last, so that a file is reported under its own name when that is there too
        seen.setdefault(place, file)
    selected.files = sorted([*selected.files, *seen.values()], key=lambda file: file.path)
    selected.problems += projects.problems
    return selected


def _add_stdin(selected: Selected, projects: Projects, stdin: Callable[[], bytes], filename: str | None) -> None:
    source = stdin()
    path = filename or "<stdin>"
    absolute = os.path.abspath(path)
    folder = os.path.dirname(absolute)
    if filename and projects.excluded(absolute, folder):
        selected.excluded.append(path)
    else:
        selected.files.append(SourceFile(path, projects.settings_for(folder, folder).options_for(absolute), len(source), source))


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    return f"cannot be read: {error.strerror if isinstance(error, OSError) and error.strerror else 'a path holds no NUL byte'}"


class _Walk:
    """One folder named by the user, searched for Python files."""

    def __init__(self, base: str, name: str, projects: Projects, problems: list[Problem]) -> None:
        self._base = base
        self._within = os.path.join(base, "")
        self._name = "" if name == os.curdir else os.path.join(name, "")
        self._real = os.path.join(os.path.realpath(base), "")
        self._projects = projects
        self._problems = problems

    def __iter__(self) -> Iterator[tuple[SourceFile, str, bool]]:
        """Triples of file, its real path, and whether it is a symlink."""
        ignores = _Ignores.above(self._base)
        outer: Settings | None = None
        waiting = [("", ignores, outer)]
        while waiting:
            inside, ignores, outer = waiting.pop()  # paths of folders end with a separator, so that no join is needed
            folder = self._within + inside[:-1] if inside else self._base
            try:
                with os.scandir(folder) as scan:
                    entries = {entry.name: entry for entry in scan}
            except OSError as error:
                self._problems.append(Problem((self._name + inside).rstrip(os.sep) or os.curdir, _reason(error)))
                continue
            if ignores is not None:
                ignores = ignores.entered(folder, entries.keys())
            settings = (
                self._projects.settings_for(folder, self._base)
                if outer is None
                else self._projects.settings_inside(outer, folder, entries.keys(), self._base)
            )
            for name, entry in sorted(entries.items()):
                if entry.is_dir(follow_symlinks=False):
                    path = entry.path + os.sep
                    if not (settings.excludes(path) or (ignores is not None and ignores.cover(path))):
                        waiting.append((inside + name + os.sep, ignores, settings))
                elif name.endswith(".py") and not (
                    settings.excludes(entry.path) or (ignores is not None and ignores.cover(entry.path))
                ):
                    place = self._name + inside + name
                    status = self._status(entry, place)
                    if status is not None:
                        options = settings.options_for(entry.path)
                        file = SourceFile(place, options, status.st_size, stamp=stamp_of(status))
                        link = entry.is_symlink()
                        yield file, os.path.realpath(entry.path) if link else self._real + inside + name, link

    def _status(self, entry: os.DirEntry[str], place: str) -> os.stat_result | None:
        """The status of a regular file; None for what is none, such as a dangling link or a folder called `x.py`."""
        try:
            status = entry.stat()
        except FileNotFoundError:
            return None  # an editor's lock, or gone since
        except OSError as error:
            self._problems.append(Problem(place, _reason(error)))
            return None
        return status if stat.S_ISREG(status.st_mode) else None


class _Ignores(NamedTuple):
    """The `.gitignore` files that hold in a folder, outermost first, each with the folder it lies in."""

    levels: tuple[tuple[str, Matcher], ...] = ()

    @classmethod
    def above(cls, base: str) -> _Ignores | None:
        """Those that hold for `base` itself; None when they ignore it, for then the user, who named it, means it all the same."""
        top = git_root(base)
        if top is None:
            return cls()
        ignores = cls()
        folder = top
        for name in os.path.relpath(base, top).split(os.sep) if base != top else ():
            ignores = ignores.entered(folder, {".git", ".gitignore"} if folder == top else {".gitignore"})
            folder = os.path.join(folder, name)
            if ignores.cover(os.path.join(folder, "")):
                return None
        return ignores

    def entered(self, folder: str, names: Set[str]) -> _Ignores:
        """These together with those of `folder`, which holds `names`; a repository starts afresh."""
        levels = () if ".git" in names else self.levels
        sources = [os.path.join(folder, ".git", "info", "exclude")] if ".git" in names else []
        sources += [os.path.join(folder, ".gitignore")] if ".gitignore" in names else []
        own = [(os.path.join(folder, ""), matches) for matches in map(_gitignore, sources) if matches is not None]
        return _Ignores((*levels, *own)) if own or levels != self.levels else self

    def cover(self, path: str) -> bool:
        """True when git ignores `path`; a folder's ends with a separator. The innermost file that speaks of it decides."""
        for folder, matches in reversed(self.levels):
            verdict = matches(path[len(folder) :].replace(os.sep, "/"))
            if verdict is not None:
                return verdict
        return False


def _gitignore(file: str) -> Matcher | None:
    """The patterns of a `.gitignore` file; what git would not understand is skipped, as git does."""
    try:
        with open(file, encoding="utf-8-sig", errors="surrogateescape") as stream:
            lines = [line.removesuffix("\r") for line in stream.read().split("\n")]
    except OSError:
        return None
    try:
        return matcher(tuple(lines))
    except ValueError:
        return matcher(tuple(line for line in lines if _means_something(line)))


def _means_something(pattern: str) -> bool:
    try:
        matcher((pattern,))
    except ValueError:
        return False
    return True
