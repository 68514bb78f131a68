"""Which analysis this is: what was found by another one is worth nothing to it.

The version does not tell: a working copy changes without it. The sources do, rules and knowledge among them, and with them
the versions of Python and LibCST, whose words stand in messages.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Iterator

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_SOURCES = (".py", ".toml")


@functools.cache
def signature() -> str:
    """A name for the installed files by size and time: quick to have, and another one after each installation. Raises OSError."""
    return _signed()


def changed() -> bool:
    """True when the files are others than when `signature` was first asked for. Raises OSError."""
    return _signed() != signature()


def _signed() -> str:
    said = [f"{path}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}" for path, status in sorted(_files())]
    return _digest([sys.version.encode(), *(one.encode("utf-8", "surrogatepass") for one in said)])


@functools.cache
def content() -> str:
    """A name for the analysis by the content of its files: the same on every machine. Raises OSError."""
    parts = [sys.version.encode()]
    for path, _ in sorted(_files(), key=lambda file: _place(file[0])):
        with open(path, "rb") as stream:
            source = stream.read()
        parts += [_place(path).encode("utf-8", "surrogatepass"), str(len(source)).encode(), source]
    return _digest(parts)


def _files() -> Iterator[tuple[str, os.stat_result]]:
    waiting = [_PACKAGE]
    for folder in waiting:  # grows while it is walked
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SOURCES):
                    yield entry.path, entry.stat()
                elif entry.is_dir() and entry.name != "__pycache__":
                    waiting.append(entry.path)
    parser = _version_file("libcst")
    if parser:
        yield parser, os.stat(parser)


def _version_file(package: str) -> str | None:
    """The file that tells an installed package's version; found without importing the package."""
    for finder in sys.meta_path:
        spec = finder.find_spec(package, None)
        if spec is not None and spec.origin:
            version = os.path.join(os.path.dirname(spec.origin), "_version.py")
            return version if os.path.exists(version) else spec.origin
    return None


def _place(path: str) -> str:
    return os.path.relpath(path, _PACKAGE) if path.startswith(_PACKAGE) else os.path.basename(path)


def _digest(parts: list[bytes]) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()
