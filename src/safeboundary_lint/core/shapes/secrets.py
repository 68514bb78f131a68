"""Comparisons of secrets, told from Python's own tree: what rules about proofs need."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from safeboundary_lint.core import shapes
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.regex import Regex

# Secrets whatever is done with them, and words that are secrets only where somebody is judged.
SURE = ("*api_key", "*apikey", "*secret", "*secret_key", "*auth_key", "*access_key", "*auth_token", "*api_token", "*csrf*", "*hmac")
PASSWORDS = ("*password", "*passwd", "*passphrase", "auth_string", "auth_setting", "*credentials", "basic_auth*")
SECRETS = (*SURE, "*token", "*signature", "*_mac", "mac", "*_sig", "*_digest", *PASSWORDS)
NO_SECRETS = tuple(
    "next_* page_* *_page_token *sync_token continuation* cursor* prev_* old_* new_* last_* failed_* sub*token *type* *default* "
    "eos* pad* bos* unk* stop* confirm* *confirm* *again *repeat* retype* *hash".split()
)
FENCES = Regex(r"reservation|lease|fenc|lock|cancel|claim|ack_|delivery|resume|attempt|generation", re.IGNORECASE)
FROM_PEER = ("headers", "cookies", "args", "query_params", "form", "meta", "params", "get", "post", "values", "query")
MESSAGES = ("message", "msg", "payload", "body", "data", "frame", "packet", "hello", "handshake")
SETTINGS = ("*environ*", "*config*", "*settings*", "*secrets*")
KEYS = ("*secret*", "*_key", "key", "*salt*", "*app_key*", "*password*")  # in what is digested
KEEPS = tuple(
    "hexdigest digest decode encode lower upper strip hex b64encode b64decode urlsafe_b64encode urlsafe_b64decode hexlify str bytes "
    "rstrip split partition removeprefix".split()
)
MAKERS = Regex(
    r"(^|_)hmac(_|$)|^_*(calc\w*|comput\w*|generate|make|create|build|expected)_\w*(signature|mac|sig)$|^_*sign_\w*(hmac|signature)$|^_*get_(\w*hmac|signature)$|^_mac$",
    re.IGNORECASE,
)

_CHAIN = 3  # names made of names for what is sent


def words() -> str:
    """A pattern for the names by which a secret, or a place where a request has it, is known."""
    globs = [glob.replace("*", ".*") for glob in (*SECRETS, *FROM_PEER)]
    ends, whole = (glob[2:] for glob in globs if glob.startswith(".*")), (glob for glob in globs if not glob.startswith(".*"))
    return f"(?:{'|'.join(ends)})$|^_*(?:{'|'.join(whole)})$|{MAKERS.pattern}"


def compares(body: Sequence[ast.AST]) -> bool:
    """Two values are compared, and none of them is a constant, a length or a type."""
    return any(True for _ in _compared(body))


@shapes.about(f"%{words()}")
def compares_secrets(body: Sequence[ast.AST]) -> bool:
    """Two values are compared that are both called secrets, are sent or looked up; or a parameter with a secret of the object."""
    pairs = list(_compared(body))
    if not pairs:
        return False
    own = {one.arg for one in shapes.walk(body, ast.arg)}
    if any(_asks_for(left, right, own) or _asks_for(right, left, own) for left, right in pairs):
        return True
    named = {part.id for pair in pairs for part in shapes.walk(pair, ast.Name)}  # what is sent is looked for where any name may be that
    pairs = [(left, right) for left, right in pairs if _may_be_secret(left, named) and _may_be_secret(right, named)]
    sent = _sent_names(body) if pairs else set[str]()
    return any(_may_be_secret(left, sent) and _may_be_secret(right, sent) for left, right in pairs)


def compares_made(body: Sequence[ast.AST]) -> bool:
    """A value is compared that a function gives, which may have it from what was sent."""
    if not shapes.says(body, "==", "!="):
        return False
    made = {part.id for node in _bindings(body) if isinstance(node.value, ast.Call) for part in _bound(node)}
    return bool(made) and any(isinstance(side, ast.Name) and side.id in made for sides in _compared(body) for side in sides)


@shapes.about(f"%{MAKERS.pattern}")
def makes_digest(body: Sequence[ast.AST]) -> bool:
    """Something is called by whose name a keyed digest is made."""
    called = (shapes.last_name(call.func) or "" for call in shapes.walk(body, ast.Call) if shapes.given(call))
    return any(map(MAKERS.search, called))


@shapes.about("%^_*(?:" + "|".join(glob.replace("*", ".*") for glob in KEYS) + ")$")
def digests_key(body: Sequence[ast.AST]) -> bool:
    """Something is called with what is named as a key is, alone or with other data."""
    first = (part for call in shapes.walk(body, ast.Call) for part in shapes.walk(shapes.given(call)[:1], ast.Name, ast.Attribute))
    return any(named_like(shapes.last_name(part), *KEYS) for part in first)


def _compared(body: Sequence[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in shapes.walk(body, ast.Compare) if shapes.says(body, "==", "!=") else ():
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.NotEq)) and not any(map(_is_plain, (node.left, node.comparators[0]))):
            yield node.left, node.comparators[0]


def _bindings(body: Sequence[ast.AST]) -> list[ast.Assign | ast.AnnAssign | ast.NamedExpr]:
    return [node for node in shapes.walk(body, ast.Assign, ast.AnnAssign, ast.NamedExpr) if node.value is not None]


def _bound(node: ast.AST) -> Iterator[ast.Name]:
    return (part for part in shapes.walk(shapes.targets(node)) if isinstance(part, ast.Name))


def _sent_names(body: Sequence[ast.AST]) -> set[str]:
    """Names for what is sent, or, where something is decoded, is made of it."""
    bindings = _bindings(body)
    sent = {part.id for node in bindings if _is_sent(_awaited(node.value)) for part in _bound(node)}
    for loop in shapes.walk(body, ast.For, ast.AsyncFor, ast.comprehension):
        if _is_sent(loop.iter):
            sent.update(part.id for part in shapes.walk([loop.target], ast.Name))
    if not shapes.says(body, "b64decode") or not any("b64decode" in (shapes.last_name(call.func) or "") for call in shapes.walk(body, ast.Call)):
        return sent
    parts = [(node, list(shapes.walk([node.value]))) for node in bindings if node.value is not None]
    for _step in range(_CHAIN):
        for node, several in parts:
            if any(_is_sent(part) or isinstance(part, ast.Name) and part.id in sent for part in several):
                sent.update(part.id for part in _bound(node))
    return sent


def _awaited(value: ast.expr | None) -> ast.AST:
    return value.value if isinstance(value, ast.Await) else value or ast.Pass()


def _may_be_secret(side: ast.expr, sent: set[str]) -> bool:
    if isinstance(side, ast.Tuple):
        return any(_may_be_secret(one, sent) for one in side.elts)
    if isinstance(side, ast.JoinedStr):
        return any(_may_be_secret(part.value, sent) for part in side.values if isinstance(part, ast.FormattedValue))
    if _is_sent(side) or isinstance(side, ast.Name) and side.id in sent:
        return True
    kept = isinstance(side, ast.Call) and isinstance(side.func, ast.Attribute) and side.func.attr in KEEPS
    named = side.func.value if kept else side
    name = shapes.last_name(named) if isinstance(named, (ast.Name, ast.Attribute)) else None
    if not named_like(name, *SECRETS) or named_like(name, *NO_SECRETS):
        return False
    return shapes.root(named) is None or FENCES.search(ast.unparse(named)) is None


def _is_sent(node: ast.AST) -> bool:
    """`request.headers["X-Key"]`, `(args or {}).get("token")`, `message.get("token")`, `settings["api_key"]`."""
    if not isinstance(node, (ast.Subscript, ast.Call)):
        return False
    source = node.value if isinstance(node, ast.Subscript) else node.func
    receiver = source.value if isinstance(source, ast.Attribute) and source.attr in ("get", "getenv") else source
    if isinstance(receiver, ast.BoolOp):
        receiver = receiver.values[0]
    name = (shapes.last_name(receiver) or "").lower()
    if name in FROM_PEER:
        return True
    if name not in MESSAGES and not named_like(name, *SETTINGS, "os"):
        return False
    keys = [node.slice] if isinstance(node, ast.Subscript) else node.args[:1]
    texts = [text for part in shapes.walk(keys) if (text := shapes.text(part)) is not None]
    return named_like("_".join(texts).lower(), *SECRETS)


def _asks_for(kept: ast.expr, given: ast.expr, parameters: set[str]) -> bool:
    """`self._auth_key == key`: what an object keeps, and a parameter."""
    own = isinstance(kept, ast.Attribute) and isinstance(kept.value, ast.Name) and kept.value.id in ("self", "cls")
    asked = isinstance(given, ast.Name) and given.id in parameters
    return own and asked and named_like(shapes.last_name(kept), *SURE, *PASSWORDS, "*token")


def _is_plain(side: ast.expr) -> bool:
    if isinstance(side, ast.Call):
        return shapes.last_name(side.func) in ("len", "type", "id", "count")
    return isinstance(side, ast.Constant) and isinstance(side.value, (str, bytes, int, type(None)))
