"""Comments: what they cover, what they answer, and what is said about those that answer nothing."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator

import pytest

from safeboundary_lint import comments as comments_module
from safeboundary_lint.comments import CLAIMS, Comments, Contract
from safeboundary_lint.core.finding import Confidence, Finding, Severity, Span
from safeboundary_lint.core.layout import Layout
from safeboundary_lint.core.rule import Registry, Rule
from safeboundary_lint.rules.comments.comment_without_reason import CommentWithoutReason
from safeboundary_lint.rules.comments.unused_comment import UnusedComment

NAMES = {"SBL102": "wall-clock-elapsed", "SBL103": "wall-clock-identity", "SBL301": "ack-before-write", "SBL302": "auto-ack"}
ALL = frozenset({"SBL001", "SBL002", *NAMES})
NO_COMPLAINTS = frozenset(NAMES)


def _rule(code: str, name: str) -> type[Rule]:
    family = "acks" if code.startswith("SBL3") else "ordering"
    return type(name, (Rule,), {"code": code, "name": name, "severity": Severity.WARNING, "__module__": f"rules.{family}.{name}"})


@pytest.fixture(autouse=True)
def few_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Comments are judged by the rules there are; these tests must not change when a rule is added."""
    registry = Registry((UnusedComment, CommentWithoutReason, *(_rule(code, name) for code, name in NAMES.items())))
    monkeypatch.setattr(comments_module, "catalogue", lambda: registry.catalogue)
    comments_module._codes.cache_clear()
    yield
    comments_module._codes.cache_clear()


def finding(line: int, code: str = "SBL102", column: int = 1) -> Finding:
    span = Span(line, column, line, column + 1)
    return Finding(code, NAMES[code], "message", "app.py", span, "", Severity.WARNING, Confidence.HIGH)


def judged(
    text: str, *findings: Finding, ran: frozenset[str] = ALL, honour_noqa: bool = True
) -> tuple[list[tuple[str, int]], int]:
    """Code and line of what is left, and the number suppressed."""
    kept, suppressed = Comments.of(text).judge(findings, path="app.py", ran=ran, honour_noqa=honour_noqa)
    return [(one.code, one.span.line) for one in kept], suppressed


def silenced(text: str, *codes: str) -> list[int]:
    """The lines on which a finding (SBL102 unless told) is answered."""
    lines = text.count("\n") + 1
    return [
        line
        for line in range(1, lines + 1)
        if judged(text, *(finding(line, code) for code in codes or ("SBL102",)), ran=NO_COMPLAINTS) == ([], len(codes) or 1)
    ]


