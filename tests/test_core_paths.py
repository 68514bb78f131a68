"""What a test implies when it went one way; shortest paths."""

from __future__ import annotations

import libcst as cst
import pytest
from snippets import Snippet

from safeboundary_lint.core import paths


@pytest.mark.parametrize(
    ("test", "outcome", "known"),
    [
        ("a", True, ["a"]),
        ("not a", True, ["!a"]),
        ("a and b", True, ["a", "b"]),
        ("a and b", False, ["!a and b"]),
        ("a or b", False, ["!a", "!b"]),
        ("a or b", True, ["a or b"]),
        ("not (a or not b)", True, ["!a", "b"]),
        ("a and (b or c) and not d", True, ["a", "b or c", "!d"]),
        ("(m := a)", False, ["!m := a", "!a"]),
    ],
)
def test_implied(test: str, outcome: bool, known: list[str]) -> None:
    module = cst.Module([])
    told = paths.implied(cst.parse_expression(test), outcome)
    assert sorted(("" if truth else "!") + module.code_for_node(node).strip("()") for node, truth in told) == sorted(known)


def test_the_path_found_is_the_shortest_and_starts_at_the_start() -> None:
    snippet = Snippet("""
        def f(x):
            start()
            if x:
                one()
                two()
            goal()
        """)
    flow = snippet.facts.flow(snippet.function())
    (start,), (goal,) = flow.points_of(snippet.expression("start()")), flow.points_of(snippet.expression("goal()"))
    found = paths.find([start], lambda point: point is goal)
    assert found is not None
    assert [point.kind for point in found] == ["statement", "test", "branch", "statement"]
    assert found[0] is start
    through = flow.points_of(snippet.expression("two()"))
    assert paths.find([start], lambda point: point is goal, avoiding=lambda point: point.kind == "branch" and point.outcome is False) is not None
    assert paths.find([start], lambda point: point is goal, avoiding=lambda point: point.kind == "test") is None
    assert goal.index in paths.reachable_from(through)
    assert start.index not in paths.reachable_from([start])


def test_a_start_is_a_goal_only_when_a_path_comes_back() -> None:
    snippet = Snippet("""
        def f(x):
            while x:
                step()
        """)
    (step,) = snippet.facts.flow(snippet.function()).points_of(snippet.expression("step()"))
    found = paths.find([step], lambda point: point is step)
    assert found is not None and found[-1] is step
