"""SBL205: a key that processes share is made of something that differs between processes."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core import shapes
from safeboundary_lint.core.calls import argument, keyword_names, string_parts
from safeboundary_lint.core.edits import argument_added, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.retries import (
    DIGESTS,
    IDENTIFIERS,
    KEPT_KEYS,
    KEPT_TEXTS,
    KEY_MAKERS,
    PERSISTING,
    hashes_for_others,
    is_special,
    keeps_key,
)
from safeboundary_lint.core.stores import is_in_process
from safeboundary_lint.core.tree import descendants

_STORES = ("shared-read", "shared-write", "shared-claim", "shared-expiry")
_PERSISTENT = ("*model*", "*schema*", "*document*", "*entity*", "*record*", "*table*", "base", "*sqlmodel*")
_KEEPING = (
    "*disk*", "*persist*", "*shelve*", "*sqlite*", "*redis*", "*memcache*", "*filecache*", "*file_cache*", "*fanout*",
    "*distributed*", "*shared*",
)  # fmt: skip
_LIVE = ("self", "cls", "*conn", "*connection", "*sock", "*socket", "*transport", "*pool", "*thread")  # ends with the process
_MEASURING = ("len", "sys.getsizeof", "range", "isinstance", "bool")


class UnstableDedupKey(Rule):
    """A key that is shared or kept is made of a value that differs from process to process.

    What it does
    ------------
    Finds `hash()`, `id()`, `pickle.dumps` and unsorted `json.dumps` that end up in the key of a shared cache or store, in a
    persisted field, a task argument, the name of a file, a digest, the place in a store that is named as one on disk, or in
    what a function named like a maker of cache or deduplication keys returns as text.

    Why it matters
    --------------
    Python's `hash()` of a string is seeded anew in each process: after a restart, or in the worker beside, the same request has
    another key. Nothing is ever recognised as seen, the cache never hits, and a stored digest never matches again.

    Example
    -------

        import redis

        client = redis.Redis()

        def is_new(order):
            return client.set(f"order:{hash(order.reference)}", "1", nx=True, ex=3600)

    Instead
    -------

        import hashlib
        import redis

        client = redis.Redis()

        def is_new(order):
            digest = hashlib.sha256(order.reference.encode()).hexdigest()
            return client.set(f"order:{digest}", "1", nx=True, ex=3600)

    Stays silent when
    -----------------
    The key stays in this process: a dict, `hash(x) % n` for a shard, `__hash__`; the name stands for something else (`for
    hash in hashes`);
    `json.dumps(..., sort_keys=True)`.

    Fix safety
    ----------
    A suggestion: a digest of the text, or sorted entries. Keys that are stored already change.

    Known limits
    ------------
    An address (`id()`) in the name of a file is reported with low confidence: mostly the file is this object's own.
    What another file does with a key is told from the names here. `hash()` of numbers is stable and not told apart.
    """

    code, name, since, severity = "SBL205", "unstable-dedup-key", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("unstable-value", shapes.Unless(is_special)), (*_STORES, "open-file", "write-file", "read-file", keeps_key, hashes_for_others))
    mentions = (
        (
            *_STORES, "open-file", "write-file", "read-file", "=hash", *map("={}".format, (*DIGESTS, "Path", "join")),
            f"%{'|'.join(KEPT_TEXTS)}", f"%^_*(?:{'|'.join(PERSISTING)})$",
        ),
    )
    anchored, handed = 3, True

    def visit_Module(self, node: cst.Module) -> None:
        seen: set[int] = set()
        if not any(self._is_unstable(match) for match in self.facts.calls("unstable-value")):
            return
        for sink, expression, what, confidence in self._sinks():
            way = self.facts.origins.derivation(expression, self._is_source, callers=False, through=self._keeps)
            source = self.facts.match(way[-1], "unstable-value") if way else None
            if source is not None and id(source.call) not in seen and self._suits(source, what):
                seen.add(id(source.call))
                self._report(source, sink, what, Confidence.weakest(confidence, self._certainty(source, what)))
        for source, cls in self._places():
            if id(source.call) not in seen:
                self._report(source, source.call, f"the place of an entry in `{cls.name.value}`", Confidence.MEDIUM)

    def _sinks(self) -> Iterator[tuple[cst.CSTNode, cst.BaseExpression, str, Confidence]]:
        """Where a key is shared or kept: the place, the key's expression, what it is called there."""
        for match in self.facts.calls(*_STORES):
            parameter = match.row.parameter("key")
            key = argument(match.call, parameter) if parameter is not None else None
            if key is not None and not is_in_process(self.facts, match):
                yield match.call, key, "the key of a shared store", match.confidence
        for match in self.facts.calls("open-file", "write-file", "read-file"):
            if match.call.args:
                yield (
                    match.call,
                    match.call.args[0].value,
                    "the name of a file",
                    Confidence.weakest(match.confidence, Confidence.MEDIUM),
                )
        for store in self.facts.names.stores:
            if (
                isinstance(store.target, cst.Attribute)
                and named_like(store.target.attr.value, *KEPT_KEYS)
                and not named_like(last_name(store.target.value), *_LIVE)
            ):
                if store.source is not None and isinstance(store.source, cst.BaseExpression):
                    yield store.target, store.source, f"`{self.facts.code(store.target)}`, which is kept", Confidence.MEDIUM
        for call in self.facts.tree.all(cst.Call):
            if (
                any(named_like(name, *KEPT_KEYS, *IDENTIFIERS) for name in keyword_names(call))
                and (confidence := self._keeps_fields(call)) is not None
            ):
                for arg in call.args:
                    wanted = (*KEPT_KEYS, *IDENTIFIERS) if named_like(last_name(call.func), *PERSISTING) else KEPT_KEYS
                    if arg.keyword is not None and named_like(arg.keyword.value, *wanted):
                        yield call, arg.value, f"`{arg.keyword.value}`, which is kept", confidence
        for function in self.facts.tree.all(cst.FunctionDef):
            if named_like(function.name.value, *KEY_MAKERS) and not function.name.value.startswith("__"):
                for value in self.facts.origins.returned(function):
                    if self._is_text(value):
                        yield value, value, f"what `{function.name.value}` returns", Confidence.MEDIUM
        yield from self._named_files()
        yield from self._digests()

    def _named_files(self) -> Iterator[tuple[cst.CSTNode, cst.BaseExpression, str, Confidence]]:
        """`Path(f"{name}.{hash(options)}.cache")`, `os.path.join(folder, str(hash(url)))`"""
        for match in self.facts.calls("file-name"):
            for arg in match.call.args[-1:]:
                yield match.call, arg.value, "the name of a file", Confidence.MEDIUM

    def _digests(self) -> Iterator[tuple[cst.CSTNode, cst.BaseExpression, str, Confidence]]:
        """A digest is made to be the same everywhere: `sha256(str(hash(key)).encode())`."""
        for match in self.facts.calls("digest"):
            for arg in match.call.args[-1:]:
                yield match.call, arg.value, "what a digest is made of", Confidence.MEDIUM

    def _places(self) -> Iterator[tuple[Match, cst.ClassDef]]:
        """`hash(name) % self.size` in a class that by its name keeps things for other processes: the place of an entry."""
        for source in self.facts.calls("unstable-value"):
            cls = self.facts.tree.enclosing(source.call, cst.ClassDef)
            if source.dotted != "builtins.hash" or cls is None or not self._is_unstable(source):
                continue
            shard = next((a for a in self.facts.tree.ancestors(source.call) if not isinstance(a, (cst.Arg, cst.Call))), None)
            if isinstance(shard, cst.BinaryOperation) and isinstance(shard.operator, cst.Modulo):
                if named_like(cls.name.value.lower(), *_KEEPING):
                    yield source, cls

    def _keeps_fields(self, call: cst.Call) -> Confidence | None:
        """A record is made or changed: its fields are read again by another process."""
        name = last_name(call.func)
        if named_like(name, *PERSISTING) and isinstance(call.func, cst.Attribute):
            return Confidence.MEDIUM
        definition = self.facts.types.definition(call.func)
        if isinstance(definition, cst.ClassDef):
            bases = self.facts.types.foreign_bases(definition)
            return Confidence.MEDIUM if any(named_like(base.rpartition(".")[2], *_PERSISTENT) for base in bases) else None
        return Confidence.LOW if name is not None and name[:1].isupper() else None

    def _is_text(self, value: cst.BaseExpression) -> bool:
        """A key as text leaves the process sooner than a number or tuple."""
        queue = [origin.node for origin in self.facts.origins.trail(value)]
        joined = (node for node in queue if isinstance(node, cst.BinaryOperation))
        if any(string_parts(node.left) is not None or isinstance(node.operator, cst.Divide) for node in joined):
            return True
        return any(string_parts(node) is not None for node in queue) or any(
            isinstance(node, cst.Call) and named_like(last_name(node.func), "str", "format", "hexdigest", "join", "hex")
            for node in queue
        )

    def _is_source(self, node: cst.CSTNode) -> bool:
        match = self.facts.match(node, "unstable-value") if isinstance(node, cst.Call) else None
        return match is not None and self._is_unstable(match)

    def _is_unstable(self, match: Match) -> bool:
        without = match.row.get("without")
        function = self.facts.tree.enclosing(match.call, cst.FunctionDef)
        if function is not None and function.name.value.startswith("__") and function.name.value != "__init__":
            return False
        return not without or argument(match.call, without) is None and not any(arg.star for arg in match.call.args)

    def _keeps(self, node: cst.CSTNode) -> bool:
        """A remainder is a shard, a length is no content."""
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Modulo):
            return string_parts(node.left) is not None
        if isinstance(node, cst.Call):
            return not named_like(last_name(node.func), *_MEASURING, "get", "pop", "setdefault")
        return not isinstance(node, (cst.Subscript, cst.Comparison))

    def _suits(self, source: Match, what: str) -> bool:
        """Text of JSON is unstable only where others decide the order of its entries; a digest of bytes is that of its bytes."""
        if what.startswith("what a digest") and source.dotted != "builtins.hash":
            return False
        if not source.row.get("without"):
            return not source.call.args or not isinstance(source.call.args[0].value, cst.Integer)
        given = source.call.args[0].value if source.call.args else None
        return (
            given is not None
            and not isinstance(given, (cst.List, cst.ListComp, cst.Dict, cst.SimpleString))
            and what.startswith(("the key", "what"))
        )

    def _certainty(self, source: Match, what: str) -> Confidence:
        """An address in the name of a file mostly tells it from the others of this process, and nobody looks for it again."""
        passing = source.dotted == "builtins.id" and what == "the name of a file"
        return Confidence.LOW if source.row.get("without") or passing else source.confidence

    def _report(self, source: Match, sink: cst.CSTNode, what: str, confidence: Confidence) -> None:
        code, why = self.facts.code(source.call), source.row.get("why", "differs between processes")
        if source.row.get("without"):
            advice = f"sort the entries (`{source.row.get('without')}=True`), so that equal requests give equal text"
        else:
            given = [descendant for arg in source.call.args[:1] for descendant in descendants(arg.value)]
            advice = (
                "make a digest that is the same everywhere: `hashlib.sha256(...)` of "
                f"the text of `{self.facts.code(given[0]) if given else 'the value'}`"
            )
        self.report(
            source.call,
            f"`{code}` {why}, but becomes {what}: another process does not find what this one stored",
            confidence=confidence,
            trace=[(sink, f"used here as {what}")],
            fix=lambda: Fix(Applicability.SUGGESTION, advice, *self._stable(source)),
        )

    def _is_number(self, call: cst.Call) -> bool:
        """The hash is reckoned with: `abs(hash(x)) % n`."""
        ancestors = self.facts.tree.ancestors(call)
        above = next((a for a in ancestors if isinstance(a, (cst.BinaryOperation, cst.IndentedBlock))), None)
        remainder = isinstance(above, cst.BinaryOperation) and isinstance(above.operator, cst.Modulo)
        return remainder and isinstance(above, cst.BinaryOperation) and string_parts(above.left) is None

    def _stable(self, source: Match) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
        """The edits and imports of a key that is the same everywhere; none for what has no text that is."""
        call, called = source.call, last_name(source.call.func)
        given = source_of(self.facts, call.args[0].value) if call.args and not call.args[0].star else None
        if without := source.row.get("without"):
            added = argument_added(self.facts, call, f"{without}=True")
            return ((added,) if added is not None else ()), ()
        if given is not None and called == "hash":
            text = given if isinstance(call.args[0].value, cst.SimpleString) else f"repr({given})"
            digest = f"hashlib.sha256({text}.encode()).hexdigest()"
            return (replaced(self.facts, call, f"int({digest}, 16)" if self._is_number(call) else digest),), ("import hashlib",)
        if given is not None and called == "dumps":
            return (replaced(self.facts, call, f"json.dumps({given}, sort_keys=True).encode()"),), ("import json",)
        return (), ()
