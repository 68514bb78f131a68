"""SBL306: a file that must survive is emptied first and written afterwards."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

import libcst as cst

from safeboundary_lint.core import shapes
from safeboundary_lint.core.files import FileWrite
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.names import dotted_text, last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.rules.acks import synced_writes

_KEPT = (
    r"state|states|checkpoint|checkpoints|config|configs|configuration|conf|cfg|settings|preferences|prefs|credential|"
    r"credentials|token|tokens|secret|secrets|"
    r"keyring|keystore|auth|session|sessions|cursor|cursors|offset|offsets|progress|registry|database|db|ledger|wallet|"
    r"journal|pending|inventory|account|accounts|"
    r"password|passwords|passwd|shadow|hosts|crontab|fstab|users|profile|profiles|history|bookmarks|known_hosts|"
    r"authorized_keys|watermark|persist|persistent|storage|"
    r"\w*\.conf|\w*\.cfg|\w*\.ini|\w*\.toml|props|properties|metadata|memory|stats|store|last_run|last_seen|subscriptions|"
    r"schedule|jobs|quota|whitelist|blacklist"
)
_TELLING = re.compile(rf"(?:^|[\W_])(?:{_KEPT})(?:$|[\W_\d])")
_REMADE = re.compile(
    r"(?:^|[\W_])(?:cache|cached|caches|memo|memoize|log|logs|report|reports|export|exports|output|out|outfile|output_dir|result|"
    r"results|html|htm|csv|tsv|xlsx|png|jpg|svg|pdf|plot|dump|"
    r"dumps|debug|trace|generated|gen|template|templates|build|dist|docs|doc|download|downloads|readme|stdout|stderr|"
    r"sample|example|examples|test|tests|testdata|"
    r"fixture|fixtures|mock|lock|lockfile|pidfile|pid|sock|fifo|dev|proc|sys|model_path|onnx|diff|patch|coverage|artifact|"
    r"artifacts|summary|benchmark|render|rendered|"
    r"mo|po|pot|tex|dot|py|js|ts|css|md|rst|txt_report|screenshot|figure|schema_file|openapi|manifest_out|hist|challenge|"
    r"telemetry|overlay|temp_dir|tmpdir|dummy|crash|state_dict|weights|save_path|save_dir)(?:$|[\W_\d])"
)
_ONE_OFF = re.compile(
    r"(?:^|/)(?:docs?|benchmarks?|ci|\.github|contrib|demos?|samples?|testing|setup\.py|conftest\.py|noxfile\.py|"
    r"tasks\.py)(?:/|$)"
)
_BESIDE_CODE = re.compile(r"(?:^|/)(?:scripts?|tools|dev|misc|templates?)(?:/|$)")  # or a package of that name
_KEEPER = re.compile(
    r"(?:^|_)(?:settings|preferences|config(?:uration)?|store|storage|registry|wallet|ledger|state|credentials|keystore|database|"
    r"history|journal|accounts?|persistence)(?:_|$)"
)
_KEEPS = re.compile(r"_*(?:save|store|write|persist|put|set|update)(?:_\w+)?")
_ATOMIC = re.compile(
    r"\w*(?:atomic|safe_write|backup|export|generate|render|scaffold|bootstrap|init_project|create_project|startproject|"
    r"dump_to|debug|report|plot|download|test|wizard|save_model|log_model|async_dump|challenge|_pid)\w*"
)
_CACHED = re.compile(r"cached|(?:cached|memo)_\w+|\w+_from_cache")
_FOUND_AGAIN = re.compile(
    r"_*(?:listdir|scandir|glob|walk|(?:re)?(?:scan|build|discover|compute|calculate|index|generate|collect)(?:_\w+)?)"
)
_LOADS = re.compile(r"_*(?:(?:load|read|restore|get|open|parse)_?(\w*)|(\w+)_(?:load|read))")
_SAVES = re.compile(r"_*(?:(?:save|store|write|persist|set|dump|update)_?(\w*)|(\w+)_(?:save|write|store|dump))")
_PATH = re.compile(r"(?:\w+_)?(?:path|file|filename|fname|dest|destination|target)|\w*file")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


_EMPTYING = re.compile(r"[rbt+U]*[wW][rbt+U]*")


def _empties(body: Sequence[ast.AST]) -> bool:
    """Something is opened for writing, or in a mode that is not told here."""
    for node in shapes.walk(body, ast.Call, ast.Attribute):
        if isinstance(node, ast.Attribute):
            if node.attr == "O_TRUNC":
                return True
            continue
        given = shapes.given(node)
        if any(_EMPTYING.fullmatch(shapes.text(one) or "-") for one in given):
            return True
        opens = "open" in (shapes.last_name(node.func) or "")
        if opens and any(not isinstance(one, ast.Constant) for one in given[_modes(node) :]):
            return True
    return False


def _modes(opened: ast.Call) -> int:
    """What comes behind the path; all that a path's own `open` is given."""
    return 0 if isinstance(opened.func, ast.Attribute) else 1


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
    A path whose name tells nothing, nor its class (`SettingsStore`), and which another file reads, is not reported. Three and more files written into one folder
    that the caller names, and a file of any name that a caller hands over to be changed, are reported with low confidence:
    whether there is something to lose, only the caller knows. So are a file that is written only where nothing was found in it,
    and one whose reader finds out anew what it can't parse.
    """

    code, name, since, severity = "SBL306", "in-place-overwrite", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("open-file", "write-file", "copy-file"), ("write-file", "copy-file", _empties))
    local, reach = True, 2
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
        beside = _BESIDE_CODE.search(path)
        if beside is None or _ONE_OFF.search(path):
            return _ONE_OFF.search(path) is not None
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
            _REMADE.search(words)
            or files.is_temporary(write.path)
            or files.is_numbered(write.path)
            or files.is_backed_up(write)
            or self._refills(write)
            or _ATOMIC.fullmatch(_spoken(tree.symbol_of(write.node)))
        ):
            return None
        kept = self._is_of_keeper(write)
        telling = kept or _TELLING.search(words) is not None or self._saves_it(write)
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
        around = _spoken(function.name.value) if isinstance(function, cst.FunctionDef) and not copied else ""
        return any(_TELLING.search(f" {one.lower().replace('_', ' ')} ") is not None for one in (text, around))

    def _is_of_keeper(self, write: FileWrite) -> bool:
        """`save()` of a `WalletStorage`: it keeps what the class is there for, in a file that the class knows."""
        cls, function = self.facts.tree.class_of(write.node), self.facts.tree.function_of(write.node)
        if cls is None or not isinstance(function, cst.FunctionDef) or self.facts.files.is_given(write.path):
            return False
        name = _spoken(cls.name.value)
        keeps = _KEEPS.fullmatch(_spoken(function.name.value)) is not None
        return keeps and _KEEPER.search(name) is not None and _REMADE.search(name.replace("_", " ")) is None

    def _saves_it(self, write: FileWrite) -> bool:
        """`write_config(path, config)`: the function is named after what it keeps."""
        function = self.facts.tree.function_of(write.node)
        name = _spoken(function.name.value) if isinstance(function, cst.FunctionDef) else ""
        return _KEEPS.fullmatch(name) is not None and _TELLING.search(name.replace("_", " ").strip() + " ") is not None

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
        return any(isinstance(n, cst.Name) and _CACHED.fullmatch(n.value) for value in given for n in descendants(value))

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
            and _FOUND_AGAIN.fullmatch((last_name(n.value.func) or "").lower())
            for handler in handlers
            for n in descendants(handler.body, into_definitions=False)
        )

    def _is_pair(self, read: cst.Call, write: FileWrite) -> bool:
        """True for `load_x` and `save_x` side by side: what the one writes is what the other starts from."""
        one, other = self.facts.tree.function_of(read), self.facts.tree.function_of(write.node)
        return isinstance(one, cst.FunctionDef) and isinstance(other, cst.FunctionDef) and self._are_pair(one, other)

    def _are_pair(self, one: cst.FunctionDef, other: cst.FunctionDef) -> bool:
        loads, saves = _LOADS.fullmatch(_spoken(one.name.value)), _SAVES.fullmatch(_spoken(other.name.value))
        beside = self.facts.tree.class_of(one) is self.facts.tree.class_of(other)
        return beside and loads is not None and saves is not None and (loads[1] or loads[2]) == (saves[1] or saves[2])

    def _asks_for_path(self, write: FileWrite) -> bool:
        """True where a parameter is the path: a helper for the program's own files, not a name that a user types."""

        def is_path(node: cst.CSTNode) -> bool:
            return isinstance(node, cst.Param) and _PATH.fullmatch(node.name.value.lower()) is not None

        return self.facts.origins.derivation(write.path, is_path, callers=False) is not None

    def _read_by_pair(self, write: FileWrite) -> cst.Call | None:
        """The reading in `load(filename)` beside `save(filename)`, whatever the path is called, when it is called the same."""
        function, text = self.facts.tree.function_of(write.node), self.facts.code(self.facts.files.plain(write.path))
        for call, path in self.facts.files.reads if isinstance(function, cst.FunctionDef) else ():
            reader = self.facts.tree.function_of(call)
            if reader is not function and self._is_pair(call, write) and self.facts.code(self.facts.files.plain(path)) == text:
                return call
        return None

    def _is_document(self, write: FileWrite) -> bool:
        """True when what is written is a whole serialised document."""
        tree = self.facts.tree
        function = tree.function_of(write.node) or tree.module
        return any(self.facts.match(call, "dump") is not None for call in self.facts.summaries.calls_of(function))

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
            fix=self._fix(write, path),
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


def _spoken(name: str) -> str:
    """`WalletStorage.saveAll` as `wallet_storage_save_all`."""
    return _CAMEL.sub("_", name).lower().replace(".", "_")
