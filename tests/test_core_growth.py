"""Time per line stays level: four times the text takes four times as long, whatever grows."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.rules import load

_ALL = Options(frozenset(rule.code for rule in load().rules), Confidence.LOW, screening=False)
_HEAD = "import json, os, pika, requests, socket, time\n"
_SMALL, _TIMES = 50, 4
_LEVEL = 2.4  # what four times the text may take more per line; a step that looks at everything for everything makes it 4


def _in_one_function(line: str) -> Callable[[int], str]:
    return lambda count: "def f(x, channel: pika.channel.Channel, database):\n" + "".join(line.format(i=i) for i in range(count))


_GROWING: dict[str, Callable[[int], str]] = {
    "statements": _in_one_function("    s{i} = time.time()\n    g(x, s{i})\n    print(time.time() - s{i})\n"),
    "branches": _in_one_function("    if x > {i}:\n        requests.post('http://a', json=x)\n"),
    "try statements": _in_one_function("    try:\n        requests.post('http://a', json=x)\n    except Exception:\n        pass\n"),
    "finally clauses": _in_one_function("    try:\n        requests.post('http://a', json=x)\n    finally:\n        x.close()\n"),
    "acknowledgements": _in_one_function("    channel.basic_ack(x)\n    database.commit()\n"),
    "reads": _in_one_function("    s{i} = socket.socket()\n    n{i} = int.from_bytes(s{i}.recv(4), 'big')\n    x = s{i}.recv(n{i})\n"),
    "calls of one helper": lambda count: "def h(x):\n    return requests.post('http://a', json=x)\ndef f(x):\n" + "".join(f"    h({i})\n" for i in range(count)),
    "helpers in a chain": lambda count: "".join(f"def f{i}(x):\n    time.time()\n    f{i + 1}(x)\n" for i in range(count)),
    "methods": lambda count: "class C:\n    def __init__(self):\n        self.t = time.time()\n"
    + "".join(f"    def m{i}(self):\n        self.t{i} = time.time() - self.t\n        return self.m{max(i - 1, 0)}()\n" for i in range(count)),
    "functions": lambda count: "".join(f"def f{i}(x):\n    y = json.loads(x)\n    return requests.get(y['u'], verify=False)\n" for i in range(count)),
    "classes": lambda count: "".join(
        f"class E{i}(Exception): pass\ndef f{i}():\n    try:\n        raise E{i}()\n    except E{i}:\n        time.time()\n" for i in range(count)
    ),
    "bindings of one name": lambda count: "".join(f"x{i} = time.time()\nprint(time.time() - x{i})\nx = x{i}\n" for i in range(count)),
    "entries": lambda count: "d = {}\n" + "".join(f"d['k{i}'] = time.time()\nprint(time.time() - d['k{i}'])\n" for i in range(count)),
}


def _per_line(text: str) -> float:
    """Seconds a line."""
    start = time.process_time()
    analyse(text.encode(), "x.py", _ALL)
    return (time.process_time() - start) / text.count("\n")


@pytest.mark.parametrize("grown", _GROWING.values(), ids=_GROWING.keys())
def test_time_per_line_stays_level(grown: Callable[[int], str]) -> None:
    small, large = _HEAD + grown(_SMALL), _HEAD + grown(_SMALL * _TIMES)
    assert any(_per_line(large) < _per_line(small) * _LEVEL for _ in range(3))  # a busy machine may disturb a measurement
