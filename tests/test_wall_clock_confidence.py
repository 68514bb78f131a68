"""What is shown by default of elapsed time by the wall clock: what decides, each cause once; figures and words are not."""

from __future__ import annotations

import pytest

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence, Finding

WAIT = """
import time
def wait(ready, timeout):
    end = time.time() + timeout
    while time.time() < end:
        if ready():
            return True
    return False
"""
FIGURE = """
import time
def run(job, metrics):
    began = time.time()
    job()
    metrics.put("spent", time.time() - began)
"""
THROTTLE = """
import time
def run(jobs, log):
    said = time.time()
    for job in jobs:
        job()
        if time.time() - said > 60:
            log.info("still at work")
            said_time = time.time()
"""
ALARM = """
import time
def run(job, log):
    began = time.time()
    job()
    if time.time() - began > 5:
        log.warning("slow")
"""
REPORT = """
import time
class Sweeper:
    def __init__(self):
        self.swept = time.time()
    def report_due(self, stats_interval):
        return time.time() - self.swept > stats_interval
"""
TOKEN = """
import time
class Client:
    def renew(self, answer):
        self.token_until = time.time() + answer.seconds
    def valid(self):
        return time.time() < self.token_until
"""
BUCKET = """
import time
class Bucket:
    def __init__(self, rate):
        self.rate, self.left, self.filled = rate, 0.0, time.time()
    def get_tokens(self):
        now = time.time()
        self.left += (now - self.filled) * self.rate
        self.filled = now
        return self.left
"""
TURN = """
import time
class Sweeper:
    def __init__(self):
        self.swept = time.time()
    def tick(self, pause):
        if time.time() - self.swept > pause:
            self.sweep()
            self.swept = time.time()
"""
GUARDED_TURN = """
import time
class Sweeper:
    def __init__(self):
        self.swept = time.time()
    def tick(self, pause):
        if time.time() - self.swept < pause:
            return
        self.sweep()
        self.swept = time.time()
"""
POLL = """
import time
def wait(ready, timeout):
    end = time.time() + timeout
    while time.time() < end:
        if ready():
            return True
        time.sleep(1)
    return False
"""
EVENT_POLL = """
def wait(ready, timeout):
    import threading, time
    event, end = threading.Event(), time.time() + timeout
    while not event.is_set():
        event.wait(0.1)
        if time.time() > end:
            raise TimeoutError
"""
LOCK = POLL.replace("def wait", "def acquire")
KILL = POLL.replace("return True", "ready.kill()")
RETRIES = """
import time
def fetch(call, timeout):
    began = time.time()
    while True:
        try:
            return call()
        except OSError:
            if time.time() - began > timeout:
                raise
        time.sleep(1)
"""
WATCH = """
import time
class Peer:
    def heard(self):
        self.last = time.time()
    def watch(self):
        while True:
            time.sleep(1)
            if time.time() - self.last > 30:
                self.close()
"""
COOLDOWN = """
import time
class Breaker:
    def failed(self):
        self.last_failure = time.time()
    def may_try(self, pause):
        if time.time() - self.last_failure < pause:
            return False
        return self.probe()
"""
GRACE = """
import time
def settle(children):
    began = time.time()
    while children:
        if time.time() - began < 10:
            continue
        children.pop().kill()
"""
RECYCLED = """
import time
class Connection:
    def opened(self):
        self.started = time.time()
    def checked(self, recycle):
        if time.time() - self.started > recycle:
            self.reopen()
"""
HEARTBEAT = """
import time
class Peer:
    def beat(self):
        self.last_beat = time.time()
    def check(self):
        if time.time() - self.last_beat > 30:
            self.close()
"""
CACHE = """
import time
class Answers:
    def put(self, value):
        self.value, self.kept = value, time.time()
    def get(self):
        return self.value if time.time() - self.kept < self.ttl else None
"""
KEPT_DATE = """
import datetime
class Device:
    def seen(self):
        self.last_seen = datetime.datetime.utcnow()
    def is_home(self, limit):
        return datetime.datetime.utcnow() - self.last_seen < limit
"""


def found(code: str) -> list[Finding]:
    return list(analyse(code.encode(), "service/clock.py", Options(frozenset(("SBL102",)), Confidence.LOW)).findings)


@pytest.mark.parametrize(
    "code",
    [WAIT, ALARM, BUCKET, LOCK, KILL, RETRIES, WATCH, HEARTBEAT],
    ids=["wait", "alarm", "bucket", "lock", "kill", "retries", "watch", "heartbeat"],
)
def test_what_decides_is_shown(code: str) -> None:
    assert [finding.confidence for finding in found(code)] == [Confidence.HIGH]


@pytest.mark.parametrize(
    "code",
    [FIGURE, THROTTLE, REPORT, TOKEN, TURN, GUARDED_TURN, KEPT_DATE, POLL, EVENT_POLL, COOLDOWN, CACHE, GRACE, RECYCLED],
    ids=["figure", "throttle", "report", "token", "turn", "guarded-turn", "kept-date", "poll", "event-poll", "cooldown", "cache", "grace", "recycled"],
)
def test_what_decides_little_is_low(code: str) -> None:
    assert [finding.confidence for finding in found(code)] == [Confidence.LOW]


def test_one_cause_is_told_where_most_hangs_on_it() -> None:
    [finding] = found(
        "import time\n"
        "class Lamp:\n"
        "    def on(self):\n"
        "        self.lit = time.time()\n"
        "    def age(self):\n"
        "        return time.time() - self.lit\n"
        "    def is_hot(self):\n"
        "        return time.time() - self.lit > 30\n"
    )
    assert finding.span.line == 8
    assert [step.span.line for step in finding.trace if "counts here" in step.message] == [6]


LEASES = """
import time
def walk(store, live=()):
    for lease in store.leases():
        if lease.expires_at > time.time():
            {then}
"""


@pytest.mark.parametrize(
    ("then", "expected"), [("live.append(lease)", Confidence.LOW), ("continue\n        store.take(lease)", Confidence.MEDIUM)]
)
def test_holders_that_are_only_listed_are_low(then: str, expected: Confidence) -> None:
    source = LEASES.format(then=then)
    report = analyse(source.encode(), "service.py", Options(frozenset({"SBL104"}), Confidence.LOW))
    assert [finding.confidence for finding in report.findings] == [expected]
