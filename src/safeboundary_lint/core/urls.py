"""Who chose the host of a URL: the source code, the configuration, or whoever calls or writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.boundary import PEER
from safeboundary_lint.core.calls import argument, string, string_parts
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

CONSTANT, CONFIGURED, CALLER, CHOSEN, UNKNOWN = "constant", "configured", "caller", "chosen", "unknown"
_WITH_HOST = Regex(r"(?:https?|ftp|wss?)://[^/{}]+(?:[/?:#{]|$)", re.IGNORECASE)
_SCHEME = Regex(r"(?:https?|ftp|wss?)://", re.IGNORECASE)
_NAMES = ("*url", "*uri", "*link", "href", "*_href", "url_*", "*address", "*endpoint", "*webhook", "*location", "*src", "target*")
_CONFIGURATION = ("*config*", "*settings*", "*conf", "*cfg*", "*options*", "*opts", "args", "env*", "*environ*", "*const*")
_FIRST_ARGUMENT = (
    "urljoin",
    "Request",
    "str",
    "urlparse",
    "quote",
    "URL",
    "Url",
    "urlunparse",
    "URLRequest",
    "unquote",
    "urlsplit",
    "cast",
    "HttpUrl",
    "join",
)
_RECEIVER = (
    "encode",
    "decode",
    "strip",
    "rstrip",
    "lstrip",
    "format",
    "replace",
    "geturl",
    "lower",
    "unicode_string",
    "human_repr",
    "with_path",
    "with_query",
    "update_query",
)
_STEPS = 40
_KEYWORDS = ("url", "uri")
_REQUESTS = ("request*", "*_request", "fetch", "open")  # verb first, then the URL
# What the discovery document of an OpenID provider says (OpenID Connect Discovery 1.0, RFC 8414); whoever set the provider up trusts it.
_OF_PROVIDER = frozenset(
    "authorization_endpoint token_endpoint userinfo_endpoint introspection_endpoint revocation_endpoint registration_endpoint "
    "end_session_endpoint jwks_uri".split()
)


class Urls:
    """URLs of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def looks_like_one(self, expression: cst.CSTNode | None) -> bool:
        """True for text with a scheme, and for what is named like a URL."""
        if expression is None:
            return False
        if (text := string_parts(expression)) is not None:
            return bool(_SCHEME.match(text)) or text.startswith(("{}/", "{}{}"))
        if isinstance(expression, cst.BinaryOperation):
            return self.looks_like_one(expression.left)
        if isinstance(expression, cst.Call):
            return (
                last_name(expression.func) in _FIRST_ARGUMENT
                or named_like(last_name(expression.func), "*url*", "*uri*")
                or (isinstance(expression.func, cst.Attribute) and self.looks_like_one(expression.func.value))
            )
        return named_like(last_name(expression), *_NAMES, "*url*", "*uri*", "*api*")

    def chooser(self, expression: cst.CSTNode) -> str:
        """Who chose the host: `constant`, `configured`, `caller` (a parameter), `chosen` (by a peer, in a record), `unknown`."""
        found: set[str] = set()
        queue: list[cst.CSTNode] = [expression]
        seen = {id(expression)}
        for node in queue:  # grows while it is walked
            if len(queue) > _STEPS:
                break
            verdict = self._direct(node)
            if verdict is not None:
                found.add(verdict)
                continue
            following = self._following(node)
            if not following:
                found.add(UNKNOWN)
            for one in following:
                if id(one) not in seen:
                    seen.add(id(one))
                    queue.append(one)
        return next((one for one in (CHOSEN, CALLER, UNKNOWN, CONFIGURED, CONSTANT) if one in found), UNKNOWN)

    def is_inline(self, call: cst.Call) -> bool:
        """True for a fetch, here or by the callers of this function, only under `url.startswith("data:")`: nobody is asked."""
        function = self.facts.tree.function_of(call)
        callers = self.facts.types.callers(function) if function is not None else []
        return self._is_under_data(call) or bool(callers) and all(self._is_under_data(caller) for caller in callers)

    def _is_under_data(self, call: cst.Call) -> bool:
        return any(
            isinstance(branch, cst.If) and self.facts.tree.within(call, branch.body) and _asks_for_data(branch.test)
            for branch in self.facts.tree.ancestors(call)
        )

    def choosers(self, response: cst.CSTNode) -> set[str]:
        """Who chose the hosts of the requests of this file that a response answers; empty where they aren't in sight."""
        calls = (origin.node for origin in self.facts.origins.trail(response, callers=True) if isinstance(origin.node, cst.Call))
        asked = (match for call in calls if (match := self.facts.match(call, "fetch")) is not None)
        given = ((match.call, match.row.parameter("url")) for match in asked)
        urls = (argument(call, parameter) if parameter is not None else None for call, parameter in given)
        return {self.chooser(url) if url is not None else UNKNOWN for url in urls}

    def choosers_of_any(self, response: cst.CSTNode) -> set[str]:
        """The same for requests by clients of one's own: whatever call is given a `url` or `uri`, or a URL second."""
        calls = [origin.node for origin in self.facts.origins.trail(response) if isinstance(origin.node, cst.Call)]
        urls = [url for call in calls if (url := self._url_of(call)) is not None]
        return {self.chooser(url) for url in urls}

    def _url_of(self, call: cst.Call) -> cst.BaseExpression | None:
        named = _given_url(call)
        if named is not None or not named_like(last_name(call.func), *_REQUESTS):
            return named
        return argument(call, "url", 1)

    def _direct(self, node: cst.CSTNode) -> str | None:
        text = string_parts(node)
        if text is not None and (_WITH_HOST.match(text) or string(node) is not None):
            return CONSTANT
        if isinstance(node, cst.Param):
            if self.facts.boundary.direct(node) is not None and self.facts.boundary.source(node).writer == PEER:
                return CHOSEN
            function = self.facts.tree.enclosing(node, cst.FunctionDef, cst.Lambda)
            if isinstance(function, cst.FunctionDef) and (function.name.value == "__init__" or function.name.value.startswith("set_")):
                return CONFIGURED  # whoever sets a client up says where to
            if self.facts.origins.passed(node):
                return None
            return CALLER if named_like(node.name.value, *_NAMES) or _is_request(node) else UNKNOWN
        if isinstance(node, (cst.Name, cst.Attribute)):
            return self._named(node)
        if isinstance(node, cst.Call) and last_name(node.func) == "get" and node.args:
            return CONFIGURED if string(node.args[0].value) in _OF_PROVIDER else None
        if isinstance(node, cst.Subscript):
            key = string(node.slice[0].slice.value) if isinstance(node.slice[0].slice, cst.Index) else None
            if named_like(last_name(node.value), *_CONFIGURATION):
                return CONFIGURED
            if self.facts.boundary.source(node).writer == PEER:
                return CHOSEN
            if key in _OF_PROVIDER:
                return CONFIGURED
            if key is not None and named_like(key, *_NAMES) and not self.facts.origins.step(node):
                return CONFIGURED if _is_own(node) else CHOSEN
        return None

    def _named(self, node: cst.Name | cst.Attribute) -> str | None:
        name = last_name(node) or ""
        if name.isupper() and len(name) > 1 or self.facts.names.qualified(node) is not None:
            return CONFIGURED
        if isinstance(node, cst.Name):
            return None
        root = node.value
        while isinstance(root, (cst.Attribute, cst.Subscript, cst.Call)):
            root = root.func if isinstance(root, cst.Call) else root.value
        owners = [part for part in _attribute_names(node)[:-1]]
        if any(named_like(owner, *_CONFIGURATION) for owner in owners):
            return CONFIGURED
        match = self.facts.match(node, "boundary")
        if match is not None:
            return CHOSEN
        if isinstance(root, cst.Name) and root.value in ("self", "cls") and isinstance(node.value, cst.Name):
            return None if self.facts.origins.step(node) else CONFIGURED
        if named_like(name, *_NAMES) and not self.facts.origins.step(node):
            return CONFIGURED if isinstance(root, cst.Name) and root.value in ("self", "cls") else CHOSEN
        return None

    def _following(self, node: cst.CSTNode) -> list[cst.CSTNode]:
        if isinstance(node, cst.FormattedString):
            first = next(
                (
                    part
                    for part in node.parts
                    if not (isinstance(part, cst.FormattedStringText) and _SCHEME.fullmatch(part.value))
                ),
                None,
            )
            return [first.expression] if isinstance(first, cst.FormattedStringExpression) else []
        if isinstance(node, cst.BinaryOperation):
            if (
                isinstance(node.operator, cst.Modulo)
                and (text := string(node.left)) is not None
                and not _WITH_HOST.match(text.replace("%s", "{}"))
            ):
                return (
                    [node.right.elements[0].value] if isinstance(node.right, cst.Tuple) and node.right.elements else [node.right]
                )
            text = string(node.left)
            return [node.right] if text is not None and _SCHEME.fullmatch(text) else [node.left]
        if isinstance(node, cst.Call):
            return self._through_call(node)
        if isinstance(node, cst.Param):
            return list(self.facts.origins.passed(node))
        origins = self.facts.origins.step(node)
        parameter = [origin.node for origin in origins if origin.how == "parameter"]
        built = [url for origin in origins if isinstance(origin.node, cst.Call) and (url := _given_url(origin.node)) is not None]
        return parameter or [origin.node for origin in origins if origin.how in ("value", "entered")] or built

    def _through_call(self, call: cst.Call) -> list[cst.CSTNode]:
        if last_name(call.func) in _RECEIVER and isinstance(call.func, cst.Attribute):
            text = string(call.func.value)
            if last_name(call.func) == "format" and text is not None and not _WITH_HOST.match(text) and call.args:
                return [call.args[0].value]
            return [call.func.value]
        if (last_name(call.func) or "").lstrip("_") in _FIRST_ARGUMENT and call.args:
            return [call.args[0].value]
        if steps := self.facts.origins.step(call):
            return [origin.node for origin in steps]
        given = _given_url(call)
        return [given] if given is not None else []  # a signer or builder takes the URL and gives it back


