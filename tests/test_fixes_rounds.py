"""Which fixes are applied, which are refused, and what stays byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pattern_analyser import Pattern, analyser, found, span_of

from safeboundary_lint.core.finding import Applicability, Edit, FileReport, Fix, Problem, Span
from safeboundary_lint.core.source import Source
from safeboundary_lint.fixes import Outcome, fix_file

CLOCK = Pattern("SBL102", r"time\.time\(\)", "time.monotonic()")


def fixed(text: str, *patterns: Pattern, unsafe: bool = False) -> Outcome:
    return fix_file("x.py", text.encode(), analyser(*patterns), unsafe)


def text_of(outcome: Outcome) -> str:
    return outcome.new_source.decode()


def test_all_findings_of_a_file_are_fixed_in_one_go() -> None:
    outcome = fixed("import time\na = time.time()\nb = time.time() - a\n", CLOCK)
    assert text_of(outcome) == "import time\na = time.monotonic()\nb = time.monotonic() - a\n"
    assert [finding.span.line for finding in outcome.applied] == [2, 3]
    assert outcome.report.findings == () and outcome.problems == ()


@pytest.mark.parametrize(
    ("level", "unsafe", "changes"),
    [
        (Applicability.SAFE, False, True),
        (Applicability.SAFE, True, True),
        (Applicability.UNSAFE, False, False),
        (Applicability.UNSAFE, True, True),
        (Applicability.SUGGESTION, False, False),
        (Applicability.SUGGESTION, True, False),
    ],
)
def test_the_level_of_a_fix_decides_who_may_apply_it(level: Applicability, unsafe: bool, changes: bool) -> None:
    outcome = fixed("x = bad()\n", Pattern("SBL409", r"bad\(\)", "good()", applicability=level), unsafe=unsafe)
    assert text_of(outcome) == ("x = good()\n" if changes else "x = bad()\n")
    assert len(outcome.report.findings) == (0 if changes else 1)
    assert outcome.problems == ()


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("y = a * b\n", Pattern("SBL102", "a(?= )", "x + y")),
        ("y = a * b\n", Pattern("SBL102", r"a(?= )", "x + z")),
        ("y = a ** b\n", Pattern("SBL102", r"a(?= )", "-x")),
        ("y = p - a\n", Pattern("SBL102", r"a$", "x - z")),
        ("y = not a\n", Pattern("SBL102", r"a$", "x and z")),
        ("y = a.b\n", Pattern("SBL102", r"a(?=\.)", "x or z")),
        ("y = 0 < a\n", Pattern("SBL102", r"a$", "x < z")),
        ("y = a < 0\n", Pattern("SBL102", r"a(?= )", "x < z")),
        ("y = lambda: a\n", Pattern("SBL102", r"a$", "x, z")),
        ("y = a * b * c\n", Pattern("SBL102", r"a \*", "x +")),
        ("y = await_it(a, b)\n", Pattern("SBL102", r"await_it\(", "await_it or (")),
        ("if a:\n    b\nc\n", Pattern("SBL102", r"(?<=\n)(?P<edit>)c\n", "    ")),
        ("y = a, b, c\n", Pattern("SBL102", r"a", 'x, """')),
        ("y = a  # why\nz = b\n", Pattern("SBL102", r"a", 'x  # oh ')),
        ("x = bad  # why\ny = 1  # because\n", Pattern("SBL102", r"bad  # (?P<edit>)", "\\n# ")),
    ],
)
def test_a_fix_that_changes_how_the_code_around_it_is_read_is_refused(text: str, pattern: Pattern) -> None:
    outcome = fixed(text, pattern)
    assert text_of(outcome) == text
    assert outcome.applied == () and len(outcome.report.findings) >= 1
    assert outcome.problems and all("SBL102" in problem.message and problem.line for problem in outcome.problems)


