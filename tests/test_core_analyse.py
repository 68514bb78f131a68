"""`analyse` keeps its promise on whatever it is given: it never raises, no rule breaks, and screening changes no finding."""

from __future__ import annotations

import io
import random
import textwrap
import tokenize

import pytest
from fixture_files import Fixture, fixtures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence, FileReport
from safeboundary_lint.rules import load

ALL = Options(frozenset(rule.code for rule in load().rules), Confidence.LOW)
UNSCREENED = Options(ALL.codes, Confidence.LOW, screening=False)
_BOUNDED = settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def whole(report: FileReport) -> FileReport:
    """The report, after a look that nothing broke on the way to it."""
    assert [problem for problem in report.problems if "internal error" in problem.message] == []
    return report


@pytest.mark.parametrize("fixture", fixtures(), ids=lambda fixture: fixture.label)
def test_screening_changes_no_finding(fixture: Fixture) -> None:
    source = fixture.path.read_bytes()
    screened, unscreened = analyse(source, fixture.label, ALL), whole(analyse(source, fixture.label, UNSCREENED))
    assert screened.findings == unscreened.findings


_FALLBACKS = {
    "a test of a name of the module": """
        OK = probe("https://example.org")

        def address(host):
            if OK:
                return connect("https://" + host)
            return connect("http://" + host)
        """,
    "ways that are named elsewhere": """
        WAYS = ("https", "http")

        def address(host):
            for scheme in WAYS:
                try:
                    return fetch(scheme + "://" + host)
                except OSError:
                    continue
        """,
    "a helper that tries": """
        import requests

        def helper(host):
            return requests.get(f"https://{host}", timeout=5)

        def address(host):
            ok = helper(host)
            if not ok:
                return connect("http://" + host)
            return connect("https://" + host)
        """,
    "an alias of what connects": """
        import grpc
        from functools import partial

        send = partial(grpc.insecure_channel, "host")

        def connect(host):
            try:
                return grpc.secure_channel(host)
            except OSError:
                return send(host)
        """,
    "a flag by position": """
        import requests

        def fetch(url, verify=True):
            return requests.get(url, verify=verify, timeout=5)

        def get(url):
            try:
                return fetch(url)
            except requests.exceptions.SSLError:
                return fetch(url, False)
        """,
    "no context the second time": """
        import smtplib
        import ssl

        def connect(host):
            try:
                return smtplib.SMTP_SSL(host, context=ssl.create_default_context())
            except ssl.SSLError:
                return smtplib.SMTP_SSL(host)
        """,
    "a test without an if": """
        def address(host):
            return probe("https://" + host) or "http://" + host
        """,
    "an attempt kept in an attribute": """
        class Client:
            def try_it(self, host):
                self.ok = ping("https://" + host)

            def address(self, host):
                return "https://" + host if self.ok else "http://" + host
        """,
}


@pytest.mark.parametrize("text", _FALLBACKS.values(), ids=_FALLBACKS)
def test_fallbacks_are_found_whatever_is_left_out(text: str) -> None:
    source = textwrap.dedent(text).encode()
    screened, unscreened = analyse(source, "client.py", ALL), whole(analyse(source, "client.py", UNSCREENED))
    assert screened.findings == unscreened.findings
    assert any(finding.code == "SBL501" for finding in screened.findings)


@pytest.mark.parametrize("shown", [Confidence.MEDIUM, Confidence.HIGH])
@pytest.mark.parametrize("fixture", fixtures(), ids=lambda fixture: fixture.label)
def test_what_is_only_counted_is_counted_right(fixture: Fixture, shown: Confidence) -> None:
    source, codes = fixture.path.read_bytes(), ALL.codes
    assert analyse(source, fixture.label, Options(codes, shown)) == analyse(source, fixture.label, Options(codes, shown, screening=False))


def damaged(text: str, plan: random.Random) -> str:
    """The text with a few of its tokens dropped, doubled or exchanged for another one of the file."""
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    lines = text.splitlines(keepends=True)
    words = [token for token in tokens if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING) and token.start[0] == token.end[0]]
    for token in sorted(plan.sample(words, min(len(words), plan.randrange(1, 4))), key=lambda token: token.start, reverse=True):
        (row, start), (_, end) = token.start, token.end
        new = plan.choice(["", f"{token.string} {token.string}", plan.choice(words).string])
        lines[row - 1] = lines[row - 1][:start] + new + lines[row - 1][end:]
    return "".join(lines)


@_BOUNDED
@given(st.sampled_from(fixtures()), st.integers(0, 2**32))
def test_damaged_files_are_checked_or_refused(fixture: Fixture, seed: int) -> None:
    whole(analyse(damaged(fixture.text, random.Random(seed)).encode(), fixture.label, UNSCREENED))


@_BOUNDED
@given(st.binary(max_size=300))
def test_any_bytes(source: bytes) -> None:
    whole(analyse(source, "x.py", UNSCREENED))


