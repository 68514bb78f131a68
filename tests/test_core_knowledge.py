"""Rows of a user: what is accepted, what is refused and how, and what they mean in a file."""

from __future__ import annotations

from typing import Any

import libcst as cst
import pytest
from snippets import Snippet, knowledge

from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import KnowledgeError, load, validate_user_rows


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"shout": [{"names": ["a.b"]}]}, ["knowledge", "unknown kind 'shout'", "publish"]),
        ({"ack": ["a.b"]}, ["ack", "a table with `names`"]),
        ({"ack": [{"name": "a.b"}]}, ["ack[0]", "unknown key 'name'", "names"]),
        ({"ack": [{}]}, ["ack[0]", "`names` is missing"]),
        ({"ack": [{"names": []}]}, ["`names` is missing"]),
        ({"ack": [{"names": "a.b"}]}, ["names must be of type strings"]),
        ({"ack": [{"names": ["a", 1]}]}, ["names must be a list of strings"]),
        ({"ack": [{"names": ["a"], "cumulative": "yes"}]}, ["cumulative must be of type boolean", "'yes'"]),
        ({"ack": [{"names": ["a"], "confidence": "sure"}]}, ["confidence must be high, medium or low"]),
        ({"sleep": [{"names": ["a"], "seconds": {"position": 1}}]}, ["seconds must be a name or"]),
        ({"aliases": ["a"]}, ["aliases must be a table"]),
        ({"returns": {"a": 1}}, ["returns.'a' must be a dotted name"]),
        ({"callback": [{"names": ["a"], "gives": "b"}]}, ["callback", "gives"]),
    ],
)
def test_a_bad_row_is_refused_by_place_and_key(table: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(KnowledgeError) as refused:
        validate_user_rows(table)
    for word in words:
        assert word in str(refused.value)


def test_rows_are_loaded_once_for_equal_tables() -> None:
    table = {"ack": [{"names": ["a.b"]}]}
    assert load(validate_user_rows(table)) is load(validate_user_rows({"ack": [{"names": ["a.b"]}]}))


def test_re_exports_lead_to_one_name() -> None:
    known = knowledge({"aliases": {"a.b": "c.d", "c": "e", "x": "x.y"}})
    assert known.canonical("a.b.f") == "e.d.f"
    assert known.canonical("q.r") == "q.r"
    assert known.canonical("x.z").endswith(".z")  # an alias into itself comes to an end


def test_lineage_is_nearest_first_and_ends() -> None:
    known = knowledge({"bases": {"a.A": ["a.B", "a.C"], "a.B": "a.D", "a.D": "a.A"}})
    assert known.lineage("a.A") == ["a.A", "a.B", "a.C", "a.D"]
    assert known.is_a("a.B", "a.C")
    assert not known.is_a("a.C", "a.A")


def test_a_row_states_facts() -> None:
    known = knowledge({"sleep": [{"names": ["a.nap", "a.rest"], "seconds": {"name": "for_", "position": 1}}, {"names": ["a.doze"], "seconds": "long"}]})
    row = known.of_kind("a.rest", "sleep")
    assert row is not None
    parameter = row.parameter("seconds")
    assert parameter is not None and (parameter.name, parameter.position) == ("for_", 1)
    assert row.parameter("nothing") is None
    doze = known.of_kind("a.doze", "sleep")
    assert doze is not None and (found := doze.parameter("seconds")) is not None and (found.name, found.position) == ("long", None)
    assert known.of_kind("a.rest", "ack") is None


@pytest.mark.parametrize(
    ("text", "dotted"),
    [
        ("import lib\nlib.send(x)", "lib.send"),
        ("from lib import send as tell\ntell(x)", "lib.send"),
        ("import lib\nlib.say(x)", "lib.send"),  # a re-export
        ("import lib\nc = lib.connect().channel()\nc.send(x)", "lib.Channel.send"),
        ("import lib\nc = lib.connect().channel()\ntell = c.send\ntell(x)", "lib.Channel.send"),
        ("import lib\nfrom functools import partial\ntell = partial(lib.send, y)\ntell(x)", "lib.send"),
        ("import lib\ndef f(event_bus): event_bus.shout(x)", "*.shout"),
    ],
)
def test_a_call_is_explained_by_a_row(text: str, dotted: str) -> None:
    snippet = Snippet(text)
    match = next((m for call in snippet.facts.tree.all(cst.Call) if (m := snippet.facts.match(call, "publish"))), None)
    assert match is not None and match.dotted == dotted
    assert match.confidence is (Confidence.MEDIUM if dotted.startswith("*") else Confidence.HIGH)
    assert [one.dotted for one in snippet.facts.calls("publish")] == [dotted]


@pytest.mark.parametrize(
    "text",
    [
        "import lib\nlib.send.other(x)",
        "import lib\ndef f(radio): radio.shout(x)",  # not a receiver the row speaks of
        "def f(event_bus): event_bus.shout(x)",  # the library is not imported
        "import lib\nevent_bus = lib.connect().store()\nevent_bus.shout(x)",  # the receiver is known to be another thing
        "lib = make()\nlib.send(x)",
        "import lib\nlib('x').send(x)",
    ],
)
def test_a_call_that_no_row_explains(text: str) -> None:
    snippet = Snippet(text)
    assert snippet.facts.calls("publish") == []


@pytest.mark.parametrize(
    ("text", "globs", "like"),
    [
        ("Max_Size", ("max*",), True),
        ("_limit", ("limit",), True),
        ("climax", ("max*", "*limit"), False),
        (None, ("*",), False),
        ("anything", (), False),
        ("a.b", ("a?b",), True),
        ("axb", ("a.b",), False),
    ],
)
def test_names_are_like_globs(text: str | None, globs: tuple[str, ...], like: bool) -> None:
    assert named_like(text, *globs) is like


def test_shipped_rows_know_the_clocks() -> None:
    known = load()
    assert known.of_kind("time.time", "wall-clock") is not None
    assert known.of_kind("time.monotonic", "monotonic-clock") is not None
    assert "socket" in known.libraries
