"""What fixing changes, as a patch."""

from __future__ import annotations

import difflib
import re

from safeboundary_lint.core.source import Source


def diff(path: str, old: bytes, new: bytes) -> str:
    """A unified diff of two versions of a file that `patch -p0` and `git apply -p0` take; empty when they are equal."""
    if old == new:
        return ""
    parts = []
    for line in difflib.unified_diff(_lines(old), _lines(new), path, path):
        parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def _lines(data: bytes) -> list[str]:
    """Lines as those tools have them: ended by LF alone, with byte order mark, CR and form feeds in them."""
    source = Source.decode(data)
    return re.findall(r"[^\n]*\n|[^\n]+", ("\ufeff" if source.mark else "") + source.text)