def source(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


IGNORE = "# safeboundary: ignore[SBL102] -- shown only"


@pytest.mark.parametrize(
    "selector", ["SBL102", "sbl102", "SBL1", "SBL10", "wall-clock-elapsed", "ordering", " SBL302 ,  SBL102 "]
)
def test_an_ignore_takes_codes_prefixes_names_and_families(selector: str) -> None:
    text = f"x = 1\ny = 2  # safeboundary: ignore[{selector}] -- shown only\n"
    assert silenced(text) == [2]


def test_an_ignore_of_another_rule_does_not_silence() -> None:
    assert silenced("x = 1  # safeboundary: ignore[SBL301, auto-ack] -- why\n") == []


@pytest.mark.parametrize(
    "spelling", ["#safeboundary:ignore[SBL102]--why", "#  safeboundary:  ignore [SBL102]  --  why", "x #: y " + IGNORE]
)
def test_spaces_do_not_matter(spelling: str) -> None:
    assert silenced(f"x = 1  {spelling if spelling.startswith('#') else '# ' + spelling}\n") == [1]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(f"a = 1\nb = f(\n    1,\n    2,\n)  {IGNORE}\nc = 3\n", [2, 3, 4, 5], id="end of a multi-line call"),
        pytest.param(f"a = 1\nb = f(\n    1,  {IGNORE}\n    2,\n)\nc = 3\n", [2, 3, 4, 5], id="inside a multi-line call"),
        pytest.param(f"a = 1\nb = f(\n    {IGNORE}\n    1,\n)\nc = 3\n", [2, 3, 4, 5], id="own line inside a call"),
        pytest.param(f'a = 1\nb = """\n\n# x\n"""  {IGNORE}\nc = 3\n', [2, 3, 4, 5], id="end of a multi-line string"),
        pytest.param(f"a = 1\nb = 1 + \\\n    2  {IGNORE}\nc = 3\n", [2, 3], id="backslash"),
        pytest.param(f"a = 1\nb = 1; c = 2  {IGNORE}\nd = 3\n", [2], id="semicolons"),
        pytest.param(f"while a:  {IGNORE}\n    b()\nc()\n", [1], id="header of a loop"),
        pytest.param(f"if a: b()  {IGNORE}\nc()\n", [1], id="compound line"),
        pytest.param(f"a = 1\n{IGNORE}\nb = 2\nc = 3\n", [2, 3], id="own line"),
        pytest.param(
            f"a = 1\n{IGNORE}\n\n# other\nb = f(\n    2)\nc = 3\n", [2, 5, 6], id="own line, then blank and comment lines"
        ),
        pytest.param(f"a = 1\nif a:\n    b\n    {IGNORE}\nelse:\n    c\n", [4], id="last in its block: covers no code"),
        pytest.param(f"a = 1\nif a:\n{IGNORE}\n    b\n    c\n", [3, 4], id="less indented than its code"),
        pytest.param(f"a = 1\nif a:\n\tb\n        {IGNORE}\n\tc\n", [4, 5], id="spaces beside tabs"),
        pytest.param(f"a = 1\n{IGNORE}\n", [2], id="end of file"),
        pytest.param("a = '# safeboundary: ignore[SBL102] -- in a string'\n", [], id="in a string"),
        pytest.param(f'a = """\n{IGNORE}\n"""\n', [], id="in a multi-line string"),
    ],
)
def test_a_comment_covers_its_logical_line(text: str, lines: list[int]) -> None:
    assert silenced(text) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(f"a = 1\ndef f():  {IGNORE}\n    b()\n\n    c()\n\nd()\n", [2, 3, 5], id="def line"),
        pytest.param(f"a = 1\nasync def f():  {IGNORE}\n    b()\nd()\n", [2, 3], id="async def"),
        pytest.param(
            f"a = 1\ndef f(\n    x,\n    y,\n):  {IGNORE}\n    b()\nd()\n", [2, 3, 4, 5, 6], id="header on several lines"
        ),
        pytest.param(f"a = 1\nclass A:  {IGNORE}\n    def f(self):\n        b()\n    c = 1\nd()\n", [2, 3, 4, 5], id="class"),
        pytest.param(f"a = 1\n{IGNORE}\ndef f():\n    b()\nd()\n", [2, 3, 4], id="above"),
        pytest.param(f"a = 1\n{IGNORE}\n@g\n@h(\n    1)\ndef f():\n    b()\nd()\n", [2, 3, 4, 5, 6, 7], id="above decorators"),
        pytest.param(f"a = 1\n@g\n{IGNORE}\n@h\ndef f():\n    b()\nd()\n", [2, 3, 4, 5, 6], id="between decorators"),
        pytest.param(f"a = 1\n@g\ndef f():  {IGNORE}\n    b()\nd()\n", [2, 3, 4], id="def line takes the decorators too"),
        pytest.param(f"a = 1\n@g  {IGNORE}\ndef f():\n    b()\n", [2], id="on a decorator: that line"),
        pytest.param(f"a = 1\ndef f(): b()  {IGNORE}\nd()\n", [2], id="one-line body"),
        pytest.param(f"def f():\n    {IGNORE}\n    b()\n    c()\n", [2, 3], id="first in the body: the next line"),
        pytest.param(
            f"class A:\n    def f(self):  {IGNORE}\n        if a:\n            b()\n    def g(self):\n        c()\n",
            [2, 3, 4],
            id="method",
        ),
        pytest.param(f"def f():  {IGNORE}\n    if a:\n        b()\n", [1, 2, 3], id="ends with the file"),
        pytest.param(f"a = 1\ndef f():  {IGNORE}\n    b()\n# c\nif d:\n    e()\n", [2, 3], id="block after a definition"),
    ],
)
def test_a_comment_on_a_definition_covers_its_body(text: str, lines: list[int]) -> None:
    assert silenced(text) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(f"{IGNORE}\nimport time\ndef f():\n    g()", [1, 2, 3, 4], id="first line"),
        pytest.param(f"# licence\n{IGNORE}\n# more\nimport time\na()", [1, 2, 3, 4, 5], id="in the first block"),
        pytest.param(
            f"#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\n{IGNORE}\n\nimport time\na()",
            [1, 2, 3, 4, 5, 6, 7],
            id="after shebang",
        ),
        pytest.param(f"\n\n{IGNORE}\n'''doc'''\na()", [1, 2, 3, 4, 5], id="after blank lines"),
        pytest.param(f"# licence\n\n{IGNORE}\nimport time\na()", [3, 4], id="second block: the next line"),
        pytest.param(f"'''doc'''\n{IGNORE}\nimport time\na()", [2, 3], id="after the docstring: the next line"),
    ],
)
def test_a_comment_in_the_first_block_covers_the_file(text: str, lines: list[int]) -> None:
    assert silenced(text) == lines


