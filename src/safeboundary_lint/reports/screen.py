"""Text on a screen: its width in cells, what may safely be shown, colours."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from safeboundary_lint.core.finding import Problem
from safeboundary_lint.core.regex import Regex

TAB = 4  # cells a tab stop is wide
STYLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "info": "bold cyan",
    "bold": "bold",
    "frame": "blue",
    "step": "cyan",
    "help": "green",
    "removed": "red",
    "added": "green",
    "faint": "dim",
}
_UNSHOWABLE = Regex("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")


class Paint:
    """Gives text a style of STYLES, or leaves it alone. Rich is imported only for colour."""

    def __init__(self, color: bool) -> None:
        self._style: Callable[[str, str], str] = _ansi() if color else lambda text, style: text

    def __call__(self, text: str, style: str) -> str:
        return self._style(text, style) if text else ""


def _ansi() -> Callable[[str, str], str]:
    from rich.color import ColorSystem
    from rich.style import Style

    styles = {name: Style.parse(definition) for name, definition in STYLES.items()}
    return lambda text, style: styles[style].render(text, color_system=ColorSystem.STANDARD)


def printable(text: str) -> str:
    """Text that can't move the cursor, reorder the line or fail to be encoded: such characters become escapes."""
    return _UNSHOWABLE.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] < "\x7f" else f"\\u{ord(found[0]):04x}", text)


def cells(character: str) -> int:
    """How many columns of a terminal a character takes: none, one or two."""
    if character < "\x7f":
        return 1
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def excerpt(line: str, start: int, end: int, width: int) -> tuple[str, int, int]:
    """What to show of a source line in `width` cells, and where in it the characters `start` to `end` are: first cell and length.

    Tabs become spaces, a line that is too long is cut around the characters, which count from 0. The length is at least 1.
    """
    line = line.rstrip()
    laid, cut = _laid(line, 0, start, end, width)
    if cut is not None and cut < end:
        laid, _ = _laid(line, max(0, start - width // 3), start, end, width)
    return laid


def _laid(line: str, first: int, start: int, end: int, width: int) -> tuple[tuple[str, int, int], int | None]:
    """The excerpt that begins with character `first`, and the character at which it is cut, if it is."""
    shown, at = ("…", 1) if first else ("", 0)
    begin = finish = cut = None
    for index in range(first, len(line)):
        begin = at if index == start else begin
        finish = at if index == end else finish
        text, taken = _shown(line[index], at)
        if at + taken >= width and index + 1 < len(line):
            shown, at, cut = shown + "…", at + 1, index
            break
        shown, at = shown + text, at + taken
    begin = at if begin is None else begin
    return (shown, begin, max(1, (at if finish is None else finish) - begin)), cut


def _shown(character: str, at: int) -> tuple[str, int]:
    if character == "\t":
        taken = TAB - at % TAB
        return " " * taken, taken
    text = printable(character)
    return text, cells(character) if text == character else len(text)


def problem_line(problem: Problem, paint: Paint) -> str:
    """One line for what kept a file from being checked."""
    place = problem.path if problem.line is None else f"{problem.path}:{problem.line}"
    return f"{paint('error', 'error')}: {printable(place)}: {printable(problem.message)}"


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def joined(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    several = list(parts)
    return " and ".join([", ".join(several[:-1]), several[-1]] if len(several) > 1 else several)