@pytest.mark.parametrize(
    ("text", "pattern", "result"),
    [
        ("y = a * b\n", Pattern("SBL102", r"a(?= )", "(x + z)"), "y = (x + z) * b\n"),
        ("f(a)\n", Pattern("SBL409", r"f\(a(?P<edit>)\)", ", timeout=10"), "f(a, timeout=10)\n"),
        ("f(a, verify=False)\n", Pattern("SBL502", r", verify=False", ""), "f(a)\n"),
        ("f(verify=False, b=1)\n", Pattern("SBL502", r"verify=False, ", ""), "f(b=1)\n"),
        ("f(\n    a,  # why\n    verify=False,\n)\n", Pattern("SBL502", r"    verify=False,\n", ""), "f(\n    a,  # why\n)\n"),
        (
            "try:\n    a\nfinally:  # c\n    b\n",
            Pattern("SBL303", r"finally", "else"),
            "try:\n    a\nfinally:  # c\n    b\n",  # `else` needs an `except`: not Python
        ),
        (
            "try:\n    a\nexcept E:\n    raise\nfinally:  # c\n    b\n",
            Pattern("SBL303", r"finally", "else"),
            "try:\n    a\nexcept E:\n    raise\nelse:  # c\n    b\n",
        ),
        (
            "def f():\n    for a in b:\n        c\n",
            Pattern("SBL208", r"for a in b:\n        c\n(?P<edit>)\Z", "    raise E\\n"),
            "def f():\n    for a in b:\n        c\n    raise E\n",
        ),
        (
            "def f():\n    for a in b:\n        c  # t\n",
            Pattern("SBL208", r"c  # t(?P<edit>)\n\Z", "\\n    raise E"),
            "def f():\n    for a in b:\n        c  # t\n    raise E\n",
        ),
        (
            "with open(p) as f:\n    w(f)\n\nx\n",
            Pattern("SBL307", r"w\(f\)\n(?!    f)(?P<edit>)", "    f.flush()\\n"),
            "with open(p) as f:\n    w(f)\n    f.flush()\n\nx\n",
        ),
        ("@d\ndef f(): pass\n", Pattern("SBL102", r"@d\n", ""), "def f(): pass\n"),
    ],
)
def test_a_fix_may_be_anything_inside_itself(text: str, pattern: Pattern, result: str) -> None:
    assert text_of(fixed(text, pattern)) == result


def _wrapping(data: bytes) -> FileReport:
    """`a == b` becomes `compare(a, b)` by three edits, which leave both operands as they are."""
    source = Source.decode(data)
    at = source.text.find(" == ")
    if at < 0:
        return FileReport("x.py")
    start, end = source.text.rindex("(", 0, at) + 1, source.text.index(")", at)
    edits = ((start, start, "compare("), (at, at + 4, ", "), (end, end, ")"))
    fix = Fix(Applicability.SAFE, "", tuple(Edit(span_of(source, first, last), text) for first, last, text in edits))
    return FileReport("x.py", (found("SBL512", span_of(source, start, end), fix),))


def test_two_edits_may_wrap_what_stands_between_them() -> None:
    outcome = fix_file("x.py", b"assert (sig[ 1 ] == given . lower)\n", _wrapping)
    assert outcome.new_source == b"assert (compare(sig[ 1 ], given . lower))\n"
    assert outcome.problems == ()


def _quoting(data: bytes) -> FileReport:
    source = Source.decode(data)
    at = source.text.find("name")
    if at < 0 or '"' in source.text:
        return FileReport("x.py")
    edits = tuple(Edit(span_of(source, place, place), '"') for place in (at, at + 4))
    fix = Fix(Applicability.SAFE, "", edits)
    return FileReport("x.py", (found("SBL512", span_of(source, at, at + 4), fix),))


def test_two_edits_may_not_swallow_what_stands_between_them() -> None:
    outcome = fix_file("x.py", b"x = name\n", _quoting)
    assert outcome.new_source == b"x = name\n" and len(outcome.problems) == 1


