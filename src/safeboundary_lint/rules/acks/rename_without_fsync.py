"""SBL307: a new file takes the place of the old one before its content is on the disk."""

from __future__ import annotations

from collections import defaultdict

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.edits import lines_before, lines_behind
from safeboundary_lint.core.files import FileWrite, Rename
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import dotted_text, last_name
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.acks import synced_writes

_REMADE = Regex(
    r"(?:^|[\W_])(?:cache|cached|caches|caching|download|downloads|downloaded|fetch|thumbnail|thumb|preview|log|logs|"
    r"report|export|html|csv|bytecode|pyc|generated|"
    r"build|artifact|test|tests|lock|debug|image|video|media|etag|url|archive|wheel|model|pack|screenshot|rotate|backup|"
    r"stats|metrics|index|render|snapshot_url|temp_dir|changes|changes_since|changelog|notes)(?:$|[\W_\d])"
)
_KEPT = Regex(
    r"(?:^|[\W_])(?:state|checkpoint|config|configuration|conf|settings|credential|credentials|token|secret|key|keys|"
    r"keystore|session|cursor|offset|progress|registry|"
    r"database|db|ledger|wallet|journal|pending|account|store|storage|save|persist|atomic|atomically|safe|durable|"
    r"certificate|cert|metadata|manifest|password|"
    r"history|queue|spool|dump)(?:$|[\W_\d])"
)
_CAMEL = Regex(r"(?<=[a-z0-9])(?=[A-Z])")
_WRITER = Regex(  # what such a function writes may be anything
    r"(?:\w+_)?(?:write|save|store|persist|put|replace|rewrite)_"
    r"(?:all|data|contents?|bytes|to_disk|(?:json|yaml|toml|text)?_?file|json|yaml|toml|text)"
)


