"""What a request is: its method, which methods an expression lists, whether it carries an idempotency key,
whether it only reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import NotConstant, argument, bound_arguments, string, string_parts
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

UNSAFE_METHODS = frozenset(("POST", "PATCH"))
METHODS = UNSAFE_METHODS | {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
KEY_NAMES = (

    "*idempot*", "*dedup*", "*de_dup*", "*clienttoken*", "*client_token*", "*clientrequesttoken*", "nonce", "*_nonce",
    "*unique_request*", "*client_order_id*",
    "*clientorderid*", "*client_msg_id*", "*clientreference*", "*client_reference*", "*if-match*", "*if_match*",
    "*if-none-match*", "*request_token*",
    "*external_reference*", "*delivery_id*", "*delivery-id*", "webhook-id", "*webhook_id_header*", "*operation_key*", "*exactly_once*", "*conflict_target*", "*upsert*",
)  # fmt: skip
_READING = frozenset(
    "list search query queries graphql gql token tokens oauth oauth2 login signin auth authenticate authentication authorize "
    "introspect read get fetch find lookup count select scan describe status preview estimate quote simulate health ping poll "
    "download explain analyze analyse analysis predict prediction embed embedding embeddings embedder completion completions "
    "complete infer inference generate translate classify rerank tokenize detokenize rpc jsonrpc msearch retrieve retrieval "
    "load lookups llm openai anthropic ollama gemini chatgpt transcribe transcription summarize score encode resolve collect "
    "crawl scrape check verify validate page pages paginate paginated introspection refresh handshake challenge batchget "
    "metrics sql dsl sparql suggest autocomplete match matches render convert".split()
)
_DOING = frozenset(
    "create send submit add insert publish charge pay payment order buy sell upload notify notification register invite "
    "transfer withdraw refund enqueue push emit book reserve purchase checkout mail email sms message webhook comment import "
    "trigger dispatch launch deploy start".split()
)
_POLICY_ASKED = (
    "increment", "is_retry", "*should_retry*", "*can_retry*", "*is_retryable*", "*may_retry*", "*allows_retry*",
    "*is_method_retryable*",
)  # fmt: skip
# a model or a judge is asked: it costs money twice, it changes nothing
_ASKING = Regex("llm|completion|embedding|judge|guardrail|moderation")
_MODELS = frozenset("llm llms judge judges guardrail guardrails".split())  # as folders: what stands there asks
_BEST_EFFORT = frozenset("telemetry analytics tracing tracer otlp beacon heartbeat logger logs".split())
_WORD = Regex(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def words(text: str) -> list[str]:
    """Lower-case words of a name or path: `_post_listOrders` and `/post/list-orders` give post, list, orders."""
    return [word.lower() for word in _WORD.findall(text)]


def listed_methods(facts: Facts, expression: cst.BaseExpression) -> frozenset[str]:
    """The HTTP methods named in a list, set or tuple of them, also through a name and unions; empty when none is seen."""
    found: set[str] = set()
    queue = [origin.node for origin in facts.origins.trail(expression) if origin.how in ("value", "augmented")]
    for node in queue:
        for below in descendants(node):
            text = string(below) if isinstance(below, cst.SimpleString) else None
            if text is not None and text.upper() in METHODS:
                found.add(text.upper())
            elif isinstance(below, cst.Attribute) and below.attr.value in METHODS:
                found.add(below.attr.value)  # an enumeration's member
    return frozenset(found)


class Requests:
    """Answers about the requests of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._keys: dict[int, cst.CSTNode | None] = {}

    def methods(self, operation: Match) -> frozenset[str] | None:
        """The HTTP methods that a call of one of the http kinds can send; None when nothing tells."""
        if operation.row.kind == "http-unsafe":
            return frozenset(("POST",))
        if operation.row.kind != "http-request":
            return frozenset(("GET",))
        parameter = operation.row.parameter("method")
        given = argument(operation.call, parameter) if parameter is not None else None
        body = operation.row.parameter("body")
        if given is None and body is not None and argument(operation.call, body) is not None:
            return frozenset(("POST",))
        if given is None:
            default = operation.row.get("default")
            return frozenset((default,)) if default and not any(arg.star for arg in operation.call.args) else None
        found: set[str] = set()
        for origin in self.facts.origins.roots(given, callers=True):
            try:
                value = self.facts.constant(origin.node)
            except NotConstant:
                if origin.how != "parameter" or not self._has_private_callers(origin.node):
                    return None
                continue
            if isinstance(value, str):
                found.add(value.upper())
        return frozenset(found) or None

    def seen_methods(self, operation: Match) -> frozenset[str]:
        """The HTTP methods that this file is seen to send by a call, also as defaults of parameters; others may send more."""
        parameter = operation.row.parameter("method")
        given = argument(operation.call, parameter) if parameter is not None else None
        roots = self.facts.origins.roots(given, callers=True) if given is not None else []
        defaults = [root.node.default for root in roots if isinstance(root.node, cst.Param) and root.node.default is not None]
        texts = (string(node) for node in (*defaults, *(root.node for root in roots)))
        return frozenset(text.upper() for text in texts if text is not None)

    def _has_private_callers(self, parameter: cst.CSTNode) -> bool:
        """All callers of a private function of this file are in it, and pass what the parameter is."""
        function = self.facts.tree.enclosing(parameter, cst.FunctionDef)
        return function is not None and function.name.value.startswith("_") and bool(self.facts.types.callers(function))

    def carries_key(self, places: Iterable[cst.CSTNode]) -> bool:
        """True when something named like an idempotency key stands in one of these places (functions, calls)."""
        return any(self.key_in(place) is not None for place in places)

    def key_in(self, place: cst.CSTNode) -> cst.CSTNode | None:
        """What is named like an idempotency key below a node: a header, an entry, a keyword, a variable."""
        if id(place) not in self._keys:
            self._keys[id(place)] = self._find_key(place)
        return self._keys[id(place)]

    def _find_key(self, place: cst.CSTNode) -> cst.CSTNode | None:
        for node in descendants(place):
            text = node.value if isinstance(node, cst.Name) else string(node) if isinstance(node, cst.SimpleString) else None
            if isinstance(node, cst.Arg) and node.keyword is not None:
                text = node.keyword.value
            elif isinstance(node, cst.Attribute):
                text = node.attr.value
            if text is not None and len(text) < 60 and named_like(text, *KEY_NAMES) and not self._counts_requests(node, text):
                return node
        return None

    def _counts_requests(self, node: cst.CSTNode, text: str) -> bool:
        """`fields["nonce"] = self.nonce`: a number that is another one for each request lets no repetition be known."""
        if not named_like(text, "nonce", "*_nonce"):
            return False
        if isinstance(node, cst.Attribute):
            return isinstance(node.value, cst.Name) and node.value.value == "self"
        statement = self.facts.tree.statement_of(node) if isinstance(node, cst.SimpleString) else None
        value = statement.value if isinstance(statement, cst.Assign) else None
        return isinstance(value, cst.Attribute) and isinstance(value.value, cst.Name) and value.value.value == "self"

    def only_reads(self, chain: Iterable[cst.CSTNode]) -> bool:
        """A POST that asks and changes nothing, told by the words of its address and of the functions around it."""
        told = [word for node in chain for word in self._told(node)]
        folders = self.facts.path.replace("\\", "/").split("/")[-3:-1]
        if any(_ASKING.search(word) for word in told) or not _MODELS.isdisjoint(folders):
            return True
        return any(word in _READING for word in told) and not any(word in _DOING for word in told)

    def is_best_effort(self, chain: Iterable[cst.CSTNode]) -> bool:
        """True for what may get lost or come twice: counts of use, spans, logs; told by the same words and the file's folder."""
        place = self.facts.path.replace("\\", "/").split("/")[-2:]
        told = [*(word for part in place for word in words(part)), *(word for node in chain for word in self._told(node))]
        return not _BEST_EFFORT.isdisjoint(told)

    def _told(self, node: cst.CSTNode) -> Iterator[str]:
        if isinstance(node, cst.FunctionDef):
            yield from words(node.name.value)
            if (cls := self.facts.types.method_class(node)) is not None:
                yield from words(cls.name.value)
        elif isinstance(node, cst.Call):
            for arg in node.args:
                if arg.keyword is None or named_like(arg.keyword.value, "*url*", "*path*", "*endpoint*", "*uri*", "*route*"):
                    yield from self._address(arg.value)

    def _address(self, expression: cst.BaseExpression) -> Iterator[str]:
        for origin in self.facts.origins.trail(expression):
            for node in (
                descendants(origin.node) if not isinstance(origin.node, (cst.Dict, cst.FunctionDef, cst.ClassDef)) else ()
            ):
                text = string_parts(node) if isinstance(node, (cst.SimpleString, cst.FormattedString)) else None
                if text is not None:
                    yield from words(text)
                elif isinstance(node, (cst.Name, cst.Attribute)) and named_like(
                    last_name(node), "*url*", "*path*", "*endpoint*", "*uri*", "*query*"
                ):
                    yield from words(last_name(node) or "")

    def gated_by_method(self, functions: Iterable[cst.CSTNode]) -> bool:
        """True when one of these functions asks which method it sends, itself or by handing it to a helper of this file."""
        return any(self._asks_method(function) for function in functions)

    def _asks_method(self, function: cst.CSTNode) -> bool:
        for node in descendants(function):
            if isinstance(node, cst.Comparison) and _mentions_method(node) and not self._only_validates(node):
                return True
            if (
                isinstance(node, cst.Call)
                and named_like(last_name(node.func), *_POLICY_ASKED)
                and any(_mentions_method(arg.value) for arg in node.args)
            ):
                return True
            if (
                isinstance(node, cst.Call)
                and isinstance(helper := self.facts.types.callee(node), cst.FunctionDef)
                and helper is not function
            ):
                method = self.facts.types.is_bound_method(helper)
                for parameter, value in bound_arguments(node, helper, method=method):
                    if _mentions_method(value) and any(
                        isinstance(n, cst.Name) and n.value == parameter.name.value
                        for comparison in descendants(helper.body)
                        if isinstance(comparison, cst.Comparison)
                        for n in descendants(comparison)
                    ):
                        return True
        return False

    def _only_validates(self, test: cst.Comparison) -> bool:
        """`if method not in METHODS: raise` refuses nonsense; it does not ask whether the request may be repeated."""
        branch = self.facts.tree.parent(test)
        return (
            isinstance(branch, cst.If)
            and branch.orelse is None
            and any(isinstance(node, cst.Raise) for node in descendants(branch.body))
        )


def _mentions_method(node: cst.CSTNode) -> bool:
    named = (n for n in descendants(node) if isinstance(n, (cst.Name, cst.Attribute)))
    return any(
        named_like(last_name(n), "method", "*http_method", "verb", "*http_verb", "*request_method", "*methods") for n in named
    )