_HEAD = "import time, os, json, socket, requests\n"
_NESTED = {
    "brackets": "x = " + "(" * 150 + "time.time()" + ")" * 150 + " - time.time()\n",
    "lists": "x = " + "[" * 90 + "time.time()" + "]" * 90 + "\n",
    "subscripts": "x = json.loads(y)" + "[0]" * 60 + " - time.time()\n",
    "calls": "x = time.time()" + ".replace()" * 60 + " - time.time()\n",
    "sum": "x = time.time()\ny = " + " + ".join(["time.time()"] * 400) + " - x\n",
    "or": "if " + " or ".join(["time.time() - x > 1"] * 300) + ":\n    pass\n",
    "conditions": "x = " + "time.time() if y else " * 90 + "0\nprint(time.time() - x)\n",
    "not": "x = " + "not " * 90 + "time.time()\n",
    "blocks": "".join(" " * depth + "if time.time() - x > 1:\n" for depth in range(90)) + " " * 90 + "requests.post(u)\n",
    "tries": "".join(" " * d + "try:\n" for d in range(18)) + " " * 18 + "requests.post(u)\n" + "".join(" " * d + "finally: os.rename(a, b)\n" for d in reversed(range(18))),
    "loops": "".join(" " * depth + "while time.time() < x:\n" for depth in range(18)) + " " * 18 + "requests.post(u)\n",
    "functions": "".join(" " * d + f"def f{d}(x):\n" for d in range(40)) + " " * 40 + "return time.time() - x\n",
    "classes": "".join(" " * d + f"class C{d}(C{d + 1}):\n" for d in range(40)) + " " * 40 + "x = time.time()\n",
    "lambdas": "f = " + "lambda x: " * 60 + "time.time() - x\n",
    "elifs": "if x: pass\n" + "".join(f"elif time.time() - x > {i}: requests.post(u)\n" for i in range(200)),
    "helpers": "".join(f"def f{i}(x):\n    return f{i + 1}(x)\n" for i in range(300)) + "def f300(x): return time.time()\nprint(time.time() - f0(1))\n",
    "raisers": "".join(f"def f{i}(x):\n    f{i + 1}(x)\n" for i in range(300)) + "def f300(x): raise ValueError\nf0(time.time())\n",
    "names": "x0 = time.time()\n" + "".join(f"x{i + 1} = x{i}\n" for i in range(600)) + "print(time.time() - x600)\n",
    "attributes": "class C:\n    def f(self):\n" + "".join(f"        self.x{i + 1} = self.x{i}\n" for i in range(300)) + "        return time.time() - self.x300\n",
    "bases": "".join(f"class C{i}(C{i + 1}): pass\n" for i in range(300)) + "class C300(Exception): pass\ntry: raise C0\nexcept C300: time.time()\n",
    "strings": "x = " + " ".join(["'a'"] * 400) + "\nrequests.post(x)\n",
    "a long line": "x = [" + "time.time(), " * 3000 + "]\n",
}


@pytest.mark.parametrize("text", _NESTED.values(), ids=_NESTED.keys())
def test_deep_and_long_texts(text: str) -> None:
    report = whole(analyse((_HEAD + text).encode(), "x.py", UNSCREENED))
    assert [problem.message for problem in report.problems] == []
    assert report.findings == analyse((_HEAD + text).encode(), "x.py", ALL).findings


def test_what_is_too_deep_is_refused_in_one_line() -> None:
    (problem,) = analyse((_HEAD + "x = time.time()" + ".replace()" * 900 + " - time.time()\n").encode(), "x.py", ALL).problems
    assert "nested too deeply" in problem.message and "exclude" in problem.message


def test_findings_come_in_the_order_of_the_text() -> None:
    source = b"import time\ndef f(a):\n    s = time.time()\n    g()\n    return time.time() - s > 3\n\n" * 3
    findings = whole(analyse(source, "x.py", ALL)).findings
    assert len(findings) >= 3
    assert [finding.order for finding in findings] == sorted(finding.order for finding in findings)
    assert len({finding.fingerprint for finding in findings}) == len(findings)


def test_a_finding_keeps_its_fingerprint_when_lines_move() -> None:
    source = b"import time\ndef f(a):\n    s = time.time()\n    g()\n    return time.time() - s > 3\n"
    before, after = (analyse(text, "x.py", ALL).findings for text in (source, source.replace(b"def f", b"# moved\n\ndef f")))
    assert [finding.fingerprint for finding in before] == [finding.fingerprint for finding in after]
    assert [finding.span.line for finding in before] != [finding.span.line for finding in after]


def test_only_the_wanted_rules_speak() -> None:
    source = b"import time\nd = time.time() + 3\nwhile time.time() < d: pass\n"
    assert {finding.code for finding in analyse(source, "x.py", Options(frozenset({"SBL102"}), Confidence.LOW)).findings} == {"SBL102"}
    assert analyse(source, "x.py", Options(frozenset())).findings == ()
