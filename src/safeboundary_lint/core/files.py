"""Which files a module writes, reads, renames and syncs, and when two path expressions mean the same file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, argument, string, string_parts
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import dotted_text, last_name
from safeboundary_lint.core.paths import always_before
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_TEMPORARY = Regex(
    r"(?:^|[\W_])(?:tmp\w*|temp|temporary|tempfile|partial|swap|staging|scratch|getpid|uuid\w*)(?:$|[\W_\d])", re.IGNORECASE
)
_BESIDE = Regex(r"(?:^|[\W_])(?:new|bak|backup|old|orig|part|pid)(?:$|[\W_\d])", re.IGNORECASE)  # said of the path itself
_CAMEL = Regex(r"(?<=[a-z0-9])(?=[A-Z])")
_GENERIC = frozenset(
    "path file filename fname name p fn f file_path filepath dest dst target out output src source fp full_path".split()
)
_NUMBER = Regex(r"\w*(?:version|timestamp|stamp|strftime|uuid\d?|datetime|today|now|seq|epoch|revision)")
_PATH_STEPS = frozenset("join str Path fspath joinpath abspath realpath normpath expanduser resolve absolute".split())
_GIVEN_STEPS = _PATH_STEPS | frozenset("split rsplit partition strip rstrip lstrip lower".split())
_LISTED = frozenset("walk listdir scandir iterdir glob rglob".split())
_EXTENSION = Regex(r"(?:\{\})?\.\w{1,8}")  # what is only put behind a name that somebody gives
_STEPS = 8
_LAYOUT = 3  # so many files in one folder are the parts of something that is laid out there


@dataclass(slots=True, eq=False)
class FileWrite:
    """A place at which a file's old content goes and new content comes."""

    node: cst.BaseExpression  # the call; or `path.write_text` where that is handed over to be called
    path: cst.BaseExpression
    confidence: Confidence
    mode: str = "w"
    opened: bool = False  # an open file, written in steps
    item: cst.WithItem | None = None  # the `with` item that closes it
    handle: str | None = None  # the name it is bound to
    descriptor: bool = False  # `path` is a descriptor that was opened before


@dataclass(slots=True, eq=False)
class Rename:
    """A file put in the place of another."""

    call: cst.Call
    source: cst.BaseExpression
    target: cst.BaseExpression
    confidence: Confidence


