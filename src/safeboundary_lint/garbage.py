"""When garbage is looked for: a parser's allocations make Python look for it all the time, at a fifth of the time of an analysis."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def collect_seldom() -> None:
    """From now on in this process.

    What is loaded already is never looked at again; trees of files that are done are gone before there are many.
    """
    gc.freeze()
    gc.set_threshold(200_000, 3, 3)
    gc.enable()


@contextmanager
def seldom_collected() -> Iterator[None]:
    """The same for a while, and nothing left over behind it; a process that collects nothing else has no need to clear up."""
    enabled, thresholds = gc.isenabled(), gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if enabled:
            gc.collect()
        else:
            gc.disable()
        gc.unfreeze()


@contextmanager
def not_collected() -> Iterator[None]:
    """Not at all for the time of one file, inside of somebody else's process: it is looked for right after."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def give_back_memory() -> None:
    """What is free, to the system: glibc keeps hundreds of megabytes of it behind the little that is still held."""
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # it is glibc
            trim(0)
