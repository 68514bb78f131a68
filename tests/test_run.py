"""Files to one report: stable, the same for any number of processes, whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import libcst as cst
import pytest

from command import DEADLINE, write
from safeboundary_lint import analyse as analysis
from safeboundary_lint import executors, run
from safeboundary_lint.analyse import Options
from safeboundary_lint.core.finding import FileReport
from safeboundary_lint.executors import local, processes
from safeboundary_lint.files import SourceFile

OPTIONS = Options(codes=frozenset({"SBL102"}))

forks = pytest.mark.skipif(sys.platform != "linux", reason="a patched function reaches other processes only by forking")


@pytest.fixture(autouse=True)
def always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "WORTH_A_POOL", 0)
    monkeypatch.setattr(processes, "TASK_FILES", 3)


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SourceFile]:
    """Thirty files of different sizes, every third with a finding; one is no Python, one is gone."""
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        write(tmp_path, **{f"f{number:02}": DEADLINE + "x = 1\n" * number * 7 if number % 3 == 0 else "x = 1\n" * (30 - number)})
    (tmp_path / "f04.py").write_text("import time\nif time.time() <\n")
    files = [SourceFile(path.name, OPTIONS, path.stat().st_size) for path in sorted(tmp_path.glob("*.py"))]
    (tmp_path / "f07.py").unlink()
    return files


def test_any_number_of_processes_says_the_same(many: list[SourceFile]) -> None:
    reports = [run.collected(run.check_all(many, local(jobs))) for jobs in (1, 2, 5)]
    assert reports[0] == reports[1] == reports[2]
    report = reports[0]
    assert report.files == 30
    assert [finding.path for finding in report.findings] == [f"f{number:02}.py" for number in range(0, 30, 3)]
    assert [problem.path for problem in report.problems] == ["f04.py", "f07.py"]
    assert sorted(report.sources) == [f"f{number:02}.py" for number in range(0, 30, 3)]
    assert report.sources["f00.py"] == DEADLINE


def test_results_keep_the_order_of_the_files(many: list[SourceFile]) -> None:
    files = many[::-1]
    assert [report.path for report, _ in run.check_all(files, local(2))] == [file.path for file in files]


def test_progress_counts_every_file(many: list[SourceFile]) -> None:
    for jobs in (1, 2):
        told: list[int] = []
        run.check_all(many, local(jobs), progress=told.append)
        assert told == list(range(1, 31))


def test_every_file_is_in_one_task_the_biggest_first(many: list[SourceFile]) -> None:
    tasks = executors.portions(many, 100, 4)
    assert sorted(index for task in tasks for index in task) == list(range(30))
    sizes = [many[index].size for task in tasks for index in task]
    assert sizes == sorted(sizes, reverse=True)
    assert max(map(len, tasks)) == 4
    assert executors.portions([], 100, 4) == []


def test_what_was_read_already_is_not_read_again() -> None:
    (checked,) = run.check_all([SourceFile("nowhere.py", OPTIONS, 1, DEADLINE.encode())], local(2))
    assert [finding.span.line for finding in checked[0].findings] == [6]


@forks
@pytest.mark.parametrize("die", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(0)], ids=["killed", "exited"])
def test_a_process_that_dies_costs_one_file(
    many: list[SourceFile], monkeypatch: pytest.MonkeyPatch, die: Callable[[], None]
) -> None:
    real = analysis.analyse

    def deadly(source: bytes, path: str, options: Options) -> FileReport:
        if path in ("f05.py", "f20.py"):
            die()
        return real(source, path, options)

    monkeypatch.setattr(analysis, "analyse", deadly)
    report = run.collected(run.check_all(many, local(2)))
    told = {problem.path: problem.message for problem in report.problems}
    assert told["f05.py"] == told["f20.py"] == "the process that checked it died: out of memory, or killed"
    assert sorted(told) == ["f04.py", "f05.py", "f07.py", "f20.py"]
    assert [finding.path for finding in report.findings] == [f"f{number:02}.py" for number in range(0, 30, 3)]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=forks)])
@pytest.mark.parametrize("error", [ValueError("no such thing"), RecursionError("too deep")])
def test_a_defect_of_ours_costs_one_file(
    many: list[SourceFile], monkeypatch: pytest.MonkeyPatch, jobs: int, error: Exception
) -> None:
    real = analysis.analyse

    def defective(source: bytes, path: str, options: Options) -> FileReport:
        if path == "f06.py":
            raise error
        return real(source, path, options)

    monkeypatch.setattr(analysis, "analyse", defective)
    report = run.collected(run.check_all(many, local(jobs)))
    told = {problem.path: problem.message for problem in report.problems}
    assert told["f06.py"] == f"internal error: {type(error).__name__}: {error}; please report it with the file"
    assert len(report.findings) == 9


def test_without_processes_it_works_in_one(many: list[SourceFile], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run.check_all(many, local(1))

    def refused(*_: object, **__: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(processes, "ProcessPoolExecutor", refused)
    assert run.check_all(many, local(2)) == expected


def test_the_collector_is_left_as_it_was(many: list[SourceFile]) -> None:
    import gc

    gc.unfreeze()
    before = gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()
    run.check_all(many, local(1))
    assert (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()) == before


def test_a_process_that_collects_no_garbage_does_not_start_to(many: list[SourceFile]) -> None:
    import gc

    gc.disable()
    try:
        gc.unfreeze()
        run.check_all(many, local(1))
        assert not gc.isenabled()
        assert not gc.get_freeze_count()
    finally:
        gc.enable()


def test_an_interrupt_is_not_taken_for_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: cst.Name, state: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cst.Name, "_codegen_impl", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.check_all([SourceFile("app.py", OPTIONS, 1, DEADLINE.encode())], local(1))
