"""What fixes and suggestions of single rules write where real code had made them write something else."""

from __future__ import annotations

import pytest

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Applicability, Confidence, Finding
from safeboundary_lint.core.source import Source
from safeboundary_lint.fixes.splice import Patch, Splice


def proposed(code: str, text: str) -> tuple[Finding, str]:
    """The first finding, and the text with its edits made, imports left out."""
    finding = analyse(text.encode(), "service.py", Options(frozenset({code}), Confidence.LOW)).findings[0]
    assert finding.fix is not None
    source = Source(text)
    return finding, Patch.of(Splice.of(edit, source) for edit in finding.fix.edits).apply(text)


def test_an_argument_comes_in_a_line_of_its_own_where_the_others_have_one() -> None:
    text = "import requests\n\n\ndef send(url, body):\n    return requests.post(\n        url,\n        json=body,\n    )\n"
    assert proposed("SBL409", text)[1] == text.replace("json=body,\n", "json=body,\n        timeout=10,\n")


def test_the_comment_of_an_argument_that_goes_stays() -> None:
    head = "import httpx\n\n\ndef client():\n    return httpx.Client(\n"
    text = f"{head}        verify=False,  # the proxy checks\n        timeout=5,\n    )\n"
    assert proposed("SBL502", text)[1] == f"{head}        # the proxy checks\n        timeout=5,\n    )\n"


def test_a_moved_statement_of_several_lines_keeps_its_indentation() -> None:
    text = (
        "import pika\nfrom orders import store\n\n\ndef on_message(channel: pika.channel.Channel, method, properties, body):\n"
        "    channel.basic_ack(\n        delivery_tag=method.delivery_tag,\n    )\n    store(body)\n"
    )
    head, ack = text.split("    channel", 1)[0], "    channel.basic_ack(\n        delivery_tag=method.delivery_tag,\n    )\n"
    assert proposed("SBL301", text)[1] == f"{head}    store(body)\n{ack}"


@pytest.mark.parametrize(
    ("read", "compared"),
    [
        ("headers.get('X-Token') != token", "not hmac.compare_digest(headers.get('X-Token', \"\"), token)"),
        ("headers.get('X-Token', b'') != token", "not hmac.compare_digest(headers.get('X-Token', b''), token)"),
    ],
)
def test_a_header_that_is_not_there_does_not_raise(read: str, compared: str) -> None:
    text = f"def verify_token(headers, token):\n    if {read}:\n        raise PermissionError\n"
    assert proposed("SBL512", text)[1] == text.replace(read, compared)


@pytest.mark.parametrize(("test", "step"), [("retries < 20", "+ 1"), ("retries > 0", "- 1"), ("retries <= limit", "+ 1")])
def test_a_counter_goes_where_its_limit_is(test: str, step: str) -> None:
    text = (
        "import requests\n\n\ndef fetch(url, limit, retries):\n    try:\n        return requests.get(url, timeout=5)\n"
        f"    except OSError:\n        if {test}:\n            return fetch(url, limit, retries)\n        raise\n"
    )
    assert proposed("SBL203", text)[1] == text.replace("fetch(url, limit, retries)\n", f"fetch(url, limit, retries {step})\n")


@pytest.mark.parametrize(("put", "level"), [("put", Applicability.UNSAFE), ("put_nowait", Applicability.SUGGESTION)])
def test_a_bound_is_a_suggestion_where_a_full_queue_would_raise(put: str, level: Applicability) -> None:
    text = (
        "import queue\nimport pika\n\n\nwork = queue.Queue()\n\n\n"
        f"def on_message(channel: pika.channel.Channel, method, properties, body):\n    work.{put}(body)\n\n\n"
        "def run(channel: pika.channel.Channel):\n    channel.basic_consume('orders', on_message)\n"
    )
    finding, fixed = proposed("SBL406", text)
    assert finding.fix and finding.fix.applicability is level
    assert "queue.Queue(maxsize=100)" in fixed


def test_the_rest_is_asked_of_the_object_that_expanded() -> None:
    text = "import zlib\n\n\ndef read(request):\n    return zlib.decompressobj().decompress(request.body)\n"
    fixed = proposed("SBL403", text)[1]
    assert "expander = zlib.decompressobj()\n" in fixed and "if expander.unconsumed_tail:" in fixed
    assert fixed.count("decompressobj()") == 1
