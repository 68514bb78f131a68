"""What earlier runs found, in one file for the project: read in one go, replaced as a whole, trusted as far as it can prove.

A report is remembered by rules, settings, path and content; that a content is still the same is told by the file's stamp, as
git's index does, and by its digest where the stamp is new. Whatever is wrong with the cache costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any

from safeboundary_lint import identity, records, ruleset
from safeboundary_lint.checking import Outcome, digest_of, read, text_of
from safeboundary_lint.core.catalogue import Catalogue, Entry, Status
from safeboundary_lint.core.finding import FileReport
from safeboundary_lint.core.options import Options
from safeboundary_lint.files import SourceFile
from safeboundary_lint.projects import git_root

FOLDER = ".safeboundary_cache"
FILE = "findings.cache"
TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# What safeboundary-lint found before. It can be deleted at any time.\n"
_HEAD = b"safeboundary-lint cache 1 "
_TEMPORARY = ".partial"

DAYS_KEPT = 30  # an entry nobody asked for in this time is dropped
DAYS_UNMARKED = 5  # and that it was asked for is written down this seldom
MOST_GROUPS = 12  # sets of options
MOST_ENTRIES = 200_000
_DAY = 86_400

# [size, mtime, ctime, inode, digest, day it was last asked for] and, when there is something to say, the report.
_Entry = list[Any]
_Groups = dict[str, dict[str, _Entry]]


class Cache:
    """The cache in `folder` for runs started in `start`, which lies in the project's `root`."""

    def __init__(self, folder: str, root: str, start: str) -> None:
        self._folder = folder
        self._file = os.path.join(folder, FILE)
        self._start = os.path.relpath(start, root)
        # safeboundary: clock=advisory -- a wrong clock drops entries too early or too late, nothing else
        self._today = int(time.time()) // _DAY
        self._groups_of: dict[int, tuple[Options, str]] = {}
        self._new: _Groups = {}
        self._tool, self._signature, self._known = "", "", _Groups()
        self._seen: tuple[int, ...] = ()
        self.recalled = 0
        self._load()

    @property
    def folder(self) -> str:
        """Where the cache is, or will be."""
        return self._folder

    def recall(self, file: SourceFile) -> tuple[FileReport, str | None] | None:
        """The report of a file, with its text when there are findings, if its content was met before."""
        if file.stamp is None:
            return None
        group = self._group(file.options)
        entry = self._known.get(group, {}).get(file.path)
        if entry is None:
            return None
        try:
            settled = tuple(entry[:4]) == file.stamp
            report = records.report_of(file.path, entry[6]) if len(entry) > 6 else FileReport(file.path)
            text, stamp = None, file.stamp
            if not settled or report.findings:
                content = read(file)
                if digest_of(content.source) != entry[4]:
                    return None
                text, stamp = text_of(report, content.source), content.stamp
            if self._today - entry[5] > DAYS_UNMARKED or (not settled and stamp is not None):
                self._new.setdefault(group, {})[file.path] = [*(stamp or entry[:4]), entry[4], self._today, *entry[6:]]
        except (OSError, LookupError, TypeError, ValueError):
            return None
        self.recalled += 1
        return report, text

    def keep(self, file: SourceFile, outcome: Outcome) -> None:
        """Remember what was said about a file."""
        if file.stamp is None or not outcome.digest:
            return
        report = records.record_of(outcome.report)
        entry = [*(outcome.stamp or (0, 0, 0, 0)), outcome.digest, self._today, *([report] if report else [])]
        self._new.setdefault(self._group(file.options), {})[file.path] = entry

    def save(self) -> None:
        """Write what is new, together with what other runs wrote meanwhile. That it cannot be written is no failure."""
        try:
            if not self._new and (not self._known or self._signature == identity.signature()):
                return
            if identity.changed():
                return  # under way: what was found is neither the old version's nor the new one's
            if self._stamp() != self._seen:
                self._load()
            self._write(self._merged())
        except (OSError, ValueError):
            pass

    def _group(self, options: Options) -> str:
        """The part of the cache for these options and this place to start from: it decides how paths are told."""
        found = self._groups_of.get(id(options))
        if found is None:
            said = (
                sorted(options.codes),
                options.min_confidence.value,
                options.knowledge,
                options.honour_noqa,
                options.honour_comments,
                options.screening,
                self._start,
            )
            found = self._groups_of[id(options)] = options, digest_of(repr(said).encode("utf-8", "surrogatepass"))
        return found[1]

    def _load(self) -> None:
        """Take over what the file holds, if it is ours, whole, and of this very version."""
        self._seen = self._stamp()
        self._known, self._signature = {}, ""
        try:
            with open(self._file, "rb") as stream:
                head, body = stream.readline(200), stream.read()
            if head != _HEAD + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n":
                return
            held = json.loads(body)
            if held["signature"] != identity.signature():
                if held["tool"] != identity.content():
                    return
            else:
                self._signature = held["signature"]
            known = Catalogue(Entry(code, name, family, Status(status), quiet) for code, name, family, status, quiet in held["rules"])
            self._known = _checked(held["groups"])
            self._tool = held["tool"]
            ruleset.remember(known)
        except (OSError, LookupError, TypeError, ValueError, RecursionError):
            self._known, self._signature = {}, ""

    def _merged(self) -> _Groups:
        """What was known and what is new, without what nobody asked for in a long time; what is in use comes last."""
        groups = {name: entries for name, entries in self._known.items() if name not in self._new}
        for name, entries in self._new.items():
            groups[name] = {**self._known.get(name, {}), **entries}
        oldest = self._today - DAYS_KEPT
        kept: _Groups = {}
        room = MOST_ENTRIES
        for name in list(reversed(groups))[:MOST_GROUPS]:
            entries = {path: entry for path, entry in groups[name].items() if oldest <= entry[5] <= self._today + 1}
            if entries and len(entries) <= room:
                kept[name] = entries
                room -= len(entries)
        return dict(reversed(kept.items()))

    def _write(self, groups: _Groups) -> None:
        held = {
            "signature": identity.signature(),
            "tool": self._tool or identity.content(),
            "rules": [[*entry] for entry in ruleset.catalogue()],
            "groups": groups,
        }
        body = json.dumps(held, separators=(",", ":"), check_circular=False).encode()
        self._prepare()
        partial = os.path.join(self._folder, f"{os.getpid()}-{time.monotonic_ns()}{_TEMPORARY}")
        try:
            with open(partial, "xb") as stream:
                stream.write(_HEAD + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n" + body)
            os.replace(partial, self._file)
        finally:
            _remove(partial)

    def _prepare(self) -> None:
        """Make the folder, which tells backup programs and git what it is, and take away what ended runs left behind."""
        if not os.path.isdir(self._folder):
            os.makedirs(self._folder)
            for name, text in ((TAG, _TAG_TEXT), (".gitignore", "*\n")):
                with open(os.path.join(self._folder, name), "w", encoding="utf-8") as stream:
                    stream.write(text)
        for path in _partial(self._folder):
            # safeboundary: clock=advisory -- decides only how long a left-over file lies about
            if os.stat(path).st_mtime < time.time() - 3600:
                _remove(path)

    def _stamp(self) -> tuple[int, ...]:
        try:
            status = os.stat(self._file)
        except (OSError, ValueError):
            return ()
        return status.st_size, status.st_mtime_ns, status.st_ino


def open_cache(folder: str | None = None) -> Cache:
    """The cache for runs started in the current folder: in `folder`, or in that of the project. Nothing is created yet."""
    here = os.getcwd()
    root = _root(here)
    return Cache(os.path.abspath(folder) if folder else os.path.join(root, FOLDER), root, here)


def clean(folder: str | None = None) -> str | None:
    """Delete the cache; returns its folder, None when there was none. Files that are not ours stay. Raises OSError."""
    folder = os.path.abspath(folder) if folder else os.path.join(_root(os.getcwd()), FOLDER)
    file, tag = os.path.join(folder, FILE), os.path.join(folder, TAG)
    ours = [*_partial(folder), *(path for path in (file,) if os.path.lexists(path))]
    if os.path.exists(tag):
        with open(tag, "rb") as stream:
            if stream.read() == _TAG_TEXT.encode():
                ours += [tag, os.path.join(folder, ".gitignore")]
    for path in ours:
        _remove(path)
    if ours and not os.listdir(folder):
        os.rmdir(folder)
    return folder if ours else None


def _root(folder: str) -> str:
    """The folder of the nearest configuration at or above `folder`, of the git repository else, or `folder` itself."""
    above = folder
    while True:
        try:
            with open(os.path.join(above, "pyproject.toml"), "rb") as stream:
                if b"[tool.safeboundary-lint" in stream.read():
                    return above
        except (OSError, ValueError):
            pass
        if os.path.dirname(above) == above:
            return git_root(folder) or folder
        above = os.path.dirname(above)


def _partial(folder: str) -> Iterator[str]:
    """Files whose writing was begun."""
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            if name.endswith(_TEMPORARY):
                yield os.path.join(folder, name)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _checked(groups: object) -> _Groups:
    """The groups when they have their shape. Raises ValueError."""
    if not isinstance(groups, dict):
        raise ValueError("no groups")
    for entries in groups.values():
        entries = entries.values() if isinstance(entries, dict) else [None]
        if not all(isinstance(entry, list) and len(entry) in (6, 7) for entry in entries):
            raise ValueError("no entries")
    return groups
