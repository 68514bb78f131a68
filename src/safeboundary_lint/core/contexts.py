"""TLS contexts that check nothing because nobody has told them to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import keyword_names
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.weakening import CERTIFICATE, Weakening

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_TOLD = ("verify_mode", "check_hostname")
_GIVEN_AS = ("context", "ssl", "ssl_context", "sslcontext", "tls_context")
_CLIENTS = ("*connect*", "*urlopen*", "*https*", "*smtp*", "*imap*", "*pop3*", "*ftp*", "*client*", "*starttls*", "*start_tls*", "*stls*")
_SERVERS = ("*serv*", "*listen*", "*accept*", "*bind*")


def silent_contexts(facts: Facts) -> Iterator[Weakening]:
    """`SSLContext(PROTOCOL_TLS)` that a client uses as it is: only the protocol for clients checks by itself."""
    for match in facts.calls("tls-context"):
        checking = match.row.get("checking", ())
        protocol = match.call.args[0].value if match.call.args else None
        if not checking or protocol is not None and _qualified(facts, protocol) & set(checking):
            continue
        above = facts.tree.parent(match.call)
        place = facts.origins.place(above.targets[0].target) if isinstance(above, cst.Assign) else None
        if place is not None and _is_client(facts, match, place):
            yield Weakening(
                match.call,
                CERTIFICATE,
                facts.code(match.call),
                "context",
                Confidence.weakest(match.confidence, Confidence.MEDIUM),
                protocol,
                match.row.get("safe"),
                match.call,
                place,
                row=match.row,
            )


def _qualified(facts: Facts, protocol: cst.BaseExpression) -> set[str]:
    named = (origin.node for origin in facts.origins.trail(protocol))
    return {facts.knowledge.canonical(dotted) for node in named if (dotted := facts.names.qualified(node)) is not None}


def _is_client(facts: Facts, match: Match, place: str) -> bool:
    """The function that makes the context connects with it, and neither it nor its class says what to check."""
    function = facts.tree.function_of(match.call)
    around = facts.tree.class_of(match.call) or function
    if function is None or around is None or named_like(function.name.value if isinstance(function, cst.FunctionDef) else "", *_SERVERS):
        return False
    if any(isinstance(node, cst.Attribute) and node.attr.value in _TOLD for node in descendants(around)):
        return False
    return any(_connects(facts, call, place) for call in descendants(function.body) if isinstance(call, cst.Call))


def _connects(facts: Facts, call: cst.Call, place: str) -> bool:
    name = last_name(call.func) or ""
    if name == "wrap_socket" and isinstance(call.func, cst.Attribute) and facts.origins.place(call.func.value) == place:
        return "server_hostname" in keyword_names(call)
    given = (arg for arg in call.args if arg.keyword is not None and arg.keyword.value in _GIVEN_AS)
    named = named_like(name.lower(), *_CLIENTS) and not named_like(name.lower(), *_SERVERS)
    return named and any(facts.origins.place(arg.value) == place for arg in given)
