"""How sure the parsing rules are: less of whoever has logged in than of strangers, less of configured hosts than of chosen ones."""

from __future__ import annotations

import pytest

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence

ROUTE = """
from fastapi import APIRouter, Depends, Request, Response
from service.accounts import current_user, read_settings, Authenticated
router = APIRouter({router})

@router.post("/batch"{route})
async def accept(request: Request{parameter}):
    {before}
    return store(await request.body())
"""
HOOK = ROUTE.format(
    router="", route="", parameter=", settings=Depends(read_settings)", before="if settings.closed: return Response(status_code=503)"
)


@pytest.mark.parametrize(
    "places",
    [
        {"parameter": ", user=Depends(current_user)"},
        {"parameter": ", caller: Authenticated = None"},
        {"route": ", dependencies=[Depends(current_user)]"},
        {"router": "dependencies=[Depends(current_user)]"},
        {"before": "if not request.headers.get('x-key') == KEY:\n        return Response(status_code=401)"},
    ],
)
def test_a_body_of_somebody_who_has_logged_in_is_of_low_confidence(places: dict[str, str]) -> None:
    empty = {"router": "", "route": "", "parameter": "", "before": "pass"}
    assert confidences(ROUTE.format(**{**empty, **places})) == [Confidence.LOW]


def test_a_body_of_a_stranger_is_told_by_default() -> None:
    assert confidences(HOOK) == [Confidence.MEDIUM]


def test_pieces_of_a_response_are_as_sure_as_its_host_is_chosen_by_others() -> None:
    gathering = "        for piece in {0}.iter_bytes():\n            kept += piece\n    return kept\n"
    handed_in = "import httpx\ndef relay(answer: httpx.Response):\n    kept = b''\n    if answer:\n" + gathering.format("answer")
    asked_for = "import httpx\ndef fetch(url):\n    kept = b''\n    with httpx.stream('GET', url, timeout=5) as answer:\n"
    asked_for += gathering.format("answer")
    assert confidences(handed_in) == [Confidence.LOW]
    assert confidences(asked_for) == [Confidence.MEDIUM]


INFLATING = """
import urllib.request, zlib
{fetching}
    return zlib.decompress(answer.read())
"""


@pytest.mark.parametrize(
    ("fetching", "expected"),
    [
        ("def feed(url):\n    answer = urllib.request.urlopen(url, timeout=5)", Confidence.HIGH),
        ("def rates():\n    answer = urllib.request.urlopen('https://rates.example.org/daily', timeout=5)", Confidence.LOW),
        ("def rates(settings):\n    answer = urllib.request.urlopen(settings.rates_url, timeout=5)", Confidence.LOW),
    ],
)
def test_answers_are_inflated_as_surely_as_their_host_is_chosen_by_others(fetching: str, expected: Confidence) -> None:
    assert confidences(INFLATING.format(fetching=fetching), "SBL403") == [expected]


def test_a_body_that_is_asked_for_twice_is_one_finding() -> None:
    assert confidences(HOOK.replace("    return store", "    log(await request.body())\n    return store")) == [Confidence.MEDIUM]


def test_a_large_document_whose_entities_stay_as_they_are_is_of_low_confidence() -> None:
    parse = "from lxml import etree\ndef feed(path):\n    return etree.parse(path, etree.XMLParser({0}huge_tree=True))\n"
    assert confidences(parse.format(""), "SBL404") == [Confidence.HIGH]
    assert confidences(parse.format("resolve_entities=True, "), "SBL404") == [Confidence.HIGH]
    assert confidences(parse.format("resolve_entities=False, "), "SBL404") == [Confidence.LOW]


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        ("def parse(document):\n    return ET.fromstring(document.encode().strip())", Confidence.MEDIUM),
        ("def parse(document):\n    return ET.parse(io.BytesIO(document))", Confidence.MEDIUM),
        ("def status(tool):\n    return ET.fromstring(run([tool, 'status', '--xml']))", Confidence.LOW),
    ],
)
def test_what_a_tool_prints_is_no_document_that_was_handed_in(reading: str, expected: Confidence) -> None:
    source = f"import io\nimport xml.etree.ElementTree as ET\nfrom service.tools import run\n{reading}\n"
    assert confidences(source, "SBL405") == [expected]


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        ("def valid(self, ticket):\n    answer = requests.get(self.sso + '/check', params=ticket, timeout=5)", Confidence.HIGH),
        ("def jobs(self):\n    answer = requests.get(self.jobs_of(), headers=self.session, timeout=5)", Confidence.LOW),
        ("def feed(url):\n    answer = requests.get(url, headers=AGENT, timeout=5)", Confidence.HIGH),
        ("def rates():\n    answer = requests.get('https://rates.example.org/daily.xml', timeout=5)", Confidence.LOW),
        ("def listing(answer: requests.Response):\n    pass", Confidence.LOW),
    ],
)
def test_documents_of_a_service_that_the_program_has_chosen_are_of_low_confidence(reading: str, expected: Confidence) -> None:
    source = f"import xml.etree.ElementTree as ET\nimport requests\n{reading}\n    return ET.fromstring(answer.content)\n"
    assert confidences(source, "SBL405") == [expected]


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        ("run(['tool', '--xml']).stdout", Confidence.LOW),
        ("client.get(FEED_URL).content", Confidence.LOW),
        ("client.get(address).content", Confidence.MEDIUM),
        ("message", Confidence.MEDIUM),
    ],
)
def test_a_document_that_is_handed_in_is_what_callers_of_the_file_pass(passed: str, expected: Confidence) -> None:
    parse = "import xml.etree.ElementTree as ET\ndef titles(document):\n    return ET.fromstring(document).iter('title')\n"
    source = f"{parse}def main(client, address, message):\n    return titles({passed})\n"
    assert confidences(source, "SBL405") == [expected]


