"""Files checked in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from safeboundary_lint.checking import Outcome, check
from safeboundary_lint.core.finding import FileReport, Problem
from safeboundary_lint.executors import here, portions
from safeboundary_lint.files import SourceFile
from safeboundary_lint.garbage import collect_seldom

# A task is this many bytes of source: large enough to make the hand-over cheap, small enough to end together.
TASK_BYTES = 100_000
TASK_FILES = 40


def in_processes(files: Sequence[SourceFile], jobs: int) -> Iterator[tuple[int, Outcome]]:
    """Checks in `jobs` processes. One that dies is survived: what was in hand is checked again, each file alone."""
    waiting = deque(portions(files, TASK_BYTES, TASK_FILES))
    jobs = min(jobs, len(waiting))
    while waiting:
        flying: dict[Future[list[Outcome]], list[int]] = {}
        try:
            with _pool(jobs, files) as pool:
                while waiting or flying:
                    while waiting and len(flying) < 2 * jobs:
                        flying[pool.submit(_work, [files[index] for index in waiting[0]])] = waiting[0]
                        waiting.popleft()
                    for done in wait(flying, return_when=FIRST_COMPLETED).done:
                        outcomes = done.result()
                        yield from zip(flying.pop(done), outcomes)
        except BrokenProcessPool:
            for index in (index for task in flying.values() for index in task):
                yield index, alone(files[index])
        except (OSError, NotImplementedError, ImportError):  # no processes or semaphores to be had in this place
            left = [index for task in (*flying.values(), *waiting) for index in task]
            yield from zip(left, (outcome for _, outcome in here([files[index] for index in left])))
            return


def alone(file: SourceFile) -> Outcome:
    """Checks a file in a process that may die of it."""
    try:
        with _pool(1, [file]) as pool:
            return pool.submit(_work, [file]).result()[0]
    except BrokenProcessPool:
        return Outcome(FileReport(file.path, problems=(Problem(file.path, "the process that checked it died: out of memory, or killed"),)))


@contextmanager
def _pool(jobs: int, files: Sequence[SourceFile]) -> Iterator[ProcessPoolExecutor]:
    """Processes that are gone at the end, without finishing what nobody waits for."""
    # Elsewhere than on Linux forking is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    if sys.platform == "linux":
        _prepare(files)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_settle)
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(files: Sequence[SourceFile]) -> None:
    """Load here, once, what each of the forked processes would load for itself."""
    from safeboundary_lint import engine, rules  # noqa: F401
    from safeboundary_lint.ruleset import knowledge_of, screen_of

    rules.load()
    for rows in {file.options.knowledge for file in files}:
        knowledge_of(rows)
        screen_of(rows)


def _settle() -> None:
    """In a new process: a signal ends it quietly, without the handlers of the process it was forked from."""
    collect_seldom()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # it was killed: nobody waits for results, and nobody would ever end this process


def _work(files: list[SourceFile]) -> list[Outcome]:
    return [check(file) for file in files]
