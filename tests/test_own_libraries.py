"""A project's own bus, retry helper and clock are understood after a few rows in its pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import call

KNOWLEDGE = """
[[tool.safeboundary-lint.knowledge.wall-clock]]
names = ["shop.clock.tick"]

[[tool.safeboundary-lint.knowledge.retry-decorator]]
names = ["shop.resilience.persevere"]
stops = ["attempts"]

[[tool.safeboundary-lint.knowledge.publish]]
names = ["shop.bus.Bus.send"]
confirm = "none"

[[tool.safeboundary-lint.knowledge.ack]]
names = ["shop.bus.Delivery.done"]

[[tool.safeboundary-lint.knowledge.callback]]
names = ["shop.bus.Bus.subscribe"]
parameter = "handler"
position = 1
gives = ["shop.bus.Delivery"]

[[tool.safeboundary-lint.knowledge.durable-write]]
names = ["shop.ledger.Ledger.book"]

[tool.safeboundary-lint.knowledge.returns]
"shop.bus.connect" = "shop.bus.Bus"
"shop.ledger.open_ledger" = "shop.ledger.Ledger"
"""

CLOCK = """\
from shop.clock import tick


def wait_for(ready):
    deadline = tick() + 5
    while tick() < deadline:
        if ready():
            return True
    return False
"""

RETRY = """\
from shop.resilience import persevere


@persevere(wait=2)
def stock(client, item):
    return client.level(item)
"""

BUS = """\
from shop.bus import connect
from shop.ledger import open_ledger

bus = connect("orders")
ledger = open_ledger()


def on_order(delivery):
    delivery.done()
    ledger.book(delivery.body)


bus.subscribe("orders", on_order)
"""


@pytest.mark.parametrize(
    ("source", "expected"), [(CLOCK, ("SBL102", 6)), (RETRY, ("SBL203", 4)), (BUS, ("SBL301", 9))], ids=["clock", "retry", "bus"]
)
def test_rows_of_a_project_are_understood(tmp_path: Path, source: str, expected: tuple[str, int]) -> None:
    (tmp_path / "service.py").write_text(source)
    (tmp_path / "pyproject.toml").write_text("[tool.safeboundary-lint]\n")
    assert found(tmp_path) == []  # nothing is known of the library
    (tmp_path / "pyproject.toml").write_text(KNOWLEDGE)
    assert found(tmp_path) == [expected]


def found(folder: Path) -> list[tuple[str, int]]:
    ran = call("check", "--no-cache", "--output-format=json", ".", cwd=folder)
    assert ran.errors == {}
    return [(code, line) for _path, line, code in ran.found]
