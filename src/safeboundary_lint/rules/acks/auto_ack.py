"""SBL302: the broker forgets a message when it delivers it, not when its work is done."""

from __future__ import annotations


import libcst as cst

from safeboundary_lint.core.calls import argument, string, unpacks
from safeboundary_lint.core.edits import argument_added, inserted_after, replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import dotted_text
from safeboundary_lint.core.properties import cached_property
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.rules.acks import manual_acks

_CONSUMER_KEYS = (
    "group[._]id",
    "auto[._]offset[._]reset",
    "session[._]timeout[._]ms",
    "max[._]poll[._]*",
    "partition[._]assignment[._]strategy",
)


class AutoAck(Rule):
    """A consumer acknowledges on delivery and then does work, so that a crash in the middle loses the message.

    What it does
    ------------
    Finds consumers for which delivery is the acknowledgement: `auto_ack=True`, `no_ack=True`, Kafka's automatic commit (by
    value, or by default when there is a group id), and values popped off a shared list by `blpop` or `lpop` in a loop, held
    only in memory.

    Why it matters
    --------------
    A message that is acknowledged on delivery exists only in this process. Every deploy, crash and out-of-memory kill throws
    away whatever is being worked on or waits in memory, and the broker will not deliver it again.

    Example
    -------

        import pika

        def on_order(channel, method, properties, body):
            store_order(body)

        def work(connection):
            channel = pika.BlockingConnection(connection).channel()
            channel.basic_consume(queue="orders", on_message_callback=on_order, auto_ack=True)
            channel.start_consuming()

    Instead
    -------

        import pika

        def on_order(channel, method, properties, body):
            store_order(body)
            channel.basic_ack(delivery_tag=method.delivery_tag)

        def work(connection):
            channel = pika.BlockingConnection(connection).channel()
            channel.basic_consume(queue="orders", on_message_callback=on_order)
            channel.start_consuming()

    Stays silent when
    -----------------
    There is no group id; the queue is exclusive, auto-delete, or a reply queue; offsets are stored by the code
    (`"enable.auto.offset.store": False`); the callback of this file does nothing but remember the message.

    Fix safety
    ----------
    A suggestion: the manual ack stands at the end of the callback or of the loop where that is in sight. Whether the work ends
    there, and what is to happen to a message that fails again and again, the author knows.

    Known limits
    ------------
    Settings that come from another file are not seen. A Celery task that is acknowledged late but not rejected when its worker
    is lost is told as information.
    """

    code, name, since, severity = "SBL302", "auto-ack", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("consume", "consumer-setting", "destructive-pop", "late-ack"),)

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("consume"):
            self._check_consumer(match)
        for match in self.facts.calls("destructive-pop"):
            self._check_pop(match)
        self._check_stores()
        for match in self.facts.calls("late-ack"):
            self._check_late(match)

    # -- consumers that are told by an argument -------------------------------------------------------------------------

    def _check_consumer(self, match: Match) -> None:
        if self._vanishes(match):
            return
        parameter = match.row.parameter("auto_ack")
        if parameter is None:
            self._check_default_settings(match)
            return
        name = parameter.name
        if (value := argument(match.call, parameter)) is None and (former := match.row.get("former")) is not None:
            name, value = former, argument(match.call, former)
        wanted = match.row.get("on", [True])
        if value is not None:
            confidence = match.confidence if self.facts.is_constant(value, *wanted) else None
            if confidence is None and any(self.facts.is_constant(o.node, True) for o in self.facts.origins.step(value)):
                confidence = Confidence.MEDIUM  # a parameter whose default acknowledges
            if confidence is not None and self._works(match):
                by_hand = manual_acks.acknowledged_by_hand(self.facts, match, name, value)
                self._report(match.node, f"{name}={self.facts.code(value)}", confidence, by_hand)
        elif match.row.get("default") and not unpacks(match.call) and self._has_group(match) and self._works(match):
            sure = Confidence.HIGH if self.facts.calls("hand-over") else Confidence.MEDIUM
            by_hand = manual_acks.acknowledged_by_hand(self.facts, match, name, None)
            self._report(
                match.node, f"{parameter.name} is on unless it is turned off", Confidence.weakest(sure, match.confidence), by_hand
            )

    def _has_group(self, match: Match) -> bool:
        parameter = match.row.parameter("group")
        group = argument(match.call, parameter) if parameter is not None else None
        return group is not None and not self.facts.is_constant(group, None)

    def _vanishes(self, match: Match) -> bool:
        queue = match.row.parameter("queue")
        on = [arg for arg in match.call.args if arg.keyword is not None and arg.keyword.value in ("exclusive", "auto_delete")]
        if any(self.facts.is_constant(arg.value, True) for arg in on) or self.facts.queues.ephemeral_around(match.node):
            return True
        if queue is not None and self.facts.queues.is_reply(argument(match.call, queue)):
            return True
        symbol = self.facts.tree.symbol_of(match.node).lower()
        return any(
            word in symbol
            for word in ("repl", "rpc", "response", "purge", "drain", "peek", "inspect", "mailbox", "gossip", "broadcast")
        )

    def _works(self, match: Match) -> bool:
        """False when the callback is known and only remembers what it gets."""
        parameter = match.row.parameter("callback")
        callback = argument(match.call, parameter) if parameter is not None else None
        if callback is None:
            return True
        function = self.facts.types.definition(callback)
        if not isinstance(function, (cst.FunctionDef, cst.Lambda)):
            return True
        remembers = ("append", "extend", "set", "put", "put_nowait", "set_result", "appendleft", "add")
        calls = [call for call in self.facts.summaries.calls_of(function) if self.facts.exceptions.can_raise(call)]
        done = [
            call
            for call in calls
            if not (isinstance(call.func, cst.Attribute) and call.func.attr.value in (*remembers, "get", "decode"))
        ]
        return bool(self.facts.work.of(function)) or bool(done) or any(self.facts.match(call, "hand-over") for call in calls)

    def _report(self, node: cst.CSTNode, how: str, confidence: Confidence, by_hand: tuple[Edit, ...] = ()) -> None:
        handed = next(iter(self.facts.calls("hand-over")), None)
        trace = [(node, f"delivery is the acknowledgement: {how}")]
        if handed is not None:
            trace.append((handed.node, "what was delivered is kept in memory from here on"))
        self.report(
            node,
            f"the broker forgets each message once it is delivered ({how}): a crash while it is being worked on loses it",
            confidence=confidence,
            trace=trace,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "turn it off, and acknowledge (or commit the offset) as the last step of the work",
                by_hand,
            ),
        )

    # -- settings in dicts --------------------------------------------------------------------------------------------

    @cached_property
    def _keys(self) -> set[str]:
        """Every string in the file."""
        return {text for node in self.facts.tree.all(cst.SimpleString) if (text := string(node)) is not None}

    def _setting(self, key: str | None, *, off: bool) -> list[object] | None:
        rows = self.facts.knowledge.rows.get(key or "", ())
        return next((row.get("on", []) for row in rows if row.kind == "consumer-setting" and bool(row.get("off")) is off), None)

    def _off_in_file(self) -> bool:
        return any(self._setting(key, off=True) is not None for key in self._keys)

    def visit_Dict(self, node: cst.Dict) -> None:
        elements = [element for element in node.elements if isinstance(element, cst.DictElement)]
        keys = [string(element.key) for element in elements]
        if not any(named_like(key, *_CONSUMER_KEYS) for key in keys):
            return
        for key, element in zip(keys, elements, strict=True):
            values = self._setting(key, off=False)
            if values is not None and self.facts.is_constant(element.value, *values) and not self._off_in_file():
                self._report(element.key, f'"{key}": {self.facts.code(element.value)}', Confidence.HIGH, self._off(element.value))

    def _check_stores(self) -> None:
        """`settings["enable.auto.commit"] = True`."""
        for store in self.facts.names.stores:
            key = (
                string(store.target.slice[0].slice.value)
                if isinstance(store.target, cst.Subscript) and isinstance(store.target.slice[0].slice, cst.Index)
                else None
            )
            values = self._setting(key, off=False)
            if (
                values is not None
                and store.source is not None
                and self.facts.is_constant(store.source, *values)
                and not self._off_in_file()
            ):
                how = f'"{key}": {self.facts.code(store.source)}'
                self._report(store.target, how, Confidence.MEDIUM, self._off(store.source))

    def _off(self, value: cst.CSTNode) -> tuple[Edit, ...]:
        """The setting's other value, as text where it is given as text."""
        return (replaced(self.facts, value, '"false"' if string(value) is not None else "False"),)

    def _check_default_settings(self, match: Match) -> None:
        """Settings with a group and without a word about committing: automatic commit is the default."""
        parameter = match.row.parameter("config")
        config = argument(match.call, parameter) if parameter is not None else None
        spoken_of = any(self._setting(key, off=off) is not None for key in self._keys for off in (True, False))
        if config is None or spoken_of:
            return
        dicts = [origin.node for origin in self.facts.origins.trail(config) if isinstance(origin.node, cst.Dict)]
        for found in [*dicts, *self._added(config)]:
            plain = [e for e in found.elements if isinstance(e, cst.DictElement)]
            if len(plain) == len(found.elements) and any(named_like(string(e.key), "group[._]id") for e in plain):
                self._report(
                    match.node,
                    "automatic commit is on unless it is turned off",
                    Confidence.weakest(match.confidence, Confidence.MEDIUM),
                    (inserted_after(self.facts, plain[-1].value, ', "enable.auto.commit": False'),),
                )
                return

    def _added(self, config: cst.BaseExpression) -> list[cst.Dict]:
        """Dicts that settings are extended by in the same function: `config.update({...})`."""
        function = self.facts.tree.function_of(config) or self.facts.tree.module
        return [
            call.args[0].value
            for call in self.facts.summaries.calls_of(function)
            if isinstance(call.func, cst.Attribute)
            and call.func.attr.value == "update"
            and dotted_text(call.func.value) == dotted_text(config) is not None
            and len(call.args) == 1
            and isinstance(call.args[0].value, cst.Dict)
        ]

    # -- lists as queues ------------------------------------------------------------------------------------------------

    def _check_pop(self, match: Match) -> None:
        tree = self.facts.tree
        function = tree.function_of(match.node)
        loop = tree.enclosing(match.node, cst.While, cst.For)
        if (
            not isinstance(function, cst.FunctionDef)
            or not match.call.args
            or self.facts.queues.is_reply(match.call.args[0].value)
        ):
            return
        effects = self.facts.summaries.calls_of(function)
        kept = any(self.facts.match(call, "enqueue", "publish") is not None or _marks(call) for call in effects)
        looped = loop is not None and tree.function_of(loop) is function
        blocking = match.dotted.rpartition(".")[2].startswith("b")
        statement = tree.statement_of(match.node)
        if (
            kept
            or isinstance(statement, cst.Expr)
            or not (looped and any(w.call is not match.node for w in self.facts.work.of(function)))
        ):
            return
        self.report(
            match.node,
            f"`{self.facts.code(match.node)}` takes the value out of the list before its work is done: a crash in "
            "between loses it",
            confidence=Confidence.weakest(match.confidence, Confidence.MEDIUM if blocking else Confidence.LOW),
            trace=[(match.node, "from here on the value is only in this process")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "move it to a list of work in progress (`lmove`), and remove it from there when the work is done",
                manual_acks.worked_off_from_a_copy(self.facts, match),
            ),
        )

    # -- late acknowledgement ---------------------------------------------------------------------------------------------

    def _check_late(self, match: Match) -> None:
        parameter, also = match.row.parameter("parameter"), match.row.get("also")
        value = argument(match.call, parameter) if parameter is not None else None
        if parameter is None or value is None or not self.facts.is_constant(value, True):
            return
        if not unpacks(match.call) and argument(match.call, also) is None and match.row.get("setting") not in self._keys:
            self.report(
                match.node,
                f"a task whose worker is killed is acknowledged although it did not end: `{also}` is not set beside "
                f"`{parameter.name}`",
                severity=Severity.INFO,
                confidence=match.confidence,
                fix=lambda: Fix(
                    Applicability.SUGGESTION,
                    f"add `{also}=True` when the task can be run again",
                    tuple(filter(None, [argument_added(self.facts, match.call, f"{also}=True")])),
                ),
            )


def _marks(call: cst.Call) -> bool:
    """A value that is noted down elsewhere as being worked on."""
    return isinstance(call.func, cst.Attribute) and call.func.attr.value in (
        "hset",
        "zadd",
        "sadd",
        "set",
        "setex",
        "hmset",
        "lmove",
        "rpoplpush",
    )
