"""SBL306: a file that must survive is emptied first and written afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.files import FileWrite
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.names import dotted_text, last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.acks import empties
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.acks import kept_names, synced_writes


class InPlaceOverwrite(Rule):
    """State, configuration or credentials are rewritten in place: a crash in between leaves the file empty or half written.

    What it does
    ------------
    Finds `open(path, "w")`, `write_text`, `write_bytes` and copies onto a path whose name tells that it is state, a checkpoint,
    configuration or credentials, or that the same code reads back. It is surer when both are so.

    Why it matters
    --------------
    `open(path, "w")` empties the file at once; the new content reaches the disk some time later. A crash, a full disk or an
    exception while the content is made leaves an empty or cut file, and the next start finds neither the old state nor the new
    one.

    Example
    -------

        import json

        class Progress:
            def __init__(self, state_path):
                self.state_path = state_path

            def load(self):
                with open(self.state_path) as file:
                    return json.load(file)

            def save(self, state):
                with open(self.state_path, "w") as file:
                    json.dump(state, file)

    Instead
    -------

        import json
        import os

        class Progress:
            def __init__(self, state_path):
                self.state_path = state_path

            def load(self):
                with open(self.state_path) as file:
                    return json.load(file)

            def save(self, state):
                with open(f"{self.state_path}.tmp", "w") as file:
                    json.dump(state, file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(f"{self.state_path}.tmp", self.state_path)

    Stays silent when
    -----------------
    The path is temporary, or renamed later; the file is a cache, an export, a report, a log or generated, so that it can be
    made again, also where the function gives what it finds in a `cached` variable and writes only what it had to get anew; the
    file was copied elsewhere before; the write stands behind a test that the file does not exist yet; the function is itself an
    atomic writer.

    Fix safety
    ----------
    Unsafe, where the file is opened by `with`: the content goes to a temporary file beside it, which is flushed, synced and put
    in place by `os.replace`. The new file has default permissions, and a symbolic link at the path is replaced by the file.
    A suggestion of the same kind for `write_text`, for copies, and where the block is left by a `return`.

    Known limits
    ------------
    A path whose name tells nothing, nor its class (`SettingsStore`), and which another file reads, is not reported. Three and more
    files written into one folder that the caller names, and a file of any name that a caller hands over to be changed, are
    reported with low confidence: whether there is something to lose, only the caller knows. So are a file that is written only
    where nothing was found in it, and one whose reader finds out anew what it can't parse.
    """

    code, name, since, severity = "SBL306", "in-place-overwrite", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("open-file", "write-file", "copy-file"), ("write-file", "copy-file", empties))
    local, reach = True, 3
    beside = ("open-file", "read-file")  # one function writes; where it is read back may be anywhere
    fixable = Applicability.UNSAFE

    def finish(self) -> None:
        if self._is_one_off():
            return
        for write in self.facts.files.writes:
            if not write.descriptor and not self._empties_only(write) and (confidence := self._kept(write)) is not None:
                self._report(write, confidence)

    def _is_one_off(self) -> bool:
        """True for scripts and tools beside the code; a package of that name imports what it belongs to."""
        path = self.facts.path.replace("\\", "/")
        beside = kept_names.BESIDE_CODE.search(path)
        if beside is None or kept_names.ONE_OFF.search(path):
            return kept_names.ONE_OFF.search(path) is not None
        above = set(path[: beside.start()].split("/"))
        return not any(module.startswith(".") or module.partition(".")[0] in above for module in self._imported_from())

    def _imported_from(self) -> Iterator[str]:
        for node in self.facts.tree.all(cst.ImportFrom):
            yield "." * len(node.relative) + (dotted_text(node.module) or "" if node.module else "")

    def _empties_only(self, write: FileWrite) -> bool:
        """`with open(path, "w"): pass` means to empty the file."""
        block = self.facts.tree.parent(write.item) if write.item is not None else None
        return isinstance(block, cst.With) and not any(isinstance(n, (cst.Call, cst.Yield)) for n in descendants(block.body))

    def _kept(self, write: FileWrite) -> Confidence | None:
        files, tree = self.facts.files, self.facts.tree
        words = files.words(write.path)
        own = files.plain(write.path)
        if (
            kept_names.REMADE.search(words)
            or files.is_temporary(write.path)
            or files.is_numbered(write.path)
            or files.is_backed_up(write)
            or self._refills(write)
            or kept_names.ATOMIC.fullmatch(kept_names.spoken(tree.symbol_of(write.node)))
        ):
            return None
        kept = self._is_of_keeper(write)
        telling = kept or kept_names.TELLING.search(words) is not None or self._saves_it(write)
        read = files.read_back(write) or self._read_by_pair(write)
        if self._is_new(write) or not (telling or read is not None):
            return None
        if isinstance(own, cst.Name) and own.value in ("self", "cls"):
            return None
        if files.is_laid_out(write) or self._is_got_once(write) or read is not None and self._is_made_anew(read):
            return Confidence.LOW
        if telling and read is not None:
            sure = Confidence.HIGH
        elif read is not None:
            changed = self._changes_it(write, read)
            given = files.is_given(write.path)
            own_file = (self._is_document(write) or changed) and not (given and (changed or not self._asks_for_path(write)))
            paired = self._is_pair(read, write) and (self._asks_for_path(write) or not files.is_given(write.path))
            sure = Confidence.MEDIUM if own_file or paired else Confidence.LOW
        else:
            sure = Confidence.MEDIUM if kept or self._is_document(write) or self._names_it(write) else Confidence.LOW
        return Confidence.weakest(sure, Confidence.MEDIUM if write.confidence is Confidence.LOW else sure)

    def _names_it(self, write: FileWrite) -> bool:
        """True when the path's own last name, or the constant, tells it: `self.state_path`, "/etc/app.conf"."""
        own = self.facts.files.plain(write.path)
        text = (
            (last_name(own) or "") if not isinstance(own, (cst.SimpleString, cst.FormattedString)) else self.facts.code(own, 200)
        )
        function = self.facts.tree.function_of(write.node)
        copied = isinstance(write.node, cst.Call) and self.facts.match(write.node, "copy-file") is not None
        around = kept_names.spoken(function.name.value) if isinstance(function, cst.FunctionDef) and not copied else ""
        return any(kept_names.TELLING.search(f" {one.lower().replace('_', ' ')} ") is not None for one in (text, around))

    def _is_of_keeper(self, write: FileWrite) -> bool:
        """`save()` of a `WalletStorage`: it keeps what the class is there for, in the file that the object has."""
        cls, function = self.facts.tree.class_of(write.node), self.facts.tree.function_of(write.node)
        if cls is None or not isinstance(function, cst.FunctionDef):
            return False
        if kept_names.KEEPS.fullmatch(kept_names.spoken(function.name.value)) is None:
            return False
        name = kept_names.spoken(cls.name.value)
        shelf = kept_names.SHELF.search(name) is not None and self._is_own(write.path, function)
        keeper = shelf or kept_names.KEEPER.search(name) is not None
        return keeper and kept_names.REMADE.search(name.replace("_", " ")) is None

    def _is_own(self, path: cst.BaseExpression, function: cst.FunctionDef) -> bool:
        """True for a path in which nothing is given with the call: one file of the object, not one of many."""

        def is_given(node: cst.CSTNode) -> bool:
            own = isinstance(node, cst.Param) and node.name.value not in ("self", "cls")
            return own and self.facts.tree.enclosing(node, cst.FunctionDef, cst.Lambda) is function

        return self.facts.origins.derivation(path, is_given, callers=False) is None

    def _saves_it(self, write: FileWrite) -> bool:
        """`write_config(path, config)`: the function is named after what it keeps."""
        function = self.facts.tree.function_of(write.node)
        name = kept_names.spoken(function.name.value) if isinstance(function, cst.FunctionDef) else ""
        return kept_names.KEEPS.fullmatch(name) is not None and kept_names.NAMED.search(name) is not None

    def _changes_it(self, write: FileWrite, read: cst.Call) -> bool:
        """True when one function reads the content and writes the file: what it does not change must survive too."""
        tree = self.facts.tree
        return (
            tree.function_of(read) is tree.function_of(write.node) is not None
            and self.facts.match(read, "open-file", "read-file") is not None
            and (last_name(read.func) not in ("exists", "isfile", "getsize"))
        )

    def _refills(self, write: FileWrite) -> bool:
        """The function gives what it finds in a `cached` variable, and writes only what it had to get anew."""
        function = self.facts.tree.function_of(write.node)
        if not isinstance(function, cst.FunctionDef):
            return False
        given = (node.value for node in descendants(function.body) if isinstance(node, cst.Return) and node.value is not None)
        names = (n.value for value in given for n in descendants(value) if isinstance(n, cst.Name))
        return any(kept_names.CACHED.fullmatch(name) for name in names)

    def _is_got_once(self, write: FileWrite) -> bool:
        """The function gives back what it finds in the file, and writes only where that was nothing."""
        tree, files = self.facts.tree, self.facts.files
        function = tree.function_of(write.node)
        if not isinstance(function, cst.FunctionDef):
            return False

        def reads(node: cst.CSTNode) -> bool:
            if not isinstance(node, cst.Call) or node is write.node:
                return False
            given = [arg.value for arg in node.args] + ([node.func.value] if isinstance(node.func, cst.Attribute) else [])
            return any(files.same(one, write.path) for one in given)

        below = list(descendants(function.body, into_definitions=False))
        early = (n for n in below if isinstance(n, cst.Return) and tree.order[id(n)] < tree.order[id(write.node)])
        answers = (n.value for n in early if n.value is not None)
        if not any(self.facts.origins.derivation(value, reads, callers=False) for value in answers):
            return False
        block = tree.parent(write.item) if write.item is not None else write.node
        written = (n for n in descendants(block) if isinstance(n, cst.Arg) and n.value is not write.path)
        return not any(self.facts.origins.derivation(one.value, reads, callers=False) for one in written)

    def _is_made_anew(self, read: cst.Call) -> bool:
        """The reader answers a file it can't parse with what it finds out again: `except ValueError: return listdir(folder)`."""
        function = self.facts.tree.function_of(read)
        if not isinstance(function, cst.FunctionDef):
            return False
        handlers = (n for n in descendants(function.body, into_definitions=False) if isinstance(n, cst.ExceptHandler))
        return any(
            isinstance(n, cst.Return)
            and isinstance(n.value, cst.Call)
            and kept_names.FOUND_AGAIN.fullmatch((last_name(n.value.func) or "").lower())
            for handler in handlers
            for n in descendants(handler.body, into_definitions=False)
        )

    def _is_pair(self, read: cst.Call, write: FileWrite) -> bool:
        """True for `load_x` and `save_x` side by side: what the one writes is what the other starts from."""
        one, other = self.facts.tree.function_of(read), self.facts.tree.function_of(write.node)
        return isinstance(one, cst.FunctionDef) and isinstance(other, cst.FunctionDef) and self._are_pair(one, other)

    def _are_pair(self, one: cst.FunctionDef, other: cst.FunctionDef) -> bool:
        loads = kept_names.LOADS.fullmatch(kept_names.spoken(one.name.value))
        saves = kept_names.SAVES.fullmatch(kept_names.spoken(other.name.value))
        beside = self.facts.tree.class_of(one) is self.facts.tree.class_of(other)
        return beside and loads is not None and saves is not None and (loads[1] or loads[2]) == (saves[1] or saves[2])

    def _asks_for_path(self, write: FileWrite) -> bool:
        """True where a document is written to the path that a parameter is: a helper for the program's own files.

        What is fitted or measured can be made again, and a name that a user types may be anything.
        """
        if not self._is_document(write) or self._is_fitted(write):
            return False

        def is_path(node: cst.CSTNode) -> bool:
            return isinstance(node, cst.Param) and kept_names.PATH.fullmatch(node.name.value.lower()) is not None

        return self.facts.origins.derivation(write.path, is_path, callers=False) is not None

    def _is_fitted(self, write: FileWrite) -> bool:
        cls = self.facts.tree.class_of(write.node)
        return cls is not None and kept_names.FITTED.search(kept_names.spoken(cls.name.value)) is not None

    def _read_by_pair(self, write: FileWrite) -> cst.Call | None:
        """The reading in `load(filename)` beside `save(filename)`, whatever the path is called, when it is called the same."""
        function, text = self.facts.tree.function_of(write.node), self.facts.code(self.facts.files.plain(write.path))
        for call, path in self.facts.files.reads if isinstance(function, cst.FunctionDef) and not self._is_fitted(write) else ():
            reader = self.facts.tree.function_of(call)
            if reader is not function and self._is_pair(call, write) and self.facts.code(self.facts.files.plain(path)) == text:
                return call
        return None

    def _is_document(self, write: FileWrite) -> bool:
        """True when what is written is a whole serialised document."""
        tree = self.facts.tree
        function = tree.function_of(write.node) or tree.module
        return bool(self.facts.summaries.effects(function, "dump", levels=2))

    def _is_new(self, write: FileWrite) -> bool:
        """True behind `if not os.path.exists(path)`: nothing is lost that was there."""
        flow = self.facts.flow_around(write.node)
        for point in flow.points_of(write.node)[:1]:
            for test, outcome in self.facts.dominators(flow).guards(point):
                negated = isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not)
                inner = test.expression if isinstance(test, cst.UnaryOperation) else test
                asks = isinstance(inner, cst.Call) and last_name(inner.func) in ("exists", "isfile", "is_file", "lexists")
                if asks and negated is outcome:
                    return True
        return False

    def _report(self, write: FileWrite, confidence: Confidence) -> None:
        path = self.facts.code(write.path, 40)
        trace = [(write.node, "the old content is gone from here on")]
        if (read := self.facts.files.read_back(write)) is not None:
            trace.append((read, "read back here"))
        self.report(
            write.node,
            f"`{path}` is emptied before the new content is written: a crash or a full disk in between leaves "
            "neither the old file nor the new one",
            confidence=confidence,
            trace=trace,
            fix=lambda: self._fix(write, path),
        )

    def _fix(self, write: FileWrite, path: str) -> Fix:
        words = f"write to a temporary file beside `{path}`, flush and fsync it, then `os.replace` it over `{path}`"
        opened = isinstance(write.node, cst.Call) and self.facts.names.qualified(write.node.func) == "builtins.open"
        if opened:
            edits, whole = synced_writes.put_in_place(self.facts, write)
            level = Applicability.UNSAFE if whole else Applicability.SUGGESTION
        else:
            copied = self.facts.match(write.node, "copy-file") is not None
            level = Applicability.SUGGESTION
            if copied:
                edits = synced_writes.copied_in_place(self.facts, write)
            else:
                edits = synced_writes.written_in_steps(self.facts, write, replaces=True)
        return Fix(level, words, edits, synced_writes.IMPORTS if edits else ())