def test_a_fix_that_does_not_end_its_finding_is_refused() -> None:
    outcome = fixed("x = bad(1)\n", Pattern("SBL409", r"bad\((?P<edit>\d+)\)", r"\g<edit>1"))
    assert text_of(outcome) == "x = bad(1)\n"
    assert "still be there" in outcome.problems[0].message


def test_a_fix_that_brings_another_finding_is_refused() -> None:
    outcome = fixed("x = bad()\n", Pattern("SBL409", r"bad\(\)", "worse()"), Pattern("SBL502", r"worse\(\)"))
    assert text_of(outcome) == "x = bad()\n"
    assert "SBL502" in outcome.problems[0].message


def test_one_bad_fix_does_not_take_the_good_ones_with_it() -> None:
    names = [f"v{n} = bad()" for n in range(11)]
    text = "\n".join([*names[:5], "w = bad() * evil", *names[5:], "v = evil * bad()", ""])
    breaks = Pattern("SBL201", r"evil(?= \*)|(?<=\* )evil", "1 + 1")
    outcome = fixed(text, Pattern("SBL409", r"bad\(\)", "good()"), breaks)
    assert text_of(outcome) == text.replace("bad", "good")
    assert len(outcome.applied) == 13 and [problem.line for problem in outcome.problems] == [6, 13]


def test_a_syntax_error_the_grammar_does_not_know_is_refused() -> None:
    outcome = fixed("f(a=1, b=2)\n", Pattern("SBL409", r"b=2", "a=2"))
    assert text_of(outcome) == "f(a=1, b=2)\n" and "compile" in outcome.problems[0].message


def test_a_file_only_another_python_compiles_is_fixed() -> None:
    text = "return bad()\n"
    assert text_of(fixed(text, Pattern("SBL409", r"bad\(\)", "good()"))) == "return good()\n"


def test_what_meets_an_earlier_fix_waits_for_the_next_round() -> None:
    outer = Pattern("SBL201", r"outer\((?:x|inner\(\))\)", "o2(inner())")
    inner = Pattern("SBL202", r"inner\(\)", "i2()")
    assert text_of(fixed("a = outer(inner())\n", outer, inner)) == "a = o2(i2())\n"


def test_findings_with_one_common_fix_are_all_applied() -> None:
    def analyse(data: bytes) -> FileReport:
        if b"bad" not in data:
            return FileReport("x.py")
        fix = Fix(Applicability.SAFE, "", (Edit(Span(1, 1, 1, 4), "one"), Edit(Span(2, 1, 2, 4), "one")))
        spans = (Span(1, 1, 1, 4), Span(2, 1, 2, 4))
        return FileReport("x.py", tuple(found("SBL102", span, fix) for span in spans))

    outcome = fix_file("x.py", b"bad\nbad\n", analyse)
    assert outcome.new_source == b"one\none\n" and len(outcome.applied) == 2


def _peeling(data: bytes) -> FileReport:
    """A finding for each `-` before x, all with fixes of the same place: a round can apply one of them."""
    source = Source.decode(data)
    at = source.text.index("-") if b"-" in data else 0
    span = span_of(source, at, at + data.count(b"-") + 1)
    edit = Edit(span, "-" * (data.count(b"-") - 1) + "x")
    fixes = [Fix(Applicability.SAFE, str(number), (edit,)) for number in range(data.count(b"-"))]
    return FileReport("x.py", tuple(found("SBL102", span, fix) for fix in fixes))


def test_at_most_ten_rounds() -> None:
    outcome = fix_file("x.py", b"y = " + b"-" * 12 + b"x\n", _peeling)
    assert outcome.new_source == b"y = --x\n"
    assert len(outcome.applied) == 10 and len(outcome.report.findings) == 2
    assert "run the fix again" in outcome.problems[0].message


