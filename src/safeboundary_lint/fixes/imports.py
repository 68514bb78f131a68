"""The imports a fix needs: already there, in somebody's way, or written where this file's author would write them."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from safeboundary_lint.core.names import Scope, dotted_text
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.source import Source
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.fixes.proof import Parsed
from safeboundary_lint.fixes.splice import Splice

_COOKIE_OR_SHEBANG = Regex(r"#!|[ \t\f]*#.*?coding[:=]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One import of one name."""

    module: str  # of `import module` or `from module import name`
    name: str  # empty for `import module`
    alias: str

    @classmethod
    def each(cls, statement: str) -> list[Wanted]:
        """The imports of a whole statement such as "from a import b, c". Raises ValueError when it is none."""
        try:
            parsed = cst.parse_statement(statement)
        except cst.ParserSyntaxError:  # its own text may fail to be made
            raise ValueError(f"{statement!r} is no statement") from None
        small = parsed.body[0] if isinstance(parsed, cst.SimpleStatementLine) and len(parsed.body) == 1 else parsed
        if not isinstance(small, (cst.Import, cst.ImportFrom)) or isinstance(small.names, cst.ImportStar):
            raise ValueError(f"{statement!r} imports no name")
        return _imports_of(small)

    @property
    def bound(self) -> str:
        """The name it gives a value."""
        return self.alias or self.name or self.module.partition(".")[0]

    @property
    def dotted(self) -> str:
        """What that name then stands for, as `Binding.dotted` tells it."""
        if self.name:
            return f"{self.module}{self.name}" if self.module.endswith(".") else f"{self.module}.{self.name}"
        return self.module if self.alias else self.bound

    @property
    def section(self) -> int:
        """The part of the imports it belongs to: 0 `__future__`, 1 standard library, 2 installed or own, 3 relative."""
        if self.module.startswith("."):
            return 3
        head = self.module.partition(".")[0]
        return 0 if head == "__future__" else 1 if head in sys.stdlib_module_names else 2

    def key(self, mixed: bool) -> tuple[bool, str, str]:
        """Sorts the lines of a block: `import` before `from`, or, `mixed`, both by module."""
        return (bool(self.name) and not mixed, self.module.lower(), self.alias)

    def __str__(self) -> str:
        alias = f" as {self.alias}" if self.alias else ""
        return f"from {self.module} import {self.name}{alias}" if self.name else f"import {self.module}{alias}"


def obstacle(parsed: Parsed, wanted: Wanted, splices: Sequence[Splice]) -> str | None:
    """Why code put in by `splices` would not get what it imports: the name means something else there. None when it would."""
    names = parsed.names
    if wanted.module in names.star_imports:
        return f"`from {wanted.module} import *` may give the name {wanted.bound} another meaning"
    for scope in names.scopes():
        bindings = scope.bindings.get(wanted.bound, ())
        same = [b for b in bindings if b.how == "import" and b.dotted == wanted.dotted]
        # `try: import x / except ImportError: x = None` is the file's own way to have x.
        own = {id(_top_level(parsed, b.target)) for b in same if isinstance(_top_level(parsed, b.target), (cst.Try, cst.If))}
        others = [b for b in bindings if b not in same and id(_top_level(parsed, b.target)) not in own]
        if not others:
            continue
        if scope is names.module_scope or any(_sees(parsed, splice, scope) for splice in splices):
            line, _ = parsed.source.place(parsed.placed[others[0].target].start)
            return f"the name {wanted.bound} means something else since line {line}"
    return None


def _sees(parsed: Parsed, splice: Splice, scope: Scope) -> bool:
    """True when a name in the text of `splice` is looked up in `scope`: in that of a class only outside of its methods."""

    def holds(node: cst.CSTNode) -> bool:
        return parsed.placed[node].start <= splice.start and splice.end <= parsed.placed[node].end

    if not holds(scope.node):
        return False
    if not isinstance(scope.node, cst.ClassDef):
        return True
    return not any(holds(function.body) for function in descendants(scope.node.body) if isinstance(function, cst.FunctionDef))