def test_a_finding_is_answered_when_its_first_line_is_covered() -> None:
    text = f"with a:  {IGNORE}\n    b()\n"
    spanning = Finding("SBL102", "wall-clock-elapsed", "m", "app.py", Span(1, 1, 2, 8), "", Severity.ERROR, Confidence.LOW)
    assert judged(text, spanning) == ([], 1)


@pytest.mark.parametrize(
    ("claim", "answered", "open_"),
    [
        ("ack=best-effort", ("SBL301", "SBL302"), ("SBL102",)),
        ("clock=advisory", ("SBL102", "SBL103"), ("SBL301",)),
        ("retry=idempotent", (), ("SBL102", "SBL301")),
        ("ack=durable", (), ("SBL301", "SBL302")),
        ("clock=monotonic", (), ("SBL102",)),
    ],
)
def test_waivers_answer_their_rules_and_obligations_none(claim: str, answered: tuple[str, ...], open_: tuple[str, ...]) -> None:
    text = f"def f():  # safeboundary: {claim} -- known\n    g()\n"
    kept, suppressed = judged(text, *(finding(2, code) for code in answered + open_))
    assert (sorted(kept), suppressed) == (sorted((code, 2) for code in open_), len(answered))


def test_contracts_are_read_with_value_reason_and_range() -> None:
    text = source(
        """
        import time

        @app.task
        def f():  # safeboundary: ack=best-effort -- metrics -- sent again, see #12
            g()

        h()  # safeboundary: bounded=nginx/client_max_body_size -- 1 MB
        """
    )
    assert Comments.of(text).contracts == (
        Contract("ack", "best-effort", "metrics -- sent again, see #12", Span(4, 11, 4, 76), 3, 5),
        Contract("bounded", "nginx/client_max_body_size", "1 MB", Span(7, 6, 7, 64), 7, 7),
    )


