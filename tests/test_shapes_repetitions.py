"""Loops and functions that may repeat what failed, by Python's own tree."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Sequence

import pytest

from safeboundary_lint.core.shapes import repetitions
from safeboundary_lint.core.shapes import Body

UNTIL_IT_WORKS = """
    while True:
        try:
            return send()
        except OSError:
            pause()
"""
FOR_EACH_ATTEMPT = """
    for attempt in range(3):
        try:
            return send()
        except OSError:
            pause()
"""
AGAIN_AND_AGAIN = """
    for attempt in range(3):
        try:
            send()
        except OSError:
            pause()
"""
OF_DATA = """
    while True:
        try:
            return table[key]
        except (KeyError, IndexError):
            key = other(key)
"""
GIVES_AWAY = """
    while True:
        try:
            yield send()
        except OSError:
            return
"""
RAISES = """
    for attempt in range(3):
        try:
            return send()
        except OSError:
            if attempt > 1:
                raise
"""
WAITS_FOR_A_FLAG = """
    while not self.ready:
        try:
            self.ready = send()
        except OSError as error:
            log(error)
"""
INNER_LOOP = """
    for attempt in range(3):
        try:
            for part in parts:
                if part:
                    break
        except OSError:
            continue
"""


def asked(shape: Callable[[Sequence[ast.AST]], bool], block: str, name: str = "f") -> bool:
    """What a shape says of a function with these lines."""
    lines = textwrap.indent(textwrap.dedent(block), "    ")
    return shape(Body(ast.parse(f"def {name}(self, key, parts):\n{lines}").body))


@pytest.mark.parametrize(
    ("shape", "met"),
    [
        (repetitions.retry_loop, {UNTIL_IT_WORKS, FOR_EACH_ATTEMPT, AGAIN_AND_AGAIN, RAISES, WAITS_FOR_A_FLAG, INNER_LOOP}),
        (repetitions.endless, {UNTIL_IT_WORKS, WAITS_FOR_A_FLAG}),
        (repetitions.runs_out, {FOR_EACH_ATTEMPT, RAISES}),
        (repetitions.tries_again, {UNTIL_IT_WORKS, FOR_EACH_ATTEMPT, AGAIN_AND_AGAIN, RAISES, WAITS_FOR_A_FLAG, INNER_LOOP}),
        (repetitions.unended, {AGAIN_AND_AGAIN, WAITS_FOR_A_FLAG, INNER_LOOP}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_loops(shape: Callable[[Sequence[ast.AST]], bool], met: set[str]) -> None:
    several = [UNTIL_IT_WORKS, FOR_EACH_ATTEMPT, AGAIN_AND_AGAIN, OF_DATA, GIVES_AWAY, RAISES, WAITS_FOR_A_FLAG, INNER_LOOP]
    assert {block for block in several if asked(shape, block)} == met


@pytest.mark.parametrize(
    ("block", "met"),
    [
        ("try:\n    return send(key)\nexcept OSError:\n    return self.f(key, parts)", True),
        ("answer = send(key)\nif answer.status_code == 503:\n    return self.f(key, parts)", True),
        ("try:\n    return send(key)\nexcept OSError:\n    return self.f(self.other, parts)", False),  # another input
        ("try:\n    return table[key]\nexcept KeyError:\n    return self.f(key, parts)", False),  # of data
        ("return self.f(key, parts)", False),
    ],
)
def test_a_function_that_starts_over(block: str, met: bool) -> None:
    assert asked(repetitions.restart, block) is met
