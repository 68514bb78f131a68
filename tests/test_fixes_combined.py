"""Fixes of several rules in one file: whatever stands beside them and wherever they stand, they keep their promises."""

from __future__ import annotations

import pytest
from combined_fixtures import DRESSES, NAMINGS, PLACES, Part, applied, broken_promises, combined, fixable
from fixture_files import Fixture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safeboundary_lint.rules import load

ALL = frozenset(rule.code for rule in load().rules)
PARTS = st.builds(Part, st.sampled_from(fixable()), st.sampled_from(PLACES), st.sampled_from(NAMINGS))


@pytest.mark.parametrize(("number", "fixture"), list(enumerate(fixable())), ids=lambda value: getattr(value, "label", ""))
def test_each_fixture_elsewhere_keeps_the_promises(number: int, fixture: Fixture) -> None:
    place, naming, dress = PLACES[number % len(PLACES)], NAMINGS[number % len(NAMINGS)], DRESSES[number % len(DRESSES)]
    assert broken_promises(combined((Part(fixture, place, naming),), dress), frozenset({fixture.rule.code})) == []


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(PARTS, min_size=2, max_size=4, unique_by=lambda part: part.fixture.label), dress=st.sampled_from(DRESSES))
def test_fixtures_in_one_file_keep_the_promises(parts: list[Part], dress: str) -> None:
    assert broken_promises(combined(tuple(parts), dress), ALL) == []


@pytest.mark.parametrize("fixture", fixable(), ids=lambda fixture: fixture.label)
def test_one_step_deeper_as_much_is_fixed(fixture: Fixture) -> None:
    codes = frozenset({fixture.rule.code})
    assert applied(combined((Part(fixture, "branch", "as it is"),), "tabs"), codes) == applied(fixture.path.read_bytes(), codes)
