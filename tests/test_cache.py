"""What is remembered is what would be found: through edits, renames, other settings, broken and foreign cache files."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command import DEADLINE, call, configure, environment, installed, run, write
from safeboundary_lint import cache as cache_module
from safeboundary_lint import checking, files, identity, records
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, FileReport, Finding, Fix, Problem, Severity, Span
from safeboundary_lint.core.finding import Step
from safeboundary_lint.projects import Projects

TEXTS = (
    DEADLINE,
    DEADLINE.replace("time.time() + 5", "time.time() + 9"),
    DEADLINE.replace("+ 5", "+ 5  # safeboundary: clock=advisory -- shown only"),
    "import time\n\n\ndef pause():\n    time.sleep(1)\n",
    "import requests\n\n\ndef fetch(url):\n    return requests.get(url)\n",
    "def broken(:\n",
    "",
)
NAMES = ("a.py", "b.py", "pkg/a.py", "tests/test_a.py")
TABLES = (
    "",
    'select = ["SBL102"]',
    'ignore = ["SBL102"]',
    'min-confidence = "low"',
    "preview = true",
    'per-file-ignores = { "a.py" = ["SBL409"] }',
)


@contextmanager
def project() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name).resolve()


def checked(folder: Path, *arguments: str) -> tuple[int, str]:
    ran = call("check", "--output-format", "json", "--jobs", "1", *arguments, cwd=folder)
    return ran.code, ran.out


def cache_file(folder: Path) -> Path:
    return folder / cache_module.FOLDER / cache_module.FILE


def edit(folder: Path, name: str, text: str, *, same_times: bool = False) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    before = path.stat() if path.exists() else None
    path.write_text(text)
    if same_times and before is not None:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def settle(folder: Path) -> None:
    """Make all files look as if nobody had touched them for an hour."""
    for name in NAMES:
        if (folder / name).exists():
            status = (folder / name).stat()
            os.utime(folder / name, ns=(status.st_atime_ns, status.st_mtime_ns - 3600 * 10**9))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.sampled_from(NAMES), st.sampled_from(TEXTS), st.booleans()),
        st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("delete"), st.sampled_from(NAMES)),
        st.tuples(st.just("configure"), st.sampled_from(TABLES)),
        st.tuples(st.just("settle")),
        st.tuples(st.just("cut"), st.floats(0, 1)),
        st.tuples(st.just("flip"), st.floats(0, 0.999), st.integers(1, 255)),
        st.tuples(st.just("check"), st.sampled_from(["", "pkg", "tests"])),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_findings_with_a_cache_are_those_without(several: list[tuple]) -> None:
    with project() as folder:
        edit(folder, "a.py", DEADLINE)
        for what, *how in [*several, ("check", ""), ("check", "")]:
            if what == "edit":
                edit(folder, how[0], how[1], same_times=how[2])
            elif what == "rename" and (folder / how[0]).exists():
                (folder / how[1]).parent.mkdir(exist_ok=True)
                (folder / how[0]).replace(folder / how[1])
            elif what == "delete":
                (folder / how[0]).unlink(missing_ok=True)
            elif what == "configure":
                configure(folder, how[0])
            elif what == "settle":
                settle(folder)
            elif what in ("cut", "flip") and cache_file(folder).exists():
                damage(cache_file(folder), what, *how)
            elif what == "check" and (folder / how[0]).is_dir():
                assert checked(folder / how[0]) == checked(folder / how[0], "--no-cache")
                assert checked(folder, how[0] or ".") == checked(folder, how[0] or ".", "--no-cache")


def damage(file: Path, what: str, where: float, value: int = 0) -> None:
    content = bytearray(file.read_bytes())
    at = int(where * len(content))
    if what == "cut":
        del content[at:]
    else:
        content[at] ^= value
    file.write_bytes(content)


@pytest.fixture(autouse=True, scope="module")
def one_analysis() -> Iterator[None]:
    """The sources of the package may change while the tests run: here they count as one version."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(identity, "changed", lambda: False)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a finding in one of three files, checked once."""
    write(tmp_path, a=DEADLINE, b="x = 1\n", tests__test_c="x = 1\n")
    configure(tmp_path, "")
    assert checked(tmp_path)[0] == 1
    return tmp_path


