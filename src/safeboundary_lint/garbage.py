"""When garbage is looked for: a parser's allocations make Python look for it all the time, at a fifth of the time of an analysis."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def collect_seldom() -> None:
    """From now on in this process.

    What is loaded already is never looked at again; the trees of a file are gone when it is done.
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
    """Not at all for the time of one file: all there is then is in use, and looking through it takes the longer the larger the file is."""
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
