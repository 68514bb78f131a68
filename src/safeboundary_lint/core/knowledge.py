"""What libraries do, read from TOML: dotted names to kinds, with the facts that rules ask for.

A file holds arrays of tables named after kinds, declared in `kinds.toml`:

    [[publish]]
    names = ["pika.channel.Channel.basic_publish"]   # canonical dotted names; "*.name" is any receiver not known otherwise
    key = "message_id"                               # facts, as the kind declares them

and tables about types: `[aliases]` (re-export = canonical name), `[returns]` (callable or attribute = type of its value),
`[enters]` (type = type bound by `with ... as`), `[items]` (type = type of what iterating gives), `[bases]` (class = base or list of
bases), and `[[callback]]` rows (names, parameter, position, gives = types of the callback's parameters).
A "*.name" row may narrow itself with `receivers` (globs on the last name of the receiver) and `imports` (one of these
top-level modules is imported), and lowers the confidence to `confidence` (default "medium").
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from safeboundary_lint.core import globs, tables
from safeboundary_lint.core.finding import Confidence

UserRows = tuple[tuple[str, str], ...]

_KINDS = "kinds.toml"
_MAPPINGS = ("aliases", "returns", "enters", "items", "bases")
_COMMON = {"names": "strings", "receivers": "strings", "imports": "strings", "confidence": "string", "note": "string"}
_FACT_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "strings": (list,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "parameter": (str, dict),  # "name", or { name = "name", position = 2 } with 0-based position without self
    "parameters": (list,),
    "values": (list,),  # literals; the strings "None", "inf", "maxsize" stand for what TOML can't write
}


class KnowledgeError(ValueError):
    """A row that can't be understood; the message names kind, row and key."""


class Parameter(NamedTuple):
    """One parameter of a callable: by keyword, and by 0-based position when it can be passed so."""

    name: str
    position: int | None = None


@dataclass(eq=False, slots=True)
class Row:
    """What one callable, class or constant means."""

    kind: str
    names: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    receivers: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    confidence: Confidence = Confidence.HIGH

    def get(self, fact: str, default: Any = None) -> Any:
        """The value of a fact."""
        return self.facts.get(fact, default)

    def parameter(self, fact: str) -> Parameter | None:
        """The parameter a fact names."""
        value = self.facts.get(fact)
        if value is None:
            return None
        return Parameter(value) if isinstance(value, str) else Parameter(value["name"], value.get("position"))

    def accepts(self, receiver: str | None, imported: frozenset[str]) -> bool:
        """For "*.name" rows: may a receiver of this (last) name, in a file with these top-level imports, be meant?"""
        if self.imports and not imported.intersection(self.imports):
            return False
        return not self.receivers or globs.matcher(self.receivers)((receiver or "").lower().lstrip("_"))


@dataclass(eq=False, slots=True)
class Knowledge:
    """All rows, indexed the ways the analysis asks."""

    rows: Mapping[str, tuple[Row, ...]]  # by canonical dotted name
    wild: Mapping[str, tuple[Row, ...]]  # "*.name" rows by name
    callbacks: Mapping[str, tuple[Mapping[str, Any], ...]]
    aliases: Mapping[str, str]
    returns: Mapping[str, str]
    enters: Mapping[str, str]
    items: Mapping[str, str]
    bases: Mapping[str, tuple[str, ...]]
    words: Mapping[str, frozenset[str]]  # kind -> last names by which a file can mention it
    last_names: frozenset[str]
    libraries: frozenset[str]  # top-level modules that rows know
    settings: frozenset[str]  # kinds whose names are keys and parameters: met as words anywhere, also in strings

    @functools.cache  # noqa: B019 -- one instance per set of user rows, kept for the process
    def words_of(self, kinds: tuple[str, ...]) -> frozenset[str]:
        """The last names by which a file can mention some of these kinds."""
        return frozenset().union(*(self.words.get(kind, ()) for kind in kinds))

    @functools.cache  # noqa: B019 -- as above
    def canonical(self, dotted: str) -> str:
        """The name under which rows are kept, after re-exports: the longest known prefix is replaced, again until none is."""
        for _ in range(5):
            head, tail = dotted, ""
            while head:
                if (target := self.aliases.get(head)) is not None and target != head:
                    dotted = target + tail
                    break
                head, _dot, last = head.rpartition(".")
                tail = f".{last}{tail}"
            else:
                return dotted
        return dotted

    def lineage(self, dotted: str) -> list[str]:
        """A class and its known bases, nearest first."""
        found, queue = [], [self.canonical(dotted)]
        while queue and len(found) < 40:
            name = queue.pop(0)
            if name not in found:
                found.append(name)
                queue += [self.canonical(base) for base in self.bases.get(name, ())]
        return found

    def is_a(self, dotted: str, base: str) -> bool:
        """True when class `dotted` is `base` or derives from it."""
        return self.canonical(base) in self.lineage(dotted)

    @functools.cache  # noqa: B019 -- as above
    def modules_of(self, kind: str) -> frozenset[str]:
        """The top-level modules of which something is known to be of a kind."""
        return frozenset(name.partition(".")[0] for name, rows in self.rows.items() if any(row.kind == kind for row in rows))

    def of_kind(self, dotted: str, kind: str) -> Row | None:
        """The row of an exactly known name, if it has one of this kind."""
        return next((row for row in self.rows.get(self.canonical(dotted), ()) if row.kind == kind), None)


def validate_user_rows(table: Mapping[str, Any]) -> UserRows:
    """Check a user's `knowledge` table; returns it in a hashable form. Raises KnowledgeError."""
    _Loader(_kinds()).add(table, "knowledge")
    return tuple((section, json.dumps(table[section], sort_keys=True)) for section in sorted(table))


