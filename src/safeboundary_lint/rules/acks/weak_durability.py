"""SBL305: what is accepted as stored is kept only in memory."""

from __future__ import annotations


import libcst as cst

from safeboundary_lint.core.calls import argument, keyword_names, string, string_parts, unpacks
from safeboundary_lint.core.edits import argument_added, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import Parameter, Row
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_PRAGMA = Regex(r"\b(?i:pragma)\s+(?:\w+\.)?(?:synchronous|SYNCHRONOUS)\s*[=(]\s*['\"]?(?i:off|0)\b")
_SESSION = Regex(
    r"\b(?i:set)\s+(?:(?i:session|local)\s+)?(?:synchronous_commit|SYNCHRONOUS_COMMIT)\s*(?:=|(?i:to))\s*['\"]?(?i:off|false|0)\b"
    r"|\b(?i:create)\s+(?:unlogged|UNLOGGED)\s+(?i:table)\b"
)
_OFF = Regex(r"(?i)(synchronous(?:_commit)?\s*(?:=|\bto\b|\()\s*['\"]?)(?:off|false|0)\b")
_UNLOGGED = Regex(r"(?i)\bunlogged\s+")
_TRANSIENT = Regex(r"(?i:not_?persistent|transient(?:_delivery_mode)?)")
_OPTION = Regex(r"sync|durab|unsafe|fast|speed|performance|turbo")
_SCRATCH = Regex(
    r"\w*(?:convert|conversion|migrat|upgrade|backup|dump|scratch|temp|tmp|cache|index|bench|import|export|restore|bulk|"
    r"rebuild|vacuum|build|replay|test|fixture|"
    r"memory|metric|monitor|telemetry|stats|heartbeat|log|analy|report|download)\w*"
)


