"""What a file took is free again when it is done, before anybody looks for garbage."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import pytest

import safeboundary_lint.analyse as analysis
from command import environment
from safeboundary_lint import engine, garbage, rules
from safeboundary_lint.checking import report_of
from safeboundary_lint.core.drafts import Draft
from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.flow import Point
from safeboundary_lint.core.options import Options
from safeboundary_lint.core.tree import Tree
from safeboundary_lint.files import SourceFile

WAIT = '''
def wait_{0}(ready):
    """Until it is ready."""
    end = time.time() + {0}
    try:
        with open("log-{0}") as log:
            while time.time() < end:
                ready(log.readline())
    finally:
        ready(None)

'''
SOURCE = f"import time\n{''.join(map(WAIT.format, range(20)))}".encode()
LARGE = f"""
import os, resource
from safeboundary_lint import rules
from safeboundary_lint.checking import report_of
from safeboundary_lint.core.options import Options
from safeboundary_lint.files import SourceFile
from safeboundary_lint.garbage import collect_seldom

options = Options(codes=rules.load().default())
collect_seldom()
for number in range(2):
    data = "".join(f"    'key-{{number}}-{{index}}': [{{index}}, 'value {{index}}', None],\\n" for index in range(5000))
    source = f"import time\\nDATA = {{{{\\n{{data}}}}}}\\n" + {WAIT!r}.format(number)
    assert report_of(SourceFile(f"app{{number}}.py", options, len(source)), source.encode()).findings
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024)
"""


@pytest.fixture
def options() -> Options:
    return Options(codes=rules.load().default())


@pytest.fixture
def uncollected(options: Options) -> Iterator[None]:
    analysis.analyse(SOURCE, "app.py", options)  # what is loaded once
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(*types: type) -> list[str]:
    return [type(one).__name__ for one in gc.get_objects() if isinstance(one, types)]


@pytest.mark.usefixtures("uncollected")
def test_no_tree_is_left_of_a_file(options: Options) -> None:
    trees = (Facts, Draft, Tree, Point, cst.Module, cst.FunctionDef, ast.Module, ast.FunctionDef)
    before = alive(*trees)
    assert analysis.analyse(SOURCE, "app.py", options).findings
    assert alive(*trees) == before


@pytest.mark.usefixtures("uncollected")
def test_the_draft_is_gone_before_the_file_is_parsed(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    trees, parse = (Facts, Draft, Tree, ast.Module, ast.FunctionDef), engine.parse
    before, asked = alive(*trees), list[str]()

    def parsing(text: str) -> cst.Module:
        asked.append(text)
        assert alive(*trees) == before
        return parse(text)

    monkeypatch.setattr(engine, "parse", parsing)
    assert analysis.analyse(SOURCE, "app.py", options).findings
    assert asked


def test_nobody_looks_for_garbage_while_a_file_is_checked(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = engine.parse

    def parsing(text: str) -> cst.Module:
        assert not gc.isenabled()
        return parse(text)

    monkeypatch.setattr(engine, "parse", parsing)
    report = report_of(SourceFile("app.py", options, len(SOURCE)), SOURCE)
    assert report.findings
    assert not report.problems
    assert gc.isenabled()


def test_without_glibc_nothing_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    garbage.give_back_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_a_large_file_leaves_room_for_the_next_one(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LARGE], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    (first, left), (second, _) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert left < 0.75 * first, done.stdout
    assert second < 1.2 * first, done.stdout
