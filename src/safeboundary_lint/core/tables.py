"""The tables that ship with us: TOML once, and from then on kept beside it as Python keeps its modules.

Reading TOML takes longer than anything else a small run does before its first file. What came of it is kept in the folder's
`__pycache__` under a digest of the TOML and of itself, so that what is stale, cut off or damaged is told apart. Whoever may write
there may write our code, too. Where Python may not or shall not keep anything there, nothing is kept.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import marshal
import os
import sys
import time
from typing import Any

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "knowledge")
_DIGEST = 16  # bytes

Tables = dict[str, dict[str, Any]]


@functools.cache
def shipped() -> Tables:
    """The tables by the names of their files, in the order of these."""
    return tables_of(FOLDER)


def tables_of(folder: str) -> Tables:
    """The tables in the TOML files of a folder."""
    sources = _sources(folder)
    place = _place(folder)
    tables = _kept(place, sources) if place else None
    if tables is None:
        tables = {name: _parsed(source) for name, source in sources.items()}
        if place and not sys.dont_write_bytecode:
            _keep(place, sources, tables)
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


def _place(folder: str) -> str | None:
    """Where this Python keeps what it made of files in a folder; None where it keeps nothing."""
    try:
        return os.path.splitext(importlib.util.cache_from_source(os.path.join(folder, "tables.py")))[0] + ".kept"
    except NotImplementedError:
        return None


def _kept(place: str, sources: dict[str, bytes]) -> Tables | None:
    try:
        with open(place, "rb") as stream:
            digest, body = stream.read(_DIGEST), stream.read()
        return marshal.loads(body) if digest == _digest(sources, body) else None
    except (OSError, EOFError, ValueError, TypeError):
        return None


def _keep(place: str, sources: dict[str, bytes], tables: Tables) -> None:
    partial = f"{place}.{os.getpid()}-{time.monotonic_ns()}"
    try:
        body = marshal.dumps(tables)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        try:
            with open(partial, "xb") as stream:
                stream.write(_digest(sources, body) + body)
            os.replace(partial, place)
        except OSError:
            os.unlink(partial)
    except (OSError, ValueError):  # it cannot be kept, or TOML holds a date, which marshal does not know
        pass


def _digest(sources: dict[str, bytes], body: bytes) -> bytes:
    digest = hashlib.blake2b(body, digest_size=_DIGEST)
    for name, source in sources.items():
        digest.update(f"\0{name}\0{len(source)}\0".encode("utf-8", "surrogatepass"))
        digest.update(source)
    return digest.digest()
