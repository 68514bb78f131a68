"""Can a repetition send again what the peer may have carried out: which failures and answers of an operation lead back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from safeboundary_lint.core.calls import string
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.loops import RetryLoop
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.retries import Region
from safeboundary_lint.core.tree import descendants, same_code

if TYPE_CHECKING:
    from safeboundary_lint.core.facts import Facts

_FRESH = (
    "get", "get_nowait", "pop", "popleft", "popitem", "recv", "read", "next", "poll", "receive*", "consume*", "readline",
    "lpop", "brpop", "blpop", "fetch*", "dequeue*", "claim*",
)  # fmt: skip


def resends(facts: Facts, region: Region, call: cst.Call) -> cst.CSTNode | None:
    """What leads from an operation that may have been carried out back to it: a handler, a test, the decorator; else None."""
    if region.how == "decorator":
        return _by_decorator(facts, region)
    if region.loop is not None:
        return _by_loop(facts, region.loop, call)
    return _by_recursion(facts, region)


def _by_decorator(facts: Facts, region: Region) -> cst.CSTNode | None:
    if region.loop is not None:
        lost = [
            h
            for h in region.loop.handlers
            if any(
                facts.outcomes.is_ambiguous(name) is not False and not _tells_answer(facts, region, name)
                for name in facts.exceptions.classes(h.type)
            )
        ]
        return lost[0] if lost or not region.loop.handlers else None
    conditions = facts.retries.conditions(region)
    if (
        conditions.unknown
        or conditions.classes
        and all(facts.outcomes.is_ambiguous(name) is False for name in conditions.classes)
    ):
        return None
    if conditions.classes and not conditions.predicates and all(_names_answer(facts, region, one) for one in conditions.classes):
        return None
    if not conditions.classes and conditions.predicates and all(_is_careful(facts, one) for one in conditions.predicates):
        return None
    return region.site


def _tells_answer(facts: Facts, region: Region, name: str) -> bool:
    """An exception of this file by which what is repeated says: the peer has answered, and named a reason to ask again."""
    raised = _raises(facts, region, name)
    return bool(raised) and all(_is_reasoned(facts, node) for node in raised)


def _names_answer(facts: Facts, region: Region, name: str) -> bool:
    """An exception of this file that what is repeated raises only of an answer it has got, and not for a server's error."""
    raised = _raises(facts, region, name)
    return bool(raised) and all(_follows_answer(facts, region, node) for node in raised)


def _raises(facts: Facts, region: Region, name: str) -> list[cst.Raise]:
    """Where what is repeated raises an exception that is defined in this file and is not one of an unknown outcome."""
    if name not in facts.exceptions.own or facts.outcomes.is_ambiguous(name):
        return []
    return [
        node
        for node in descendants(region.body)
        if isinstance(node, cst.Raise) and node.exc is not None and name in facts.exceptions.named(_maker(node.exc))
    ]


def _follows_answer(facts: Facts, region: Region, raised: cst.Raise) -> bool:
    """Not in a handler of what sends, and under no test of a server's error."""
    order = facts.tree.order
    sent = facts.summaries.effects_in(region.body, "http-unsafe", "http-request", "side-effect")
    for above in facts.tree.ancestors(raised):
        if isinstance(above, cst.Try) and any(facts.tree.within(effect.call, above.body) for effect in sent):
            return False
        if isinstance(above, cst.If) and any(
            isinstance(node, cst.Comparison) and _tells_server_error(node) for node in (above.test, *descendants(above.test))
        ):
            return False
        if above is region.body:
            break
    return bool(sent) and all(order[id(effect.call)] < order[id(raised)] for effect in sent)


def _maker(raised: cst.BaseExpression) -> cst.BaseExpression:
    return raised.func if isinstance(raised, cst.Call) else raised


def _is_reasoned(facts: Facts, raised: cst.Raise) -> bool:
    """Outside of handlers, under a test that finds a word in the answer, or a status by which the peer refuses."""
    function = facts.tree.function_of(raised)
    for above in facts.tree.ancestors(raised):
        if above is function or isinstance(above, cst.ExceptHandler):
            return False
        if isinstance(above, cst.If) and facts.tree.within(raised, above.body):
            tests = [node for node in descendants(above.test) if isinstance(node, cst.Comparison)]
            named = any(
                isinstance(one.operator, (cst.Equal, cst.In)) and string(side) is not None
                for test in tests
                for one in test.comparisons
                for side in (test.left, one.comparator)
            )
            if named or facts.outcomes.refuses(above.test, True):
                return True
    return False


