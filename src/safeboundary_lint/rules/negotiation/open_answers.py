"""Answers that let a request pass, told from Python's own tree: which functions SBL506 has to look at."""

from __future__ import annotations


