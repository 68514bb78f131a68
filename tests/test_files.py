"""Which files a list of paths means."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command import configure, write
from safeboundary_lint import files
from safeboundary_lint.files import Selected
from safeboundary_lint.projects import Projects

Select = Callable[..., Selected]


@pytest.fixture
def select(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Select:
    """Selects files as the command line does in the folder `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def select(*paths: str, stdin: bytes = b"", stdin_filename: str | None = None) -> Selected:
        return files.select(paths, Projects(), stdin=lambda: stdin, stdin_filename=stdin_filename)

    return select


def names(selected: Selected) -> list[str]:
    assert selected.problems == []
    return [file.path for file in selected.files]


def test_folders_are_searched_for_python_files_in_order(tmp_path: Path, select: Select) -> None:
    write(tmp_path, b="", a="", src__z="", src__deep__a="")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "stub.pyi").write_text("")
    (tmp_path / "folder.py").mkdir()
    assert names(select(".")) == ["a.py", "b.py", "src/deep/a.py", "src/z.py"]
    assert names(select("src/", "./a.py")) == ["a.py", "src/deep/a.py", "src/z.py"]
    assert names(select(str(tmp_path / "src"))) == [str(tmp_path / "src/deep/a.py"), str(tmp_path / "src/z.py")]


def test_a_named_file_is_taken_whatever_it_is_called(tmp_path: Path, select: Select) -> None:
    (tmp_path / "manage").write_text("")
    assert names(select("manage")) == ["manage"]


def test_a_file_is_taken_once(tmp_path: Path, select: Select) -> None:
    write(tmp_path, src__a="")
    assert names(select("src", "src/a.py", "src/../src", str(tmp_path / "src"))) == ["src/a.py"]


def test_sizes_and_options_come_along(tmp_path: Path, select: Select) -> None:
    write(tmp_path, a="x = 1\n")
    (file,) = select("a.py").files
    assert file.size == 6
    assert file.source is None
    assert "SBL102" in file.options.codes


@pytest.mark.parametrize(
    "folder", [".git", ".venv", "venv", "node_modules", "build", "dist", ".tox", ".nox", "__pycache__", "app.egg-info"]
)
def test_folders_of_tools_are_left_out(tmp_path: Path, select: Select, folder: str) -> None:
    write(tmp_path, a="")
    write(tmp_path / folder / "deep", b="")
    write(tmp_path / "src" / folder, c="")
    assert names(select(".")) == ["a.py"]


def test_names_above_what_is_checked_exclude_nothing(tmp_path: Path, select: Select, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "build" / "node_modules" / "checkout"
    write(checkout, a="")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert names(select(str(checkout))) == [str(checkout / "a.py")]
    assert names(select(str(checkout / "a.py"))) == [str(checkout / "a.py")]
    monkeypatch.chdir(checkout)
    assert names(select(".")) == ["a.py"]


def test_excludes_are_relative_to_the_configuration_and_hold_for_named_files(
    tmp_path: Path, select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, 'extend-exclude = ["/src/generated/", "*_pb2.py"]')
    write(tmp_path, src__a="", src__generated__b="", other__src__generated__c="", src__d_pb2="")
    assert names(select(".")) == ["other/src/generated/c.py", "src/a.py"]
    selected = select("src/a.py", "src/generated/b.py", "src/d_pb2.py", "src/generated")
    assert names(selected) == ["src/a.py"]
    assert selected.excluded == ["src/generated/b.py", "src/d_pb2.py", "src/generated"]
    monkeypatch.chdir(tmp_path / "src")
    assert names(select(".")) == ["a.py"]
    assert select("generated/b.py").excluded == ["generated/b.py"]


def test_exclude_replaces_the_defaults(tmp_path: Path, select: Select) -> None:
    configure(tmp_path, 'exclude = ["old/"]')
    write(tmp_path, build__a="", old__b="")
    assert names(select(".")) == ["build/a.py"]


def test_an_inner_project_follows_its_own_settings_and_the_outer_excludes(tmp_path: Path, select: Select) -> None:
    configure(tmp_path, 'extend-exclude = ["vendored/"]\nignore = ["SBL102"]')
    configure(tmp_path / "services" / "billing", 'extend-exclude = ["legacy/"]')
    configure(tmp_path / "vendored" / "lib", "preview = true")
    write(tmp_path, a="", legacy__b="", services__billing__legacy__c="", services__billing__d="", vendored__lib__e="")
    selected = select(".")
    assert names(selected) == ["a.py", "legacy/b.py", "services/billing/d.py"]
    assert [("SBL102" in file.options.codes) for file in selected.files] == [False, False, True]
    assert select("vendored/lib/e.py").excluded == ["vendored/lib/e.py"]


def test_gitignore_holds_at_every_level_up_to_the_repository(
    tmp_path: Path, select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitignore").write_text("above.py\n")
    repository = tmp_path / "repository"
    (repository / ".git" / "info").mkdir(parents=True)
    (repository / ".git" / "info" / "exclude").write_text("private.py\n")
    (repository / ".gitignore").write_text("*.gen.py\n/local/\n!keep.gen.py\n")
    write(repository, above="", private="", local__a="", src__local__b="", src__c="")
    (repository / "src" / ".gitignore").write_text("/secret.py\nkeep.gen.py\n!kept.gen.py\n")
    for name in ("x.gen.py", "keep.gen.py", "src/keep.gen.py", "src/kept.gen.py", "src/secret.py", "src/deep/secret.py"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("")
    expected = ["above.py", "keep.gen.py", "src/c.py", "src/deep/secret.py", "src/kept.gen.py", "src/local/b.py"]
    monkeypatch.chdir(repository)
    assert names(select(".")) == expected
    monkeypatch.chdir(repository / "src")
    assert names(select(".")) == [name.removeprefix("src/") for name in expected if name.startswith("src/")]
    assert names(select("deep", "secret.py")) == ["deep/secret.py", "secret.py"], "a file that is named is meant"


def test_git_agrees(tmp_path: Path, select: Select) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    patterns = [
        "# a comment",
        "",
        "logs",
        "temp*/",
        "**/cache/*.py",
        "!**/cache/keep.py",
        "doc/**/x.py",
        "[ab]?.py",
        "\\#odd.py",
        "trail.py  ",
    ]
    (tmp_path / ".gitignore").write_bytes("\r\n".join(patterns).encode() + b"\n")
    places = (
        "logs/a temp1/a temp a/cache/b a/cache/keep doc/x doc/a/b/x ab a1 a12 #odd trail deep/logs/c deep/temp/d deep/b2 src/logs"
    )
    for place in places.split():
        write(tmp_path, **{place.replace("/", "__"): ""})
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "*.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    assert names(select(".")) == sorted(listed)


def test_a_repository_inside_starts_afresh(tmp_path: Path, select: Select) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("settings.py\n")
    write(tmp_path, settings="", module__settings="")
    (tmp_path / "module" / ".git").write_text("gitdir: elsewhere\n")
    assert names(select(".")) == ["module/settings.py"]


def test_an_ignored_folder_that_is_named_is_meant(tmp_path: Path, select: Select) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("scratch/\n")
    write(tmp_path, scratch__deep__a="")
    assert names(select(".")) == []
    assert names(select("scratch")) == names(select("scratch/deep")) == ["scratch/deep/a.py"]


def test_a_gitignore_that_is_no_text_is_no_obstacle(tmp_path: Path, select: Select) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe\x00\n!\nignored.py\n")
    (tmp_path / "sub" / ".gitignore").mkdir(parents=True)
    write(tmp_path, a="", ignored="", sub__b="")
    assert names(select(".")) == ["a.py", "sub/b.py"]


def test_links_neither_loop_nor_duplicate(tmp_path: Path, select: Select) -> None:
    write(tmp_path, src__a="", src__deep__b="")
    os.symlink("..", tmp_path / "src" / "deep" / "up")
    os.symlink(".", tmp_path / "src" / "self")
    os.symlink("src", tmp_path / "alias")
    os.symlink("a.py", tmp_path / "src" / "0_first.py")
    os.symlink("nowhere", tmp_path / "src" / ".#b.py")
    assert names(select(".")) == ["src/a.py", "src/deep/b.py"]
    assert names(select("alias")) == ["alias/a.py", "alias/deep/b.py"]
    assert names(select("src", "alias")) == ["src/a.py", "src/deep/b.py"]


def test_a_linked_file_from_elsewhere_is_checked_once(tmp_path: Path, select: Select) -> None:
    write(tmp_path, shared__a="")
    (tmp_path / "app").mkdir()
    os.symlink("../shared/a.py", tmp_path / "app" / "b.py")
    os.symlink("../shared/a.py", tmp_path / "app" / "c.py")
    assert names(select("app")) == ["app/b.py"]


def test_a_file_that_links_to_itself_is_told(tmp_path: Path, select: Select) -> None:
    os.symlink("loop.py", tmp_path / "loop.py")
    write(tmp_path, a="")
    for path in (".", "loop.py"):
        selected = select(path)
        assert [(problem.path, problem.message) for problem in selected.problems] == [
            ("loop.py", "cannot be read: Too many levels of symbolic links")
        ]


def test_what_cannot_be_checked_is_told(tmp_path: Path, select: Select) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    write(tmp_path, a="")
    selected = select("pipe.py", "gone.py", "nul\0byte.py", ".")
    assert [file.path for file in selected.files] == ["a.py"]
    assert {problem.path: problem.message for problem in selected.problems} == {
        "pipe.py": "not a regular file: name Python files, folders, or - for standard input",
        "gone.py": "no such file or folder",
        "nul\0byte.py": "cannot be read: a path holds no NUL byte",
    }


def test_standard_input(tmp_path: Path, select: Select) -> None:
    configure(tmp_path, 'extend-exclude = ["old/"]\nper-file-ignores = { "scripts/" = ["SBL102"] }')
    (file,) = select("-", stdin=b"x = 1\n").files
    assert (file.path, file.source, file.size) == ("<stdin>", b"x = 1\n", 6)
    (file,) = select("-", stdin=b"", stdin_filename="scripts/a.py").files
    assert file.path == "scripts/a.py"
    assert "SBL102" not in file.options.codes
    selected = select("-", stdin_filename="old/a.py")
    assert (selected.files, selected.excluded) == ([], ["old/a.py"])


def test_deep_folders_need_no_deep_stack(tmp_path: Path, select: Select) -> None:
    write(tmp_path, a="")
    place = "/".join(["d"] * 200)
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "b.py").write_text("")
    assert names(select("a.py")) == ["a.py"]  # what is loaded on the way is loaded now
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert names(select(".")) == ["a.py", f"{place}/b.py"]
        assert names(select(f"{place}/b.py")) == [f"{place}/b.py"]
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("start", [".", "a", "a/b"])
@pytest.mark.parametrize("file", [None, "a/b/pyproject.toml"])
def test_a_folder_has_the_settings_of_the_one_around_it_unless_something_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str, file: str | None
) -> None:
    for folder in ("a/b/c", "a/git/.git", "a/git/in", "other/b"):
        (tmp_path / folder).mkdir(parents=True)
    configure(tmp_path / "a" / "b", 'ignore = ["SBL101"]')
    (tmp_path / "other" / "pyproject.toml").write_text("[tool.else]\n")
    monkeypatch.chdir(tmp_path / start)
    base, config = str(tmp_path), str(tmp_path / file) if file else None
    walked, asked = Projects(file=config), Projects(file=config)
    settled = {base: walked.settings_for(base, base)}
    for folder, folders, names in os.walk(base):
        if folder != base:
            settled[folder] = walked.settings_inside(settled[os.path.dirname(folder)], folder, {*folders, *names}, base)
        assert settled[folder] == asked.settings_for(folder, base), folder
