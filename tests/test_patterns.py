"""Plain patterns mean what pathspec says they mean."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from safeboundary_lint.config import DEFAULT_EXCLUDE, DEFAULT_TESTS
from safeboundary_lint.patterns import matcher

segments = st.text("ab.", min_size=1, max_size=3)
patterns = st.one_of(
    st.builds(
        lambda start, several, end: start + "/".join(several) + end,
        st.sampled_from(["", "/", "!", "**/", "\\", " "]),
        st.lists(st.text("ab.*?[]-+ !#$", min_size=1, max_size=4), min_size=1, max_size=3),
        st.sampled_from(["", "/", "/**", " ", "/*"]),
    ),
    st.sampled_from([*DEFAULT_EXCLUDE, *DEFAULT_TESTS, "", "# note", "*.py[cod]", "/", "//", "a//b", "[ab]", "[!a]b", "a\\ b", "a[/]b"]),
)
places = st.builds(
    lambda several, end: "/".join(several) + end,
    st.lists(st.one_of(segments, st.sampled_from(["tests", "test_a.py", "x.pyc", "dist", "a b", "a.egg-info"])), min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)


@given(st.lists(patterns, max_size=4), places)
@example(["a/"], "a")
@example(["*"], "a/b")
@example(["a/*"], "a/b/c")
@example(["*a", "!ba"], "ba")
def test_patterns_mean_what_pathspec_says(several: list[str], place: str) -> None:
    try:
        expected = GitIgnoreSpec.from_lines(several).check_file(place).include
    except ValueError:
        with pytest.raises(ValueError):
            matcher(tuple(several))
    else:
        assert matcher(tuple(several))(place) is expected


def test_a_line_end_belongs_to_the_name() -> None:
    assert matcher(("a",))("a\n") is None  # here pathspec, whose expressions end with `$`, is wrong
    assert matcher(("a*",))("a\n") is matcher(("a",))("b\n/a") is True


def test_default_patterns_need_no_pathspec() -> None:
    program = (
        "import sys; from safeboundary_lint.config import *; from safeboundary_lint.patterns import matcher\n"
        "plain = [*DEFAULT_EXCLUDE, *DEFAULT_TESTS, '*.py[codz]', '*$py.class', '# note', '', '/site', 'docs/_build/', '.coverage.*', 'x?']\n"
        "matcher(tuple(plain))('src/app.py'); sys.exit('pathspec' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