class WeakDurability(Rule):
    """Data is accepted as stored while it is only in somebody's memory: a crash or a restart of the server loses it.

    What it does
    ------------
    Finds producers with `acks` 0 or 1, write concern 0, `PRAGMA synchronous=OFF`, `synchronous_commit = off`, and queues and
    messages that the library leaves transient unless told otherwise (`durable`, `delivery_mode`).

    Why it matters
    --------------
    The write returns, the source is acknowledged, the user is told. Then the broker restarts or the leader fails over, and what
    only its memory held is gone without an error anywhere; with `synchronous=OFF` a power cut can corrupt the whole database.

    Example
    -------

        import pika

        def declare(parameters):
            channel = pika.BlockingConnection(parameters).channel()
            channel.queue_declare(queue="invoices")
            return channel

    Instead
    -------

        import pika

        def declare(parameters):
            channel = pika.BlockingConnection(parameters).channel()
            channel.queue_declare(queue="invoices", durable=True)
            return channel

    Stays silent when
    -----------------
    The queue is exclusive, auto-delete, a reply queue or only looked up (`passive`); the message expires or answers another;
    the database is a scratch, conversion, backup or test database, by the name of the function, class or file; WAL with
    `synchronous=NORMAL`.

    Fix safety
    ----------
    Unsafe: the argument, or the word in the statement, is added or replaced. A queue that exists with other settings has to be
    deleted first, and writes get slower.

    Known limits
    ------------
    Settings that come from another file are not seen. What stands in where the caller gave nothing (`properties or
    BasicProperties()`), and what a command of a command line sends or declares, is reported with low confidence.
    """

    code, name, since, severity = "SBL305", "weak-durability", "0.1", Severity.WARNING
    overlaps = ()
    needs = (
        (
            "durability-parameter",
            "durability-setting",
            "=synchronous",
            "=SYNCHRONOUS",
            "=synchronous_commit",
            "=SYNCHRONOUS_COMMIT",
            "=unlogged",
            "=UNLOGGED",
        ),
    )
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("durability-parameter"):
            parameter = match.row.parameter("parameter")
            own = self.facts.types.callee(match.call) is not None  # a method of this file only has the library's name
            if parameter is not None and not own and not self._is_scratch(match.node) and not self._is_transient(match):
                self._check_parameter(match, parameter)

    def _is_scratch(self, node: cst.CSTNode) -> bool:
        file = self.facts.path.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        return bool(
            _SCRATCH.fullmatch(self.facts.tree.symbol_of(node).lower().replace(".", "_")) or _SCRATCH.fullmatch(file.lower())
        )

    def _is_fallback(self, node: cst.CSTNode) -> bool:
        """True for `properties or Properties()`: a library's own default, where the caller may give what it wants."""
        either = self.facts.tree.parent(node)
        if not isinstance(either, cst.BooleanOperation) or either.right is not node or not isinstance(either.left, cst.Name):
            return False
        found = self.facts.names.lookup(either.left)
        return found is not None and any(binding.how == "parameter" for binding in found[1])

    def _is_typed(self, node: cst.CSTNode) -> bool:
        """True in a command of a command line: who types it there sends by hand, and sees whether it arrives."""
        function = self.facts.tree.function_of(node)
        decorators = function.decorators if isinstance(function, cst.FunctionDef) else ()
        called = (d.decorator.func if isinstance(d.decorator, cst.Call) else d.decorator for d in decorators)
        return any(last_name(one) in ("command", "argument") for one in called)

    def _is_transient(self, match: Match) -> bool:
        """True when other arguments or the queue's name tell that it is meant to vanish."""
        unless = match.row.get("unless", ())
        if any(
            not self.facts.is_constant(argument(match.call, name), False, None)
            for name in keyword_names(match.call)
            if name in unless
        ):
            return True
        if not match.row.get("required"):
            return False
        name = (
            argument(match.call, "queue")
            or argument(match.call, "name")
            or (match.call.args[0].value if match.call.args else None)
        )
        return (not match.call.args and "queue" in match.dotted) or self.facts.queues.is_reply(name)

    def _check_parameter(self, match: Match, parameter: Parameter) -> None:
        value = argument(match.call, parameter)
        weak = match.row.get("weak", [])
        strong = match.row.get("strong", "")
        if value is None:
            if match.row.get("required") and not unpacks(match.call) and not self._set_later(match, parameter):
                added = argument_added(self.facts, match.call, strong)
                what = f"`{self.facts.code(match.node)}` is transient by default"
                sure = Confidence.LOW if self._is_fallback(match.node) or self._is_typed(match.node) else match.confidence
                self._report(match.node, what, sure, match.row, (added,) if added else ())
        elif self.facts.is_constant(value, *weak) or _TRANSIENT.fullmatch(last_name(value) or ""):
            new = strong.partition("=")[2]
            self._report(
                match.node,
                f"`{parameter.name}={self.facts.code(value)}`",
                match.confidence,
                match.row,
                (replaced(self.facts, value, new),),
            )

    def _set_later(self, match: Match, parameter: Parameter) -> bool:
        """`properties.delivery_mode = 2` after construction."""
        return any(
            isinstance(store.target, cst.Attribute) and store.target.attr.value == parameter.name
            for store in self.facts.names.stores
        )

    def _report(self, node: cst.CSTNode, what: str, confidence: Confidence, row: Row, edits: tuple) -> None:
        self.report(
            node,
            f"{what}: what is accepted here is lost when the server restarts or fails over",
            confidence=confidence,
            trace=[(node, "accepted here, kept in memory only")],
            fix=lambda: Fix(Applicability.UNSAFE if edits else Applicability.SUGGESTION, f"say `{row.get('strong')}`", edits),
        )

    # -- settings in dicts ----------------------------------------------------------------------------------------------

    def visit_Dict(self, node: cst.Dict) -> None:
        elements = [element for element in node.elements if isinstance(element, cst.DictElement)]
        keys = [string(element.key) for element in elements]
        for key, element in zip(keys, elements, strict=True):
            row = next((row for row in self.facts.knowledge.rows.get(key or "", ()) if row.kind == "durability-setting"), None)
            if row is None or not self.facts.is_constant(element.value, *row.get("weak", [])) or self._is_scratch(node):
                continue
            if any(named_like(other, *row.get("beside", [])) for other in keys if other is not None):
                self._report(
                    element.key,
                    f"`{key}: {self.facts.code(element.value)}`",
                    row.confidence,
                    row,
                    (replaced(self.facts, element.value, row.get("strong", "")),),
                )

    # -- statements -------------------------------------------------------------------------------------------------------

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._check_statement(node)

    def visit_FormattedString(self, node: cst.FormattedString) -> None:
        self._check_statement(node)

    def _check_statement(self, node: cst.SimpleString | cst.FormattedString) -> None:
        text = string_parts(node)
        found = (_PRAGMA.search(text) or _SESSION.search(text)) if text is not None else None
        if found is None or self._is_scratch(node) or isinstance(self.facts.tree.parent(node), cst.Expr):
            return
        if self._beside_memory(node) or self._is_asked_for(node):
            return
        self.report(
            node,
            f"`{found.group(0)}` lets a commit return before anything is on the disk: a power cut loses committed "
            "rows and can corrupt the database",
            confidence=Confidence.HIGH,
            trace=[(node, "durability is switched off here")],
            fix=lambda: self._switched_on(node),
        )

    def _switched_on(self, node: cst.SimpleString | cst.FormattedString) -> Fix:
        old = source_of(self.facts, node)
        new = _UNLOGGED.sub("", _OFF.sub(lambda found: found[1] + ("NORMAL" if "pragma" in old.lower() else "on"), old))
        words = "leave it on; with a write-ahead log `synchronous=NORMAL` is nearly as fast and cannot corrupt the database"
        if "pragma" not in old.lower():
            words = "leave it on, or switch it off for single transactions whose loss harms nobody"
        if new == old or node.lpar:
            return Fix(Applicability.SUGGESTION, words)
        return Fix(Applicability.UNSAFE, words, (replaced(self.facts, node, new),))

    def _is_asked_for(self, node: cst.CSTNode) -> bool:
        """True under a test of an option that is about just this: its user has chosen."""
        flow = self.facts.flow_around(node)
        tests = (test for point in flow.points_of(node)[:1] for test, _outcome in self.facts.dominators(flow).guards(point))
        return any(
            _OPTION.search((last_name(n) or "").lower())
            for test in tests
            if not isinstance(test, cst.For)
            for n in descendants(test)
            if isinstance(n, (cst.Name, cst.Attribute))
        )

    def _beside_memory(self, node: cst.CSTNode) -> bool:
        function = self.facts.tree.function_of(node) or self.facts.tree.module
        body = function if isinstance(function, cst.Module) else function.body
        opened = (
            n.args[0].value for n in descendants(body) if isinstance(n, cst.Call) and n.args and last_name(n.func) == "connect"
        )
        if any(self.facts.files.is_temporary(path) for path in opened):
            return True
        texts = (string_parts(n) for n in descendants(body) if isinstance(n, (cst.SimpleString, cst.FormattedString)))
        return any(
            text is not None and (":memory:" in text or "mode=memory" in text or "journal_mode=off" in text.lower())
            for text in texts
        )
