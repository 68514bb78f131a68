"""What proves who somebody is: secrets, tokens and keyed digests, told by name, by origin and by who asks for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.shapes.secrets import (
    FENCES,
    FROM_PEER,
    KEEPS,
    KEYS,
    MAKERS,
    MESSAGES,
    NO_SECRETS,
    PASSWORDS,
    SECRETS,
    SETTINGS,
    SURE,
)
from safeboundary_lint.core.tree import descendants

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_JUDGES = tuple(
    "*auth* *verif* *valid* *check* *webhook* *permission* *csrf* *login* *identit* *signature* *hmac* *secur* *credential* "
    "*allow*".split()
)
_LOOKUPS = ("*find*", "*get*", "*lookup*", "*load*", "*resolve*", "*by_*")
_TEXT = ("str", "bytes", "bytearray", "AnyStr", "Any", "object", "SecretStr", "Text")
_CHECKERS = Regex(r"verif|check|valid|compare|equal|match|load|read|parse", re.IGNORECASE)


# -- keyed digests -----------------------------------------------------------------------------------------------------


def keyed_digest(facts: Facts, side: cst.BaseExpression) -> cst.Call | None:
    """The call that computes a keyed digest, when the value is that digest in some writing."""

    def is_mac(node: cst.CSTNode) -> bool:
        return isinstance(node, cst.Call) and (facts.match(node, "mac") is not None or _has_key(facts, node) or is_maker(facts, node))

    way = facts.origins.derivation(side, is_mac, callers=False, through=lambda node: _is_writing(facts, node))
    return way[-1] if way is not None else None  # type: ignore[return-value]


def is_maker(facts: Facts, call: cst.Call) -> bool:
    """`hmac_sha256(key, data)`, `self._compute_signature(body)`: a function of another file, by its name."""
    name = last_name(call.func) or ""
    if not MAKERS.search(name) or _CHECKERS.search(name) or not call.args or name[:1].isupper():
        return False
    return facts.types.callee(call) is None


def _has_key(facts: Facts, call: cst.Call) -> bool:
    """`sha256(body + secret)`: a digest with the key in it."""
    if facts.match(call, "digest") is None or not call.args:
        return False
    names = (last_name(part) for part in descendants(call.args[0].value) if isinstance(part, (cst.Name, cst.Attribute)))
    return any(named_like(name, *KEYS) for name in names)


def _is_writing(facts: Facts, node: cst.CSTNode) -> bool:
    """Names, attributes and calls that only write a digest in another way, or helpers of this file that make it."""
    if isinstance(node, cst.Call):
        return last_name(node.func) in KEEPS or facts.types.callee(node) is not None
    if isinstance(node, cst.Subscript):
        return isinstance(node.slice[0].slice, cst.Slice)
    return isinstance(
        node, (cst.Name, cst.Attribute, cst.FormattedString, cst.FormattedStringExpression, cst.BinaryOperation, cst.Await)
    )


# -- secrets -----------------------------------------------------------------------------------------------------------


def is_secret(facts: Facts, side: cst.BaseExpression) -> bool:
    """By its name, by being sent with a request, or by what the configuration calls it."""
    if from_peer(facts, side) or is_looked_up(side) or names_peer(facts, side):
        return True
    if isinstance(side, cst.Tuple):
        return any(is_secret(facts, element.value) for element in side.elements)
    if isinstance(side, cst.FormattedString):
        return any(isinstance(part, cst.FormattedStringExpression) and is_secret(facts, part.expression) for part in side.parts)
    named = (
        side.func.value
        if isinstance(side, cst.Call) and isinstance(side.func, cst.Attribute) and side.func.attr.value in KEEPS
        else side
    )
    name = last_name(named) if isinstance(named, (cst.Name, cst.Attribute)) else None
    if FENCES.search(facts.code(named)):
        return False  # a token of our own that tells generations apart, and not who somebody is
    return named_like(name, *SECRETS) and not named_like(name, *NO_SECRETS) and not _is_schema(facts, named)


def _is_schema(facts: Facts, named: cst.BaseExpression) -> bool:
    """`signature: ModelSignature`, `after: StreamToken`: an object of some class, and no text."""
    found = [last_name(node) or "" for one in _annotations(facts, named) for node in descendants(one)]
    return any(word.endswith(("Signature", "Token")) for word in found) and not any(word in _TEXT for word in found)


def _annotations(facts: Facts, named: cst.CSTNode) -> list[cst.Annotation]:
    """What a name is declared to be as a parameter."""
    bound = facts.names.lookup(named) if isinstance(named, cst.Name) else None
    declared = (binding.source for binding in (bound[1] if bound is not None else ()) if binding.how == "parameter")
    return [one.annotation for one in declared if isinstance(one, cst.Param) and one.annotation is not None]


def from_peer(facts: Facts, side: cst.CSTNode) -> bool:
    """`request.headers["X-Key"]`, `message.get("token")`; not of a request that this program is about to send."""
    source = side.value if isinstance(side, cst.Subscript) else side.func if isinstance(side, cst.Call) else None
    receiver = source.value if isinstance(source, cst.Attribute) and source.attr.value == "get" else source
    if isinstance(receiver, cst.BooleanOperation):  # `(headers or {}).get("authorization")`
        receiver = receiver.left
    name = (last_name(receiver) or "").lower() if receiver is not None else ""
    if name in MESSAGES and receiver is not source and isinstance(side, cst.Call) and side.args:
        return named_like((string(side.args[0].value) or "").lower(), *SECRETS)
    if receiver is None or name not in FROM_PEER:
        return False
    held = (one.annotation for one in _annotations(facts, receiver.value)) if isinstance(receiver, cst.Attribute) else ()
    return not any(facts.match(one, "request-to-send") is not None for one in held)


def names_peer(facts: Facts, side: cst.CSTNode) -> bool:
    """A name for what the request carries, also cut out of it and decoded."""
    if not isinstance(side, cst.Name):
        return False
    if any(from_peer(facts, origin.node) for origin in facts.origins.step(side)):
        return True
    way = facts.origins.derivation(
        side, lambda node: from_peer(facts, node), callers=False, through=lambda node: _is_writing(facts, node)
    )
    return way is not None and any(isinstance(node, cst.Call) and "b64decode" in (last_name(node.func) or "") for node in way)


def is_looked_up(side: cst.CSTNode) -> bool:
    """`os.environ["ADMIN_TOKEN"]`, `config["api_key"]`, `settings().get(["api", "key"])`."""
    if isinstance(side, cst.Subscript):
        holder, keys = side.value, [part for index in side.slice for part in descendants(index)]
    elif isinstance(side, cst.Call) and isinstance(side.func, cst.Attribute) and side.func.attr.value in ("get", "getenv") and side.args:
        holder, keys = side.func.value, list(descendants(side.args[0].value))
    else:
        return False
    if isinstance(holder, cst.Call):
        holder = holder.func
    texts = [text for part in keys if (text := string(part)) is not None]
    return named_like(last_name(holder), *SETTINGS, "os") and named_like("_".join(texts).lower(), *SECRETS)


# -- who is judged -----------------------------------------------------------------------------------------------------


def is_judged(facts: Facts, node: cst.Comparison, sides: tuple[cst.BaseExpression, cst.BaseExpression]) -> bool:
    """One secret is checked against another, in code that decides who gets in."""
    if all(from_peer(facts, side) or names_peer(facts, side) for side in sides) or all(_is_password(side) for side in sides) or _is_equality(facts, node):
        return False
    kept = [side for side in sides if isinstance(side, (cst.Name, cst.Attribute)) and named_like(last_name(side), *PASSWORDS)]
    if kept and not any(_comes_in(facts, side) for side in sides):
        return False
    if not _in_judge(facts, node):
        return any(from_peer(facts, side) or is_looked_up(side) or names_peer(facts, side) for side in sides) or (
            _finds_somebody(facts, node, sides)
        )
    return len({facts.code(side) for side in sides}) == 2


def _comes_in(facts: Facts, side: cst.BaseExpression) -> bool:
    """Somebody gives it here; settings of our own, compared with others to see what has changed, are no attempt."""
    parts = [element.value for element in side.elements] if isinstance(side, cst.Tuple) else [side]
    return any(_is_given(facts, part) or from_peer(facts, part) or names_peer(facts, part) for part in parts)


def _is_password(side: cst.BaseExpression) -> bool:
    """A password that stands in a name of its own: two of them are compared when somebody has typed one twice."""
    return isinstance(side, cst.Name) and named_like(side.value, *PASSWORDS)


def _is_equality(facts: Facts, node: cst.CSTNode) -> bool:
    """`__eq__` says whether two objects are the same, to whoever holds both."""
    function = facts.tree.function_of(node)
    return isinstance(function, cst.FunctionDef) and function.name.value in ("__eq__", "__ne__")


def _in_judge(facts: Facts, node: cst.CSTNode) -> bool:
    around = [a.name.value for a in facts.tree.ancestors(node) if isinstance(a, (cst.FunctionDef, cst.ClassDef))]
    return any(named_like(name, *_JUDGES) for name in around)


def _finds_somebody(facts: Facts, node: cst.Comparison, sides: tuple[cst.BaseExpression, cst.BaseExpression]) -> bool:
    """`if api_key == user.api_key: return user`, in a function that is given the key to look for."""
    function = facts.tree.function_of(node)
    if not isinstance(function, cst.FunctionDef) or not named_like(function.name.value, *_LOOKUPS):
        return False
    test = facts.tree.enclosing(node, cst.If, cst.FunctionDef, cst.Lambda)
    answers = isinstance(test, cst.If) and any(isinstance(n, (cst.Return, cst.Raise)) for n in descendants(test.body))
    sure = all(named_like(last_name(side), *SURE) for side in sides)
    return answers and sure and any(_is_given(facts, side) for side in sides) and not all(_is_given(facts, side) for side in sides)


def is_asked_for(facts: Facts, node: cst.Comparison, sides: tuple[cst.BaseExpression, cst.BaseExpression]) -> bool:
    """`return self._auth_key == key`, in a check that is given what to compare with a secret of its object."""
    if not isinstance(node.comparisons[0].operator, (cst.Equal, cst.NotEqual)) or not _in_judge(facts, node):
        return False
    for kept, given in (sides, sides[::-1]):
        own = isinstance(kept, cst.Attribute) and isinstance(kept.value, cst.Name) and kept.value.value in ("self", "cls")
        if own and named_like(last_name(kept), *SURE, *PASSWORDS, "*token") and _is_given(facts, given) and _is_text(facts, given):
            return not named_like(last_name(kept), *NO_SECRETS) and not FENCES.search(facts.code(kept))
    return False


def _is_given(facts: Facts, side: cst.BaseExpression) -> bool:
    found = facts.names.lookup(side) if isinstance(side, cst.Name) else None
    return found is not None and bool(found[1]) and all(binding.how == "parameter" for binding in found[1])


def _is_text(facts: Facts, side: cst.BaseExpression) -> bool:
    found = [last_name(node) or "" for one in _annotations(facts, side) for node in descendants(one)]
    return not found or any(word in _TEXT for word in found)
