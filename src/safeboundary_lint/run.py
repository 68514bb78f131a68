"""Files in, one report out: in a stable order, the same for any number of processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from safeboundary_lint.core.finding import FileReport, Problem, RunReport
from safeboundary_lint.core.source import Source
from safeboundary_lint.files import SourceFile

# Below this many bytes one process is done before a second one has started.
WORTH_A_POOL = 200_000
# A task is this many bytes of source: large enough to make the hand-over cheap, small enough to end together.
TASK_BYTES = 100_000
TASK_FILES = 40

Checked = tuple[FileReport, "str | None"]  # with the text of the file when there are findings to underline
Progress = Callable[[int], None]  # told how many files are done


def available_cores() -> int:
    """The number of cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def collected(checked: Iterable[Checked], problems: Iterable[Problem] = ()) -> RunReport:
    """One report of what was said about single files, and of further `problems`."""
    pairs = list(checked)
    reports = [report for report, _ in pairs]
    return RunReport(
        findings=tuple(sorted((finding for report in reports for finding in report.findings), key=lambda finding: finding.order)),
        problems=tuple(
            sorted(
                (*problems, *(problem for report in reports for problem in report.problems)),
                key=lambda problem: (problem.path, problem.line or 0, problem.message),
            )
        ),
        files=len(reports),
        suppressed=sum(report.suppressed for report in reports),
        hidden=sum(report.hidden for report in reports),
        sources={report.path: text for report, text in pairs if text is not None},
    )


def check_all(files: Sequence[SourceFile], *, jobs: int, progress: Progress = lambda done: None) -> list[Checked]:
    """What the analysis says about each of `files`, in their order."""
    results: dict[int, Checked] = {}
    jobs = min(jobs, len(_tasks(files)))
    worth_it = jobs > 1 and sum(file.size for file in files) >= WORTH_A_POOL
    for index, checked in _in_pool(files, jobs) if worth_it else _here(files):
        results[index] = checked
        progress(len(results))
    return [results[index] for index in range(len(files))]


def check(file: SourceFile) -> Checked:
    """Read and analyse one file. Whatever goes wrong is a problem in its report."""
    try:
        source = read(file)
    except OSError as error:
        return FileReport(file.path, problems=(Problem(file.path, f"cannot be read: {error.strerror or error}"),)), None
    report = report_of(file, source)
    return report, Source.decode(source).text if report.findings else None


def read(file: SourceFile) -> bytes:
    """The content of a file. Raises OSError."""
    if file.source is not None:
        return file.source
    with open(file.path, "rb") as stream:
        return stream.read()


def report_of(file: SourceFile, source: bytes) -> FileReport:
    """The report of `file` with the content `source`: the one place where content becomes findings."""
    from safeboundary_lint.analyse import analyse

    try:
        return analyse(source, file.path, file.options)
    except (Exception, RecursionError) as error:  # a defect of ours must not take the other files down
        message = f"internal error: {type(error).__name__}: {str(error)[:200]}; please report it with the file"
        return FileReport(file.path, problems=(Problem(file.path, message),))


def _here(files: Sequence[SourceFile]) -> Iterator[tuple[int, Checked]]:
    with _seldom_collected():
        for index, file in enumerate(files):
            yield index, check(file)


def _in_pool(files: Sequence[SourceFile], jobs: int) -> Iterator[tuple[int, Checked]]:
    """Like `_here`, in processes. A process that dies is survived: what was in hand is checked again, each file alone."""
    waiting = deque(_tasks(files))
    while waiting:
        flying: dict[Future[list[Checked]], list[int]] = {}
        try:
            with _pool(jobs) as pool:
                while waiting or flying:
                    while waiting and len(flying) < 2 * jobs:
                        flying[pool.submit(_work, [files[index] for index in waiting[0]])] = waiting[0]
                        waiting.popleft()
                    for done in wait(flying, return_when=FIRST_COMPLETED).done:
                        checked = done.result()
                        yield from zip(flying.pop(done), checked)
        except BrokenProcessPool:
            for index in (index for task in flying.values() for index in task):
                yield index, _alone(files[index])
        except (OSError, NotImplementedError, ImportError):  # no processes or semaphores to be had in this place
            left = [index for task in (*flying.values(), *waiting) for index in task]
            yield from zip(left, (checked for _, checked in _here([files[index] for index in left])))
            return


def _alone(file: SourceFile) -> Checked:
    try:
        with _pool(1) as pool:
            return pool.submit(_work, [file]).result()[0]
    except BrokenProcessPool:
        return FileReport(file.path, problems=(Problem(file.path, "the process that checked it died: out of memory, or killed"),)), None


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that are gone at the end, without finishing what nobody waits for."""
    # Forked processes share the rules that are loaded already. Elsewhere than on Linux forking is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_settle)
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _settle() -> None:
    """In a new process: a signal ends it quietly, without the handlers of the process it was forked from."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _work(files: list[SourceFile]) -> list[Checked]:
    with _seldom_collected():
        return [check(file) for file in files]


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Garbage collection for the allocations of a parser: with the usual thresholds it costs a fifth of the time."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(500_000, 10, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _tasks(files: Sequence[SourceFile]) -> list[list[int]]:
    """The files by index in portions of similar size, the biggest first so that none of them comes last."""
    tasks: list[list[int]] = []
    room = 0
    for index in sorted(range(len(files)), key=lambda index: -files[index].size):
        if not tasks or room < files[index].size or len(tasks[-1]) == TASK_FILES:
            tasks.append([])
            room = TASK_BYTES
        tasks[-1].append(index)
        room -= files[index].size
    return tasks
