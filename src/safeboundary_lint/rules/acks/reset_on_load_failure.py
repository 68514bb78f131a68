"""SBL312: state that can't be read becomes empty state, and the empty state is saved over it."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core import paths
from safeboundary_lint.core.edits import replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity, Span
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.acks import goes_on
from safeboundary_lint.core.tree import descendants

_MISSING = Regex(r"\w*(?:FileNotFoundError|NotFound|DoesNotExist|IsADirectoryError|ImportError|NoSuchKey)\w*")
_REMADE = Regex(r"\w*(?:cache|tmp|temp|thumbnail|etag|lockfile|report|fixture|index_file|metrics)\w*")
_OF_USE = Regex(r"telemetry|analytics")  # counts of use: what is lost of them is counted again
_KEEPS = Regex(
    r"\w*(?:backup|rename|replace|move|copy|copy2|copyfile|quarantine|corrupt|restore|recover|exit|abort|preserve|archive|"
    r"fail)\w*"
)
_RESETS = Regex(r"_*\w*(?:empty|default|reset|initial|new|fresh|blank)\w*")

_GENERIC = ("path", "f", "p", "file", "filename")

_COVERING = {"builtins.OSError", "builtins.IOError", "builtins.EnvironmentError", "builtins.FileNotFoundError"}


class ResetOnLoadFailure(Rule):
    """A state file that can't be read is taken for an empty one, and the next save writes the emptiness over it.

    What it does
    ------------
    Finds a handler around the loading of a document (JSON, YAML, pickle, TOML) from a file that goes on with an empty value,
    where the same class (or, outside classes, the same file) also saves that file. A handler of a missing file alone is right
    and silent.

    Why it matters
    --------------
    A cut-off write, a permission that changed or a disk error is no empty state. The program starts as if it were new, and its
    first save destroys what a person could still have repaired.

    Example
    -------

        import json

        class Ledger:
            def __init__(self, path):
                self.ledger_path = path

            def load(self):
                try:
                    with open(self.ledger_path) as file:
                        self.entries = json.load(file)
                except Exception:
                    self.entries = {}

            def save(self):
                with open(self.ledger_path, "w") as file:
                    json.dump(self.entries, file)

    Instead
    -------

        import json

        class Ledger:
            def __init__(self, path):
                self.ledger_path = path

            def load(self):
                try:
                    with open(self.ledger_path) as file:
                        self.entries = json.load(file)
                except FileNotFoundError:
                    self.entries = {}

            def save(self):
                with open(self.ledger_path, "w") as file:
                    json.dump(self.entries, file)

    Stays silent when
    -----------------
    Only a missing file is caught; the handler raises, exits, or moves or copies the broken file away; the file is a cache or counts use;
    nothing in sight saves it.

    Fix safety
    ----------
    A suggestion: start empty only when there is no file. Whether to raise otherwise or to set the broken file aside is open.

    Known limits
    ------------
    A save in another file is not seen.
    """

    code, name, since, severity = "SBL312", "reset-on-load-failure", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("load",), ("open-file", "read-file"), (goes_on,))
    local, reach = True, 2
    beside = ("open-file", "write-file")  # one function loads; another one saves

    def visit_Try(self, node: cst.Try) -> None:
        loaded = next(
            (
                n
                for n in descendants(node.body, into_definitions=False)
                if isinstance(n, cst.Call) and self.facts.match(n, "load") is not None
            ),
            None,
        )
        path = self._read_path(node) if loaded is not None else None
        if loaded is None or path is None or self._is_remade(node, path):
            return
        saved = self._saved(path, node)
        handler = next((h for h in node.handlers if not self._is_missing(h)), None)
        if saved is None or handler is None:
            return
        reset = self._resets(handler) or self._stays_empty(node, handler) or self._falls_through(node, handler)
        if reset is not None:
            self._report(node, handler, reset, path, saved)

    def _is_remade(self, node: cst.Try, path: cst.BaseExpression) -> bool:
        """True for a cache and the like, told by path and function, and for counts of use, told by the module's folder too."""
        said = f"{self.facts.code(path)} {self.facts.tree.symbol_of(node)}".lower()
        place = " ".join(self.facts.path.replace("\\", "/").split("/")[-2:])
        return _REMADE.search(said) is not None or _OF_USE.search(f"{said} {place} {self.facts.files.words(path)}") is not None

    def _read_path(self, node: cst.Try) -> cst.BaseExpression | None:
        """The file that the body reads."""
        for call, path in self.facts.files.reads:
            if self.facts.tree.within(call, node.body) and last_name(call.func) not in ("exists", "isfile", "getsize"):
                return path
        return None

    def _saved(self, path: cst.BaseExpression, node: cst.CSTNode) -> cst.CSTNode | None:
        """Where the same file is written, in the same class or at least by the same name."""
        files, tree = self.facts.files, self.facts.tree
        text = self.facts.code(files.plain(path))
        for write in files.writes:
            same_text = text == self.facts.code(files.plain(write.path)) and tree.class_of(write.node) is tree.class_of(node)
            if files.same(write.path, path) or same_text and text not in _GENERIC:
                return write.node
        for rename in files.renames:
            same_text = text == self.facts.code(files.plain(rename.target)) and tree.class_of(rename.call) is tree.class_of(node)
            if files.same(rename.target, path) or same_text and text not in _GENERIC:
                return rename.call
        for match in self.facts.calls("atomic-write"):
            for value in (arg.value for arg in match.call.args):
                same_text = text == self.facts.code(files.plain(value)) and tree.class_of(match.call) is tree.class_of(node)
                if files.same(value, path) or same_text and text not in _GENERIC:
                    return match.call
        return None

    def _is_missing(self, handler: cst.ExceptHandler) -> bool:
        names = self.facts.exceptions.named(handler.type)
        return bool(names) and all(_MISSING.fullmatch(name) for name in names)

    def _resets(self, handler: cst.ExceptHandler) -> cst.CSTNode | None:
        """The statement that goes on with an empty value; None when the handler raises or keeps the broken file."""
        inside = list(descendants(handler.body, into_definitions=False))
        if any(isinstance(n, cst.Raise) for n in inside):
            return None
        if any(
            isinstance(n, cst.Call) and _KEEPS.fullmatch((last_name(n.func) or "").lower()) and self.facts.exceptions.can_raise(n)
            for n in inside
        ):
            return None
        for node in inside:
            value = node.value if isinstance(node, (cst.Assign, cst.Return)) else None
            if value is not None and _is_empty(value) and not (isinstance(node, cst.Return) and self._asked_only(node)):
                return node
        return None

    def _stays_empty(self, node: cst.Try, handler: cst.ExceptHandler) -> cst.CSTNode | None:
        """`data = {}`, then a load that fails and is only logged: `data` is still empty behind it."""
        leaves = (cst.Raise, cst.Return, cst.Continue, cst.Break)
        inside = list(descendants(handler.body, into_definitions=False))
        if any(
            isinstance(n, leaves) or isinstance(n, cst.Call) and _KEEPS.fullmatch((last_name(n.func) or "").lower())
            for n in inside
        ):
            return None
        for target in (n.target for n in descendants(node.body) if isinstance(n, cst.AssignTarget)):
            if isinstance(target, cst.Name) and (found := self.facts.names.lookup(target)) is not None:
                before = (b.source for b in found[1] if b.how == "value" and not self.facts.tree.within(b.target, node))
                if any(isinstance(source, cst.BaseExpression) and _is_empty(source) for source in before) and self._is_load(
                    target
                ):
                    return handler
        return None

    def _falls_through(self, node: cst.Try, handler: cst.ExceptHandler) -> cst.CSTNode | None:
        """`return json.load(file)` that fails, is passed over, and `return {}` behind it."""
        leaves = (cst.Raise, cst.Return, cst.Continue, cst.Break)
        given = [n for n in descendants(node.body, into_definitions=False) if isinstance(n, cst.Return) and self._is_load(n)]
        inside = list(descendants(handler.body, into_definitions=False))
        kept = any(isinstance(n, cst.Call) and _KEEPS.fullmatch((last_name(n.func) or "").lower()) for n in inside)
        if not given or kept or any(isinstance(n, leaves) for n in inside):
            return None
        flow = self.facts.flow_around(node)
        starts = [point for point in flow.by_node.get(id(handler), ()) if point.index in flow.reachable]
        way = paths.find(starts, lambda point: isinstance(point.node, cst.Return), raising=False)
        last = way[-1].node if way else None
        if isinstance(last, cst.Return) and last.value is not None and _is_default(last.value) and not self._asked_only(last):
            return last
        return None

    def _is_load(self, target: cst.CSTNode) -> bool:
        assign = self.facts.tree.statement_of(target)
        return any(isinstance(n, cst.Call) and self.facts.match(n, "load") is not None for n in descendants(assign))

    def _asked_only(self, node: cst.Return) -> bool:
        """A getter whose result is never saved: nothing in this file calls it, or its name says that it only looks."""
        function = self.facts.tree.function_of(node)
        return not isinstance(function, cst.FunctionDef) or not self.facts.types.callers(function)

    def _report(
        self, node: cst.Try, handler: cst.ExceptHandler, reset: cst.CSTNode, path: cst.BaseExpression, saved: cst.CSTNode
    ) -> None:
        broad = self.facts.exceptions.catches_all(handler.type) or len(self.facts.exceptions.classes(handler.type)) > 1
        line = self.facts.line(saved)
        self.report(
            reset,
            f"when `{self.facts.code(path, 40)}` can't be read, it is taken for empty here, and the save on line "
            f"{line} writes that over the real file",
            confidence=Confidence.MEDIUM if broad or self._is_parse(handler) else Confidence.LOW,
            trace=[(node, "loaded here"), (reset, "a failure becomes empty state"), (saved, "which is saved over the file")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "start empty only on `FileNotFoundError`; on any other failure move the file aside or raise",
                self._only_missing(handler, reset),
            ),
        )

    def _only_missing(self, handler: cst.ExceptHandler, reset: cst.CSTNode) -> tuple[Edit, ...]:
        """The handler for a missing file alone, or, where it never was for that, raising again."""
        if handler.type is None:
            span = self.facts.span(handler)
            behind = span.column + len("except")
            return (Edit(Span(span.line, behind, span.line, behind), " FileNotFoundError"),)
        if self.facts.exceptions.catches_all(handler.type) or _COVERING & set(self.facts.exceptions.classes(handler.type)):
            span = self.facts.span(handler.type)
            around = len(handler.type.lpar)  # the parentheses of a tuple are not part of its place
            return (Edit(Span(span.line, span.column - around, span.end_line, span.end_column + around), "FileNotFoundError"),)
        statement = self.facts.tree.statement_of(reset)
        return (replaced(self.facts, statement, "raise"),) if self.facts.tree.within(reset, handler.body) else ()

    def _is_parse(self, handler: cst.ExceptHandler) -> bool:
        return any(
            re.search(r"Decode|ValueError|YAML|Pickl|EOF|OSError|TOML", name)
            for name in self.facts.exceptions.named(handler.type)
        )


def _is_default(value: cst.BaseExpression) -> bool:
    """An empty value, or a dict of constants only: what state is before there is any."""
    if isinstance(value, cst.Dict) and value.elements:
        constants = (cst.Integer, cst.Float, cst.SimpleString)
        return all(
            isinstance(one, cst.DictElement)
            and (isinstance(one.value, constants) or _is_empty(one.value) or last_name(one.value) in ("None", "True", "False"))
            for one in value.elements
        )
    return _is_empty(value)


def _is_empty(value: cst.BaseExpression) -> bool:
    if isinstance(value, (cst.Dict, cst.List, cst.Set)):
        return not value.elements
    if isinstance(value, cst.Name):
        return _RESETS.fullmatch(value.value.lower()) is not None
    if not isinstance(value, cst.Call):
        return False
    name = last_name(value.func) or ""
    if name in ("copy", "deepcopy") and isinstance(value.func, cst.Attribute):
        return _RESETS.fullmatch((last_name(value.func.value) or "").lower()) is not None
    return not value.args and (
        name in ("dict", "list", "set", "defaultdict", "OrderedDict") or _RESETS.fullmatch(name) is not None
    )
