"""How sure the rules of acks and retries are: what a maintainer would shrug about is not shown unless asked for."""

from __future__ import annotations

import pytest

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence

SAVING = """
import json, os

def save(folder, settings):
    with open(os.path.join(folder, "settings.json"), "w") as file:
        json.dump(settings, file)
"""
BESIDE = """
    with open(os.path.join(folder, "{0}"), "w") as file:
        file.write("")
"""
CHANGING = """
import yaml

def change({0}, wanted):
    document = yaml.safe_load({0}.read_text())
    document["wanted"] = wanted
    {0}.write_text(yaml.safe_dump(document))
"""
SENDING = """
import requests, time

class {0}:
    def send(self, body):
        for _ in range(3):
            try:
                return requests.post("https://bookings.example/v1", json=body, timeout=5)
            except requests.ConnectionError:
                time.sleep(1)
        raise RuntimeError("not sent")
"""
REQUESTING = """
import aiohttp

class Client:
    def __init__(self):
        self.session = aiohttp.ClientSession()

    async def api_call(self, verb="GET", path=""):
        return await self._request(verb, path)

    async def put_on(self, path):
        return await self.api_call({0})

    async def _request(self, verb, path):
        for _ in range(3):
            try:
                async with self.session.request(verb, path) as answer:
                    return await answer.json()
            except aiohttp.ClientError as error:
                last = error
        raise last
"""
RETURNING = """
import threading, time

class Keeper({0}):
    def give_back(self, parcel):
        while True:
            try:
                return self.depot.settle(parcel)
            except ConnectionError:
                time.sleep(5)
"""
PUTTING = """
import pika

def put(channel, letter, properties=None):
    properties = {0}
    channel.basic_publish(exchange="", routing_key="letters", body=letter, properties=properties)
"""
LOOKING = """
import time

def {0}:
    found = None
    for attempt in range(4):
        try:
            found = ask()
            return found
        except OSError:
            time.sleep(attempt)
    return found
"""
STARTING = """
import asyncio

async def {0}(store, history):
    asyncio.create_task(save_history(store, history))
    return True
"""


@pytest.mark.parametrize(
    ("code", "source", "expected"),
    [
        ("SBL306", SAVING, Confidence.MEDIUM),
        ("SBL306", SAVING + BESIDE.format("a.txt") + BESIDE.format("b.txt"), Confidence.LOW),
        ("SBL306", CHANGING.format("path"), Confidence.LOW),
        ("SBL306", CHANGING.format("settings_path"), Confidence.HIGH),
        ("SBL201", SENDING.format("Bookings"), Confidence.HIGH),
        ("SBL201", SENDING.format("TelemetryUploads"), Confidence.LOW),
        ("SBL201", REQUESTING.format("path=path"), Confidence.LOW),
        ("SBL201", REQUESTING.format("'POST', path"), Confidence.MEDIUM),
        ("SBL203", RETURNING.format("object"), Confidence.MEDIUM),
        ("SBL203", RETURNING.format("threading.Thread"), Confidence.LOW),
        ("SBL305", PUTTING.format("pika.BasicProperties()"), Confidence.HIGH),
        ("SBL305", PUTTING.format("properties or pika.BasicProperties()"), Confidence.LOW),
        ("SBL208", LOOKING.format("load(ask)"), Confidence.MEDIUM),
        ("SBL208", LOOKING.format("load(ask) -> str | None"), Confidence.LOW),
        ("SBL208", LOOKING.format("discover(ask)"), Confidence.LOW),
        ("SBL310", STARTING.format("keep"), Confidence.MEDIUM),
        ("SBL310", STARTING.format("async_setup"), Confidence.LOW),
    ],
)
def test_confidence(code: str, source: str, expected: Confidence) -> None:
    report = analyse(source.encode(), "service.py", Options(frozenset({code}), Confidence.LOW))
    assert not report.problems
    assert [finding.confidence for finding in report.findings if expected is not finding.confidence] == []
    assert report.findings


def test_a_folder_of_judges_asks() -> None:
    options = Options(frozenset({"SBL201"}), Confidence.LOW)
    assert analyse(SENDING.format("Bookings").encode(), "app/orders/adapters/http.py", options).findings
    assert not analyse(SENDING.format("Bookings").encode(), "app/judges/adapters/http.py", options).findings


@pytest.mark.parametrize(("path", "imports", "found"), [
    ("shop/tools/agenda.py", "from shop.places import home", True),
    ("shop/tools/agenda.py", "from ..places import home", True),
    ("tools/agenda.py", "from shop.places import home", False),
    ("shop/docs/agenda.py", "from ..places import home", False),
])  # fmt: skip
def test_a_folder_of_tools_may_be_a_package(path: str, imports: str, found: bool) -> None:
    report = analyse(f"{imports}\n{SAVING}".encode(), path, Options(frozenset({"SBL306"}), Confidence.LOW))
    assert bool(report.findings) is found
