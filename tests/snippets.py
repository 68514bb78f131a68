"""Snippets of Python for the tests of the core: facts about a text, and its nodes found by what they say."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import libcst as cst

from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.knowledge import Knowledge, load, validate_user_rows

# Rows about a library that does not exist, so that the tests of the core hold whatever the shipped rows say.
ROWS: Mapping[str, Any] = {
    "ack": [{"names": ["lib.Channel.ack"]}],
    "durable-write": [{"names": ["lib.Store.put"]}],
    "publish": [{"names": ["lib.send", "lib.Channel.send"]}, {"names": ["*.shout"], "receivers": ["*bus*"], "imports": ["lib"]}],
    "wall-clock": [{"names": ["lib.wall"]}],
    "monotonic-clock": [{"names": ["lib.steady"]}],
    "suppress": [{"names": ["lib.quiet"]}],
    "exit": [{"names": ["lib.stop"]}],
    "no-raise": [{"names": ["lib.note"]}],
    "pass-through": [{"names": ["lib.same"], "value": {"name": "value", "position": 0}}],
    "aliases": {"lib.short.Channel": "lib.Channel", "lib.say": "lib.send"},
    "returns": {"lib.connect": "lib.Connection", "lib.Connection.channel": "lib.Channel", "lib.Connection.store": "lib.Store", "lib.pair.[1]": "lib.Channel"},
    "enters": {"lib.Session": "lib.Channel"},
    "items": {"lib.Inbox": "lib.Message"},
    "bases": {"lib.FastChannel": "lib.Channel", "lib.Lost": "builtins.OSError", "lib.Gone": ["lib.Lost", "builtins.ValueError"]},
    "callback": [{"names": ["lib.subscribe"], "parameter": "on_message", "position": 0, "gives": ["lib.Channel", "lib.Message"]}],
}


def knowledge(rows: Mapping[str, Any] = ROWS) -> Knowledge:
    """The shipped rows and those of the test."""
    return load(validate_user_rows(rows))


class Snippet:
    """Facts about a text, which is dedented first."""

    def __init__(self, text: str, rows: Mapping[str, Any] = ROWS) -> None:
        self.text = textwrap.dedent(text).strip("\n") + "\n"
        self.facts = Facts(cst.parse_module(self.text), knowledge(rows))

    def code(self, node: cst.CSTNode) -> str:
        """The source of a node."""
        return self.facts.tree.module.code_for_node(node).strip()

    def function(self, name: str = "f") -> cst.FunctionDef:
        """The function of this name."""
        return next(node for node in self.facts.tree.all(cst.FunctionDef) if node.name.value == name)

    def cls(self, name: str) -> cst.ClassDef:
        """The class of this name."""
        return next(node for node in self.facts.tree.all(cst.ClassDef) if node.name.value == name)

    def expressions(self, code: str) -> list[cst.BaseExpression]:
        """Every expression of this source, in evaluation order."""
        wanted = type(cst.parse_expression(code))
        return [node for node in self.facts.tree.all(wanted) if self.code(node) == code]

    def expression(self, code: str) -> cst.BaseExpression:
        """The first expression of this source."""
        return self.expressions(code)[0]

    def used(self, name: str, by: str = "use") -> cst.Name:
        """The name as it is handed to the call `use(name)`."""
        calls = (call for call in self.facts.tree.all(cst.Call) if isinstance(call.func, cst.Name) and call.func.value == by)
        return next(arg.value for call in calls for arg in call.args if isinstance(arg.value, cst.Name) and arg.value.value == name)