@pytest.mark.parametrize(("imported", "expected"), [("from alembic import op", Confidence.LOW), ("import json", Confidence.MEDIUM)])
def test_rows_that_a_migration_reads_are_of_low_confidence(imported: str, expected: Confidence) -> None:
    assert confidences(f"import zlib\n{imported}\ndef row(packed):\n    return zlib.decompress(packed)\n", "SBL403") == [expected]


@pytest.mark.parametrize(("reader", "low"), [("fileobj", True), ("stream", False)])
def test_lengths_in_a_file_that_is_handed_in_are_of_low_confidence(reader: str, low: bool) -> None:
    source = f"import struct\ndef record({reader}):\n    size = struct.unpack('!I', {reader}.read(4))[0]\n    return {reader}.read(size)\n"
    assert [one is Confidence.LOW for one in confidences(source, "SBL402")] == [low]


def test_a_helper_is_behind_the_login_of_its_callers() -> None:
    helper = "async def _body(request: Request):\n    return await request.body()\n"
    caller = ROUTE.replace("await request.body()", "await _body(request)")
    empty = {"router": "", "route": "", "parameter": "", "before": "pass"}
    behind = caller.format(**{**empty, "parameter": ", user=Depends(current_user)"}) + helper
    assert confidences(behind) == [Confidence.LOW]
    assert confidences(caller.format(**empty) + helper) == [Confidence.MEDIUM]


LINES = """
class {name}:
    def __init__(self):
        self._rest = b""
    def data_received(self, data):
        self._rest += data
        *lines, self._rest = self._rest.split(b"\\n")
        return lines
"""


@pytest.mark.parametrize(("name", "expected"), [("SSEParser", Confidence.LOW), ("AssessedLines", Confidence.MEDIUM)])
def test_events_come_from_a_server_of_our_choice(name: str, expected: Confidence) -> None:
    assert confidences(LINES.format(name=name), "SBL406") == [expected]


@pytest.mark.parametrize(("declared", "expected"), [("Hashable", Confidence.LOW), ("str", Confidence.MEDIUM)])
def test_keys_of_any_kind_need_not_be_a_clients(declared: str, expected: Confidence) -> None:
    source = (
        "import time\nclass Limiter:\n    def __init__(self):\n        self.last_calls = {}\n"
        f"    def called(self, key: {declared}):\n        self.last_calls[key] = time.monotonic()\n"
    )
    assert confidences(source, "SBL408") == [expected]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [("noqa: S307 - any code, by design", Confidence.LOW), ("nosec: on purpose", Confidence.LOW), ("noqa: S307", Confidence.HIGH)],
)
def test_code_that_is_run_by_design_is_written_down(comment: str, expected: Confidence) -> None:
    source = f"from flask import request\ndef run():\n    return eval(request.args['code'])  # {comment}\n"
    assert confidences(source, "SBL405") == [expected]


def confidences(source: str, code: str = "SBL401") -> list[Confidence]:
    report = analyse(source.encode(), "service.py", Options(frozenset({code}), Confidence.LOW))
    assert not report.problems
    return [finding.confidence for finding in report.findings]