def test_every_waiver_answers_codes_of_this_tool() -> None:
    codes = [code for values in CLAIMS.values() for several in values.values() for code in several]
    assert codes
    assert all(code.startswith("SBL") and len(code) == 6 and code[3:].isdigit() for code in codes)


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("ignore -- why", "name the rules"),
        ("ignore", "name the rules"),
        ("ignore[] -- why", "must name the rules"),
        ("ignore[ALL] -- why", "must name the rules"),
        ("ignore[SBL] -- why", "must name the rules"),
        ("ignore[SBL999] -- why", "no rule is called 'SBL999'"),
        ("ignore[SBL102, wall-clock-elapse] -- why", "no rule is called 'wall-clock-elapse'"),
        ("ack=besteffort -- why", "'ack' can't be 'besteffort': did you mean 'best-effort'?"),
        ("acks=durable -- why", "no contract 'acks': did you mean 'ack'?"),
        ("clock=x -- why", "choose from advisory, monotonic"),
        ("best effort -- why", "neither `ignore[CODE] -- reason` nor a contract"),
        ("", "neither"),
    ],
)
def test_a_comment_that_cannot_be_understood_is_reported(comment: str, said: str) -> None:
    kept, suppressed = Comments.of(f"x = 1  # safeboundary: {comment}\n").judge(
        [], path="app.py", ran=frozenset({"SBL001", "SBL002"}), honour_noqa=True
    )
    assert [(one.code, one.severity, one.span.line, one.span.column) for one in kept] == [("SBL001", Severity.WARNING, 1, 8)]
    assert said in kept[0].message
    assert suppressed == 0


def test_a_refused_comment_silences_nothing() -> None:
    assert judged("x = 1  # safeboundary: ignore -- why\n", finding(1)) == ([("SBL102", 1), ("SBL001", 1)], 0)


def test_known_selectors_beside_an_unknown_one_are_honoured() -> None:
    assert judged("x = 1  # safeboundary: ignore[SBL102, SBL999] -- why\n", finding(1)) == ([], 1)


def test_a_comment_without_a_reason_is_honoured_and_reported() -> None:
    text = "x = 1  # safeboundary: ignore[SBL102]\n"
    text += "y = 2  # safeboundary: ack=durable --\nz = 3  # safeboundary: ignore[SBL102] because\n"
    assert judged(text, finding(1), finding(3)) == ([("SBL002", 1), ("SBL002", 2), ("SBL002", 3)], 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"x = 1\ny = 2  {IGNORE}\n", "no finding of SBL102 on line 2"),
        (f"x = 1\n{IGNORE}\ny = f(\n    1)\n", "no finding of SBL102 on lines 3 to 4"),
        (f"{IGNORE}\nx = 1\n", "no finding of SBL102 in this file"),
        (f"x = 1\n{IGNORE}\n", "no code follows it"),
        ("x = 1\ny = 2  # safeboundary: clock=advisory -- why\n", "that clock=advisory would answer on line 2"),
        ("x = 1\ny = 2  # noqa: SBL102, SBL3\n", "no finding of SBL102, SBL3 on line 2"),
        ("x = 1\n# noqa: SBL102\ny = 2\n", "noqa covers its own line only"),
        ("x = 1\n# flake8: noqa: SBL102\ny = 2\n", "no finding of SBL102 in this file"),
        ("x = 1  # noqa: SBL777\n", "no rule is called 'SBL777'"),
    ],
)
def test_a_comment_that_answers_nothing_is_reported(text: str, said: str) -> None:
    kept, _ = Comments.of(text).judge([], path="app.py", ran=ALL, honour_noqa=True)
    assert [one.code for one in kept] == ["SBL001"]
    assert said in kept[0].message
    assert kept[0].fix is not None


@pytest.mark.parametrize(
    "comment",
    [
        "# safeboundary: ignore[SBL302] -- why",
        "# safeboundary: ignore[SBL102, auto-ack] -- why",
        "# safeboundary: ignore[SBL3] -- why",
        "# safeboundary: ack=best-effort -- why",
        "# noqa: SBL3",
        "# flake8: noqa: SBL302",
    ],
)
def test_only_rules_that_ran_are_judged(comment: str) -> None:
    text = f"x = 1\ny = 2  {comment}\n"
    assert judged(text, ran=ALL - {"SBL302"}) == ([], 0)