@pytest.mark.parametrize(
    "edits",
    [
        (Edit(Span(9, 1, 9, 2), "x"),),
        (Edit(Span(1, 90, 1, 91), "x"),),
        (Edit(Span(1, 3, 1, 1), "x"),),
        (Edit(Span(0, 0, 0, 0), "x"),),
        (Edit(Span(1, 1, 1, 3), "x"), Edit(Span(1, 2, 1, 4), "y")),
    ],
)
def test_an_impossible_edit_is_refused_in_words(edits: tuple[Edit, ...]) -> None:
    finding = found("SBL102", Span(1, 1, 1, 2), Fix(Applicability.SAFE, "", edits))
    outcome = fix_file("x.py", b"x = 1\n", lambda data: FileReport("x.py", (finding,)))
    assert outcome.new_source == b"x = 1\n" and "SBL102" in outcome.problems[0].message


def test_text_the_encoding_lacks_is_refused() -> None:
    source = "# coding: latin-1\nx = bad('\xe9')\n".encode("latin-1")
    outcome = fix_file("x.py", source, analyser(Pattern("SBL102", "bad", "g\u0142d")))
    assert outcome.new_source == source and "iso-8859-1" in outcome.problems[0].message


def test_a_result_that_cannot_be_checked_is_refused() -> None:
    pattern = analyser(Pattern("SBL102", "bad", "good"))

    def analyse(data: bytes) -> FileReport:
        return FileReport("x.py", problems=(Problem("x.py", "oh"),)) if b"good" in data else pattern(data)

    outcome = fix_file("x.py", b"bad\n", analyse)
    assert outcome.new_source == b"bad\n" and "oh" in outcome.problems[0].message


def test_undecodable_bytes_are_left_alone() -> None:
    report = FileReport("x.py", problems=(Problem("x.py", "not text"),))
    assert fix_file("x.py", b"\xff\xfe", lambda data: report) == Outcome(b"\xff\xfe", (), report)


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.sampled_from(
    [
        "x = bad()", "", "# c\u00e9 \u4e2d bad", "\f", "\fy = 1", "if bad(): pass", "s = 'a\\x0cb'", "  \t", "z = [bad(),",
        "   bad()]", "# \x1c \u2028",
        "t = '''", "q'''", "def f():", "    return bad()  # \u00fc", "\f    w = 1",
    ]
)  # fmt: skip


@given(
    lines=st.lists(st.tuples(LINES, LINE_ENDS), max_size=14),
    last=st.booleans(),
    dress=st.sampled_from([("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("latin-1", b""), ("gb18030", b"")]),
)
def test_all_outside_the_edits_stays_byte_for_byte(lines: list[tuple[str, str]], last: bool, dress: tuple[str, bytes]) -> None:
    encoding, mark = dress
    text = "".join(line + end for line, end in lines)
    text = text if last else text.rstrip("\r\n")
    if encoding != "utf-8":
        text = f"# coding: {encoding}\n" + text
    data = mark + text.encode(encoding, "ignore")
    outcome = fix_file("x.py", data, analyser(Pattern("SBL409", r"bad\(\)", "good(1)", ("import zlib",))))
    without = outcome.new_source.replace(b"import zlib", b"", len(outcome.applied) and 1).replace(b"good(1)", b"bad()")
    assert b"".join(without.split()) == b"".join(data.split())
    assert b"import zlib" in outcome.new_source or not outcome.applied
    if not outcome.applied:
        assert outcome.new_source == data


@given(lines=st.lists(st.tuples(LINES, LINE_ENDS), max_size=14))
def test_without_an_import_only_the_edits_change(lines: list[tuple[str, str]]) -> None:
    data = "".join(line + end for line, end in lines).encode()
    outcome = fix_file("x.py", data, analyser(Pattern("SBL409", r"bad\(\)", "good(1)")))
    assert outcome.new_source.replace(b"good(1)", b"bad()") == data
    assert data.count(b"bad()") - outcome.new_source.count(b"bad()") == len(outcome.applied)
