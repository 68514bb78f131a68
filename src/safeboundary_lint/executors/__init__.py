"""Where files are checked: in this process, in several, on the workers of a cluster. The outcomes are the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from safeboundary_lint.checking import Outcome, check
from safeboundary_lint.config import ConfigError
from safeboundary_lint.files import SourceFile
from safeboundary_lint.garbage import seldom_collected

Executor = Callable[[Sequence[SourceFile]], Iterator[tuple[int, Outcome]]]
"""Told files, gives the index of each with its outcome, in any order."""

# Below this many bytes one process is done before a second one has started.
WORTH_A_POOL = 200_000


def available_cores() -> int:
    """The number of cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def local(jobs: int) -> Executor:
    """Checks on this machine, with up to `jobs` processes when the work is worth them."""

    def outcomes(files: Sequence[SourceFile]) -> Iterator[tuple[int, Outcome]]:
        if jobs == 1 or len(files) == 1 or sum(file.size for file in files) < WORTH_A_POOL:
            return here(files)
        from safeboundary_lint.executors.processes import in_processes

        return in_processes(files, jobs)

    return outcomes


def cluster(scheduler: str) -> Executor:
    """Checks on the workers of a Dask scheduler. Raises ConfigError when the engine is not installed."""
    try:
        from safeboundary_lint.executors.dask import on_dask
    except ImportError as error:
        raise ConfigError(f"--executor dask needs the engine ({error}): pip install 'safeboundary-lint[dask]'") from None
    return lambda files: on_dask(files, scheduler)


def here(files: Sequence[SourceFile]) -> Iterator[tuple[int, Outcome]]:
    """Checks in this process, one file after the other."""
    with seldom_collected():
        for index, file in enumerate(files):
            yield index, check(file)


def portions(files: Sequence[SourceFile], size: int, most: int) -> list[list[int]]:
    """The files by index in portions of up to `size` bytes and `most` files, the biggest first so that none of them comes last."""
    several: list[list[int]] = []
    room = 0
    for index in sorted(range(len(files)), key=lambda index: -files[index].size):
        if not several or room < files[index].size or len(several[-1]) == most:
            several.append([])
            room = size
        several[-1].append(index)
        room -= files[index].size
    return several
