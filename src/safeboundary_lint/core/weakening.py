"""One place of a file that turns a protection off."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst

from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.core.knowledge import Row

CERTIFICATE, HOSTNAME, PROTOCOL, PLAINTEXT, HOST_KEY = "certificate", "hostname", "protocol", "plaintext", "host-key"


@dataclass(eq=False)
class Weakening:
    """One place that turns a protection off."""

    node: cst.CSTNode  # what to point at
    checks: str  # the protection that is lost: CERTIFICATE, HOSTNAME, PLAINTEXT, HOST_KEY
    text: str  # the setting as the code writes it
    form: str  # `argument`, `attribute`, `default`, `entry`, `variable`, `constant`, `context`, `missing`, `option`
    confidence: Confidence = Confidence.HIGH
    value: cst.CSTNode | None = None  # the expression that switches it off
    safe: str | None = None  # what to write in the place of the value
    call: cst.Call | None = None
    owner: str | None = None  # the place of the object it is set on
    passing: bool = False  # a local value, or one of several that an attribute gets: it matters where it follows a failure
    row: Row | None = None
    others: list[Weakening] = field(default_factory=list)  # on the same object in the same function


def weakened(node: cst.CSTNode, row: Row, text: str, form: str, value: cst.CSTNode | None, **more: object) -> Weakening:
    """A place with what the row of the setting says of it."""
    checks, safe = row.get("checks", CERTIFICATE), row.get("safe")
    return Weakening(node, checks, text, form, row.confidence, value, safe, row=row, **more)  # type: ignore[arg-type]