@pytest.mark.parametrize(
    "comment",
    [
        "# safeboundary: ack=durable -- why",
        "# safeboundary: clock=monotonic -- why",
        "# safeboundary: fallback=none -- why",
        "# safeboundary: outcome=ambiguous -- why",
        "# safeboundary: bounded=nginx -- none of its rules exists here",
        "# safeboundary: ignore[SBL001] -- why",
        "# noqa",
        "# noqa: E501",
        "# noqa: E501, SBL102",
        "# flake8: noqa",
    ],
)
def test_what_cannot_be_judged_is_never_unused(comment: str) -> None:
    assert judged(f"x = 1\ny = 2  {comment}\n") == ([], 0)


def test_complaints_are_made_only_when_their_rules_run() -> None:
    text = "x = 1  # safeboundary: ignore[SBL102]\n"
    text += "y = 2  # safeboundary: ignore -- why\n"
    assert judged(text, ran=NO_COMPLAINTS) == ([], 0)
    assert judged(text, ran=NO_COMPLAINTS | {"SBL002"}) == ([("SBL002", 1)], 0)
    assert judged(text) == ([("SBL001", 1), ("SBL002", 1), ("SBL001", 2)], 0)


def test_complaints_can_be_ignored_by_name() -> None:
    on_the_line = "x = 1  # safeboundary: ignore -- why  # safeboundary: ignore[SBL001] -- an example\n"
    assert judged(on_the_line) == ([], 0)
    own_line = "x = 1\n# safeboundary: ignore[SBL102]  # safeboundary: ignore[SBL001, SBL002] -- an example\ny = 2\n"
    assert judged(own_line) == ([], 0)
    in_a_body = "def f():  # safeboundary: ignore[comments] -- examples\n    # safeboundary: ignore[SBL102]\n    g()\n"
    assert judged(in_a_body) == ([], 0)
    assert judged("# safeboundary: ignore[SBL001] -- examples\n\nx = 1  # safeboundary: what\n") == ([], 0)


def test_complaints_name_the_definition_they_stand_in() -> None:
    text = "class A:\n    def f(self):\n        g()  # safeboundary: what\n        # safeboundary: what\n        h()\n"
    kept, _ = Comments.of(text).judge([], path="app.py", ran=ALL, honour_noqa=True)
    assert [one.symbol for one in kept] == ["A.f", "A.f"]


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: SBL102",
        "# noqa:SBL102",
        "#noqa: sbl102",
        "# NoQA: SBL1",
        "# noqa: E501,SBL102",
        "# noqa: E501 SBL10 since x",
        "# noqa",
        "# noqa: why",
    ],
)
def test_noqa_is_understood_as_flake8_does(comment: str) -> None:
    assert silenced(f"a = 1\nb = f(  {comment}\n    2)\nc = 3\n") == [2, 3]


@pytest.mark.parametrize(
    "comment", ["# noqa: E501", "# noqa: SBL3", "# noqa: SBL1020", "# nonoqa", "# see noqa: SBL102", "# noqable"]
)
def test_other_noqa_silences_nothing(comment: str) -> None:
    assert silenced(f"a = 1  {comment}\n") == []


def test_noqa_covers_neither_body_nor_next_line_nor_file() -> None:
    assert silenced("a = 1\ndef f():  # noqa: SBL102\n    b()\n") == [2]
    assert silenced("# noqa: SBL102\na = 1\n") == [1]


def test_noqa_for_the_file() -> None:
    assert silenced("a = 1\n\n# flake8: noqa\nb = 2\n") == [1, 2, 3, 4, 5]
    assert silenced("a = 1\n# flake8: noqa: SBL1\nb = 2\n") == [1, 2, 3, 4]
    assert silenced("a = 1\n# FLAKE8:NOQA:SBL1\nb = 2\n") == [1, 2, 3, 4]
    assert silenced("a = 1  # flake8: noqa\nb = 2\n") == []


def test_noqa_is_left_to_flake8_when_told() -> None:
    text = f"a = 1  # noqa: SBL102\nb = 2  {IGNORE}\nc = 3  # noqa: SBL103\n"
    assert judged(text, finding(1), finding(2), honour_noqa=False) == ([("SBL102", 1)], 1)