@functools.cache
def load(user_rows: UserRows = ()) -> Knowledge:
    """The shipped knowledge together with a user's rows. A user's row comes first where both know a name."""
    loader = _Loader(_kinds())
    loader.add({section: json.loads(text) for section, text in user_rows}, "knowledge")
    for name, table in tables.shipped().items():
        if name != _KINDS:
            loader.add(table, name)
    return loader.built()


@functools.cache
def _kinds() -> Mapping[str, Mapping[str, str]]:
    return {kind: declared.get("facts", {}) for kind, declared in tables.shipped()[_KINDS].items()}


class _Loader:
    """Collects rows from several tables and builds the indexes once."""

    def __init__(self, kinds: Mapping[str, Mapping[str, str]]) -> None:
        self.kinds = kinds
        self.rows: list[Row] = []
        self.callbacks: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.mappings: dict[str, dict[str, Any]] = {name: {} for name in _MAPPINGS}

    def add(self, table: Mapping[str, Any], where: str) -> None:
        for section, content in table.items():
            if section in ("library", "source"):
                continue
            if section in _MAPPINGS:
                self._add_mapping(section, content, where)
            elif section == "callback":
                for row in _rows_of(content, f"{where}: callback"):
                    _check(row, {"names": "strings", "parameter": "string", "position": "integer", "gives": "strings"}, f"{where}: callback")
                    for name in row["names"]:
                        self.callbacks[name].append(row)
            elif section in self.kinds:
                self.rows += [self._row(section, row, f"{where}: {section}[{i}]") for i, row in enumerate(_rows_of(content, f"{where}: {section}"))]
            else:
                raise KnowledgeError(f"{where}: unknown kind {section!r}; the kinds are {', '.join(sorted(self.kinds))}")

    def _add_mapping(self, section: str, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise KnowledgeError(f"{where}: {section} must be a table of dotted names")
        for name, target in content.items():
            if not isinstance(target, str) and not (section == "bases" and isinstance(target, list)):
                raise KnowledgeError(f"{where}: {section}.{name!r} must be a dotted name, not {target!r}")
            self.mappings[section].setdefault(name, target)

    def _row(self, kind: str, row: Mapping[str, Any], where: str) -> Row:
        facts = self.kinds[kind]
        _check(row, {**_COMMON, **facts}, where)
        wild = any(name.startswith("*.") for name in row["names"])
        try:
            confidence = Confidence(row.get("confidence", "medium" if wild else "high"))
        except ValueError:
            raise KnowledgeError(f"{where}: confidence must be high, medium or low, not {row['confidence']!r}") from None
        return Row(
            kind,
            tuple(row["names"]),
            {key: value for key, value in row.items() if key in facts},
            tuple(row.get("receivers", ())),
            tuple(row.get("imports", ())),
            confidence,
        )

    def built(self) -> Knowledge:
        aliases = self.mappings["aliases"]
        bases = {name: (target,) if isinstance(target, str) else tuple(target) for name, target in self.mappings["bases"].items()}
        rows: dict[str, list[Row]] = defaultdict(list)
        wild: dict[str, list[Row]] = defaultdict(list)
        words: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            for name in row.names:
                last = name.rpartition(".")[2]
                words[row.kind].add(last)
                (wild[last] if name.startswith("*.") else rows[name]).append(row)
        for alias, target in aliases.items():
            for row in rows.get(target, ()):
                words[row.kind].add(alias.rpartition(".")[2])
        last_names = {name.rpartition(".")[2] for name in rows} | set(wild) | {alias.rpartition(".")[2] for alias in aliases}
        libraries = {name.partition(".")[0] for name in [*rows, *aliases, *self.mappings["returns"], *bases]} - {"builtins"}
        return Knowledge(
            {name: tuple(several) for name, several in rows.items()},
            {name: tuple(several) for name, several in wild.items()},
            {name: tuple(several) for name, several in self.callbacks.items()},
            aliases,
            self.mappings["returns"],
            self.mappings["enters"],
            self.mappings["items"],
            bases,
            {kind: frozenset(several) for kind, several in words.items()},
            frozenset(last_names),
            frozenset(libraries),
            frozenset(kind for kind, declared in tables.shipped()[_KINDS].items() if declared.get("setting", False)),
        )


def _rows_of(content: Any, where: str) -> Iterable[Mapping[str, Any]]:
    rows = content if isinstance(content, list) else [content]
    for row in rows:
        if not isinstance(row, Mapping):
            raise KnowledgeError(f"{where}: a row must be a table with `names`, not {row!r}")
    return rows


def _check(row: Mapping[str, Any], allowed: Mapping[str, str], where: str) -> None:
    for key, value in row.items():
        if key not in allowed:
            raise KnowledgeError(f"{where}: unknown key {key!r}; allowed are {', '.join(sorted(allowed))}")
        wanted = _FACT_TYPES[allowed[key]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise KnowledgeError(f"{where}: {key} must be of type {allowed[key]}, not {value!r}")
        if allowed[key] == "strings" and not all(isinstance(one, str) for one in value):
            raise KnowledgeError(f"{where}: {key} must be a list of strings, not {value!r}")
        if isinstance(value, Mapping) and not (isinstance(value.get("name"), str) and isinstance(value.get("position", 0), int)):
            raise KnowledgeError(f"{where}: {key} must be a name or {{ name = ..., position = ... }}, not {value!r}")
    if not row.get("names"):
        raise KnowledgeError(f"{where}: `names` is missing")
