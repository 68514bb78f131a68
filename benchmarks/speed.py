#!/usr/bin/env python3
"""How fast the linter is beside its peers: one table, one command.

    python benchmarks/speed.py --tree DIR --peers DIR [--wild DIR] [--quick] [--write]

DIR of --tree holds the source to check, Django 5.2 for the figures in docs/performance.md; it is copied, not touched. Peers are
installed from PyPI below DIR of --peers, each into an environment of its own, once. What is compared is measured side by side, by
hyperfine when it is there and by a loop of our own else. `--write` puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import datetime
import json
import multiprocessing
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured -->\n", "<!-- end of measured -->\n"
OURS = [sys.executable, "-m", "safeboundary_lint"]
QUIET = ["--isolated", "--quiet", "--exit-zero"]
PEERS = {
    "bandit": ["bandit"],
    "ruff": ["ruff"],
    "flake8": ["flake8>=7,<8"],
    "flake8-async": ["flake8>=7,<8", "flake8-async"],
    "flake8-ours": ["flake8>=7,<8", str(ROOT)],
}
CHANGED = ("core/signing.py", "core/files/move.py", "utils/timesince.py", "core/mail/backends/smtp.py", "http/request.py")
SPREAD = 15  # files that are changed one by one
SLOW = 40.0  # seconds after which a command is measured once only
PATIENCE = 180.0  # seconds to wait for one analysis
ENOUGH = 6.0  # seconds of analyses of two texts, in turn, of which the best ones count


@dataclass(frozen=True)
class Row:
    """One comparison: `ratio` is to be at most, or at least, `target`."""

    work: str
    ours: str
    peer: str
    ratio: float
    target: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target

    def cells(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        return [self.work, self.ours, self.peer, f"{self.ratio:.2f}", f"{sign} {self.target:g}", "yes" if self.met else "no"]


class Bench:
    """Commands run in a copy of the tree, and how long they take."""

    def __init__(self, tree: pathlib.Path, peers: pathlib.Path, runs: int) -> None:
        self.tree = tree
        self._peers = peers
        self._runs = runs
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._hyperfine = shutil.which("hyperfine")

    def peer(self, name: str, program: str | None = None) -> str:
        """The program of a peer, installed when it is not there yet."""
        folder = self._peers / name
        if not (folder / "bin" / "python").exists():
            print(f"installing {name}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([folder / "bin" / "pip", "install", "--quiet", *PEERS[name]], check=True)
        return str(folder / "bin" / (program or name))

    def version(self, name: str) -> str:
        command = [self.peer(name, "pip"), "list", "--format", "json"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        versions = {one["name"]: one["version"] for one in json.loads(listed)}
        return f"{name} {versions[name]}"

    def seconds(self, command: Sequence[str], *, prepare: Sequence[str] | None = None, cached: bool = True) -> float:
        """The median time of a command, after one run that warms its caches; `cached` is False for what has none."""
        first = self._once(command, prepare)
        if first > SLOW and not cached:
            return first
        runs = 1 if first > SLOW else self._runs
        if not self._hyperfine or runs == 1:
            return statistics.median(self._once(command, prepare) for _ in range(runs))
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            options = ["--runs", str(runs), "--export-json", out.name, "--ignore-failure", "--shell", "none", "--style", "none"]
            if prepare:
                options += ["--prepare", shlex.join(prepare)]
            timing = [self._hyperfine, *options, shlex.join(command)]
            subprocess.run(timing, cwd=self.tree, env=self._environment, check=True, capture_output=True)
            return float(json.load(out)["results"][0]["median"])

    def _once(self, command: Sequence[str], prepare: Sequence[str] | None) -> float:
        if prepare:
            subprocess.run(prepare, cwd=self.tree, check=True)
        began = time.perf_counter()
        done = subprocess.run(command, cwd=self.tree, env=self._environment, capture_output=True, check=False)
        taken = time.perf_counter() - began
        if done.returncode not in (0, 1):
            raise SystemExit(f"{shlex.join(command)} failed: {done.stderr.decode()[-500:]}")
        return taken


def cold(bench: Bench) -> Iterator[Row]:
    ours = bench.seconds([*OURS, "check", *QUIET, "--no-cache", "."], cached=False)
    told = "cold, all stable rules"
    bandit = bench.seconds([bench.peer("bandit"), "-r", "-q", "."], cached=False)
    yield Row(told, lasted(ours), f"`bandit -r` {lasted(bandit)}", bandit / ours, 8, at_least=True)
    slow = bench.seconds([bench.peer("flake8-async", "flake8"), "--isolated", "--select", "ASYNC", "."], cached=False)
    yield Row(told, lasted(ours), f"`flake8 --select ASYNC` {lasted(slow)}", slow / ours, 80, at_least=True)
    ruff = bench.seconds([bench.peer("ruff"), "check", "--isolated", "--no-cache", "-q", "."])
    yield Row(told, lasted(ours), f"`ruff check --no-cache` {lasted(ruff)}", ours / ruff, 10)


def warm(bench: Bench) -> Iterator[Row]:
    command = [*OURS, "check", *QUIET, "."]
    ours = bench.seconds(command)
    for told, more in (("", []), (", rules that find nothing", ["--select", "F821"])):
        ruff = bench.seconds([bench.peer("ruff"), "check", "--isolated", "-q", *more, "."])
        yield Row("warm, nothing changed", lasted(ours), f"`ruff check`{told} {lasted(ruff)}", ours / ruff, 1.5)
    edits = (["sh", "-c", f'date "+# %N" >> {shlex.quote(changed)}'] for changed in spread_files(bench.tree))
    edited = sorted((bench.seconds(command, prepare=edit) for edit in edits))
    again = bench.seconds(command)  # in the same minutes
    for told, taken in (("the middle one", statistics.median(edited)), ("the dearest", edited[-1])):
        yield Row(f"warm, one file changed: {told} of {len(edited)}", lasted(taken), f"warm {lasted(again)}", taken / again, 1.3)


def few(bench: Bench) -> Iterator[Row]:
    parser = bench.seconds([sys.executable, "-c", "import libcst"])
    ours = bench.seconds([*OURS, "check", *QUIET, "--no-cache", *changed_files(bench.tree)])
    yield Row("pre-commit, 5 files changed", lasted(ours), f"`import libcst` {lasted(parser)}", ours / parser, 2)


def start(bench: Bench) -> Iterator[Row]:
    bare = bench.seconds([sys.executable, "-c", "pass"])
    for option in ("--version", "--help"):
        ours = bench.seconds([*OURS, option])
        yield Row(f"`{option}`", lasted(ours), f"`python -c pass` {lasted(bare)}", ours / bare, 2.5)


def plugin(bench: Bench) -> Iterator[Row]:
    plain = bench.seconds([bench.peer("flake8"), "--isolated", "-q", "."])
    ours = bench.seconds([bench.peer("flake8-ours", "flake8"), "--isolated", "-q", "."])
    yield Row("flake8 with the plugin", lasted(ours), f"`flake8` {lasted(plain)}", ours / plain, 1.15)


def growth(bench: Bench) -> Iterator[Row]:
    """Time per unit when there is ten or a hundred times as much: 1 is linear."""
    for what, make, small, large in (
        ("lines of functions", functions, 1_000, 10_000),
        ("lines of functions", functions, 1_000, 100_000),
        ("statements in a function", statements, 2_000, 20_000),
        ("branches in a function", branches, 300, 3_000),
        ("nested parentheses", parentheses, 50, 500),
        ("calls of one helper", calls, 1_000, 10_000),
    ):
        few, many, parsed_few, parsed_many = analysed(make(small), make(large))
        work = f"time per unit, {large:,} {what}"
        ours = f"{many / large * 1e6:.0f} µs" if many < PATIENCE else f"stopped after {PATIENCE:.0f} s"
        grown, parser_grown = many / few * small / large, parsed_many / parsed_few * small / large
        yield Row(work, ours, f"{small:,}: {few / small * 1e6:.0f} µs; `ast.parse` alone grows {parser_grown:.2f}", grown, 1.2)


def functions(lines: int) -> str:
    loop = "    while time.time() < deadline:\n        if ready({0}):\n            return True\n    return False\n\n\n"
    body = "def wait_{0}(ready):\n    deadline = time.time() + {0}\n" + loop
    return "import time\n\n\n" + "".join(body.format(number) for number in range(lines // 8))


def statements(number: int) -> str:
    lines = "".join(f"    total_{index % 50} = total_{(index + 7) % 50} + {index}\n" for index in range(number - 50))
    return "import time\n\n\ndef work():\n" + "".join(f"    total_{index} = time.time()\n" for index in range(50)) + lines


def branches(number: int) -> str:
    lines = "".join(f"    if reading > {index}:\n        reading = time.time() - {index}\n" for index in range(number))
    return "import time\n\n\ndef work(reading):\n" + lines + "    return reading\n"


def parentheses(depth: int) -> str:
    return f"import time\n\n\nvalue = {'(' * depth}time.time(){')' * depth} - time.time()\n"


def calls(number: int) -> str:
    return "import time\n\n\ndef reading(n):\n    return time.time() + n\n\n\ndef work():\n" + "".join(
        f"    value_{index} = reading({index})\n" for index in range(number)
    )


def analysed(few: str, many: str) -> list[float]:
    """Seconds of an analysis of each text with the default rules, and of Python's parser alone; infinite when it takes too long to wait for."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        try:
            return pool.apply_async(analysis, (few, many)).get(2 * PATIENCE)
        except multiprocessing.TimeoutError:
            return [1.0, float("inf"), 1.0, float("inf")]