def test_neighbours_in_one_comment() -> None:
    text = "a = 1  # type: ignore  # noqa: E501  # pylint: disable=x  # safeboundary: ignore[SBL102] -- why  # nosec\n"
    assert judged(text, finding(1)) == ([], 1)
    assert judged("a = 1  # noqa: SBL301 # safeboundary: clock=advisory -- why\n", finding(1), finding(1, "SBL301")) == ([], 2)


def test_every_comment_that_answers_counts_as_used() -> None:
    text = f"def f():  {IGNORE}\n    g()  # noqa: SBL102\n"
    assert judged(text, finding(2)) == ([], 1)


def test_what_is_left_is_in_order() -> None:
    text = "a = 1  # safeboundary: what\nb = 2\nc = 3  # safeboundary: what\n"
    assert judged(text, finding(2), finding(1, column=3))[0] == [("SBL102", 1), ("SBL001", 1), ("SBL102", 2), ("SBL001", 3)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends(ending: str) -> None:
    text = f"a = 1\ndef f():  {IGNORE}\n    b()\nc()\n".replace("\n", ending)
    kept = Comments.of(text).judge([finding(line) for line in (1, 2, 3, 4)], path="app.py", ran=ALL, honour_noqa=True)[0]
    assert [one.span.line for one in kept] == [1, 4]


def test_form_feeds_and_line_separators_end_no_line() -> None:
    text = f"a = '\u2028\x1c\x85'\n\f\nb = 2\n\fdef f():  {IGNORE}\n    c()\n\f    # x\n    d()\ne()\n"
    assert silenced(text) == [4, 5, 7]


def test_byte_order_mark() -> None:
    assert silenced(f"\ufeffa = 1  {IGNORE}\n") == [1]


def test_comments_inside_formatted_strings_are_not_comments() -> None:
    """Python 3.12 sees comments in multi-line replacement fields, older ones don't: none counts."""
    text = f'a = f"""\n{{\n1  {IGNORE}\n}}\n"""\nb = f"{{c:#>10}} # noqa: SBL102 {{d!r}}"\ne = 1  {IGNORE}\n'
    assert silenced(text)[-1:] == [7]
    assert silenced(text) == [7]


@pytest.mark.parametrize("text", [f"a = (  {IGNORE}\n", f"if a:\n        b  {IGNORE}\n    c\n", f'a = """  \nb  {IGNORE}\n'])
def test_a_text_that_cannot_be_tokenized_has_no_comments(text: str) -> None:
    assert judged(text, finding(1)) == ([("SBL102", 1)], 0)
    assert Comments.of(text).contracts == ()


def test_texts_without_such_comments_are_not_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "of", lambda text: pytest.fail("tokenized"))
    assert judged("a = 1  # a comment\n", finding(1)) == ([("SBL102", 1)], 0)
    assert judged("a = 1  # noqa\nb = 2  # noqa: E501\n") == ([], 0)
    assert Comments.of("a = 1  # noqa\n").contracts == ()
    assert judged(f"a = 1  {IGNORE}\n", ran=NO_COMPLAINTS) == ([], 0)


@pytest.mark.parametrize(
    ("part", "line"),
    [
        pytest.param(f"class A:\n    {IGNORE}\n    def f(self):\n        g()  # noqa: SBL102\n", 4, id="many lines"),
        pytest.param("# noqa: SBL102 ", 1, id="one long comment"),
        pytest.param("x = 1; ", 1, id="one long line"),
        pytest.param("if a:\n  b((1,  # noqa: SBL102\n  2))\n# safeboundary: ignore[SBL102] -- x\n", 2, id="many own lines"),
    ],
)
def test_time_grows_with_the_file_not_faster(part: str, line: int) -> None:
    def seconds(times: int) -> float:
        text = part * times + "# noqa: SBL102\n"
        start = time.process_time()
        assert judged(text, finding(line), ran=NO_COMPLAINTS) == ([], 1)
        return time.process_time() - start

    seconds(10)
    assert seconds(1200) < 16 * max(seconds(300), 0.02)
