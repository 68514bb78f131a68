"""The service in examples: its mistakes are found, each by its rule and at its place, and its correct parts stay silent."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

MISTAKES = {
    ("carrier.py", "Carrier.__init__", "SBL207"),
    ("carrier.py", "Carrier.book", "SBL201"),
    ("carrier.py", "Carrier.price_list", "SBL501"),
    ("carrier.py", "Carrier.status", "SBL203"),
    ("carrier.py", "Carrier.status", "SBL409"),
    ("notices.py", "print_label", "SBL502"),
    ("notices.py", "send", "SBL505"),
    ("notices.py", "upload_manifest", "SBL507"),
    ("scanner.py", "", "SBL404"),
    ("scanner.py", "ScannerConnection.frames", "SBL402"),
    ("scanner.py", "ScannerConnection.idle", "SBL105"),
    ("scanner.py", "photo_of", "SBL401"),
    ("scanner.py", "scans_of", "SBL403"),
    ("scanner.py", "server_context", "SBL503"),
    ("store.py", "FeedPosition.save", "SBL306"),
    ("store.py", "Store.open_claim", "SBL103"),
    ("worker.py", "BookingWorker.on_booking", "SBL303"),
    ("worker.py", "ScanWorker.on_scan", "SBL301"),
    ("worker.py", "drain", "SBL102"),
    ("worker.py", "follow_vans", "SBL302"),
}
RIGHT = {
    ("carrier.py", "Carrier.cancel"): "the key is made once for all attempts",
    ("carrier.py", "Carrier.label"): "reads one byte more than it takes",
    ("notices.py", "alert"): "STARTTLS or nothing",
    ("scanner.py", "ScannerConnection.scan"): "the length is checked first",
    ("scanner.py", "settings_of"): "the output is capped",
    ("store.py", "save_routes"): "written beside, synchronised, renamed",
    ("worker.py", "store_returns.on_return"): "committed, then acknowledged",
}


@cache
def findings(*options: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "safeboundary_lint", "check", "examples", "--output-format", "json", "--exit-zero", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    report = json.loads(run.stdout)
    assert report["errors"] == [] and report["summary"]["files"] == len(list((ROOT / "examples").rglob("*.py")))
    found: list[dict[str, Any]] = report["findings"]
    return found


def place(finding: dict[str, Any]) -> tuple[str, str]:
    return Path(finding["path"]).name, finding["symbol"]


def test_mistakes_are_found_and_nothing_else() -> None:
    codes = sorted({code for _, _, code in MISTAKES})
    found = {(*place(finding), finding["code"]) for finding in findings("--select", ",".join(codes))}
    assert found == MISTAKES


@pytest.mark.parametrize("part", RIGHT, ids=lambda part: f"{part[0]}-{part[1]}")
def test_right_parts_stay_silent(part: tuple[str, str]) -> None:
    assert [finding["message"] for finding in findings() if place(finding) == part] == [], RIGHT[part]


def test_mistakes_are_shown_by_default() -> None:
    assert {(*place(finding), finding["code"]) for finding in findings()} >= MISTAKES