def _given_url(call: cst.Call) -> cst.BaseExpression | None:
    return next((found for name in _KEYWORDS if (found := argument(call, name)) is not None), None)


def _is_request(parameter: cst.Param) -> bool:
    """`request: Request`, of the library that opens it: whoever calls says where to."""
    declared = parameter.annotation.annotation if parameter.annotation is not None else None
    return declared is not None and last_name(declared) == "Request"


def _is_own(node: cst.Subscript) -> bool:
    """An entry of what an object of this program was made with: `self.device["picture_url"]`."""
    holder: cst.BaseExpression = node
    while isinstance(holder, (cst.Subscript, cst.Attribute)):
        holder = holder.value
    return isinstance(holder, cst.Name) and holder.value in ("self", "cls")


def _asks_for_data(test: cst.BaseExpression) -> bool:
    return (
        isinstance(test, cst.Call)
        and last_name(test.func) == "startswith"
        and bool(test.args)
        and (string(test.args[0].value) or "").startswith("data:")
    )


def _attribute_names(node: cst.CSTNode) -> list[str]:
    found: list[str] = []
    while isinstance(node, (cst.Attribute, cst.Call, cst.Subscript)):
        if isinstance(node, cst.Attribute):
            found.append(node.attr.value)
        node = node.func if isinstance(node, cst.Call) else node.value
    if isinstance(node, cst.Name):
        found.append(node.value)
    return found[::-1]
