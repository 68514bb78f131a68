"""Fixtures: files of real-looking code that say in comments what a rule must find. CONTRIBUTING.md tells the format."""

from __future__ import annotations

import functools
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence, FileReport
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.rules import load

FIXTURES = Path(__file__).with_name("fixtures")

_MARKER = re.compile(r"#\s*(?P<word>error|missed|false-alarm|ok):(?P<rest>[^#]*)")
_CODES = re.compile(r"\s*(?P<codes>SBL\d{3}(?:@\d+)?(?:,\s*SBL\d{3}(?:@\d+)?)*)(?P<why>\s.*)?$", re.DOTALL)


class FixtureError(ValueError):
    """A marker that can't be understood; the message names file and line."""


@dataclass(frozen=True)
class Expectation:
    """One thing that a marker says about one line."""

    word: str  # error, missed, false-alarm
    code: str
    line: int  # of the finding
    column: int | None
    marker: tuple[int, int]  # line and 0-based column at which it says so

    @property
    def reported(self) -> bool:
        """True when the rule is to report it now."""
        return self.word != "missed"


@dataclass(frozen=True)
class Fixture:
    """One fixture file and the rule that its folder is named after."""

    path: Path

    @property
    def rule(self) -> type[Rule]:
        """The rule under test. Raises UnknownRule for a folder that no rule is named after."""
        return load().get(self.path.parent.name)

    @property
    def label(self) -> str:
        """Its path below the folder of fixtures; names the file in test ids and messages."""
        return "/".join(self.path.parts[-3:])

    @property
    def golden(self) -> Path:
        """Where the fixed text stands, when something in it can be fixed."""
        return self.path.with_name(self.path.name + ".fixed")

    @functools.cached_property
    def text(self) -> str:
        """Its decoded text, line ends as newlines."""
        with tokenize.open(self.path) as file:
            return file.read()

    @functools.cached_property
    def expectations(self) -> tuple[Expectation, ...]:
        """What its comments expect. Raises FixtureError."""
        return tuple(self._expectations())

    @functools.cached_property
    def silent_places(self) -> tuple[int, ...]:
        """Lines of the comments that say `# ok: why`."""
        return tuple(comment.start[0] for comment, _ in comments(self.text) for word, *_ in self._markers(comment) if word == "ok")

    def answered(self, answer: str) -> str:
        """The text with each expectation turned into the comment `answer`."""
        lines = self.text.split("\n")
        for line, column in {one.marker for one in self.expectations if one.reported}:
            lines[line - 1] = lines[line - 1][:column] + answer
        return "\n".join(lines)

    def _expectations(self) -> Iterator[Expectation]:
        for comment, line in comments(self.text):
            for word, rest, column_of_marker in self._markers(comment):
                if word == "ok":
                    continue
                place = f"{self.label}:{comment.start[0]}"
                match = _CODES.match(rest)
                if not match:
                    raise FixtureError(f"{place}: write the codes behind `# {word}:`, such as `# {word}: SBL301`")
                if word != "error" and not (match["why"] or "").strip():
                    raise FixtureError(f"{place}: tell behind the code, in parentheses, why this is `{word}`")
                for item in match["codes"].split(","):
                    code, _, column = item.strip().partition("@")
                    yield Expectation(word, code, line, int(column) if column else None, (comment.start[0], column_of_marker))

    def _markers(self, comment: tokenize.TokenInfo) -> Iterator[tuple[str, str, int]]:
        for match in _MARKER.finditer(comment.string):
            if not match["rest"].strip():
                raise FixtureError(f"{self.label}:{comment.start[0]}: `# {match['word']}:` needs to say what it is about")
            yield match["word"], match["rest"], comment.start[1] + match.start()


def comments(text: str) -> Iterator[tuple[tokenize.TokenInfo, int]]:
    """Each comment with the line it is about: where a string of several lines before it starts, else its own."""
    starts: dict[int, int] = {}  # last line of a string of several lines -> its first one
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        first, last = token.start[0], token.end[0]
        if token.type == tokenize.COMMENT:
            yield token, starts.get(first, first)
        elif last > first:
            starts[last] = starts.get(first, first)


@functools.cache
def fixtures() -> tuple[Fixture, ...]:
    """Every fixture, in a stable order."""
    return tuple(Fixture(path) for path in sorted(FIXTURES.glob("*/*/*.py")))


def options_for(rule: type[Rule], **overrides: bool) -> Options:
    """Only this rule, everything it says. A rule about comments judges the rules that ran, so those run too."""
    codes = frozenset(one.code for one in load().rules) if rule.family() == "comments" else frozenset({rule.code})
    return Options(codes=codes, min_confidence=Confidence.LOW, **overrides)


@functools.cache
def report_of(fixture: Fixture) -> FileReport:
    """What the fixture's rule says about it."""
    return analyse(fixture.path.read_bytes(), fixture.label, options_for(fixture.rule))
