"""Is it Python: what is parsed, what is refused, and in whose words."""

from __future__ import annotations

import libcst as cst
import pytest

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import FileReport
from safeboundary_lint.rules import load

NEEDS_TREE = Options(frozenset(rule.code for rule in load().rules), screening=False)
NEEDS_NONE = Options(frozenset())


@pytest.mark.parametrize("options", [NEEDS_TREE, NEEDS_NONE], ids=["with a tree", "without"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "# only a comment",
        "x = 1",
        "match x:\n    case {'a': [1, *_], **rest}: pass\n",
        "try:\n    pass\nexcept* A:\n    pass\n",
        "try:\n    pass\nexcept A, B:\n    pass\n",  # Python 3.14
        "type X[T] = list[T]\ndef f[T: int](x: T) -> T: ...\nclass C[*Ts, **P]: ...\n",
        "f'{x!r:>{width}} {\"nested\"}'\n",
        "async def f():\n    async with a as b, c: return [x async for x in y]\n",
        "if (n := 10) > 5: print(f\"{n=}\")\n",
        "\ufeffx = 1\n",
        "x = 1\r\ny = 2\r\n",
        "def f():\n\x0c    return 1\n",
        "lambda *, a, **b: (yield)\n",
        "with (a as b, c as d,): pass\n",
        "x: 'int' = 0; del x\n",
    ],
)
def test_python_of_any_version(text: str, options: Options) -> None:
    assert analyse(text.encode(), "x.py", options) == FileReport("x.py")


@pytest.mark.parametrize("options", [NEEDS_TREE, NEEDS_NONE], ids=["with a tree", "without"])
@pytest.mark.parametrize(
    ("text", "line"),
    [("x = (\n", 1), ("def f(:\n    pass\n", 1), ("x = 1\n  y = 2\n", 2), ("print 'a'\n", 1), ("x = 1\nreturn = 2\n", 2), ("if x:\npass\n", 2), ("'''never closed\n", 1)],
)
def test_what_is_no_python_is_told_with_its_line(text: str, line: int, options: Options) -> None:
    (problem,) = analyse(text.encode(), "x.py", options).problems
    assert problem.line == line
    assert "syntax error" in problem.message


def test_the_parser_leaves_no_trace_in_libcst() -> None:
    before = cst.CSTNode.__post_init__
    analyse(b"x = (", "x.py", NEEDS_TREE)
    analyse(b"x = 1", "x.py", NEEDS_TREE)
    assert cst.CSTNode.__post_init__ is before
    with pytest.raises(cst.CSTValidationError):
        cst.Name("")


def test_brackets_in_data_are_not_nested() -> None:
    report = analyse(("import time\nTABLE = '" + "(" * 2_000 + "'\nTABLE += str(time.time())\n").encode(), "table.py", Options(frozenset({"SBL102"})))
    assert report == FileReport("table.py")
