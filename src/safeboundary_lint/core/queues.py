"""Which queues are meant to vanish: exclusive, auto-delete, reply and broadcast queues, whose messages nobody can lose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string_parts
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_FLAGS = frozenset("exclusive auto_delete autodelete".split())
_REPLY = Regex(
    r"(?:^|[._\W])(?:repl(?:y|ies)|rpc|response|responses|result|results|callback_queue|pidbox|broadcast|fanout|amq\.|"
    r"control|temporary|ephemeral|heartbeat|"
    r"telemetry|metrics|realtime|presence|notifications?_?socket|websocket|ws)(?:$|[._\W\d])",
    re.IGNORECASE,
)


class Queues:
    """What one file says about the queues it declares."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._ephemeral: set[int] | None = None

    def is_reply(self, expression: cst.CSTNode | None) -> bool:
        """True when a queue's name, or what holds it, tells of answers or broadcasts; an empty name is the broker's choice."""
        if expression is None:
            return False
        texts = [name] if (name := last_name(expression)) is not None else []
        for origin in self.facts.origins.trail(expression)[:6]:
            text = string_parts(origin.node)
            if text == "":
                return True
            texts += [one for one in (text, last_name(origin.node)) if one]
        return any(_REPLY.search(text.replace("-", "_")) for text in texts)

    def is_answer(self, call: cst.Call) -> bool:
        """True for a publish of which an argument tells that it answers, or tells everybody who happens to listen."""
        return any(self.is_named_reply(self.facts.code(arg.value, 200)) for arg in call.args)

    @staticmethod
    def is_named_reply(text: str) -> bool:
        """True when the name of a function, class or queue tells that it is about answers or broadcasts."""
        return _REPLY.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text).replace("-", "_")) is not None

    def ephemeral_around(self, node: cst.CSTNode) -> bool:
        """True when the class (outside classes: the file) around `node` only declares queues that vanish with their consumer."""
        if self._ephemeral is None:
            self._ephemeral = self._gather()
        return id(self.facts.tree.class_of(node) or self.facts.tree.module) in self._ephemeral

    def _gather(self) -> set[int]:
        vanishing: dict[int, list[bool]] = {}
        for call in self.facts.tree.all(cst.Call):
            name = (last_name(call.func) or "").lower()
            if "queue" not in name or not call.args:
                continue
            on = {arg.keyword.value for arg in call.args if arg.keyword is not None and self.facts.is_constant(arg.value, True)}
            if name in ("queue_declare", "declare_queue", "queue", "broadcast"):
                key = id(self.facts.tree.class_of(call) or self.facts.tree.module)
                vanishing.setdefault(key, []).append(bool(on & _FLAGS))
        return {key for key, several in vanishing.items() if all(several)}
