"""Defaults, fallbacks and answers, told from Python's own tree: what rules about protection need."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence

from safeboundary_lint.core import shapes
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes import decisions

_LOCAL = ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "host.docker.internal")
PLAIN_SCHEMES = {
    "http://": "https://",
    "ws://": "wss://",
    "ldap://": "ldaps://",
    "ftp://": "ftps://",
    "http": "https",
    "ws": "wss",
}
_PLAIN = tuple(PLAIN_SCHEMES)
_PLAIN_ADDRESSES = tuple(scheme for scheme in _PLAIN if scheme.endswith("//"))
SEARCHING = ("startswith", "endswith", "match", "search", "split", "find", "lstrip", "strip", "removeprefix", "count", "index")
TELLING = ("debug", "info", "warning", "warn", "error", "critical", "exception", "print", "log", "echo", "_")
_NO_CONNECTING = (*SEARCHING, *TELLING)  # what is given to them is looked for or told
_ATTEMPTS = tuple(
    "get head post request ping probe connect open fetch check test try reach handshake call send login "
    "download available works supports session login auth".split()
)
_ASKING = (ast.If, ast.IfExp, ast.While, ast.BoolOp, ast.Assert, ast.match_case)
_BUILTINS = frozenset(dir(builtins))
NOBODY = ("", "anonymous", "guest", "unknown", "nobody", "public", "none", "null", "anon", "-", "n/a", "unauthenticated")
_LEADING_OUT = (ast.Return, ast.Continue, ast.Break)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")  # where statements stand in others
VERIFYING_SECRET = Regex(r"(^|_)(secret|signing_key|webhook_key|hmac_key|webhook_token)$|_secret(_key)?$", re.IGNORECASE)
VERIFIES = Regex(r"(verif|check|validat)\w*(sig|hmac|webhook|payload|request)|^compare_digest$", re.IGNORECASE)
VERSIONS = tuple(
    "version v ver Version VERSION _version __version__ schema_version protocol_version format_version proto_version "
    "api_version file_version "
    "manifest_version spec_version message_version data_version event_version payload_version envelope_version "
    "wire_version config_version "
    "schemaVersion protocolVersion formatVersion apiVersion fileVersion manifestVersion specVersion messageVersion "
    "dataVersion".split()
)
PROOF = Regex(
    r"(^|_)(sig|sign|signature|signatures|hmac|mac|digest_header|x_signature|proof|attestation|csrf|csrf_token|"
    r"nonce_token|jws|checksum_sig)$|signature|_hmac$"
)
PROOF_CHECK = Regex(
    r"verify|verif|is_valid|valid_signature|validate|check_sig|check_signature|compare_digest|authenticate|check_token"
)
SKIPS = Regex(r"^(ssl_check|skip_verification|skip_verify|no_verify|skip_signature|skip_auth|noverify|bypass|skip_check)$")
SECRET_SETTING = Regex(
    r"secret(?!s?_?(name|id|path|arn|file|dir|manager|store|url|version|ref|engine|backend|type|namespace|mount|prefix|"
    r"key_name|security|mode|policy|level|scope|class|owner|provider|source|format|algorithm|strategy|length))|(signing|encryption|jwt|hmac|cookie|fernet|session|master|crypto|csrf)_?key$|jwt_key|private_key$|"
    r"_salt$|signing_salt|webhook_token|admin_token|auth_token$|api_token$",
    re.IGNORECASE,
)
PASSWORD_SETTING = Regex(r"password$|passwd$|passphrase$", re.IGNORECASE)
NO_VALUE = Regex(
    r"^$|^<.*>$|^\$\{.*\}$|^(none|null|unset)$|^(/|\./|~/|arn:|https?://|vault:|env:|file:|ssm:)|\.(pem|key|txt|json|crt)$",
    re.IGNORECASE,
)
_OPTION = Regex(
    r"verif|ssl|tls|https|secure|auth(?!or)|csrf|signed|signature|sandbox|encrypt|unsafe|trust|anonymous|permission|"
    r"access_control|cert_check|validate_|^debug$|hostname_check",
    re.IGNORECASE,
)
_NO_OPTION = Regex(
    r"(file|path|dir|cert|certs|key|bundle|url|uri|host|hosts|port|version|mode|level|token|secret|id|name|user|"
    r"username|password|origins|methods|headers|list|domains|emails|ips|type|scheme|endpoint|timeout|ca|prefix|realm|"
    r"header)s?$",
    re.IGNORECASE,
)


@shapes.about("%verif|cert|valid", f"%{'|'.join(_ATTEMPTS)}")
def may_attempt(body: Sequence[ast.AST]) -> bool:
    """False where no call is such an attempt: it goes out and is named or given what is protected, or an attribute may hold that."""
    if any(re.search("verif|cert|check|valid", node.arg or "") for node in shapes.walk(body, ast.keyword)):
        return True  # of a connection that is made, and checked or not
    kept = any(isinstance(node.ctx, ast.Store) for node in shapes.walk(body, ast.Attribute)) and any(map(_may_probe, shapes.walk(body)))
    calls = (call for call in shapes.walk(body, ast.Call) if goes_out(shapes.last_name(call.func) or ""))
    return any(kept or any(map(_may_probe, shapes.walk([call]))) for call in calls)


def _may_probe(node: ast.AST) -> bool:
    """False for a node by which no attempt at a protected connection is made: no such address, keyword, name or check."""
    if isinstance(node, ast.keyword):
        return node.arg is None or re.search("ssl|tls|secure|https|verif|cert|check|valid", node.arg.lower()) is not None
    if isinstance(node, ast.Call):
        name = (shapes.last_name(node.func) or "").lower()
        return re.search("https|tls|ssl|secure|wrap_|ping|probe|handshake|check_connection|test_connection|try_connect|is_reachable", name) is not None
    text = shapes.text_parts(node)
    return text is not None and text.lower().startswith(tuple(PLAIN_SCHEMES.values()))


def goes_out(name: str) -> bool:
    """True for the name of what may go out, which is no look at a string."""
    lowered = name.lower()
    return any(verb in lowered for verb in _ATTEMPTS) and lowered not in ("getattr", "getenv")


def is_plain_address(text: str) -> bool:
    """True for a text, in lower case, that makes an address unprotected; not for this machine or a namespace."""
    if not text.startswith(_PLAIN_ADDRESSES):
        return False
    host = text.partition("//")[2]
    return not host.startswith(_LOCAL) and not host.startswith(("www.w3.org", "schemas.", "xmlns"))


@shapes.about("except", "if", "while", "and", "or", "assert", "case")
def falls_back(body: Sequence[ast.AST]) -> bool:
    """A failure is handled, or a test may ask how an attempt went."""
    return any(True for _ in shapes.walk(body, ast.ExceptHandler)) or _asks(body)


def _asks(body: Sequence[ast.AST]) -> bool:
    """A test may ask how an attempt went that was made here, or elsewhere and kept or given back."""
    asked = shapes.walk([getattr(node, "test", node) for node in shapes.walk(body, *_ASKING)])
    if any(isinstance(part, ast.Attribute) and not isinstance(part.value, ast.Call) for part in asked):
        return True
    if not asked or not any(map(_may_probe, shapes.walk(body))):
        return False
    bindings = shapes.walk(body, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.For, ast.AsyncFor, ast.withitem)
    telling = [node for node in bindings if any(map(_may_tell, shapes.walk([node])))]
    made = {part.id for part in shapes.walk(telling, ast.Name) if isinstance(part.ctx, ast.Store)}
    own = {part.arg for part in shapes.walk(body, ast.arg)} | {part.id for part in shapes.walk(body, ast.Name) if isinstance(part.ctx, ast.Store)}
    names = {part.id for part in asked if isinstance(part, ast.Name)}
    return not names <= (own | _BUILTINS) - made or may_attempt(body)


def _may_tell(part: ast.AST) -> bool:
    """What a name is bound to may be how an attempt went."""
    return isinstance(part, (ast.Call, ast.Attribute)) or isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)


@shapes.about("except")
def tries_ways(body: Sequence[ast.AST]) -> bool:
    """A loop over ways that a name or a helper may stand for, with a handler that goes on to the next one."""
    for loop in shapes.walk(body, ast.For):
        if isinstance(loop.target, ast.Name) and not (isinstance(loop.iter, ast.Call) and shapes.last_name(loop.iter) in _BUILTINS):
            for handler in shapes.walk([loop], ast.ExceptHandler):
                if not any(isinstance(line, (ast.Raise, ast.Return, ast.Break)) for line in handler.body):
                    return True
    return False


def answers(body: Sequence[ast.AST]) -> list[list[ast.stmt]]:
    """What follows a failure: handlers, loops around them, and all of a function that asks how an attempt went."""
    loops = [[loop] for loop in shapes.walk(body, ast.For, ast.AsyncFor) if shapes.holds(loop, ast.ExceptHandler)]
    return [*(handler.body for handler in shapes.walk(body, ast.ExceptHandler)), *loops, *([list(body)] if _asks(body) else [])]


@shapes.about("except")
def handles(body: Sequence[ast.AST]) -> bool:
    """A failure is handled."""
    return any(True for _ in shapes.walk(body, ast.ExceptHandler))


@shapes.about("%^(http|ws|ldap|ftp)$")
def connects_plainly(body: Sequence[ast.AST]) -> bool:
    """The text of an unprotected address, or of its scheme, that is not only looked for, told or compared."""
    unused: set[int] | None = None
    for node in shapes.walk(body, ast.Constant, ast.JoinedStr):
        text = (shapes.text_parts(node) or "").lower()
        if text in _PLAIN or is_plain_address(text):
            if unused is None:
                unused = _unused(body)
            if id(node) not in unused:
                return True
    return False


def _unused(body: Sequence[ast.AST]) -> set[int]:
    """Texts that stand by themselves, in a comparison or an error, or are given to what looks for them or tells them."""
    if any(shapes.last_name(call.func) == "replace" for call in shapes.walk(body, ast.Call)):
        return set()
    apart: list[ast.AST] = [node.value for node in shapes.walk(body, ast.Expr) if isinstance(node.value, ast.Constant)]
    apart += shapes.walk(body, ast.Raise, ast.Assert, ast.Compare)
    apart += [call for call in shapes.walk(body, ast.Call) if shapes.last_name(call.func) in _NO_CONNECTING]
    return {id(part) for part in shapes.walk(apart, ast.Constant, ast.JoinedStr)}


def may_let_pass(body: Sequence[ast.AST]) -> bool:
    """A function that decides by its name has an answer that lets pass, and a handler or a branch for what is missing."""
    owner, sole = None, None
    if isinstance(body, shapes.Body):
        if not body.may_hold(shapes.FUNCTIONS):
            return False
        owner, sole = body.owner, body.sole
    functions = _functions(body, ()) if sole is None else [(sole, ())]
    handling = shapes.says(body, "except")
    for function, around in functions:
        meant = decisions.meanings(function.name, around, owner)
        if (meant or handling) and _may_answer([function] if sole is None else body, meant):
            return True
    return False


def _functions(body: Sequence[ast.AST], around: tuple[str, ...]) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, tuple[str, ...]]]:
    """Each function with the names of those around it, innermost first."""
    for node in body:
        inner = around
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, around
            inner = (node.name, *around)
        if isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case)):
            for block in _BLOCKS:
                yield from _functions(getattr(node, block, ()), inner)


def _may_answer(function: Sequence[ast.AST], meant: frozenset[str]) -> bool:
    handlers, answers, branches = [], [], []
    for node in shapes.walk(function, ast.ExceptHandler, ast.Return, ast.If):
        if isinstance(node, ast.ExceptHandler):
            handlers.append(node)
        elif isinstance(node, ast.Return):
            answers.append(node.value)
        elif isinstance(node, ast.If):
            branches += [line.value for line in node.body if isinstance(line, ast.Return)]
    in_handlers = [node.value for handler in handlers for node in shapes.walk([handler]) if isinstance(node, ast.Return)]
    if any(isinstance(answer, (ast.Attribute, ast.Dict, ast.Call)) and decisions.may_say_yes(answer) for answer in in_handlers):
        return True
    if not meant:
        return False
    if decisions.IDENTITY in meant:
        return any(_stands_in(node) for node in shapes.walk(function, ast.Return, ast.BoolOp, ast.Call))
    if any(decisions.may_allow(meant, answer) for answer in branches):
        return True
    if not any(not isinstance(handler.body[-1], ast.Raise) or shapes.holds(handler, *_LEADING_OUT) for handler in handlers):
        return False
    return decisions.RAISING in meant or any(decisions.may_allow(meant, answer) for answer in answers)


def _stands_in(node: ast.AST) -> bool:
    """A text that takes the place of who asks."""
    if isinstance(node, ast.Return):
        parts = [node.value]
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    else:
        parts = shapes.given(node) if isinstance(node, ast.Call) and shapes.last_name(node.func) in ("getattr", "get") else []
    return any((shapes.text(part) or "").lower() not in NOBODY for part in parts)


@shapes.about(f"%{VERIFIES.pattern}")
def may_be_unset(body: Sequence[ast.AST]) -> bool:
    """A test of a secret, with a verification inside and no other branch."""
    return any(
        not node.orelse
        and any(VERIFYING_SECRET.search(shapes.last_name(part) or "") for part in shapes.walk([node.test]) if isinstance(part, (ast.Name, ast.Attribute)))
        and any(VERIFIES.search(shapes.last_name(call.func) or "") for call in shapes.walk(node.body, ast.Call))
        for node in shapes.walk(body, ast.If)
    )


@shapes.about("import")
def tries_import(body: Sequence[ast.AST]) -> bool:
    """What fails to be imported is answered by a handler that does not raise."""
    return any(
        any(not any(isinstance(line, ast.Raise) for line in handler.body) for handler in attempt.handlers)
        and any(shapes.holds(line, ast.Import, ast.ImportFrom) for line in attempt.body)
        for attempt in shapes.walk(body, ast.Try)
    )


def defaults_version(body: Sequence[ast.AST]) -> bool:
    """`x = data.get("version", 1)`, and x is compared."""
    nodes = list(shapes.walk(body, ast.Assign, ast.Compare))
    compared = {node.left.id for node in nodes if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name)}
    looked_up = (node for node in nodes if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in compared)
    return any(isinstance(part, ast.Call) and _looks_up_version(part) for node in looked_up for part in shapes.walk([node.value]))


def _looks_up_version(call: ast.Call) -> bool:
    given = shapes.given(call)
    if (shapes.last_name(call.func), len(given)) not in (("get", 2), ("getattr", 3)) or not isinstance(given[-1], ast.Constant):
        return False
    key = shapes.text(given[-2])
    return key is not None and (key in VERSIONS or key.rpartition("-")[2] in VERSIONS)


def asks_for_proof(body: Sequence[ast.AST]) -> bool:
    """A test of a proof around or beside a check, or of a field by which a peer skips it."""
    for node in shapes.walk(body, ast.If):
        words = {(shapes.text(part) or shapes.last_name(part) or "").lower() for part in shapes.walk([node.test]) if isinstance(part, ast.expr)}
        if any(map(SKIPS.match, words)):
            return True
        if any(PROOF.search(word.replace("-", "_")) for word in words):
            if any(PROOF_CHECK.search((shapes.last_name(call.func) or "").lower()) for call in shapes.walk([node], ast.Call)):
                return True
    return False


def has_default(body: Sequence[ast.AST]) -> bool:
    """A lookup, an `or`, a field or a parameter that is called a secret and has a text for a default."""
    for node in shapes.walk(body, ast.Call, ast.BoolOp, ast.AnnAssign, ast.If, ast.arguments):
        if isinstance(node, ast.Call):
            key, *others = shapes.given(node) or [None]
            if _is_secret(shapes.text(key)) and any(map(_may_be_text, others)):
                return True
        elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            if any(shapes.text(value) is not None and _may_be_text(value) for value in node.values[1:]):
                if any(_is_secret(shapes.text(part) or shapes.last_name(part)) for part in shapes.walk([node]) if isinstance(part, ast.expr)):
                    return True
        elif isinstance(node, ast.If):
            assigned = (line for line in node.body if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant))
            if any(_may_be_text(line.value) for line in assigned) and shapes.is_negated(node.test):
                return True
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None and _is_secret(shapes.last_name(node.target)) and _may_be_text(node.value):
                return True
        elif isinstance(node, ast.arguments):
            if any(_is_secret(name.arg) and _may_be_text(default) for name, default in shapes.defaults(node)):
                return True
    return False


def _is_secret(key: str | None) -> bool:
    return key is not None and (SECRET_SETTING.search(key) is not None or PASSWORD_SETTING.search(key) is not None)


def _may_be_text(default: ast.expr) -> bool:
    """It isn't seen to be something else, or no value for a secret."""
    text = shapes.text(default)
    return not isinstance(default, ast.Constant) or text is not None and len(text) > 2 and NO_VALUE.search(text) is None


def reads_option(body: Sequence[ast.AST]) -> bool:
    """A call is given the name of a switch first: a lookup, or the declaration of an option with a type."""
    calls = (node for node in shapes.walk(body, ast.Call))
    return any(is_switch(shapes.text(value)) for call in calls for value in shapes.given(call)[:1])


def is_switch(key: str | None) -> bool:
    """True for the name of an option that switches a protection on or off, by which no file, address or number is meant."""
    return key is not None and _OPTION.search(key) is not None and _NO_OPTION.search(key) is None
