"""The same report from a real scheduler with two real workers, also when one of them is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import DEADLINE, environment, installed, run, write

FILES = 40
Cluster = tuple[str, list[subprocess.Popen[bytes]]]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment for all parties: workers refuse to work for another version."""
    return installed(tmp_path_factory.mktemp("installed"))


def started(folder: Path, env: dict[str, str], *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
    """A process of the engine, and the file with what it says."""
    log = folder / f"{len(list(folder.iterdir()))}.log"
    command = [sys.executable, "-m", *arguments]
    with log.open("wb") as stream:
        return subprocess.Popen(command, cwd=folder, stdout=stream, stderr=stream, env=env, start_new_session=True), log


def said(log: Path, pattern: str) -> str:
    """What a process said, when it has said it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := re.search(pattern, log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, snapshot: dict[str, str]) -> Iterator[Cluster]:
    """The address of a scheduler, and its two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    processes = []
    try:
        local = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        scheduler, log = started(folder, snapshot, "distributed.cli.dask_scheduler", *local)
        processes.append(scheduler)
        address = said(log, r"Scheduler at:\s+(tcp://\S+)")
        for _ in range(2):
            alone = ("--nworkers", "1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
            worker, log = started(folder, snapshot, "distributed.cli.dask_worker", address, *alone)
            processes.append(worker)
            said(log, r"(Registered to)")
        yield address, processes[1:]
    finally:
        for process in reversed(processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of which some pass the screen, some do not, one is no Python and one is not even text."""
    for number in range(FILES):
        more = "".join(f"\n\ndef late{at}(ready):\n    return time.time() > ready + {at}\n" for at in range(100))
        write(tmp_path, **{f"slow{number:02}": DEADLINE + more})
        write(tmp_path, **{f"plain{number:02}": f"x = {number}\n"})
    write(tmp_path, broken="import time\nif time.time() <\n")
    (tmp_path / "binary.py").write_bytes(b"\xff\x00import time")
    return tmp_path


def checked(folder: Path, env: dict[str, str], *arguments: str) -> tuple[int, str]:
    ran = run("check", "--no-cache", "--output-format", "json", *arguments, cwd=folder, env=env)
    return ran.code, ran.out


def test_a_cluster_says_the_same(folder: Path, cluster: Cluster, snapshot: dict[str, str]) -> None:
    expected = checked(folder, snapshot)
    assert expected[1].count('"SBL102"') >= FILES
    assert checked(folder, snapshot, "--executor", "dask", "--scheduler", cluster[0]) == expected


def test_what_the_screen_holds_back_is_not_sent(tmp_path: Path, cluster: Cluster, snapshot: dict[str, str]) -> None:
    write(tmp_path, plain="x = 1\n", other="def f():\n    return 2\n")
    program = (
        "import sys; from distributed import Client; Client.submit = None\n"
        "from safeboundary_lint.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "check", "--no-cache", "--executor", "dask", "--scheduler", cluster[0]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=snapshot, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "No problems found in 2 files.\n"), done.stderr


def test_a_killed_worker_is_replaced(folder: Path, cluster: Cluster, snapshot: dict[str, str]) -> None:
    expected = checked(folder, snapshot)
    address, workers = cluster
    options = ["--no-cache", "--output-format", "json", "--executor", "dask", "--scheduler", address]
    command = [sys.executable, "-m", "safeboundary_lint", "check", *options]
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=snapshot)
    wait_until_busy(address, workers)
    os.killpg(workers[0].pid, signal.SIGKILL)
    out, err = running.communicate(timeout=240)
    assert workers[0].wait() == -signal.SIGKILL
    assert (running.returncode, out.decode()) == expected, err.decode()


def wait_until_busy(address: str, workers: list[subprocess.Popen[bytes]]) -> None:
    """Until every worker has a batch in hand."""
    from distributed import Client

    deadline = time.monotonic() + 60
    with Client(address, timeout=10, set_as_default=False) as client:
        while time.monotonic() < deadline:
            busy = [tasks for tasks in client.processing().values() if tasks]
            if len(busy) == len(workers):
                return
            time.sleep(0.02)
    raise AssertionError("the workers got nothing to do")


def test_nobody_answers(tmp_path: Path) -> None:
    write(tmp_path, a=DEADLINE)
    ran = run("check", "--no-cache", "--executor", "dask", "--scheduler", "tcp://127.0.0.1:9", cwd=tmp_path)
    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith("error: --scheduler tcp://127.0.0.1:9: no scheduler answers there")


@pytest.mark.parametrize("arguments", [["--executor", "dask"], ["--scheduler", "tcp://127.0.0.1:9"]])
def test_engine_and_address_need_each_other(tmp_path: Path, arguments: list[str]) -> None:
    ran = run("check", *arguments, cwd=tmp_path)
    assert ran.code == 2
    assert "--executor dask and --scheduler ADDRESS need each other" in ran.err


def test_without_the_engine_the_extra_is_named(tmp_path: Path) -> None:
    program = "import sys; sys.modules['distributed'] = None; from safeboundary_lint.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "check", "--executor", "dask", "--scheduler", "tcp://127.0.0.1:9"]
    write(tmp_path, a=DEADLINE)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert "pip install 'safeboundary-lint[dask]'" in done.stderr
