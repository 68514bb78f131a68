"""What was made of our own files once and is kept beside them, as Python keeps its modules: in a folder's `__pycache__`.

It stands under a digest of itself and of what it was made of, so that what is stale, cut off or damaged is told apart. Whoever may
write there may write our code, too. Where Python may not or shall not keep anything, nothing is kept.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import time

_DIGEST = 16  # bytes


def recall(folder: str, name: str, origin: bytes) -> bytes | None:
    """What is kept under a name in a folder, if it was made of `origin`, which says so by content or by identity."""
    place = _place(folder, name)
    try:
        with open(place or os.devnull, "rb") as stream:
            digest, body = stream.read(_DIGEST), stream.read()
    except OSError:
        return None
    return body if digest == _digest(origin, body) else None


def keep(folder: str, name: str, origin: bytes, body: bytes) -> None:
    """Keep it for the next process, where that is possible."""
    place = _place(folder, name)
    if place is None or sys.dont_write_bytecode:
        return
    partial = f"{place}.{os.getpid()}-{time.monotonic_ns()}"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        try:
            with open(partial, "xb") as stream:
                stream.write(_digest(origin, body) + body)
            os.replace(partial, place)
        except OSError:
            os.unlink(partial)
    except OSError:
        pass


def _place(folder: str, name: str) -> str | None:
    """Where this Python keeps what it made of files in a folder; None where it keeps nothing."""
    try:
        return os.path.splitext(importlib.util.cache_from_source(os.path.join(folder, f"{name}.py")))[0] + ".kept"
    except NotImplementedError:
        return None


def _digest(origin: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(len(origin).to_bytes(8, "big") + origin + body, digest_size=_DIGEST).digest()
