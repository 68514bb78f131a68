"""SBL408: a map keyed by what clients send is never made smaller."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.boundary import PEER
from safeboundary_lint.core.caps import capped, item_cap
from safeboundary_lint.core.edits import lines_before, source_of
from safeboundary_lint.core.finding import Confidence, Edit, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.keyed import Keyed
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.parsing import KEPT_STATE, PEER_STATE, TALLIES, TALLY, makes_map
from safeboundary_lint.core.tree import descendants

_CLIENTS = (
    "ip", "*_ip", "ip_*", "*ip_addr*", "*client*", "*remote*", "*peer*", "addr", "*_addr", "address", "sender", "*sender_id",
    "*fingerprint*", "*device_id", "mac", "*user_agent*", "*api_key*", "email", "phone*", "*identifier*", "*caller_id*",
    "source_ip", "host_ip", "*user_id", "*chat_id", "*session_id", "*conversation_id", "username",
)  # fmt: skip
_KEYS = (
    "key",
    "*_key",
    "uid",
    "*_uid",
    "*_id",
    "id",
    "ident",
    "identity",
    "name",
    "username",
    "host",
    "token",
    "identifier",
    "source",
    "user",
    "topic",
)
_STRANGERS = (
    "ip", "*_ip", "client_id", "*client_ip", "remote_addr*", "user_id", "uid", "chat_id", "session_id", "conversation_id", "sender_id",
    "email", "phone*", "thread_id", "channel_id", "guild_id", "caller_id", "device_id", "username",
)  # fmt: skip


class UnboundedKeyedState(Rule):
    """A map in memory is keyed by what clients send, and nothing ever takes a key out.

    What it does
    ------------
    Finds dicts of a class or of the module whose keys are client addresses, identifiers of senders, tokens and the like (rate
    limiters, trackers, caches of last times), with no removal, no expiry and no check of the number of keys.

    Why it matters
    --------------
    Every new client leaves an entry for ever. Someone who can choose the key, an IPv6 address or a header, makes the
    process run out of memory by sending small requests, through the very code that should limit them.

    Example
    -------

        import time
        from collections import defaultdict

        class RateLimiter:
            def __init__(self, limit, window):
                self.limit, self.window = limit, window
                self.hits = defaultdict(list)

            def allow(self, client_ip):
                now = time.monotonic()
                recent = [at for at in self.hits[client_ip] if now - at < self.window]
                self.hits[client_ip] = recent
                recent.append(now)
                return len(recent) <= self.limit

    Instead
    -------

        import time

        class RateLimiter:
            def __init__(self, limit, window):
                self.limit, self.window = limit, window
                self.hits = {}

            def allow(self, client_ip):
                now = time.monotonic()
                recent = [at for at in self.hits.get(client_ip, ()) if now - at < self.window]
                recent.append(now)
                self.hits[client_ip] = recent
                self.drop_idle(now)
                return len(recent) <= self.limit

            def drop_idle(self, now):
                for client_ip in [ip for ip, times in self.hits.items() if now - times[-1] >= self.window]:
                    del self.hits[client_ip]

    Stays silent when
    -----------------
    Keys are deleted, popped or cleared anywhere in the file (a `reset` or `close` that nothing here calls is none), the map
    is replaced by a filtered one, `len()` of it is compared, or it is a cache type with a bound.

    Fix safety
    ----------
    A suggestion, which lets the oldest keys go: which entries may go is the author's to say.

    Known limits
    ------------
    Keys are taken for a client's by the value's origin or by their names; those declared `Hashable` have low confidence.
    """

    code, name, since, severity = "SBL408", "unbounded-keyed-state", "0.1", Severity.WARNING
    overlaps = ()
    needs = ((f"%{TALLIES}|{KEPT_STATE}",), (r"~=[^\n]*(?:\{\s*\}|\b(?:dict|defaultdict|OrderedDict|Counter)\()",), (makes_map,))

    def visit_Module(self, node: cst.Module) -> None:
        for keyed in self.facts.keyed.all:
            for write, key in keyed.writes:
                function = self.facts.tree.function_of(write)
                if (
                    function is not None
                    and (confidence := self._is_client(keyed, key)) is not None
                    and not self.facts.keyed.is_pruned(keyed)
                ):
                    self._tell(keyed, write, key, confidence)
                    break

    def _is_client(self, keyed: Keyed, key: cst.BaseExpression) -> Confidence | None:
        """How sure it is that clients choose the key."""
        name = last_name(key)
        if not TALLY.search(keyed.name):
            return Confidence.MEDIUM if PEER_STATE.search(keyed.name) and self._is_stranger(key) else None
        if (made := self._put_together(key)) is not None:
            parts = [part for part in descendants(made) if isinstance(part, (cst.Name, cst.Attribute))]
            return Confidence.MEDIUM if any(named_like(last_name(part), *_CLIENTS, "uid", "*_uid") for part in parts) else None
        if isinstance(key, cst.Name) and self._is_own_item(key):
            return None
        if self.facts.boundary.source(key).writer == PEER or named_like(name, *_CLIENTS):
            return Confidence.MEDIUM
        cls = self.facts.tree.class_of(keyed.binding.target)
        if self._is_moved(key):
            return None
        timed = cls is not None and named_like(name, *_KEYS) and self._is_parameter(key) and self._tells_time(cls)
        return (Confidence.LOW if self._is_anything(key) else Confidence.MEDIUM) if timed else None

    def _is_anything(self, key: cst.BaseExpression) -> bool:
        """`key: Hashable`: objects of the program itself as well as what somebody sends."""
        declared = (o.node.annotation for o in self.facts.origins.trail(key) if isinstance(o.node, cst.Param))
        return any(one is not None and last_name(one.annotation) == "Hashable" for one in declared)

    def _is_stranger(self, key: cst.BaseExpression) -> bool:
        """A parameter, or a field of what came in, that is called like what tells one client from another."""
        if not named_like(last_name(key), *_STRANGERS) or isinstance(key, cst.Name) and self._is_own_item(key):
            return False
        return self._is_parameter(key) or self.facts.boundary.source(key).writer == PEER

    def _put_together(self, key: cst.BaseExpression) -> cst.CSTNode | None:
        """`(client, path)` or `f"{client}:{path}"`, also by a name."""
        origins = (origin.node for origin in self.facts.origins.trail(key))
        return next((one for one in (key, *origins) if isinstance(one, (cst.Tuple, cst.FormattedString))), None)

    def _is_moved(self, key: cst.BaseExpression) -> bool:
        """`task = self.running.pop(key)`, then `self.failed[key] = task`: the keys are those that the program gave out before."""
        function, code = self.facts.tree.function_of(key), self.facts.code(key)
        return function is not None and any(
            last_name(call.func) == "pop" and call.args and self.facts.code(call.args[0].value) == code
            for call in self.facts.summaries.calls_of(function)
        )

    def _is_own_item(self, key: cst.Name) -> bool:
        """A key out of a loop over what the program holds already."""
        steps = self.facts.origins.step(key)
        return bool(steps) and all(o.how == "item" and self.facts.boundary.source(o.node).writer != PEER for o in steps)

    def _is_parameter(self, key: cst.BaseExpression) -> bool:
        return any(isinstance(o.node, cst.Param) for o in self.facts.origins.trail(key))

    @staticmethod
    def _tells_time(cls: cst.ClassDef) -> bool:
        """The class reads a clock, or is called a limiter: no registry."""
        return named_like(cls.name.value, "*limit*", "*throttl*", "*bucket*") or any(
            isinstance(node, cst.Call) and last_name(node.func) in ("time", "monotonic", "now", "utcnow", "perf_counter")
            for node in descendants(cls)
        )

    def _tell(self, keyed: Keyed, write: cst.CSTNode, key: cst.BaseExpression, confidence: Confidence) -> None:
        held = self.facts.code(keyed.binding.target)
        self.report(
            write,
            f"`{held}` keeps an entry for every `{self.facts.code(key)}` that clients come with and none is "
            f"ever taken out: new keys fill the memory",
            confidence=confidence,
            trace=[(keyed.binding.target, f"`{held}` is made here and lives as long as the process")],
            fix=lambda: capped(
                f"delete entries of `{held}` that are out of date, or keep at most a fixed number of keys, the newest",
                cap := item_cap(self.facts, "*client*", "*key*", "*entries*", "*user*"),
                self._evicting(keyed, write, cap),
            ),
        )

    def _evicting(self, keyed: Keyed, write: cst.CSTNode, cap: str) -> tuple[Edit, ...]:
        """The oldest keys go before a new one comes."""
        held = source_of(self.facts, keyed.binding.target)
        edit = lines_before(self.facts, write, f"while len({held}) >= {cap}:", f"    {held}.pop(next(iter({held})))")
        return (edit,) if edit is not None else ()