def analysis(few: str, many: str) -> list[float]:
    """In a process of its own: the processor's time, without what is loaded once."""
    from safeboundary_lint import rules
    from safeboundary_lint.checking import report_of
    from safeboundary_lint.core.options import Options
    from safeboundary_lint.files import SourceFile
    from safeboundary_lint.garbage import collect_seldom

    collect_seldom()  # as in each process that checks files
    file = SourceFile("app.py", Options(codes=rules.load().default()), 0)
    report_of(file, b"import time\nlate = time.time() > time.monotonic()\n")
    sources = few.encode(), many.encode()
    return in_turn(
        lambda: report_of(file, sources[0]), lambda: report_of(file, sources[1]), lambda: parsed(few), lambda: parsed(many)
    )


def parsed(text: str) -> None:
    """What Python's parser does with a text, be it to refuse it for its parentheses."""
    with contextlib.suppress(SyntaxError):
        ast.parse(text)


def in_turn(*works: Callable[[], object]) -> list[float]:
    """The least that each takes. What slows the machine down for a minute slows them all; what is short is repeated, so that chance does not tell."""
    least = [float("inf")] * len(works)
    began, rounds = time.process_time(), 0
    while rounds < 2 or time.process_time() - began < ENOUGH:
        for index, work in enumerate(works):
            least[index] = min(least[index], repeated(work))
        rounds += 1
    return least


