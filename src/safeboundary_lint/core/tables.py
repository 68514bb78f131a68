"""The tables that ship with us: TOML once, and from then on kept beside it. Reading TOML takes longer than all else that a small run does."""

from __future__ import annotations

import functools
import hashlib
import marshal
import os
import sys
from typing import Any

from safeboundary_lint.core import kept

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "knowledge")

Tables = dict[str, dict[str, Any]]


@functools.cache
def shipped() -> Tables:
    """The tables by the names of their files, in the order of these."""
    return tables_of(FOLDER)


def tables_of(folder: str) -> Tables:
    """The tables in the TOML files of a folder."""
    sources = _sources(folder)
    origin = _digest(sources)
    tables = _read(kept.recall(folder, "tables", origin))
    if tables is None:
        tables = {name: _parsed(source) for name, source in sources.items()}
        try:
            kept.keep(folder, "tables", origin, marshal.dumps(tables))
        except ValueError:  # TOML holds a date, which marshal does not know
            pass
    return tables


def _sources(folder: str) -> dict[str, bytes]:
    sources = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".toml"):
            with open(os.path.join(folder, name), "rb") as stream:
                sources[name] = stream.read()
    return sources


def _parsed(source: bytes) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(source.decode("utf-8"))


def _read(body: bytes | None) -> Tables | None:
    try:
        return None if body is None else marshal.loads(body)
    except (EOFError, ValueError, TypeError):
        return None


def _digest(sources: dict[str, bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, source in sources.items():
        digest.update(f"\0{name}\0{len(source)}\0".encode("utf-8", "surrogatepass"))
        digest.update(source)
    return digest.digest()
