"""Fixes: from the edits rules propose to files that are provably no worse.

splice.py      edits as splices of a text, and what old and new text have in common
imports.py     the imports a fix needs, merged in the file's own style
proof.py       is everything outside the splices still the same tree?
rounds.py      fix one file: choose, apply, verify, keep or drop, again
writing.py     put the result on disk, whole or not at all
difference.py  the same result as a patch
"""

from __future__ import annotations

from safeboundary_lint.fixes.difference import diff
from safeboundary_lint.fixes.rounds import Outcome, fix_file
from safeboundary_lint.fixes.writing import ChangedOnDisk, write_atomically

__all__ = ["ChangedOnDisk", "Outcome", "diff", "fix_file", "write_atomically"]