class Files:
    """Files as one module uses them."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._constants: dict[int, str | None] = {}
        self._recipes: dict[int, str | None] = {}

    @cached_property
    def writes(self) -> list[FileWrite]:
        """Every place that replaces the content of a file, in source order by kind."""
        found = [write for match in self.facts.calls("open-file") if (write := self._opened(match, "wW")) is not None]
        found += [write for match in self.facts.calls("write-file") if (write := self._written(match)) is not None]
        found += self._handed_over()
        for match in self.facts.calls("copy-file"):
            target, source = match.row.parameter("target"), match.row.parameter("source")
            path = argument(match.call, target) if target is not None else None
            copied = argument(match.call, source) if source is not None else None
            aside = copied is not None and path is not None and any(same_code(node, copied) for node in descendants(path))
            if path is not None and not aside:  # `copy(path, f"{path}.old")` makes a spare one
                found.append(FileWrite(match.call, path, match.confidence))
        return found

    @cached_property
    def reads(self) -> list[tuple[cst.Call, cst.BaseExpression]]:
        """Calls that read a file or ask for its existence, with the path."""
        found = []
        for match in self.facts.calls("open-file"):
            mode = self._mode(match)
            if mode is not None and not set(mode) & set("wax") and (path := self._path(match)) is not None:
                found.append((match.call, path))
        for match in self.facts.calls("read-file", "load"):
            if match.row.kind == "read-file" and (path := self._path(match)) is not None:
                found.append((match.call, path))
        return found

    @cached_property
    def renames(self) -> list[Rename]:
        """Every rename, replace and move."""
        found = []
        for match in self.facts.calls("rename"):
            source_at, target_at = match.row.parameter("source"), match.row.parameter("target")
            target = argument(match.call, target_at) if target_at is not None else None
            source: cst.BaseExpression | None = None
            if source_at is not None:
                source = argument(match.call, source_at)
            elif isinstance(match.call.func, cst.Attribute) and len(match.call.args) == 1:
                source = match.call.func.value
            if source is not None and target is not None:
                found.append(Rename(match.call, source, target, match.confidence))
        return found

    # -- what a path expression means ---------------------------------------------------------------------------------

    def same(self, one: cst.CSTNode, other: cst.CSTNode) -> bool:
        """True when two expressions surely name one file: one variable, attribute or constant, also through `str()`, `Path()`."""
        one, other = self.plain(one), self.plain(other)
        first, second = self.facts.origins.place(one), self.facts.origins.place(other)
        if first is not None and first == second:
            return True
        composed = type(one) is type(other) and isinstance(one, (cst.Call, cst.BinaryOperation, cst.FormattedString, cst.Subscript))
        if composed and self.facts.code(one, 200) == self.facts.code(other, 200):
            return self._function(one) is self._function(other)
        text = self._constant(one)
        return text is not None and text == self._constant(other)

    def _constant(self, path: cst.CSTNode) -> str | None:
        """The text that a path is, by itself or through names and defaults."""
        if id(path) not in self._constants:
            found = (string(origin.node) for origin in self.facts.origins.trail(path)[:4] if origin.how == "value")
            self._constants[id(path)] = next((text for text in found if text), None)
        return self._constants[id(path)]

    def plain(self, path: cst.CSTNode) -> cst.CSTNode:
        """A path without `str(...)`, `Path(...)`, `os.fspath(...)` around it."""
        while (
            isinstance(path, cst.Call)
            and len(path.args) == 1
            and last_name(path.func) in ("str", "Path", "fspath", "fsdecode", "fsencode")
        ):
            path = path.args[0].value
        return path

    def words(self, path: cst.CSTNode) -> str:
        """All that is said about a path, in lower case, words parted by underscores: names, texts, the functions that made it."""
        said: list[str] = []
        for origin in self.facts.origins.trail(path)[:_STEPS]:
            for node in list(descendants(origin.node, into_definitions=False))[:40]:
                if isinstance(node, cst.Name):
                    said.append(node.value)
                elif isinstance(node, cst.Attribute):
                    said.append(node.attr.value)
                elif (text := string_parts(node)) is not None:
                    said.append(text)
                elif isinstance(node, cst.Param):
                    said.append(node.name.value)
        return " ".join(_CAMEL.sub("_", one) for one in said).lower()

    def is_temporary(self, path: cst.CSTNode) -> bool:
        """True for a name that nobody else knows yet: made by `tempfile`, called temporary, or renamed later in the same file."""
        if (
            self.facts.origins.derivation(
                path, lambda node: isinstance(node, cst.Call) and self.facts.match(node, "temporary-file") is not None
            )
            is not None
        ):
            return True
        if _TEMPORARY.search(self.words(path)) or _BESIDE.search(self.facts.code(path, 200)):
            return True
        return any(self.same(path, rename.source) for rename in self.renames)

    def read_back(self, write: FileWrite) -> cst.Call | None:
        """Where the same file is read: the same variable, attribute, constant or recipe, or a telling name."""
        plain = self.plain(write.path)
        text, recipe = dotted_text(plain), self._recipe(plain)
        for call, path in self.reads:
            if call is write.node:
                continue
            if self.same(plain, path):
                return call
            if recipe is not None and self._same_class(call, write.node) and recipe == self._recipe(self.plain(path)):
                return call
            if (
                text is not None
                and text == dotted_text(self.plain(path))
                and text not in _GENERIC
                and self._same_class(call, write.node)
            ):
                return call
        return None

    def is_numbered(self, path: cst.CSTNode) -> bool:
        """True for a name made with a version or a moment: no two writes have the same file."""
        made = next((one.node for one in self.facts.origins.trail(path)[:3] if not isinstance(one.node, cst.Name)), path)
        if not isinstance(made, (cst.FormattedString, cst.BinaryOperation, cst.Call)):
            return False
        return any(isinstance(node, cst.Name) and _NUMBER.fullmatch(node.value.lower()) for node in descendants(made))

    def is_given(self, path: cst.CSTNode) -> bool:
        """True when the whole path comes from outside, with no part of it fixed here: whatever file the caller means."""
        for origin in self.facts.origins.trail(self.plain(path))[:_STEPS]:
            for node in descendants(origin.node, into_definitions=False):
                if self._is_fixed(node) or isinstance(node, cst.Call) and last_name(node.func) not in _GIVEN_STEPS:
                    return False
                if isinstance(node, cst.Attribute) and last_name(node.value) in ("self", "cls"):
                    return False
                if self._is_in_own_folder(node):
                    return False
                text = string_parts(node) or ""
                if any(one.isalpha() for one in text) and not _EXTENSION.fullmatch(text):
                    return False
        return True

    def _is_in_own_folder(self, made: cst.CSTNode) -> bool:
        """True for `folder / name` and `join(folder, name)` with a folder that a call or an attribute of the object gives."""
        first: cst.CSTNode | None = None
        if isinstance(made, cst.BinaryOperation) and isinstance(made.operator, cst.Divide):
            first = made.left
        elif isinstance(made, cst.Call) and last_name(made.func) == "join" and len(made.args) > 1:
            first = made.args[0].value
        for origin in self.facts.origins.trail(first)[:_STEPS] if isinstance(first, cst.Name) else ():
            node = origin.node
            if isinstance(node, cst.Call) and last_name(node.func) not in _PATH_STEPS | _LISTED:
                return True
            if isinstance(node, cst.Attribute) and last_name(node.value) in ("self", "cls"):
                return True
        return False

    def is_backed_up(self, write: FileWrite) -> bool:
        """True when the function has copied the file elsewhere on every way to the write."""
        flow, function = self.facts.flow_around(write.node), self._function(write.node)
        copies = []
        for match in self.facts.calls("copy-file"):
            source = match.row.parameter("source")
            copied = argument(match.call, source) if source is not None and match.call is not write.node else None
            if copied is not None and self._function(match.call) is function and self.same(copied, write.path):
                copies += flow.points_of(match.call)
        return bool(copies) and all(always_before(flow, copies, point) for point in flow.points_of(write.node))

    def is_laid_out(self, write: FileWrite) -> bool:
        """True for one of three or more files that a function writes into one folder which its caller names."""
        function, folder = self._function(write.node), self._folder(write.path)
        if folder is None:
            return False
        beside = [one for one in self.writes if self._function(one.node) is function and self._folder(one.path) == folder]
        return len({self.facts.code(one.path, 200) for one in beside}) >= _LAYOUT

    def _folder(self, path: cst.CSTNode) -> str | None:
        """The parameter that is the folder of a path: `folder` in `join(folder, "a.txt")` and `folder / "a.txt"`."""
        for origin in self.facts.origins.trail(self.plain(path))[:3]:
            made = self.plain(origin.node)
            first: cst.CSTNode | None = None
            if isinstance(made, cst.Call) and last_name(made.func) == "join" and len(made.args) > 1:
                first = made.args[0].value
            elif isinstance(made, cst.BinaryOperation) and isinstance(made.operator, cst.Divide):
                first = made.left
            found = self.facts.names.lookup(first) if isinstance(first, cst.Name) else None
            if found is not None and isinstance(first, cst.Name) and all(one.how == "parameter" for one in found[1]):
                return first.value
        return None

    def _recipe(self, path: cst.CSTNode) -> str | None:
        """The text that makes a local path, where it names what all functions share: `home / _STATE`, `self._file()`."""
        if id(path) not in self._recipes:
            made = [origin.node for origin in self.facts.origins.step(path)] if isinstance(path, cst.Name) else [path]
            node = self.plain(made[0]) if len(made) == 1 else None
            composed = isinstance(node, (cst.Call, cst.BinaryOperation, cst.FormattedString))
            fixed = composed and node is not None and any(self._is_fixed(one) for one in descendants(node))
            self._recipes[id(path)] = self.facts.code(node, 200) if fixed and node is not None else None
        return self._recipes[id(path)]

    @staticmethod
    def _is_fixed(node: cst.CSTNode) -> bool:
        """True for a constant, and for a method of the object that makes a path."""
        if isinstance(node, cst.Name):
            return node.value.isupper() and len(node.value) > 1
        own = isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and isinstance(node.func.value, cst.Name)
        return own and node.func.value.value in ("self", "cls")

    def _same_class(self, one: cst.CSTNode, other: cst.CSTNode) -> bool:
        return self.facts.tree.class_of(one) is self.facts.tree.class_of(other)

    def _function(self, node: cst.CSTNode) -> cst.CSTNode | None:
        return self.facts.tree.function_of(node)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _path(self, match: Match) -> cst.BaseExpression | None:
        parameter = match.row.parameter("path")
        if parameter is not None:
            return argument(match.call, parameter) or (
                match.call.args[0].value if match.call.args and not match.call.args[0].star else None
            )
        return match.call.func.value if isinstance(match.call.func, cst.Attribute) else None

    def _mode(self, match: Match) -> str | None:
        parameter = match.row.parameter("mode")
        value = argument(match.call, parameter) if parameter is not None else None
        if value is None:
            return "r"
        if any(last_name(part) == "O_TRUNC" for one in self.facts.origins.trail(value)[:_STEPS] for part in descendants(one.node)):
            return "w"
        try:
            mode = self.facts.constant(value)
        except NotConstant:
            return None
        return mode if isinstance(mode, str) else None

    def _opened(self, match: Match, modes: str) -> FileWrite | None:
        mode = self._mode(match)
        path = self._path(match)
        if mode is None or path is None or not set(mode) & set(modes):
            return None
        tree = self.facts.tree
        holder = tree.parent(match.call)
        if isinstance(holder, cst.Await):
            holder = tree.parent(holder)
        item = holder if isinstance(holder, cst.WithItem) else None
        handle = None
        if item is not None and item.asname is not None and isinstance(item.asname.name, cst.Name):
            handle = item.asname.name.value
        elif isinstance(holder, cst.Assign):
            handle = dotted_text(holder.targets[0].target)
        before = (origin.node for origin in self.facts.origins.trail(path)[:4])
        descriptor = any(isinstance(node, cst.Call) and self.facts.match(node, "open-file") is not None for node in before)
        return FileWrite(match.call, path, match.confidence, mode, True, item, handle, descriptor)

    def _written(self, match: Match) -> FileWrite | None:
        path = self._path(match)
        return FileWrite(match.call, path, match.confidence) if path is not None else None

    def _handed_over(self) -> list[FileWrite]:
        """`run_in_executor(None, path.write_text, content)`: the method is passed, somebody else calls it."""
        found = []
        for arg in self.facts.tree.all(cst.Arg):
            if isinstance(arg.value, cst.Attribute) and (match := self.facts.match(arg.value, "write-file")) is not None:
                found.append(FileWrite(arg.value, arg.value.value, match.confidence))
        return found