def repeated(work: Callable[[], object]) -> float:
    times: list[float] = []
    while sum(times) < ENOUGH / 10 and len(times) < 20:
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def wild(bench: Bench, corpus: pathlib.Path) -> Iterator[Row]:
    """The whole corpus: bytes in a second beside those of the tree, and memory of the largest process."""
    tree = size_of(bench.tree) / bench.seconds([*OURS, "check", *QUIET, "--no-cache", "."])
    began = time.perf_counter()
    command = [*OURS, "check", *QUIET, "--no-cache", "--output-file", os.devnull, str(corpus)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)  # of this command and its processes, not of the peers before it
    all_of_it = size_of(corpus) / (time.perf_counter() - began)
    peak = usage.ru_maxrss / 1024
    told, beside = f"{all_of_it / 1e6:.1f} MB/s", f"the tree {tree / 1e6:.1f} MB/s"
    yield Row("the wild corpus", told, beside, all_of_it / tree, 1, at_least=True)
    yield Row("its largest process", f"{peak:.0f} MB", "400 MB", peak / 400, 1)


def size_of(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.py") if path.is_file())


def changed_files(tree: pathlib.Path) -> list[str]:
    """Five files that are worth a look: those known from Django, or the first ones."""
    known = [next(iter(sorted(tree.rglob(f"*/{name}"))), None) for name in CHANGED]
    found = [path for path in known if path is not None]
    found += [path for path in sorted(tree.rglob("*.py")) if path not in found][: 5 - len(found)]
    return [str(path.relative_to(tree)) for path in found]


def spread_files(tree: pathlib.Path) -> list[str]:
    """Files from all over a tree, at equal distances."""
    several = sorted(path for path in tree.rglob("*.py") if path.stat().st_size)
    return [str(path.relative_to(tree)) for path in several[SPREAD // 2 :: max(1, len(several) // SPREAD)][:SPREAD]]


def lasted(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def table(rows: Sequence[Row], head: str) -> str:
    titles = ["Work", "Ours", "Beside", "Ratio", "Target", "Met"]
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *(row.cells() for row in rows))]
    return f"{head}\n\n" + "\n".join(lines) + "\n"


def conditions(bench: Bench) -> str:
    """Machine and versions."""
    models = [line.partition(":")[2].strip() for line in lines_of("/proc/cpuinfo") if line.startswith("model name")]
    machine = models[0] if models else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    peers = ", ".join(bench.version(name) for name in ("ruff", "bandit", "flake8", "flake8-async"))
    files = sum(1 for _ in bench.tree.rglob("*.py"))
    return (
        f"Measured on {datetime.date.today()}: {cores} cores of {machine}, Python {platform.python_version()}, {peers}; "
        f"{files:,} files, {size_of(bench.tree) / 1e6:.1f} MB. Whole processes, medians of several runs side by side."
    )


def lines_of(path: str) -> list[str]:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=pathlib.Path, required=True, help="the source to check; it is copied first")
    parser.add_argument("--peers", type=pathlib.Path, required=True, help="the folder for the environments of the peers")
    parser.add_argument("--wild", type=pathlib.Path, help="a large corpus to be checked as a whole too")
    parser.add_argument("--quick", action="store_true", help="fewer runs, for a first look")
    parser.add_argument("--only", action="append", help="one of the parts cold, warm, few, start, plugin, growth; can be repeated")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    parts: dict[str, Callable[[Bench], Iterator[Row]]] = {
        "cold": cold, "warm": warm, "few": few, "start": start, "plugin": plugin, "growth": growth,
    }  # fmt: skip
    if unknown := set(args.only or ()) - set(parts):
        parser.error(f"--only: no part is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        shutil.copytree(args.tree, tree, ignore=shutil.ignore_patterns(".*_cache", "__pycache__"))
        time.sleep(3)  # until the times of the copies can be trusted
        bench = Bench(tree, args.peers.absolute(), 2 if args.quick else 10)
        rows: list[Row] = []
        for name in args.only or parts:
            for row in parts[name](bench):
                rows.append(row)
                print(" | ".join(row.cells()), flush=True)
        if args.wild:
            rows += wild(bench, args.wild)
        text = table(rows, conditions(bench))
    print(f"\n{text}")
    if args.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2], encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