def _is_careful(facts: Facts, predicate: cst.BaseExpression) -> bool:
    """A predicate that repeats only what was refused, or asks about the method or the key."""
    if named_like(
        last_name(predicate),
        "*idempot*",
        "*safe_to*",
        "*rate_limit*",
        "*ratelimit*",
        "*throttl*",
        "*429*",
        "*not_sent*",
        "*connect_error*",
    ):
        return True
    definition = predicate if isinstance(predicate, cst.Lambda) else facts.types.definition(predicate)
    if definition is None:
        return False
    if facts.requests.carries_key([definition.body]) or facts.requests.gated_by_method([definition.body]):
        return True
    named = [node for node in descendants(definition.body) if isinstance(node, (cst.Name, cst.Attribute))]
    classes = [
        name
        for node in named
        for name in facts.exceptions.classes(node)
        if named_like(name.rpartition(".")[2], "*error", "*timeout*", "*exception")
    ]
    if any(facts.outcomes.is_ambiguous(name) for name in classes):
        return False
    tests = [node for node in descendants(definition.body) if isinstance(node, cst.Comparison)]
    return (
        bool(tests)
        and any(facts.outcomes.refuses(test, True) for test in tests)
        and not any(_tells_server_error(test) for test in tests)
    )


def _tells_server_error(test: cst.Comparison) -> bool:
    return any(
        isinstance(node, cst.Integer) and node.value.isdigit() and 500 <= int(node.value) < 600 for node in descendants(test)
    )


def _by_loop(facts: Facts, loop: RetryLoop, call: cst.Call) -> cst.CSTNode | None:
    if not loop.exits and not facts.loops.ends_on_success(loop) or _takes_fresh(facts, loop, call) or _catches_up(facts, loop):
        return None
    refused = frozenset(
        point.index
        for point in loop.flow
        if point.kind == "branch"
        and point.node is not None
        and id(point.node) in loop.inside
        and facts.outcomes.refuses(point.node, bool(point.outcome))
    )
    points = loop.flow.points_of(call)
    for handler in loop.handlers:
        block = facts.tree.parent(handler)
        if not isinstance(block, cst.Try) or not facts.tree.within(call, block.body):
            continue
        if any(facts.outcomes.is_ambiguous(name) is not False for name in facts.exceptions.classes(handler.type) or [""]):
            if any(loop.leads_back(point, avoiding=refused) for point in loop.flow.points_of(handler)):
                return handler
    told = not isinstance(facts.tree.statement_of(call), cst.Expr)  # an answer that nobody looks at repeats nothing
    if (
        told
        and (loop.sleeps or loop.telling)
        and any(loop.leads_back(point, avoiding=refused, raising=False, leaving="normally") for point in points)
    ):
        return loop.sleeps[0] if loop.sleeps else loop.node
    return None


def _takes_fresh(facts: Facts, loop: RetryLoop, call: cst.Call) -> bool:
    """The loop makes or takes another input each time round: a consumer or a pager, no repetition."""
    for arg in call.args:
        for name in (node for node in descendants(arg.value) if isinstance(node, cst.Name)):
            for binding in facts.origins.reaching(name):
                source = binding.source
                if source is None or id(source) not in loop.inside or binding.how == "parameter":
                    continue
                source = source.expression if isinstance(source, cst.Await) else source
                if (
                    isinstance(source, cst.Call)
                    and named_like(last_name(source.func), *_FRESH)
                    and not isinstance(call.func, cst.Call)
                ):
                    return True
    return False


def _catches_up(facts: Facts, loop: RetryLoop) -> bool:
    """`seen = self.newest; work(); if self.newest == seen: break`: it goes round because something new came."""
    for leaving in loop.exits:
        branch = facts.tree.enclosing(leaving, cst.If)
        test = branch.test if isinstance(branch, cst.If) else None
        if not isinstance(test, cst.Comparison) or not isinstance(test.comparisons[0].operator, (cst.Equal, cst.Is)):
            continue
        sides = (test.left, test.comparisons[0].comparator)
        for known, now in (sides, sides[::-1]):
            taken = [b.source for b in facts.origins.reaching(known)] if isinstance(known, cst.Name) else []
            if taken and all(isinstance(now, type(one)) and same_code(now, one) for one in taken if one is not None):
                return True
    return False


def _by_recursion(facts: Facts, region: Region) -> cst.CSTNode | None:
    for above in facts.tree.ancestors(region.site):
        if above is region.function:
            return None
        if isinstance(above, cst.ExceptHandler):
            names = facts.exceptions.classes(above.type)
            return above if any(facts.outcomes.is_ambiguous(name) is not False for name in names) else None
        if isinstance(above, cst.If) and facts.tree.within(region.site, above.body):
            if facts.outcomes.refuses(above.test, True):
                return None
            if _status_test(above.test):
                return above.test
    return None


def _status_test(test: cst.CSTNode) -> bool:
    return any(
        isinstance(node, (cst.Name, cst.Attribute)) and named_like(last_name(node), "*status*", "*code*")
        for node in descendants(test)
    )
