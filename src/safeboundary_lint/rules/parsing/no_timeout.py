"""SBL409: a network call that waits for ever."""

from __future__ import annotations

from collections import defaultdict

import libcst as cst

from safeboundary_lint.core.calls import argument, keyword_names, string, unpacks
from safeboundary_lint.core.dispatch import SIBLINGS, Dispatch
from safeboundary_lint.core.edits import argument_added, lines_before, lines_behind, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes import chosen_attribute
from safeboundary_lint.core.terminals import somebody_waits
from safeboundary_lint.core.tree import descendants

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_RECEIVERS = ("recv", "recv_into", "recvfrom", "read", "readline", "makefile", "readinto", "recvmsg")
_SETTERS = ("settimeout", "setblocking", "wait_for", "sock_connect", "set_timeout")


class NoTimeout(Rule):
    """A network call has no timeout, and its library waits for ever by default.

    What it does
    ------------
    Finds calls that wait for another host without a limit: `requests` functions and sessions, `urlopen`, sockets, `smtplib`,
    `ftplib`, `http.client`, DNS queries, SSH and Postgres connections, and calls that switch off the
    default timeout of a library that has one.

    Why it matters
    --------------
    A host that accepts the connection and then says nothing holds the thread for ever. Worker after worker ends up there, with
    nothing in any log, until none is left.

    Example
    -------

        import requests

        def notify(webhook_url, event):
            response = requests.post(webhook_url, json=event)
            response.raise_for_status()

    Instead
    -------

        import requests

        def notify(webhook_url, event):
            response = requests.post(webhook_url, json=event, timeout=10)
            response.raise_for_status()

    Stays silent when
    -----------------
    The library has a default timeout (httpx, aiohttp, redis) and it isn't switched off; `**kwargs` may hold one; the file calls
    `socket.setdefaulttimeout`, sets a timeout on the socket, or mounts an adapter that has one.

    Fix safety
    ----------
    Unsafe: a timeout of 10 seconds is added, or set on the socket before it connects, and whoever calls must be ready for the
    error it raises. A suggestion where the call takes no timeout, and where somebody wrote that it may wait for ever.

    Known limits
    ------------
    Sessions and timeouts that are set up in another file are not seen. redis-py has a default timeout since version 8 only. Where
    somebody waits who can stop it, a finding has low confidence: in a function that asks its user (`input`, `getpass`), itself or by
    its callers, in a class of commands, and in a module that reads options (argparse, click) and doesn't run for ever. So has a
    timeout that is switched off where the answer is handed on piece by piece.
    """

    code, name, since, severity = "SBL409", "no-timeout", "0.1", Severity.WARNING
    overlaps = ("ruff:S113", "bandit:B113", "pylint:W3101")
    needs = (("network-call", *(f"network-call.{name}" for name in SIBLINGS)), ("network-call", chosen_attribute))
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        dispatch = Dispatch(self.facts)
        calls = [*self.facts.calls("network-call"), *dispatch.calls("network-call")]
        handed = [match for match in dispatch.handed("network-call") if self._is_handed_untimed(match)]
        if not (calls or handed) or self.facts.calls("default-timeout"):
            return
        waiting: dict[int, list[Match]] = defaultdict(list)
        for match in calls:
            if self._waits(match):
                choice = self.facts.tree.enclosing(match.call, cst.IfExp)
                waiting[id(choice if choice is not None else match.call)].append(match)
        for several in [*waiting.values(), *([match] for match in handed)]:  # `A() if secure else B()` is one client
            self._tell(*several)

    def _is_handed_untimed(self, match: Match) -> bool:
        """`pool.submit(requests.get, url)`: nothing that is handed over with it is a timeout."""
        unknown = match.row.get("object") or match.row.get("off") is not None or match.row.parameter("timeout") is None
        return not unknown and not unpacks(match.call) and not self._names_timeout(match.call)

    def _waits(self, match: Match) -> bool:
        call = match.call
        if (given := self._given(match)) is not None:
            return self.facts.is_constant(given, None)
        waits = match.row.get("off") is None and not unpacks(call) and self._is_meant(match) and not self._set_elsewhere(match)
        return waits and not self.facts.urls.is_inline(call)

    def _is_meant(self, match: Match) -> bool:
        """A receiver known by its name alone must be given something that looks like a URL."""
        url = match.row.parameter("url")
        return url is None or self.facts.urls.looks_like_one(argument(match.call, url))

    def _set_elsewhere(self, match: Match) -> bool:
        call = match.call
        if keyword_names(call) & set(match.row.get("unless", ())):
            return True
        if match.row.get("object"):
            return self._object_has_timeout(call)
        if self._is_given_timeout_later(call) or self._is_read_with_timeout(match):
            return True
        receiver = call.func.value if isinstance(call.func, cst.Attribute) else None
        if receiver is None or self.facts.names.qualified(call.func) is not None:
            return False
        return self._is_made_with_timeout(receiver) or self._session_has_timeout(self.facts.origins.place(receiver))

    def _is_given_timeout_later(self, call: cst.Call) -> bool:
        """`client = FTP()`, then `client.connect(host, timeout=30)`."""
        return any(
            isinstance(other.func, cst.Attribute)
            and other.func.attr.value in ("connect", "open")
            and "timeout" in keyword_names(other)
            and any(origin.node is call for origin in self.facts.origins.trail(other.func.value))
            for other in self.facts.tree.all(cst.Call)
        )

    def _is_read_with_timeout(self, match: Match) -> bool:
        """`telnet.read_until(prompt, 5)`: all that waits for what it gives is told how long, and nothing but the connect is left."""
        waiting = match.row.get("reads", ())
        reads = [one for one in self.facts.tree.all(cst.Call) if waiting and last_name(one.func) in waiting]
        return bool(waiting) and all(argument(one, "timeout", 1) is not None for one in reads)

    def _passes_pieces_on(self, call: cst.Call) -> bool:
        """The function hands an answer on while it comes in: somebody else's stream may last."""
        function = self.facts.tree.function_of(call)
        return function is not None and any(
            named_like(last_name(one.func), "iter_*", "aiter_*") for one in self.facts.summaries.calls_of(function)
        )

    def _is_made_with_timeout(self, receiver: cst.BaseExpression) -> bool:
        """Its constructor is given a timeout, or its class in this file sends requests in a way of its own."""
        made = [origin.node for origin in self.facts.origins.trail(receiver) if isinstance(origin.node, cst.Call)]
        if any(keyword_names(call) & {"timeout", "default_timeout"} for call in made):
            return True
        found = self.facts.types.of(receiver)
        return (
            found is not None
            and found.local is not None
            and any(
                named_like(name, "send", "request*")
                for cls in self.facts.types.local_lineage(found.local)
                for name in self.facts.names.scope_of(cls.body).bindings
            )
        )

    def _session_has_timeout(self, session: str | None) -> bool:
        """An adapter mounted on the session names a timeout, or its request method is replaced by one that does."""
        place = self.facts.origins.place
        mounted = (
            call
            for call in self.facts.tree.all(cst.Call)
            if isinstance(call.func, cst.Attribute) and call.func.attr.value == "mount"
        )
        if any(
            isinstance(call.func, cst.Attribute) and place(call.func.value) == session and self._names_timeout(call)
            for call in mounted
        ):
            return True
        return any(
            isinstance(store.target, cst.Attribute)
            and named_like(store.target.attr.value, "request*", "send", "*timeout*")
            and place(store.target.value) == session
            for store in self.facts.names.stores
        )

    def _object_has_timeout(self, call: cst.Call) -> bool:
        """A socket: `settimeout` or `setblocking` on what it is called, a Unix socket, or an event loop's."""
        tree = self.facts.tree
        if any(string(node) in _LOOPBACK for node in descendants(call) if isinstance(node, cst.SimpleString)):
            return True
        own = self.facts.summaries.calls_of(tree.function_of(call) or tree.module)
        if any(last_name(other.func) in _SETTERS for other in own) or any(
            last_name(node) == "AF_UNIX" for node in tree.all(cst.Attribute)
        ):
            return True
        owner = tree.class_of(call)
        around = own if owner is None else [other for other in tree.all(cst.Call) if tree.class_of(other) is owner]
        names = {last_name(other.func) for other in around}
        return not names.isdisjoint(_SETTERS) or (
            last_name(call.func) == "connect" and names.isdisjoint(_RECEIVERS)
        )  # connecting alone ends with TCP

    def _is_meant_to_wait(self, call: cst.Call, given: cst.BaseExpression | None) -> bool:
        return somebody_waits(self.facts, call) or given is not None and self._passes_pieces_on(call)

    @staticmethod
    def _names_timeout(call: cst.Call) -> bool:
        return any(
            isinstance(node, cst.Name) and "timeout" in node.value.lower()
            for arg in call.args
            for node in (arg.keyword, *descendants(arg.value))
        )

    def _tell(self, match: Match, *others: Match) -> None:
        """Tells a call that waits for ever, with those that are made in its stead."""
        given = self._given(match)
        called = self.facts.code(match.call.func)
        how = "switches its timeout off" if given is not None else "has no timeout"
        self.report(
            match.call,
            f"`{called}` {how}: when the other side accepts and then stays silent, this waits for ever",
            confidence=Confidence.LOW if self._is_meant_to_wait(match.call, given) else match.confidence,
            fix=lambda: self._fix_of_all([match, *others]),
        )

    @staticmethod
    def _given(match: Match) -> cst.BaseExpression | None:
        parameter = match.row.parameter("timeout")
        return argument(match.call, parameter) if parameter is not None else None

    def _fix_of_all(self, matches: list[Match]) -> Fix:
        first, *others = (self._fix(match, self._given(match)) for match in matches)
        if any(other.applicability != first.applicability or not other.edits for other in others):
            return Fix(Applicability.SUGGESTION, first.message)
        edits = tuple(edit for fix in (first, *others) for edit in fix.edits)
        imports = tuple(dict.fromkeys(line for fix in (first, *others) for line in fix.imports))
        return Fix(first.applicability, first.message, edits, imports)

    def _fix(self, match: Match, given: cst.BaseExpression | None) -> Fix:
        parameter = match.row.parameter("timeout")
        if parameter is not None and self.facts.match(match.call, "network-call") is None and self._is_handed_over(match):
            return Fix(Applicability.SUGGESTION, f"hand over a call that is given `{parameter.name}`")
        if parameter is None:
            return self._set_first(match) if match.row.get("object") else self._rewritten(match)
        value = match.row.get("value", "10")
        if given is not None:
            words = f"give `{parameter.name}` a value, for example `{parameter.name}={value}`"
            module = value.partition("(")[0].rpartition(".")[0]
            edit = replaced(self.facts, given, value)
            # Somebody wrote that it may wait for ever: a stream, a long poll.
            return Fix(Applicability.SUGGESTION, words, (edit,), (f"import {module}",) if module else ())
        words = f"add `{parameter.name}={value}`"
        added = argument_added(self.facts, match.call, f"{parameter.name}={value}")
        return Fix(Applicability.UNSAFE, words, (added,)) if added is not None else Fix(Applicability.SUGGESTION, words)

    def _is_handed_over(self, match: Match) -> bool:
        return any(self.facts.match(arg.value, "network-call") is not None for arg in match.call.args if not isinstance(arg.value, cst.Call))

    def _set_first(self, match: Match) -> Fix:
        """A socket that is given its timeout before it connects."""
        func = match.call.func
        words = f"give what `{self.facts.code(func)}` waits on a timeout first"
        if not isinstance(func, cst.Attribute) or not isinstance(func.value, (cst.Name, cst.Attribute)):
            return Fix(Applicability.SUGGESTION, words)
        first = lines_before(self.facts, match.call, f"{source_of(self.facts, func.value)}.settimeout(10)")
        return Fix(Applicability.UNSAFE, words, (first,)) if first is not None else Fix(Applicability.SUGGESTION, words)

    def _rewritten(self, match: Match) -> Fix:
        """A call that takes no timeout, put into words that do."""
        call, statement = match.call, self.facts.tree.statement_of(match.call)
        words = f"use a call that takes a timeout instead of `{self.facts.code(call.func)}`"
        lines, plain = match.row.get("instead", ()), not any(arg.keyword or arg.star for arg in call.args)
        alone = isinstance(statement, cst.Expr) and statement.value is call
        if not (lines and plain and alone and len(call.args) == 2 and isinstance(call.func, cst.Attribute)):
            return Fix(Applicability.SUGGESTION, words)
        module = source_of(self.facts, call.func.value)
        first, *rest = (line.format(*(source_of(self.facts, arg.value) for arg in call.args), module=module) for line in lines)
        behind = lines_behind(self.facts, statement, *rest)
        edits = (replaced(self.facts, statement, first), behind) if behind is not None else ()
        return Fix(Applicability.SUGGESTION, words, edits, tuple(match.row.get("needed", ())) if edits else ())
