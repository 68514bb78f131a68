"""The text and concise reports: what is shown, what lies under what, and what is never let through to a terminal."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata

import pytest

from safeboundary_lint import reports
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Finding, Fix, Problem, RunReport, Severity, Span, Step
from safeboundary_lint.reports.screen import excerpt

WORKER = """\
def handle(channel, method, body):
    channel.basic_ack(method.delivery_tag)
    order = parse(body)
    session.add(
        order)
    session.commit()
"""


def finding(span: Span, **changes: object) -> Finding:
    told = {
        "code": "SBL301",
        "name": "ack-before-write",
        "message": "a crash after line 2 loses the order",
        "path": "app/worker.py",
        "symbol": "handle",
        "severity": Severity.ERROR,
        "confidence": Confidence.HIGH,
    }
    return Finding(span=span, **{**told, **changes})  # type: ignore[arg-type]


def shown(*findings: Finding, source: str = WORKER, width: int = 100, color: bool = False) -> str:
    run = RunReport(findings, files=1, sources={"app/worker.py": source})
    return reports.render("text", run, width=width, color=color)


def test_a_finding_is_told_with_source_story_and_help() -> None:
    told = finding(
        Span(2, 5, 2, 43),
        trace=(
            Step(Span(2, 5, 2, 43), "the message is acknowledged"),
            Step(Span(6, 5, 6, 21), "the order is written only here"),
            Step(Span(40, 1, 40, 3), "called from here", "app/main.py"),
        ),
        fix=Fix(Applicability.SUGGESTION, "acknowledge after `session.commit()`"),
    )
    assert shown(told) == (
        "error[SBL301] ack-before-write: a crash after line 2 loses the order\n"
        "  --> app/worker.py:2:5 in handle\n"
        "   |\n"
        " 2 |     channel.basic_ack(method.delivery_tag)\n"
        "   |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 1. the message is acknowledged\n"
        "   |\n"
        " 6 |     session.commit()\n"
        "   |     ---------------- 2. the order is written only here\n"
        "  ::: app/main.py:40:1\n"
        "40 | 3. called from here\n"
        "   |\n"
        "   = help: acknowledge after `session.commit()`\n"
        "\n"
        "Found 1 problem (1 error) in 1 of 1 file.\n"
    )


def test_without_a_fix_the_page_of_the_rule_is_named() -> None:
    assert " = help: https://safeboundary-lint.readthedocs.io/rules/ack-before-write/\n" in shown(finding(Span(2, 5, 2, 43)))


def test_a_single_step_has_no_number() -> None:
    text = shown(finding(Span(2, 5, 2, 43), trace=(Step(Span(6, 5, 6, 21), "written here"),)))
    assert "---------------- written here\n" in text


def test_a_range_over_several_lines_is_shown_by_its_first() -> None:
    text = shown(finding(Span(4, 5, 5, 15)))
    assert "4 |     session.add(\n  |     ^^^^^^^^^^^^ ... to line 5\n" in text


def test_a_step_in_a_file_whose_text_is_known_is_shown() -> None:
    told = finding(Span(2, 5, 2, 43), trace=(Step(Span(1, 1, 1, 5), "called here", "app/main.py"),))
    run = RunReport((told,), files=2, sources={"app/worker.py": WORKER, "app/main.py": "work()\n"})
    assert " ::: app/main.py:1:1\n1 | work()\n  | ---- called here\n" in reports.render("text", run)


def test_a_suggestion_shows_its_code() -> None:
    edits = (Edit(Span(2, 5, 2, 43), "order = parse(body)"), Edit(Span(3, 5, 3, 24), "channel.basic_ack(method.delivery_tag)"))
    text = shown(finding(Span(2, 5, 2, 43), fix=Fix(Applicability.SUGGESTION, "acknowledge later", edits, ("import json",))))
    assert (
        "  = help: acknowledge later\n"
        "  | + import json\n"
        "  | +     order = parse(body)\n"
        "  |       channel.basic_ack(method.delivery_tag)\n"
        "  | -     order = parse(body)\n"
    ) in text


def test_an_insertion_of_lines_is_shown_whole() -> None:
    edit = Edit(Span(6, 21, 6, 21), "\n    channel.basic_ack(method.delivery_tag)\n    log()")
    text = shown(finding(Span(2, 5, 2, 43), fix=Fix(Applicability.SUGGESTION, "acknowledge later", (edit,))))
    assert "  |       session.commit()\n  | +     channel.basic_ack(method.delivery_tag)\n  | +     log()\n" in text


@pytest.mark.parametrize(
    ("applicability", "said"),
    [(Applicability.SAFE, "help: move it (--fix)\n"), (Applicability.UNSAFE, "help: move it (--fix --unsafe-fixes)\n")],
)
def test_an_applicable_fix_names_its_option(applicability: Applicability, said: str) -> None:
    text = shown(finding(Span(2, 5, 2, 43), fix=Fix(applicability, "move it", (Edit(Span(2, 5, 2, 43), "pass"),))))
    assert said in text
    assert "| +" not in text


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("\tx = time.time()", "time.time()"),
        ("x =\t1;\ty = time.time()", "time.time()"),
        ("name = '日本語 한국어'; t = time.time()", "time.time()"),
        ("name = 'e\u0301\u200d'; t = time.time()", "time.time()"),
        ("日本 = 語语", "語语"),
        ("x = 1; " * 200 + "t = time.time()" + "; y = 2" * 200, "time.time()"),
        ("日本 = 1; " * 200 + "t = time.time()", "time.time()"),
        ("\x1b[31m = '\x07'; t = time.time()", "time.time()"),
        ("\f  t = time.time()", "time.time()"),
    ],
)
@pytest.mark.parametrize("width", [46, 60, 100])
def test_the_underline_lies_under_its_source(line: str, part: str, width: int) -> None:
    column = line.index(part) + 1
    text = shown(finding(Span(1, column, 1, column + len(part))), source=line + "\n", width=width)
    above, below = text.splitlines()[3:5]
    cells = "".join(
        char * {"W": 2}.get(unicodedata.east_asian_width(char), 1)
        for char in above
        if unicodedata.category(char) not in ("Mn", "Cf")
    )
    wide_part = "".join(char * (2 if unicodedata.east_asian_width(char) == "W" else 1) for char in part)
    start = below.index("^")
    assert cells[start : below.rindex("^") + 1] == wide_part
    assert len(cells) <= width


def test_an_excerpt_of_a_very_long_line_is_quick_and_narrow() -> None:
    line = "x" * 5_000_000
    text, start, length = excerpt(line, 4_000_000, 4_900_000, 80)
    assert len(text) <= 80 and text[0] == text[-1] == "…"
    assert start + length <= 80


def test_a_place_behind_the_end_of_the_source_is_still_told() -> None:
    assert "9 |\n" in shown(finding(Span(9, 1, 9, 2)))
    assert "6 |     session.commit()\n  |                     ^\n" in shown(finding(Span(6, 21, 6, 21)))


def test_nothing_reaches_the_terminal_that_moves_its_cursor() -> None:
    hostile = finding(
        Span(1, 1, 1, 2),
        message="a\x1b[2Jb\u202ec",
        path="app/\udcff\n.py",
        symbol="f\r",
        trace=(Step(Span(1, 1, 1, 2), "x\x9b"),),
    )
    run = RunReport(
        (hostile,), (Problem("bad\x07.py", "why\n::error::x"),), sources={"app/\udcff\n.py": "\x1b]0;title\x07 = 1\u2028\n"}
    )
    for fmt in ("text", "concise"):
        text = reports.render(fmt, run)
        text.encode("utf-8")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", text)
        assert "\\x1b[2Jb\\u202ec" in text
        assert "bad\\x07.py: why\\x0a::error::x" in text


def test_the_summary_counts_everything() -> None:
    told = [
        finding(Span(2, 5, 2, 43), fix=Fix(Applicability.SAFE, "m", (Edit(Span(2, 5, 2, 6), ""),))),
        finding(Span(3, 5, 3, 6), severity=Severity.WARNING, fix=Fix(Applicability.UNSAFE, "m", (Edit(Span(2, 5, 2, 6), ""),))),
        finding(Span(3, 5, 3, 6), severity=Severity.WARNING, path="b.py"),
        finding(Span(3, 5, 3, 6), severity=Severity.INFO, path="c.py"),
    ]
    run = RunReport(tuple(told), (Problem("d.py", "no"), Problem("d.py", "no", 3)), files=12, suppressed=2, hidden=5, baselined=1)
    lines = reports.render("text", run).splitlines()
    assert lines[-3:-1] == ["error: d.py: no", "error: d.py:3: no"]
    assert lines[-1] == (
        "Found 4 problems (1 error, 2 warnings and 1 info) in 3 of 12 files; --fix mends 1; --fix --unsafe-fixes mends 1 more; "
        "2 silenced by comments; 1 known to the baseline; 5 of lower confidence hidden (--min-confidence low shows all); "
        "1 file could not be checked."
    )


def test_a_clean_run_says_so() -> None:
    assert reports.render("text", RunReport(files=3)) == "No problems found in 3 files.\n"
    assert reports.render("concise", RunReport(files=3)) == ""


def test_concise_is_one_line_each() -> None:
    run = RunReport((finding(Span(2, 5, 2, 43)),), (Problem("b.py", "syntax error", 3),))
    assert reports.render("concise", run) == (
        "error: b.py:3: syntax error\napp/worker.py:2:5: SBL301 ack-before-write a crash after line 2 loses the order\n"
    )


def test_colour_changes_nothing_but_colour() -> None:
    told = finding(
        Span(2, 5, 2, 43), trace=(Step(Span(6, 5, 6, 21), "written here"),), fix=Fix(Applicability.SUGGESTION, "later")
    )
    for fmt in ("text", "concise"):
        run = RunReport((told,), (Problem("b.py", "no"),), sources={"app/worker.py": WORKER})
        plain, colored = reports.render(fmt, run), reports.render(fmt, run, color=True)
        assert colored != plain
        assert re.sub("\x1b\\[[0-9;]*m", "", colored) == plain


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="'yaml' is no report format; use one of text, concise, json"):
        reports.render("yaml", RunReport())


def test_rich_is_imported_for_colour_only() -> None:
    code = (
        "import sys\n"
        "from safeboundary_lint import reports\n"
        "from safeboundary_lint.core.finding import Problem, RunReport\n"
        "for fmt in ('json', 'text', 'concise', 'github', 'gitlab', 'junit'):\n"
        "    reports.render(fmt, RunReport(problems=(Problem('a', 'b'),)))\n"
        "assert not {'rich', 'libcst', 'pathspec'} & set(sys.modules), sorted(sys.modules)\n"
        "reports.render('text', RunReport(problems=(Problem('a', 'b'),)), color=True)\n"
        "assert 'rich' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