def merge(parsed: Parsed, wanted: Sequence[Wanted], first: int) -> tuple[Splice, ...]:
    """The insertions that make every wanted import be there for code from offset `first` on."""
    made: list[Splice] = []
    for one in sorted(set(wanted), key=lambda one: (one.section, bool(one.name), one.module, one.name)):
        if any(one in line.names and line.end <= first for line in _module_imports(parsed)):
            continue
        at, text = _placement(parsed, one, first)
        text = text.replace("\n", parsed.source.line_end_at(at))
        _insert(made, at, text)
        first += len(text)
        # The next one is placed in the text that has this one, so that two new ones come in one block.
        source = parsed.source
        parsed = Parsed(Source(source.text[:at] + text + source.text[at:], source.encoding, source.mark))
    return tuple(made)


def _insert(made: list[Splice], at: int, text: str) -> None:
    """Add to insertions made so far one at an offset of the text that has them."""
    shift = 0
    for index, splice in enumerate(made):
        inside = at - splice.start - shift
        if inside < 0:
            break
        if inside <= len(splice.text):
            made[index] = Splice(splice.start, splice.start, splice.text[:inside] + text + splice.text[inside:])
            return
        shift += len(splice.text)
    made.append(Splice(at - shift, at - shift, text))
    made.sort()


@dataclass(frozen=True, slots=True)
class _Line:
    """An import statement: its names, and where it stands with the comments right above it and its line end."""

    statement: cst.Import | cst.ImportFrom
    names: tuple[Wanted, ...]
    start: int
    end: int
    top_level: bool

    @property
    def section(self) -> int:
        return self.names[0].section if self.names else 2


def _imports_of(statement: cst.Import | cst.ImportFrom) -> list[Wanted]:
    if isinstance(statement.names, cst.ImportStar):
        return []
    module = ""
    if isinstance(statement, cst.ImportFrom):
        module = "." * len(statement.relative) + (dotted_text(statement.module) or "")
    found = []
    for item in statement.names:
        path = dotted_text(item.name) or ""
        alias = item.asname.name.value if item.asname and isinstance(item.asname.name, cst.Name) else ""
        found.append(Wanted(module, path, alias) if module else Wanted(path, "", alias))
    return found


def _top_level(parsed: Parsed, node: cst.CSTNode) -> cst.CSTNode | None:
    """The statement of the module in which `node` stands, when that is not inside a function or class."""
    found: cst.CSTNode | None = None
    for ancestor in (node, *parsed.names.tree.ancestors(node)):
        if isinstance(ancestor, (cst.FunctionDef, cst.ClassDef, cst.Lambda)):
            return None
        if not isinstance(ancestor, cst.Module):
            found = ancestor
    return found


def _module_imports(parsed: Parsed) -> list[_Line]:
    """The imports that run when the module is loaded, in order; those for the type checker alone do not."""
    tree, found = parsed.names.tree, []
    for statement in (*tree.all(cst.Import), *tree.all(cst.ImportFrom)):
        line = tree.parent(statement)
        if _top_level(parsed, statement) is None or not isinstance(line, cst.SimpleStatementLine):
            continue
        tests = [
            (dotted_text(branch.test) or "").rpartition(".")[2]
            for branch in tree.ancestors(statement)
            if isinstance(branch, cst.If) and tree.within(statement, branch.body)
        ]
        if "TYPE_CHECKING" not in tests:
            start, end = _extent(parsed, line)
            found.append(_Line(statement, tuple(_imports_of(statement)), start, end, tree.parent(line) is tree.module))
    return sorted(found, key=lambda one: one.start)


def _extent(parsed: Parsed, statement: cst.CSTNode) -> tuple[int, int]:
    """From the start of the comments right above a statement to the start of the line after it."""
    source = parsed.source
    line, last = source.place(_first(parsed, statement))[0], source.place(parsed.placed[statement].end)[0]
    while line > 1 and (above := _text_of(source, line - 1)).startswith("#"):
        if line <= 3 and _COOKIE_OR_SHEBANG.match(above):
            break
        line -= 1
    return source.starts[line - 1], source.starts[last] if last < len(source.starts) else len(source.text)


