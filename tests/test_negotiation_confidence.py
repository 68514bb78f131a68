"""How sure the rules about peers are: less where the file leaves open who the peer is, or whom its silence would harm."""

from __future__ import annotations

import pytest

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence

SESSION = """
from service.web import shared_session
async def ask(app, entry, url):
    session = shared_session(app, verify_ssl=False{more})
    return {asked}
"""


@pytest.mark.parametrize(
    ("more", "asked", "confidence"),
    [
        ("", "Heater(entry, session)", Confidence.LOW),
        (", cookies=Jar()", "Heater(entry['host'], session)", Confidence.LOW),
        (", base_url=url", "Heater(entry, session)", Confidence.MEDIUM),
        ("", "await session.get(url)", Confidence.MEDIUM),
    ],
)
def test_a_session_is_for_somebody_when_an_address_stands_beside_it(more: str, asked: str, confidence: Confidence) -> None:
    assert confidences("SBL502", SESSION.format(more=more, asked=asked)) == [confidence]


def test_a_client_without_checks_is_told_by_default() -> None:
    source = "from vendor import Archive\ndef archive(entry):\n    return Archive(entry, verify_ssl=False)\n"
    assert confidences("SBL502", source) == [Confidence.MEDIUM]


@pytest.mark.parametrize(
    ("use", "confidence"),
    [
        ("SCHEMA = {optional('verify', default=DEFAULT_VERIFY_SSL): bool}", Confidence.LOW),
        ("CLIENT = connect('archive', verify_ssl=DEFAULT_VERIFY_SSL)", Confidence.MEDIUM),
        ("def client(verify=DEFAULT_VERIFY_SSL): return connect(verify)", Confidence.MEDIUM),
    ],
)
def test_a_default_matters_where_something_connects_with_it(use: str, confidence: Confidence) -> None:
    assert confidences("SBL502", f"from vendor import connect, optional\nDEFAULT_VERIFY_SSL = False\n{use}\n") == [confidence]


CLAIMS = """
import jwt
def claims({given}):
    found = jwt.decode(id_token, options={{"verify_signature": False}})
    return found
"""


def test_an_id_token_beside_an_access_token_came_from_the_provider() -> None:
    assert confidences("SBL504", CLAIMS.format(given="id_token, access_token")) == [Confidence.LOW]
    assert confidences("SBL504", CLAIMS.format(given="id_token, app")) == [Confidence.MEDIUM]


ACCOUNT = """
import requests
def create(address, name):
    return requests.post(address, json=name)
def main(address):
    create(address, {name})
"""


def test_somebody_in_front_of_a_program_sees_it_wait() -> None:
    assert confidences("SBL409", ACCOUNT.format(name="input('name: ')")) == [Confidence.LOW]
    assert confidences("SBL409", ACCOUNT.format(name="read()")) == [Confidence.HIGH]


SCRAM = """
import hmac
def check({server}, key, message):
    {expected} = hmac.digest(key, message, "sha256")
    return {expected} == {server}
"""


def test_the_signature_of_a_server_over_fresh_nonces_teaches_nothing() -> None:
    assert confidences("SBL512", SCRAM.format(server="answer", expected="server_signature")) == [Confidence.LOW]
    assert confidences("SBL512", SCRAM.format(server="answer", expected="client_proof")) == [Confidence.HIGH]


VERIFIER = """
from vendor import Verifier, Refused
def make_verifier({given}):
    if not {given}.signature:
        return None
    return Verifier({given})
def verify_signature(upload, {given}):
    verifier = make_verifier({given})
    if verifier is None:
        return
    if not verifier.matches(upload):
        raise Refused
"""


def test_what_the_data_leave_unsigned_is_no_missing_configuration() -> None:
    assert confidences("SBL506", VERIFIER.format(given="properties")) == [Confidence.LOW]
    assert confidences("SBL506", VERIFIER.format(given="settings")) == [Confidence.MEDIUM]


@pytest.mark.parametrize(("name", "confidence"), [("LocalServerTestCase", Confidence.LOW), ("Archive", Confidence.MEDIUM)])
def test_a_test_case_asks_its_own_server(name: str, confidence: Confidence) -> None:
    source = f"from vendor import Client\nclass {name}:\n    def client(self):\n        return Client(self.host, verify_ssl=False)\n"
    assert confidences("SBL502", source) == [confidence]

RETRIES = """
class Link:
    def __init__(self, host, check_hostname=False):
        self.check_hostname = check_hostname
def link(host, check_hostname=True):
    return Link(host{given})
"""


def test_a_default_that_every_caller_overrides_decides_nothing() -> None:
    assert confidences("SBL502", RETRIES.format(given=", check_hostname=check_hostname")) == [Confidence.LOW]
    assert confidences("SBL502", RETRIES.format(given="")) == [Confidence.MEDIUM]


RECORD = """
def check_client(store, {given}, client_secret):
    stored_secret = store.load({given})
    return stored_secret == client_secret
"""


def test_a_record_that_was_found_by_a_token_teaches_its_finder_nothing() -> None:
    assert confidences("SBL512", RECORD.format(given="session_id")) == [Confidence.LOW]
    assert confidences("SBL512", RECORD.format(given="client_name")) == [Confidence.MEDIUM]


def test_python_literals_make_data_only() -> None:
    source = "import ast, json\ndef load(text):\n    try:\n        return json.loads(text)\n    except ValueError:\n"
    assert confidences("SBL510", source + "        return ast.literal_eval(text)\n") == [Confidence.LOW]
    assert confidences("SBL510", source + "        return eval(text)\n") == [Confidence.HIGH]


ACCESS = """
def shelf_access_check(shelf, {missing}):
    if {missing} is None:
        return True
    return {missing}.may_read(shelf)
"""


def test_without_a_database_there_may_be_nobody_to_restrict() -> None:
    assert confidences("SBL506", ACCESS.format(missing="database_client")) == [Confidence.LOW]
    assert confidences("SBL506", ACCESS.format(missing="policy_client")) == [Confidence.MEDIUM]


@pytest.mark.parametrize(("key", "confidence"), [("ALLOW_UNSAFE_LOOP", Confidence.LOW), ("SKIP_AUTH", Confidence.MEDIUM)])
def test_what_is_set_at_all_weakens_a_protection(key: str, confidence: Confidence) -> None:
    source = f"import os\ndef run(check):\n    if os.environ.get({key!r}):\n        return\n    check()\n"
    assert confidences("SBL514", source) == [confidence]



def confidences(code: str, source: str) -> list[Confidence]:
    report = analyse(source.encode(), "peers.py", Options(frozenset({code}), min_confidence=Confidence.LOW))
    assert not report.problems
    return [one.confidence for one in report.findings]
