"""What the names and answers of functions that decide who may do what may mean, told from Python's own tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from safeboundary_lint.core import shapes
from safeboundary_lint.core.regex import Regex

TRUE, RAISING, FILTER, DENYING, IDENTITY = "true", "raising", "filter", "denying", "identity"
_NOUN = (
    r"permission|permit|access|auth(?!or_|ors?$)|signature|token|role|scope|acl|webhook|csrf|rate_?limit|throttl|quota|"
    r"trusted|admin|credential|"
    r"api_?key|hmac|secret|login|tenant|ownership|origin|approval|sandbox|privilege|policy|allowed|jwt|mfa|otp|"
    r"certificate|guardrail|moderation|licen[sc]e|captcha|entitle"
)
_VERB = r"check|verify|validate|ensure|require|assert|enforce|is_valid|has_valid|valid|guard|restrict|demand|confirm"
STRONG = Regex(
    r"^_*(allow|allows|permit|permits|is_permitted|is_(url_|host_|path_|request_|input_)?safe|is_safe_(?!to_(en|de)code)\w+)$|(^|"
    r"_)(is_allowed|is_authorized|is_authorised|authorize|authorise|is_authenticated|has_\w*permissions?|has_perms?|"
    r"has_access|has_role|allow_request|is_permitted|may_access|can_access|user_can|check_perms?|is_trusted|"
    r"authenticate|allowed_to|is_admin)(_|$)"
)
WEAK = Regex(rf"(^|_)({_VERB})(_|\w*_)?.*({_NOUN})")
NOUN_FIRST = Regex(rf"({_NOUN}).*_(valid|verified|ok|allowed|check|matches|passes)$")
DENIES = Regex(
    r"(^|_)is_(blocked|banned|denied|revoked|blacklisted|blocklisted|rate_limited|throttled|forbidden)|(^|"
    r"_)(should_block|should_deny|is_over_limit)"
)
TRUE_DENIES = Regex(
    r"expired|block|banned|denied|revoked|needs_|need_|requires_|must_|is_rate_limited|throttled|exceed|invalid|locked|"
    r"private|forbidden|limited|suspicious|missing|is_over|unsafe|dangerous|is_spam"
)
FILTERS = Regex(
    rf"(^|_)(filter|restrict|limit|prune|scope)_?.*({_NOUN}|visible|permitted|accessible)|(authorized|permitted|allowed|"
    rf"accessible|visible)_\w+$"
)
IDENTITIES = Regex(
    r"(^|_)(get_|fetch_|resolve_|extract_|require_)?(current|request|authenticated|logged_in)_(user|identity|principal|"
    r"account|tenant|username|user_id|user_email)|(^|_)(get|resolve|extract)_(identity|principal|user_from_(request|"
    r"headers?|token|session)|user_id_from\w*)$"
)
REQUIRES = Regex(
    rf"(^|_)(require|ensure|assert|enforce|demand|guard)\w*_?.*({_NOUN}|user)|(^|_)(verify|check|validate|"
    rf"authorize)\w*_.*({_NOUN})"
)
JUDGES = Regex(
    r"Policy|Policies|Guard|Authori[sz]|Authenticat|Permission|RateLimit|Limiter|Throttle|Firewall|Acl|AccessControl|"
    r"Verifier|Gatekeeper|Moderat"
)
JUDGING = Regex(
    r"^_*(evaluate|check|decide|verify|validate|authorize|enforce|test|allows?|judge|inspect|is_ok|hit|"
    r"acquire_permission|evaluate_\w+|check_\w+(?<!_exists))$"
)
NEXT = ("call_next", "get_response", "next_handler", "handler", "func", "fn", "f", "view", "view_func", "endpoint", "wrapped")
OUTCOMES = ("status", "decision", "action", "result", "verdict", "outcome", "effect")
ALLOWED = Regex(r"(is_)?(allowed|allow|authorized|permitted|authenticated)$")
ALLOWS = Regex(
    r"^(allow|allowed|permit|permitted|accept|accepted|authorized|granted|grant|ok|pass|passed|valid|verified|approve|approved)$",
    re.IGNORECASE,
)


def meanings(name: str, around: Sequence[str], owner: str | None) -> frozenset[str]:
    """What `meaning` may say of a function with this name in functions of those, innermost first, and a class (None: not known)."""
    for level, one in enumerate(each.lower() for each in (name, *around)):
        if IDENTITIES.search(one):
            return frozenset((IDENTITY,))
        if DENIES.search(one):
            return frozenset((DENYING,))
        if TRUE_DENIES.search(one):
            return frozenset()
        if FILTERS.search(one) and not STRONG.search(one):
            return frozenset((FILTER,))
        if (STRONG.search(one) or WEAK.search(one) or NOUN_FIRST.search(one)) and (not level or REQUIRES.search(one)):
            return frozenset((TRUE, RAISING) if REQUIRES.search(one) else (TRUE,))
    return frozenset((TRUE,) if JUDGING.search(name) and (owner is None or JUDGES.search(owner)) else ())


def may_allow(meant: frozenset[str], answer: ast.expr | None) -> bool:
    """False for an answer that lets nobody pass, whatever of this the function means."""
    if answer is None or isinstance(answer, ast.Constant) and answer.value is None:
        return RAISING in meant
    if isinstance(answer, ast.Name):
        return True
    if DENYING in meant and isinstance(answer, ast.Constant) and answer.value is False:
        return True
    call = answer.value if isinstance(answer, ast.Await) else answer
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in NEXT:
        return True
    return TRUE in meant and may_say_yes(answer)


def may_say_yes(answer: ast.expr) -> bool:
    """As `is_yes` says it of LibCST's nodes."""
    if isinstance(answer, ast.Constant):
        return answer.value is True or isinstance(answer.value, str) and bool(ALLOWS.match(answer.value))
    if isinstance(answer, ast.Tuple):
        return bool(answer.elts) and (not isinstance(answer.elts[0], ast.Constant) or answer.elts[0].value is True)
    if isinstance(answer, ast.Attribute):
        return answer.attr.isupper() and bool(ALLOWS.match(answer.attr))
    keys = [shapes.text(key) for key in answer.keys] if isinstance(answer, ast.Dict) else []
    keys += [keyword.arg for keyword in answer.keywords] if isinstance(answer, ast.Call) else []
    return any(key is not None and (ALLOWS.match(key) or ALLOWED.match(key) or key.lower() in OUTCOMES) for key in keys)