def recalled(folder: Path, *arguments: str) -> int:
    """How many files a run did not analyse."""
    err = call("check", "-v", *arguments, cwd=folder).err
    return int(next(line for line in err.splitlines() if "unchanged" in line).split()[1])


def test_nothing_is_analysed_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = checked(folder, "--no-cache")
    monkeypatch.setattr(checking, "report_of", None)
    assert checked(folder) == expected
    assert recalled(folder) == 3


def test_a_touched_or_moved_tree_is_known_by_content(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other") / "checkout"
    shutil.copytree(folder, other)
    for path in other.rglob("*.py"):
        os.utime(path)
    monkeypatch.setattr(checking, "report_of", None)
    assert checked(other) == checked(folder)
    assert recalled(other) == 3


def test_the_same_size_and_time_with_another_content_is_seen(folder: Path) -> None:
    settle(folder)
    assert recalled(folder) == 3
    edit(folder, "b.py", "y = 2\n", same_times=True)
    assert recalled(folder) == 2


def test_a_file_just_changed_is_read_again(folder: Path) -> None:
    stamp = files.stamp_of((folder / "b.py").stat())
    assert checking.read(files.SourceFile(str(folder / "b.py"), None, 6)).stamp is None  # type: ignore[arg-type]
    settle(folder)
    later = checking.read(files.SourceFile(str(folder / "b.py"), None, 6)).stamp  # type: ignore[arg-type]
    assert later is None, "the time of its status is new"
    assert stamp[0] == 6


def test_other_options_are_another_matter(folder: Path) -> None:
    assert recalled(folder, "--select", "SBL3") == 0
    assert recalled(folder, "--select", "SBL3") == 3
    assert recalled(folder, "--min-confidence", "low") == 0
    assert recalled(folder) == 3


def test_another_analysis_starts_afresh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "signature", lambda: "installed again")
    assert recalled(folder) == 3, "the same content under other times is the same analysis"
    monkeypatch.setattr(identity, "signature", lambda: "another")
    monkeypatch.setattr(identity, "content", lambda: "another")
    assert recalled(folder) == 0


def test_nothing_is_kept_while_the_sources_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(folder / cache_module.FOLDER)
    monkeypatch.setattr(identity, "changed", lambda: True)
    checked(folder)
    assert not cache_file(folder).exists()


