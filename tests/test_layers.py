"""Dependencies point one way, libraries are named by the knowledge only, files stay readable, and starting is light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from safeboundary_lint.core import knowledge

PACKAGE = Path(__file__).parent.parent / "src" / "safeboundary_lint"
SOURCES = sorted(PACKAGE.rglob("*.py"))
LANGUAGE = {"abc", "builtins", "collections", "contextlib", "dataclasses", "enum", "functools", "sys", "typing"}  # what Python itself is made of

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())

MAY_IMPORT = {
    "core": {"core", "knowledge"},
    "rules": {"core", "rules"},
}


def layer_of(path: Path) -> str:
    """The folder directly below the package, or the module itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@each_source
def test_imports_point_down(path: Path) -> None:
    own = [name.split(".") for name in imports_of(path) if name.startswith("safeboundary_lint")]
    below = {name[1] for name in own if len(name) > 1}
    allowed = MAY_IMPORT.get(layer_of(path))
    if allowed is not None:
        assert below <= allowed, f"{path.relative_to(PACKAGE)} imports {sorted(below - allowed)}"
    if path.relative_to(PACKAGE).as_posix() in ("core/finding.py", "core/knowledge.py", "core/source.py"):
        assert not {name for name in imports_of(path) if name.startswith("libcst")}, f"{path.name} serves warm runs and must stay light"


@each_source
def test_only_the_standard_library_and_libcst_below_rules(path: Path) -> None:
    if layer_of(path) in ("core", "rules"):
        outside = {name.partition(".")[0] for name in imports_of(path)} - sys.stdlib_module_names - {"safeboundary_lint", "libcst", "tomli", "tomllib"}
        assert not outside, f"{path.relative_to(PACKAGE)} imports {sorted(outside)}"


def test_what_most_files_take_takes_no_libcst() -> None:
    """Words, outlines and shapes; not the rules, nor what they ask of a file that concerns them."""
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in (PACKAGE / "core" / "shapes").glob("*.py")]
    program = f"import sys, safeboundary_lint.analyse\nfor name in {names}: __import__(name.removesuffix('.__init__'))\n"
    loaded = subprocess.run([sys.executable, "-c", program + "print(*sys.modules)"], capture_output=True, text=True, check=True).stdout.split()
    assert {"safeboundary_lint.core.thinning", "safeboundary_lint.core.shapes.retries"} <= set(loaded)
    assert not [name for name in loaded if name.startswith(("libcst", "safeboundary_lint.rules."))]


def test_knowledge_is_data() -> None:
    files = [path for path in (PACKAGE / "knowledge").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert files and {path.suffix for path in files} == {".toml"}


def literals_of(path: Path) -> list[tuple[int, str]]:
    """String literals with their lines; docstrings are none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [(node.lineno, node.value) for node in constants if isinstance(node.value, str)]


@cache
def libraries_known() -> frozenset[str]:
    """Top-level modules that the knowledge has rows about; names without a dot are parameters and settings."""
    known = knowledge.load()
    names = [*known.rows, *known.aliases, *known.returns, *known.bases]
    return frozenset(name.partition(".")[0] for name in names if "." in name) - LANGUAGE


@each_source
def test_only_knowledge_names_libraries(path: Path) -> None:
    if layer_of(path) not in ("core", "rules"):
        return
    libraries = libraries_known()
    third_party = libraries - sys.stdlib_module_names
    for line, literal in literals_of(path):
        top, dot, _ = literal.partition(".")
        dotted = bool(dot) and re.fullmatch(r"\w+(\.\w+)+", literal)
        assert not (dotted and top in libraries or literal in third_party), (
            f"{path.relative_to(PACKAGE)}:{line}: {literal!r} belongs into knowledge/ as a row of some kind"
        )


@each_source
def test_modules_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)) or not text.strip(), "begin with a docstring that says what the module answers"


@each_source
def test_files_stay_under_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["check", "--help"]], ids=" ".join)
def test_starting_is_light(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "safeboundary_lint", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    assert "safeboundary_lint.cli" in loaded
    heavy = {name for name in loaded if name.startswith(("libcst", "rich", "pathspec", "safeboundary_lint.rules"))}
    assert not heavy, f"{' '.join(arguments)} imports {sorted(heavy)}"