class RenameWithoutFsync(Rule):
    """A temporary file is renamed over the real one before its content is known to be on the disk.

    What it does
    ------------
    Finds a rename or replace of a file that the same function wrote, (a) without fsync, (b) with an fsync that comes before
    Python's own buffer was flushed, or (c) inside the `with` block, while part of the content still is in that buffer.
    Descriptors, file objects, `tempfile` and helpers of the file are followed.

    Why it matters
    --------------
    File systems may write the new name before the new content. After a power cut the file then has its new name and no content,
    and the old one is gone: the rename that was to make the update safe has lost both.

    Example
    -------

        import json
        import os

        def save_state(path, state):
            temporary = path + ".tmp"
            with open(temporary, "w") as file:
                json.dump(state, file)
            os.replace(temporary, path)

    Instead
    -------

        import json
        import os

        def save_state(path, state):
            temporary = path + ".tmp"
            with open(temporary, "w") as file:
                json.dump(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)

    Stays silent when
    -----------------
    The content is synced on the way (also where that is optional, or done by a helper named so); the file is a cache, a
    download, a report or otherwise made again, or its place is the system's folder for temporary files.

    Fix safety
    ----------
    Unsafe: `flush()` and `os.fsync()` are added as the last steps of the `with` block, or before the file is closed or renamed.
    Each save then waits for the disk. Where `write_text` leaves no open file to sync, a suggestion opens one.

    Known limits
    ------------
    The sync of the folder, which makes the new name itself durable, is not asked for. What the users of a general helper
    (`atomic_write(path)`) write is not known: where it can be made again, the finding is a false alarm.
    """

    code, name, since, severity = "SBL307", "rename-without-fsync", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("rename",), ("open-file", "temporary-file", "write-file"))
    reach = 4
    fixable = Applicability.UNSAFE

    def finish(self) -> None:
        files = self.facts.files
        for rename in files.renames:
            function = self.facts.tree.function_of(rename.call)
            if not isinstance(function, cst.FunctionDef):
                continue
            written = next((write for write in self._handles(function) if self._is_source(write, rename)), None)
            if written is not None:
                self._check(rename, written, self.facts.flow(function))
            elif (opened := self._opened_elsewhere(rename, function)) is not None:
                self._report(rename, opened, "none", rename.call)

    def _opened_elsewhere(self, rename: Rename, function: cst.FunctionDef) -> FileWrite | None:
        """`self._temporary`, opened by one method and renamed by another, in a class that syncs nowhere."""
        tree, cls = self.facts.tree, self.facts.types.method_class(function)
        if cls is None or not isinstance(rename.source, cst.Attribute):
            return None
        for write in self.facts.files.writes:
            if write.opened and tree.class_of(write.node) is cls and self.facts.files.same(write.path, rename.source):
                methods = [one for one in tree.all(cst.FunctionDef) if tree.class_of(one) is cls]
                return None if any(self._points(self.facts.flow(one), "fsync") for one in methods) else write
        return None

    def _handles(self, function: cst.FunctionDef) -> list[FileWrite]:
        """Files that a function opens for writing, those made by `tempfile` included."""
        return self._handles_by_function.get(id(function), [])

    @cached_property
    def _handles_by_function(self) -> dict[int, list[FileWrite]]:
        found: dict[int, list[FileWrite]] = defaultdict(list)
        for write in self.facts.files.writes:
            found[id(self.facts.tree.function_of(write.node))].append(write)
        for match in self.facts.calls("temporary-file"):
            if "NamedTemporaryFile" in match.dotted:
                found[id(self.facts.tree.function_of(match.node))].append(self._temporary(match))
        return found

    def _temporary(self, match: Match) -> FileWrite:
        holder = self.facts.tree.parent(match.call)
        item = holder if isinstance(holder, cst.WithItem) else None
        target = (
            item.asname.name
            if item is not None and item.asname is not None
            else holder.targets[0].target
            if isinstance(holder, cst.Assign)
            else None
        )
        return FileWrite(match.call, match.call, match.confidence, "w+b", True, item, dotted_text(target))

    def _is_source(self, write: FileWrite, rename: Rename) -> bool:
        """True when what is renamed is the file that was written: the same path, `handle.name`, or that of the same `mkstemp`."""
        if write.path is not write.node and self.facts.files.same(write.path, rename.source):
            return True
        for origin in self.facts.origins.trail(self.facts.files.plain(rename.source))[:4]:
            text = dotted_text(origin.node)
            if text is not None and write.handle is not None and text == f"{write.handle}.name":
                return True
        return self._of_one_mkstemp(write.path, rename.source)

    def _of_one_mkstemp(self, descriptor: cst.CSTNode, path: cst.CSTNode) -> bool:
        """`fd, path = mkstemp()`: the file opened by `fdopen(fd)` has that path."""
        ones = [origin.node for origin in self.facts.origins.step(descriptor) if origin.how == "item"]
        others = [origin.node for origin in self.facts.origins.step(self.facts.files.plain(path)) if origin.how == "item"]
        return any(one is other for one in ones for other in others)

    def _check(self, rename: Rename, write: FileWrite, flow: Flow) -> None:
        renamed = flow.points_of(rename.call)
        synced = self._points(flow, "fsync")
        if not renamed:
            return
        if not synced:
            inside = write.item is not None and self._within_block(rename, write) and not self._flushes(flow, write, renamed)
            self._report(rename, write, "inside" if inside else "none", rename.call)
            return
        if not write.opened:
            return
        early = next(
            (
                point
                for point in synced
                if self._is_buffered(write) and self._syncs(point, write) and not self._flushes(flow, write, [point])
            ),
            None,
        )
        if early is not None and early.node is not None and paths.find([early], lambda point: point in renamed) is not None:
            self._report(rename, write, "early", early.node)

    def _points(self, flow: Flow, kind: str) -> list[Point]:
        """Where the function syncs, itself, through a helper, or by a call named so."""
        key = (id(flow), kind)
        if key not in self._known_points:
            calls = [call for call in self.facts.summaries.calls_of(flow.root) if self._does(call, kind)]
            self._known_points[key] = [point for call in calls for point in flow.points_of(call)]
        return self._known_points[key]

    @cached_property
    def _known_points(self) -> dict[tuple[int, str], list[Point]]:
        return {}

    def _does(self, call: cst.Call, kind: str) -> bool:
        name = (last_name(call.func) or "").lower()
        if self.facts.match(call, kind) is not None or "sync" in name and "async" not in name:
            return True
        callee = self.facts.types.callee(call)
        return callee is not None and bool(self.facts.summaries.effects(callee, kind))

    def _within_block(self, rename: Rename, write: FileWrite) -> bool:
        block = self.facts.tree.parent(write.item) if write.item is not None else None
        return isinstance(block, cst.With) and self.facts.tree.within(rename.call, block.body)

    def _is_buffered(self, write: FileWrite) -> bool:
        return isinstance(write.node, cst.Call) and not any(
            arg.keyword is not None and arg.keyword.value == "buffering" and self.facts.is_constant(arg.value, 0)
            for arg in write.node.args
        )

    @staticmethod
    def _syncs(point: Point, write: FileWrite) -> bool:
        """True when this sync is of the file object itself: by `handle.fileno()`, or by its descriptor."""
        wanted = f"{write.handle}.fileno"
        calls = [n for n in descendants(point.node, into_definitions=False) if isinstance(n, cst.Call)] if point.node else []
        descriptor = dotted_text(write.path)
        by_number = descriptor is not None and isinstance(write.node, cst.Call) and last_name(write.node.func) == "fdopen"
        return any(
            dotted_text(call.func) == wanted or by_number and any(dotted_text(arg.value) == descriptor for arg in call.args)
            for call in calls
        )

    def _flushes(self, flow: Flow, write: FileWrite, before: list[Point]) -> bool:
        """True when the file object is flushed or closed on every way to these points."""
        wanted = {f"{write.handle}.flush", f"{write.handle}.close"}
        done = [
            p
            for call in self.facts.summaries.calls_of(flow.root)
            if dotted_text(call.func) in wanted
            for p in flow.points_of(call)
        ]
        if write.item is not None:
            done += flow.exits_of(write.item)
        return bool(done) and all(paths.always_before(flow, done, point) for point in before)

    def _is_for_a_while(self, rename: Rename) -> bool:
        """The file's place is the system's folder for temporary files, which a restart may empty anyway."""

        def is_folder(node: cst.CSTNode) -> bool:
            named = isinstance(node, cst.Call) and last_name(node.func) == "gettempdir"
            return named and self.facts.match(node, "temporary-file") is not None

        return self.facts.origins.derivation(rename.target, is_folder) is not None

    def _report(self, rename: Rename, write: FileWrite, what: str, where: cst.CSTNode) -> None:
        symbol = _CAMEL.sub("_", self.facts.tree.symbol_of(rename.call)).lower().replace(".", "_")
        paths_said = f"{self.facts.files.words(rename.target)} {self.facts.files.words(rename.source)}"
        words = f"{paths_said} {symbol}"
        target = self.facts.code(rename.target, 40)
        if what == "none":
            # a function is named after a model of anything, a file after one that was trained
            if _REMADE.search(paths_said) or _REMADE.search(symbol.replace("model", "")) or self._is_for_a_while(rename):
                return
            message = (
                f"`{target}` gets its new name before its content is on the disk: "
                "a power cut leaves it empty, and the old one is gone"
            )
            general = _WRITER.fullmatch(symbol)
            sure = Confidence.MEDIUM if _KEPT.search(words) or general else Confidence.LOW
        elif what == "inside":
            message = (
                f"`{target}` is put in place while part of the content is still in the buffer of the open file: "
                "a crash leaves it cut, and the old one is gone"
            )
            sure = Confidence.MEDIUM
        else:
            message = (
                f"this fsync comes before Python's buffer was flushed, so the content of `{target}` may not be on the disk "
                f"when it is put in place on line {self.facts.line(rename.call)}"
            )
            sure = Confidence.HIGH
        certain = Confidence.MEDIUM if rename.confidence is Confidence.LOW else rename.confidence  # what was written is a file
        self.report(
            where,
            message,
            confidence=Confidence.weakest(sure, certain),
            trace=[(write.node, "written here"), (rename.call, "put in place here")],
            fix=lambda: self._fix(rename, write, what, where),
        )

    def _fix(self, rename: Rename, write: FileWrite, what: str, where: cst.CSTNode) -> Fix:
        handle = write.handle or "file"
        words = f"call `{handle}.flush()` and `os.fsync({handle}.fileno())` before the rename"
        block, flushed = synced_writes.block_of(self.facts, write), synced_writes.synced(handle)
        opened = isinstance(write.node, cst.Call) and self.facts.match(write.node, "open-file", "temporary-file")
        if what == "early":
            edit = lines_before(self.facts, where, flushed[0])
            words = f"call `{handle}.flush()` before the fsync"
        elif write.handle is None or not opened:
            steps = synced_writes.written_in_steps(self.facts, write, replaces=False)
            return Fix(Applicability.SUGGESTION, words, steps, synced_writes.IMPORTS if steps else ())
        elif what == "inside":
            edit = lines_before(self.facts, rename.call, *flushed)
        elif write.item is None:
            closed, flow = self._closed(rename, handle), self.facts.flow_around(rename.call)
            done = closed is None and self._flushes(flow, write, flow.points_of(rename.call))
            edit = lines_before(self.facts, closed or rename.call, *flushed[done:])
        else:
            whole = block is not None and not synced_writes.leaves(block.body)
            edit = lines_behind(self.facts, block, *(f"    {line}" for line in flushed)) if whole and block is not None else None
        if edit is None:
            return Fix(Applicability.SUGGESTION, words)
        return Fix(Applicability.UNSAFE, words, (edit,), synced_writes.IMPORTS if what != "early" else ())

    def _closed(self, rename: Rename, handle: str) -> cst.Call | None:
        """Where the file is closed before it is renamed."""
        order, function = self.facts.tree.order, self.facts.tree.function_of(rename.call) or self.facts.tree.module
        calls = (call for call in self.facts.summaries.calls_of(function) if dotted_text(call.func) == f"{handle}.close")
        return next((call for call in calls if order[id(call)] < order[id(rename.call)]), None)