def test_identity_is_that_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compute: Callable[[], str] = identity.content.__wrapped__
    copies = [tmp_path / "one", tmp_path / "other"]
    shutil.copytree(identity._PACKAGE, copies[0], ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(*copies)
    names = set()
    for copy in copies:
        monkeypatch.setattr(identity, "_PACKAGE", str(copy))
        names.add(compute())
    assert len(names) == 1, "where it is installed does not matter"
    (before,) = names
    for name in ("analyse.py", "knowledge/kinds.toml"):
        (copy / name).write_bytes((copy / name).read_bytes() + b"\n")
        assert compute() != before
        before = compute()


FOREIGN = {
    "nothing": b"",
    "zeros": b"\0" * 5000,
    "a pickle": b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.",
    "another version": b"safeboundary-lint cache 0 00\n{}",
    "no JSON": b"{",
    "not an object": b"[]",
    "nested": b"[" * 100_000,
    "no groups": b'{"signature": "%s", "tool": "", "rules": [], "groups": 3}',
    "odd entries": b'{"signature": "%s", "tool": "", "rules": [], "groups": {"a": {"a.py": [1]}}}',
    "odd rules": b'{"signature": "%s", "tool": "", "rules": [3], "groups": {}}',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=list(FOREIGN))
@pytest.mark.parametrize("signed", [False, True])
def test_a_foreign_file_is_dropped(folder: Path, content: bytes, signed: bool) -> None:
    expected = checked(folder, "--no-cache")
    content = content.replace(b"%s", identity.signature().encode())
    head = b"safeboundary-lint cache 1 " + checking.digest_of(content).encode() + b"\n" if signed else b""
    cache_file(folder).write_bytes(head + content)
    assert checked(folder) == expected
    assert recalled(folder) == 3, "it was replaced"
    assert not (folder / "pwned").exists()


def test_odd_reports_are_dropped(folder: Path) -> None:
    expected = checked(folder, "--no-cache")
    good = json.loads(cache_file(folder).read_bytes().partition(b"\n")[2])
    for odd in (3, [], [[], [], 0], [[[1] * 10], [], 0, 0], [[], [[3, "x"]], 0, 0], [[], [], "1", 0], [[], [["x", True]], 0, 0]):
        for entries in good["groups"].values():
            for entry in entries.values():
                entry[6:] = [odd]
        body = json.dumps(good).encode()
        cache_file(folder).write_bytes(b"safeboundary-lint cache 1 " + checking.digest_of(body).encode() + b"\n" + body)
        assert checked(folder) == expected


def unwritable(folder: Path) -> None:
    shutil.rmtree(folder / cache_module.FOLDER)
    (folder / cache_module.FOLDER).write_text("a file, where a folder should be")


def refusing(folder: Path) -> None:
    cache_file(folder).unlink()
    cache_file(folder).mkdir()


@pytest.mark.parametrize("spoil", [unwritable, refusing])
def test_where_nothing_can_be_kept_the_run_is_as_usual(folder: Path, spoil: Callable[[Path], None]) -> None:
    expected = checked(folder, "--no-cache")
    spoil(folder)
    assert checked(folder) == expected
    assert recalled(folder) == 0


class Filling(io.FileIO):
    """A file on a disk that is full in the middle of a write."""

    def write(self, content: bytes) -> int:  # type: ignore[override]
        super().write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")


def refused(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize("fails", ["write", "replace", "makedirs"])
def test_a_full_or_read_only_disk_leaves_the_old_cache(folder: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    edit(folder, "b.py", DEADLINE)
    expected = checked(folder, "--no-cache")
    if fails == "makedirs":
        shutil.rmtree(folder / cache_module.FOLDER)
    old = {path.name: path.read_bytes() for path in cache_file(folder).parent.glob("*")}
    with monkeypatch.context() as patched:
        if fails == "write":
            opened = {"xb": Filling, "rb": open, "w": open}
            patched.setattr(cache_module, "open", lambda path, mode: opened[mode](path, mode), raising=False)
        else:
            patched.setattr(cache_module.os, fails, refused)
        assert checked(folder) == expected
    assert {path.name: path.read_bytes() for path in cache_file(folder).parent.glob("*")} == old


def test_several_processes_at_once_lose_nothing_that_matters(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = [f"m{number}" for number in range(12)]
    write(tmp_path, **{name: DEADLINE for name in names})
    configure(tmp_path, "")
    env = installed(tmp_path_factory.mktemp("installed"))
    command = [sys.executable, "-m", "safeboundary_lint", "check", "--jobs", "1", "--output-format", "concise", "-q"]
    shares = [[f"{name}.py" for name in names[start::4]] for start in range(4)]

    def known() -> int:
        told = run("check", "-v", "--jobs", "1", cwd=tmp_path, env=env).err
        return int(re.search(r"(\d+) files? unchanged", told)[1])  # type: ignore[index]

    for _ in range(2):
        running = [
            subprocess.Popen([*command, *share], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for share in shares
        ]
        for process in running:
            out, err = process.communicate(timeout=120)
            assert (process.returncode, err) == (1, b"")
            assert out.count(b"SBL102") == 3
        assert 3 <= known() <= 12
    assert known() == 12


def test_entries_nobody_asks_for_are_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = 86_400
    now = cache_module.time.time()
    at = now
    monkeypatch.setattr(cache_module.time, "time", lambda: at)
    for at in (now + 10 * day, now + 20 * day, now + 45 * day):
        checked(folder, "a.py")
    held = json.loads(cache_file(folder).read_bytes().partition(b"\n")[2])
    assert [list(entries) for entries in held["groups"].values()] == [["a.py"]]


def test_sets_of_options_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MOST_GROUPS", 4)
    for family in ("SBL1", "SBL2", "SBL3", "SBL4", "SBL5"):
        assert recalled(folder, "--select", family) == 0
    assert len(json.loads(cache_file(folder).read_bytes().partition(b"\n")[2])["groups"]) == 4
    assert recalled(folder, "--select", "SBL5") == 3
    assert recalled(folder) == 0


def test_internal_errors_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a=DEADLINE)

    def defective(*_: object) -> FileReport:
        raise MemoryError("no room")

    with monkeypatch.context() as patched:
        patched.setattr("safeboundary_lint.analyse.analyse", defective)
        assert call("check", cwd=tmp_path).code == 2
    assert recalled(tmp_path) == 0
    assert recalled(tmp_path) == 1


def test_the_folder_says_what_it_is_and_is_cleaned(folder: Path) -> None:
    place = folder / cache_module.FOLDER
    assert (place / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert (place / ".gitignore").read_text() == "*\n"
    (place / "99-1.partial").write_text("left by a run that was killed")
    assert call("clean", cwd=folder).err == "note: deleted .safeboundary_cache\n"
    assert not place.exists()
    assert call("clean", cwd=folder).err == "note: there is nothing to delete\n"


def test_cleaning_spares_what_is_not_ours(folder: Path) -> None:
    elsewhere = folder / "kept"
    write(elsewhere, mine="x = 1\n")
    (elsewhere / ".gitignore").write_text("mine\n")
    assert recalled(folder, "--cache-dir", "kept") == 0
    assert recalled(folder, "--cache-dir", "kept") == 4
    assert sorted(path.name for path in elsewhere.iterdir()) == [".gitignore", "findings.cache", "mine.py"]
    assert call("clean", "--cache-dir", "kept", cwd=folder).code == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == [".gitignore", "mine.py"]


def test_no_cache_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, a=DEADLINE)
    assert call("check", "--no-cache", cwd=tmp_path).code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.py"]
    assert call("check", "--no-cache", "--cache-dir", "x", cwd=tmp_path).code == 2


def test_it_lies_with_the_configuration(folder: Path) -> None:
    shutil.rmtree(folder / cache_module.FOLDER)
    checked(folder / "tests")
    assert cache_file(folder).exists()
    assert not (folder / "tests" / cache_module.FOLDER).exists()


def test_standard_input_is_not_remembered(folder: Path) -> None:
    for _ in range(2):
        assert call("check", "-", "--stdin-filename", "b.py", cwd=folder, stdin=DEADLINE.encode()).code == 1
    assert checked(folder, "b.py")[0] == 0


def test_fixing_is_seen_by_the_next_run(folder: Path) -> None:
    for _ in range(2):
        call("check", "--fix", "--unsafe-fixes", cwd=folder)
        assert checked(folder) == checked(folder, "--no-cache")


spans = st.builds(Span, *[st.integers(0, 10**6)] * 4)
texts = st.text(max_size=8)
fixes = st.builds(Fix, st.sampled_from(Applicability), texts, st.tuples(st.builds(Edit, spans, texts)), st.tuples(texts))
findings = st.builds(
    Finding, texts, texts, texts, st.just("x.py"), spans, texts, st.sampled_from(Severity), st.sampled_from(Confidence),
    st.tuples(st.builds(Step, spans, texts, texts)), st.none() | fixes, texts,
)  # fmt: skip
problems = st.builds(Problem, st.just("x.py"), texts, st.none() | st.integers(1, 99))


several = st.lists(findings).map(tuple), st.lists(problems).map(tuple)


@given(st.builds(FileReport, st.just("x.py"), *several, st.integers(0, 9), st.integers(0, 9)))
def test_reports_survive_being_written_down(report: FileReport) -> None:
    record = records.record_of(report)
    assert (FileReport("x.py") if record is None else records.report_of("x.py", json.loads(json.dumps(record)))) == report


def test_a_warm_run_is_light(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".gitignore").write_text("*.py[cod]\n/dist\n")
    assert run("check", cwd=folder).code == 1
    command = [sys.executable, "-X", "importtime", "-m", "safeboundary_lint", "check", "--output-format", "concise", "-q"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "safeboundary_lint.cache" in loaded
    heavy = ("libcst", "rich", "pathspec", "multiprocessing", "concurrent", "safeboundary_lint.rules.")
    assert not {name for name in loaded if name.startswith(heavy)}


def test_selecting_files_tells_their_stamps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    chosen = files.select((".", "a.py"), Projects(), stdin=lambda: b"").files
    assert {file.path: file.stamp for file in chosen} == {
        str(path.relative_to(folder)): files.stamp_of(path.stat()) for path in folder.rglob("*.py")
    }