def _first(parsed: Parsed, statement: cst.CSTNode) -> int:
    """Where a statement starts, its decorators included."""
    decorated = isinstance(statement, (cst.FunctionDef, cst.ClassDef)) and statement.decorators
    return parsed.placed[statement.decorators[0] if decorated else statement].start  # type: ignore[attr-defined]


def _text_of(source: Source, line: int) -> str:
    return source.text[source.starts[line - 1] : source.starts[line] if line < len(source.starts) else len(source.text)]


def _placement(parsed: Parsed, wanted: Wanted, first: int) -> tuple[int, str]:
    """Where to insert what."""
    body = parsed.module.body
    definitions = [parsed.placed[s].start for s in body if isinstance(s, (cst.FunctionDef, cst.ClassDef))]
    lines = [line for line in _module_imports(parsed) if line.top_level and line.end <= min([first, *definitions])]
    for line in lines:
        if wanted.name and isinstance(line.statement, cst.ImportFrom) and line.names and line.names[0].module == wanted.module:
            return _beside_names(parsed, line.statement, wanted)
    if not (listed := [line for line in lines if line.section]):
        return _first_import(parsed, wanted, lines)
    blocks = [[listed[0]]]
    for before, after in itertools.pairwise(listed):
        if before.end == after.start or before.start == after.start:
            blocks[-1].append(after)
        else:
            blocks.append([after])
    for block in blocks:
        if same := [line for line in block if line.section == wanted.section]:
            return _among(parsed, same, wanted)
    later = [block for block in blocks if block[0].section > wanted.section]
    if later:
        return later[0][0].start, f"{wanted}\n\n"
    return _after(parsed, blocks[-1][-1].end, f"\n{wanted}\n")


def _among(parsed: Parsed, lines: list[_Line], wanted: Wanted) -> tuple[int, str]:
    kinds = [isinstance(line.statement, cst.ImportFrom) for line in lines]
    mixed = kinds != sorted(kinds)
    for line in lines:
        if line.names and line.names[0].key(mixed) > wanted.key(mixed):
            return line.start, f"{wanted}\n"
    return _after(parsed, lines[-1].end, f"{wanted}\n")


def _beside_names(parsed: Parsed, statement: cst.ImportFrom, wanted: Wanted) -> tuple[int, str]:
    """Into the list of an existing `from module import ...`, in the way its names are separated."""
    aliases = [parsed.placed[alias] for alias in statement.names]  # type: ignore[union-attr]
    between = parsed.source.text[aliases[0].end : aliases[1].start] if len(aliases) > 1 else ", "
    between = between if re.fullmatch(r",\s*", between) else ", "
    item = str(wanted).partition(" import ")[2]
    for alias in aliases:
        if parsed.source.text[alias.start : alias.end].lower() > item.lower():
            return alias.start, item + between
    return aliases[-1].end, between + item


def _first_import(parsed: Parsed, wanted: Wanted, futures: list[_Line]) -> tuple[int, str]:
    """Into a file that imports nothing but the future: behind that, behind the docstring, or before the first statement."""
    body = parsed.module.body
    if futures:
        return _after(parsed, futures[-1].end, f"\n{wanted}\n")
    head = body[0]
    if parsed.module.get_docstring() is not None:
        end = _extent(parsed, head)[1]
        follows = _text_of(parsed.source, parsed.source.place(end)[0]).strip()
        return _after(parsed, end, f"\n{wanted}\n" + ("\n" if follows else ""))
    line = parsed.source.place(_first(parsed, head))[0]
    above = _extent(parsed, head)[0]
    # Comments from the first line on without a gap are about the file, others about the statement below them.
    heads_file = above == 0 or _text_of(parsed.source, parsed.source.place(above)[0] - 1).strip()
    at = parsed.source.starts[line - 1] if heads_file else above
    return at, f"{wanted}\n" + ("\n\n" if isinstance(head, (cst.FunctionDef, cst.ClassDef)) else "\n")


def _after(parsed: Parsed, at: int, text: str) -> tuple[int, str]:
    """An insertion behind a line that may be the last one and lack its line end."""
    whole = parsed.source.text
    return (at, text) if not at or whole[at - 1] in "\r\n" else (at, "\n" + text.removesuffix("\n"))
