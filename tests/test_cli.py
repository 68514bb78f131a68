"""The commands: options, exit codes, streams, colour, reports, fixes, signals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command import DEADLINE, Ran, call, configure, environment, run, write
from safeboundary_lint import __version__, reports
from safeboundary_lint.rules import load

FOUND = [("app.py", 6, "SBL102")]
UNUSED = "# safeboundary: ignore[SBL102] -- shown to the operator only\nx = 1\n"
"""A file with one finding: SBL001 in line 1."""
FIXABLE = """\
import time


def wait_for(ready):
    deadline = time.time() + 5
    while time.time() < deadline:
        if ready():
            return True
    return False
"""


def check(*arguments: str, cwd: Path, stdin: bytes = b"") -> Ran:
    """`check` with a JSON report."""
    return call("check", "--output-format", "json", *arguments, cwd=cwd, stdin=stdin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, app=DEADLINE)
    return tmp_path


# -- exit codes and selection ------------------------------------------------------------------------------------------


def test_exit_codes(folder: Path) -> None:
    assert check(cwd=folder).code == 1
    assert check("--exit-zero", cwd=folder).code == 0
    assert check("--ignore", "SBL102", cwd=folder).code == 0
    assert check("gone.py", "--exit-zero", cwd=folder).code == 2
    assert check(".", "gone.py", cwd=folder).code == 2


@pytest.mark.parametrize(
    "selector", ["SBL102", "sbl102", "SBL1", "wall-clock-elapsed", "ordering", "ALL", "acks,SBL102", "acks, wall-clock-elapsed"]
)
def test_rules_are_selected_by_code_prefix_name_and_family(folder: Path, selector: str) -> None:
    assert check("--select", selector, cwd=folder).found == FOUND
    assert check("--select", "acks", cwd=folder).found == []
    assert check("--select", "acks", "--extend-select", selector, cwd=folder).found == FOUND
    assert check("--ignore", selector, cwd=folder).found == []


def test_options_repeat(folder: Path) -> None:
    write(folder, unused=UNUSED)
    both = [*FOUND, ("unused.py", 1, "SBL001")]
    assert check("--select", "SBL102", "--select", "SBL001", cwd=folder).found == both
    assert check("--ignore", "SBL102", "--ignore", "SBL001", cwd=folder).found == []


def test_the_command_line_goes_before_the_configuration(folder: Path) -> None:
    configure(folder, 'ignore = ["SBL102"]')
    assert check(cwd=folder).found == []
    assert check("--extend-select", "SBL102", cwd=folder).found == FOUND
    assert check("--isolated", cwd=folder).found == FOUND
    other = configure(folder / "ci", 'select = ["ordering"]')
    assert check("--config", str(other), cwd=folder).found == FOUND


def test_configuration_by_file_and_for_tests(folder: Path) -> None:
    configure(folder, 'tests = ["checks/"]\nextend-exclude = ["old/"]\nper-file-ignores = { "scripts/*" = ["ordering"] }')
    write(folder, scripts__a=DEADLINE, checks__b=DEADLINE, old__c=DEADLINE, tests__d=DEADLINE)
    assert check(cwd=folder).found == [*FOUND, ("tests/d.py", 6, "SBL102")]
    assert check("old/c.py", "scripts/a.py", cwd=folder).found == []


def test_paths_are_shown_as_given(folder: Path) -> None:
    write(folder, src__a=DEADLINE)
    assert [place[0] for place in check("src", "./app.py", cwd=folder).found] == ["app.py", "src/a.py"]
    assert [place[0] for place in check("..", cwd=folder / "src").found] == ["../app.py", "../src/a.py"]
    assert [place[0] for place in check(str(folder / "src"), cwd=folder).found] == [str(folder / "src" / "a.py")]


def test_min_confidence_hides_and_counts(folder: Path) -> None:
    shown = {level: check("--min-confidence", level, cwd=folder).report for level in ("high", "medium", "low")}
    counts = {level: (len(report["findings"]), report["summary"]["hidden"]) for level, report in shown.items()}
    assert {sum(pair) for pair in counts.values()} == {1}
    assert counts["low"] == (1, 0)


def test_any_number_of_processes_prints_the_same(tmp_path: Path) -> None:
    for number in range(24):
        write(tmp_path, **{f"m{number:02}": DEADLINE + "# a comment\n" * 1500 * (number % 3)})
    outputs = {call("check", "--jobs", jobs, cwd=tmp_path).out for jobs in "123"}
    assert len(outputs) == 1
    assert outputs.pop().count("SBL102") == 24


# -- streams, formats, colour ------------------------------------------------------------------------------------------


def test_standard_input(folder: Path) -> None:
    ran = check("-", cwd=folder, stdin=DEADLINE.encode())
    assert (ran.code, ran.found) == (1, [("<stdin>", 6, "SBL102")])
    assert check("-", "--stdin-filename", "src/new.py", cwd=folder, stdin=DEADLINE.encode()).found == [
        ("src/new.py", 6, "SBL102")
    ]
    assert check("-", "app.py", cwd=folder, stdin=b"x = 1\n").found == FOUND
    assert check("-", cwd=folder, stdin=b"").found == []


def test_every_format_is_printed(folder: Path) -> None:
    for form in reports.FORMATS:
        ran = call("check", "--output-format", form, cwd=folder)
        assert ran.code == 1
        assert "SBL102" in ran.out
        assert ran.out.endswith("\n")
        assert ran.err == ""


def test_reports_go_to_files_and_standard_output(folder: Path) -> None:
    ran = call("check", "--report", "sarif=out/run.sarif", "--report", "json=run.json", cwd=folder)
    assert ran.out == call("check", cwd=folder).out
    assert json.loads((folder / "out" / "run.sarif").read_text())["version"] == "2.1.0"
    assert json.loads((folder / "run.json").read_text())["summary"]["findings"] == 1
    github = call("check", "--output-format", "github", cwd=folder).out
    assert call("check", "--report", "github", cwd=folder).out == github
    assert call("check", "--report", "github", "--output-format", "concise", cwd=folder).out.endswith(github)
    written = call("check", "--output-format", "json", "--output-file", "only.json", cwd=folder)
    assert (written.code, written.out, written.err) == (1, "", "")
    assert json.loads((folder / "only.json").read_text())["summary"]["findings"] == 1


def test_errors_reach_people_also_when_the_report_is_for_machines(folder: Path) -> None:
    write(folder, bad="x = (\n")
    ran = call("check", "--output-format", "json", "--output-file", "out.json", cwd=folder)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: bad.py:1: syntax error")
    assert "bad.py" in call("check", cwd=folder).out
    assert call("check", cwd=folder).err == ""


def test_a_report_needs_no_utf8(folder: Path) -> None:
    (folder / "app.py").write_text(DEADLINE.replace("< deadline:", "< deadline:  # \N{SNOWMAN}"), encoding="utf-8")
    ran = run("check", cwd=folder, env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C"))
    assert ran.code == 1
    assert "SBL102" in ran.out


def test_statistics(folder: Path) -> None:
    write(folder, b=DEADLINE, unused=UNUSED)
    ran = call("check", "--statistics", cwd=folder)
    assert [line.split()[:3] for line in ran.out.splitlines()[-2:]] == [
        ["2", "SBL102", "wall-clock-elapsed"],
        ["1", "SBL001", "unused-comment"],
    ]
    machine = check("--statistics", cwd=folder)
    assert machine.report["summary"]["findings"] == 3
    assert machine.err.splitlines()[0].split()[:2] == ["2", "SBL102"]


def test_quiet_says_nothing_of_nothing(folder: Path) -> None:
    quiet = call("check", "-q", "--ignore", "SBL102", cwd=folder)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    assert "SBL102" in call("check", "-q", cwd=folder).out
    configure(folder, 'extend-exclude = ["app.py"]')
    assert "app.py is excluded by the settings" in call("check", "app.py", cwd=folder).err
    assert call("check", "-q", "app.py", cwd=folder).err == ""


def test_nothing_to_check_is_said(tmp_path: Path) -> None:
    ran = call("check", cwd=tmp_path)
    assert ran.code == 0
    assert "no Python files found" in ran.err


def test_verbose_tells_what_held(folder: Path) -> None:
    file = configure(folder, "preview = true")
    ran = check("-v", cwd=folder)
    assert f"note: settings from {file}" in ran.err
    assert "1 file checked in" in ran.err
    assert ran.found == FOUND


def colored(output: str) -> bool:
    return "\x1b[" in output


def test_colour_by_environment(folder: Path) -> None:
    assert not colored(call("check", cwd=folder).out)
    assert colored(call("check", cwd=folder, env=environment(FORCE_COLOR="1", TERM="xterm-256color")).out)
    assert not colored(call("check", cwd=folder, env=environment(FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")).out)
    for form in ("json", "sarif", "github", "gitlab", "junit"):
        assert not colored(
            call("check", "--output-format", form, cwd=folder, env=environment(FORCE_COLOR="1", TERM="xterm-256color")).out
        )
    call("check", "--output-file", "out.txt", cwd=folder, env=environment(FORCE_COLOR="1", TERM="xterm-256color"))
    assert not colored((folder / "out.txt").read_text())


def in_terminal(*arguments: str, cwd: Path, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and all output of the command in a terminal of 90 columns."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "safeboundary_lint", *arguments],
        cwd=cwd,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    output = b""
    while select.select([master], [], [], 60)[0]:
        try:
            read = os.read(master, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not read:
            break
        output += read
    os.close(master)
    return process.wait(timeout=60), output.decode(errors="replace")


def test_a_terminal_has_colour_and_pages(folder: Path) -> None:
    terminal = environment(TERM="xterm-256color", COLUMNS="90")
    code, output = in_terminal("check", cwd=folder, env=terminal)
    assert code == 1
    assert colored(output)
    code, output = in_terminal("check", cwd=folder, env=terminal | {"NO_COLOR": "1"})
    assert not colored(output)
    code, output = in_terminal("explain", "SBL102", cwd=folder, env=terminal)
    assert code == 0
    assert colored(output)
    assert "## What it does" not in output
    assert "What it does" in output


def test_a_long_run_shows_its_progress_in_a_terminal_only(tmp_path: Path) -> None:
    for number in range(100):
        write(tmp_path, **{f"m{number}": DEADLINE + "def f(a, b):\n    return [a, b, {a: b}, (a, b)]\n" * 400})
    terminal = environment(TERM="xterm-256color", COLUMNS="90")
    arguments = ("check", "--output-format", "json", "--output-file", "out.json", "--jobs", "1")
    _, output = in_terminal(*arguments, cwd=tmp_path, env=terminal)
    assert "checking" in output
    assert "/100" in output
    _, output = in_terminal(*arguments, "-q", cwd=tmp_path, env=terminal)
    assert output == ""
    assert "checking" not in call(*arguments, cwd=tmp_path).err


# -- the other commands ------------------------------------------------------------------------------------------------


def test_version_and_help(tmp_path: Path) -> None:
    assert call("--version", cwd=tmp_path).out == f"safeboundary-lint, version {__version__}\n"
    for command in ("check", "explain", "rules", "config", "completion"):
        for option in ("--help", "-h"):
            ran = call(command, option, cwd=tmp_path)
            assert ran.code == 0
            assert "Examples:" in ran.out
            assert all(len(line) <= 110 for line in ran.out.splitlines())
        assert command in call("--help", cwd=tmp_path).out


def test_the_installed_script_is_the_same_command(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "safeboundary-lint"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == call("--version", cwd=tmp_path).out


def test_explain_prints_the_page(tmp_path: Path) -> None:
    page = call("explain", "SBL102", cwd=tmp_path)
    assert page.code == 0
    assert page.out.startswith("# SBL102 wall-clock-elapsed\n")
    for heading in ("What it does", "Why it matters", "Example", "Instead", "Stays silent when", "Fix safety", "Known limits"):
        assert f"\n## {heading}\n" in page.out
    assert call("explain", "wall-clock-elapsed", cwd=tmp_path).out == page.out
    assert call("explain", "sbl102", "SBL102", cwd=tmp_path).out == page.out
    family = call("explain", "comments", cwd=tmp_path).out
    assert "# SBL001 unused-comment" in family
    assert "# SBL002 comment-without-reason" in family


def test_every_rule_has_a_page_to_print(tmp_path: Path) -> None:
    ran = call("explain", "ALL", cwd=tmp_path)
    for rule in load().rules:
        assert f"# {rule.code} {rule.name}\n" in ran.out


def test_rules_lists_every_rule(tmp_path: Path) -> None:
    text = call("rules", cwd=tmp_path).out.splitlines()
    assert text[0].split() == ["code", "name", "family", "status", "severity", "fix", "overlaps"]
    rows = json.loads(call("rules", "--output-format", "json", cwd=tmp_path).out)
    assert [row["code"] for row in rows] == [line.split()[0] for line in text[1:]] == [rule.code for rule in load().rules]
    row = next(row for row in rows if row["code"] == "SBL102")
    assert (row["name"], row["family"], row["status"], row["since"]) == ("wall-clock-elapsed", "ordering", "stable", "0.1")
    assert row["summary"]


def test_config_shows_values_and_where_they_come_from(folder: Path) -> None:
    configure(folder, 'ignore = ["SBL001"]\nextend-exclude = ["old/"]\nper-file-ignores = { "scripts/" = ["acks"] }')
    ran = call("config", "--preview", "--ignore", "SBL002", "--output-format", "json", cwd=folder)
    assert ran.code == 0
    settings = [(row["key"], row["value"], row["origin"]) for row in json.loads(ran.out)["settings"]]
    assert ("ignore", ["SBL001"], "pyproject.toml") in settings
    assert ("ignore", ["SBL002"], "command line") in settings
    assert ("preview", True, "command line") in settings
    assert ("extend-exclude", ["old/"], "pyproject.toml") in settings
    assert ("per-file-ignores", {"scripts/": ["acks"]}, "pyproject.toml") in settings
    assert ("min-confidence", "medium", "default") in settings
    assert ("configuration", "pyproject.toml", "found") in settings


def test_config_answers_for_one_path(folder: Path) -> None:
    configure(folder, 'extend-exclude = ["old/"]')
    write(folder, old__a="", tests__b="")

    def about(path: str) -> dict[str, str]:
        lines = call("config", path, cwd=folder).out.splitlines()
        return {line.split("  ")[0]: line.split()[-1] for line in lines}

    assert (about("old/a.py")["excluded"], about("old/a.py")["test file"]) == ("yes", "no")
    assert (about("tests/b.py")["excluded"], about("tests/b.py")["test file"]) == ("no", "yes")
    assert about("app.py")["configuration"] == "pyproject.toml"


def test_config_names_what_is_wrong(folder: Path) -> None:
    configure(folder, "preview = 1")
    ran = call("config", cwd=folder)
    assert ran.code == 2
    assert ran.err.startswith("error: pyproject.toml: tool.safeboundary-lint.preview: must be true or false")


def test_completion(tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = call("completion", shell, cwd=tmp_path).out
        assert f"_SAFEBOUNDARY_LINT_COMPLETE={shell}_complete" in script
    asked = environment(
        _SAFEBOUNDARY_LINT_COMPLETE="bash_complete", COMP_WORDS="safeboundary-lint explain wall-clock-e", COMP_CWORD="2"
    )
    assert "plain,wall-clock-elapsed" in run(cwd=tmp_path, env=asked).out
    listed = environment(
        _SAFEBOUNDARY_LINT_COMPLETE="bash_complete", COMP_WORDS="safeboundary-lint check --select acks,SBL10", COMP_CWORD="3"
    )
    assert "plain,acks,SBL102" in run(cwd=tmp_path, env=listed).out


# -- fixes -------------------------------------------------------------------------------------------------------------


def test_fix_writes_and_reports_what_remains(tmp_path: Path) -> None:
    write(tmp_path, app=FIXABLE, unused=UNUSED)
    ran = check("--fix", cwd=tmp_path)
    assert (ran.code, ran.found) == (1, [("unused.py", 1, "SBL001")])
    assert ran.err == "note: applied 1 fix in 1 file\n"
    assert (tmp_path / "app.py").read_text() == FIXABLE.replace("time.time()", "time.monotonic()")
    assert sorted(path.name for path in tmp_path.glob("*.py*")) == ["app.py", "unused.py"]
    assert check("--fix", "app.py", cwd=tmp_path).code == 0


def test_fix_exit_codes(tmp_path: Path) -> None:
    write(tmp_path, app=FIXABLE)
    assert check("--fix", cwd=tmp_path).code == 0
    write(tmp_path, app=FIXABLE)
    assert check("--fix", "--exit-non-zero-on-fix", cwd=tmp_path).code == 1
    assert check("--fix", "--exit-non-zero-on-fix", cwd=tmp_path).code == 0


def test_diff_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, app=FIXABLE, unused=UNUSED)
    for arguments in (["--diff"], ["--diff", "--fix"]):
        ran = call("check", *arguments, cwd=tmp_path)
        assert ran.code == 1
        assert ran.out.startswith("--- ")
        assert "\n-    deadline = time.time() + 5\n" in ran.out
        assert "\n+    deadline = time.monotonic() + 5\n" in ran.out
        assert ran.err == "note: would apply 1 fix in 1 file\n"
        assert (tmp_path / "app.py").read_text() == FIXABLE
    patched = subprocess.run(
        ["git", "apply", "-p0", "-"], input=ran.out, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert patched.returncode == 0, patched.stderr
    assert (tmp_path / "app.py").read_text() == FIXABLE.replace("time.time()", "time.monotonic()")
    none = call("check", "--diff", cwd=tmp_path)
    assert (none.code, none.out) == (0, "")


def test_fix_of_standard_input_prints_the_source(tmp_path: Path) -> None:
    configure(tmp_path, 'extend-exclude = ["old.py"]')
    source = "# caf\xe9\n" + FIXABLE.replace("\n", "\r\n")
    ran = subprocess.run(
        [sys.executable, "-m", "safeboundary_lint", "check", "--fix", "-"],
        input=source.encode(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, source.replace("time.time()", "time.monotonic()").encode())
    for same, arguments in {"x = 1\n": [], UNUSED: [], FIXABLE: ["--stdin-filename", "old.py"], "x = (\n": []}.items():
        ran = call("check", "--fix", "-", *arguments, cwd=tmp_path, stdin=same.encode())
        assert ran.out == same
    assert ran.code == 2
    assert "<stdin>" in ran.err


def test_fix_follows_a_link_to_the_file(tmp_path: Path) -> None:
    write(tmp_path, app=FIXABLE)
    os.symlink(tmp_path / "app.py", tmp_path / "link.py")
    assert check("--fix", "link.py", cwd=tmp_path).code == 0
    assert (tmp_path / "link.py").is_symlink()
    assert "monotonic" in (tmp_path / "app.py").read_text()


# -- signals and pipes -------------------------------------------------------------------------------------------------


def busy(tmp_path: Path) -> Path:
    """A folder that takes seconds to check."""
    for number in range(200):
        write(tmp_path, **{f"m{number}": DEADLINE + "def f(a, b):\n    return [a, b, {a: b}, (a, b)]\n" * 1000})
    return tmp_path


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_quietly(tmp_path: Path, jobs: str, how: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "safeboundary_lint", "check", "--jobs", jobs]
    process = subprocess.Popen(
        command,
        cwd=busy(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(how, signal.SIG_DFL),  # whoever runs the tests in the background ignores SIGINT
    )
    time.sleep(1.5)
    process.send_signal(how)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, b"", b"")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_no_process_outlives_a_run_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safeboundary_lint", "check", "--jobs", "2"]
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=busy(tmp_path), stdout=nowhere, stderr=nowhere, start_new_session=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():  # not on this system: nothing to wait for, so give the processes time to start
        time.sleep(3)
    while children.exists() and len(children.read_text().split()) < 2:
        time.sleep(0.05)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("processes were left behind")


def test_nobody_reads_the_output(tmp_path: Path) -> None:
    for number in range(60):
        write(tmp_path, **{f"m{number}": DEADLINE * 5})
    process = subprocess.Popen(
        [sys.executable, "-m", "safeboundary_lint", "check"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141


def test_a_full_disk_is_one_line(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "safeboundary_lint", "check"], cwd=folder, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (2, b"error: output: No space left on device\n")
