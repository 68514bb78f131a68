"""The flow graph, dominators and reaching definitions against the truth: random programs, run for real under many plans."""

from __future__ import annotations

import random
import warnings

import libcst as cst
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import Graph, Run, number_of, programs

from safeboundary_lint.core.paths import Dominators, always_before, reachable_from
from safeboundary_lint.core.tree import descendants

_PLANS = 12
_MANY = settings(max_examples=120, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
_SOME = settings(_MANY, max_examples=30)


@pytest.fixture(autouse=True)
def _quiet() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jumps in `finally` are part of the test
        yield


@_MANY
@given(programs(), st.integers(0, 2**32))
def test_every_execution_is_a_path(program: str, seed: int) -> None:
    graph = Graph(program)
    for plan in range(_PLANS):
        run = Run(random.Random(seed + plan)).execute(program)
        assert graph.stuck_at(run) is None, f"{program}\n{run.events}\nreturned={run.returned}"


@_MANY
@given(programs(), st.integers(0, 2**32))
def test_every_value_seen_at_a_use_was_bound_by_a_definition_that_reaches_it(program: str, seed: int) -> None:
    graph = Graph(program)
    made_at = {}
    for call in graph.facts.tree.all(cst.Call):
        if (found := number_of(call)) is not None and found[0] == "u":
            bindings = graph.facts.origins.reaching(call.args[1].value)  # type: ignore[arg-type]
            made_at[found[1]] = {0 if b.how == "parameter" else _made_at(b.source) for b in bindings}
    for plan in range(_PLANS):
        for use, made in Run(random.Random(seed + plan)).execute(program).uses:
            assert made in made_at[use], f"{program}\nu({use}) sees {made}, not {made_at[use]}"


def _made_at(source: cst.CSTNode | None) -> int:
    assert source is not None
    return next(found[1] for node in descendants(source) if (found := number_of(node)) is not None)


@_SOME
@given(programs())
def test_a_point_dominates_another_when_no_path_goes_around_it(program: str) -> None:
    flow = Graph(program).flow
    dominators = Dominators(flow)
    for first in flow:
        if first is flow.entry:
            continue
        around = reachable_from([flow.entry], avoiding=lambda point, first=first: point is first) | {flow.entry.index}
        for then in flow:
            assert dominators.dominates(first, then) == (then.index not in around), f"{program}\n{first} {then}"


@_SOME
@given(programs())
def test_always_before_means_left_normally_on_every_path(program: str) -> None:
    flow = Graph(program).flow
    steps = [point for point in flow if point.kind == "statement" and point.node is not None]
    for first in steps:
        seen = {flow.entry.index}
        stack = [flow.entry]
        while stack:
            point = stack.pop()
            for succ in [*point.raising, *([] if point is first else point.succs)]:
                if succ.index not in seen:
                    seen.add(succ.index)
                    stack.append(succ)
        for then in steps:
            if then is not first:
                assert always_before(flow, [first], then) == (then.index not in seen)
