"""Comparisons of secrets, by Python's own tree."""

from __future__ import annotations

import ast

import pytest

from safeboundary_lint.core.shapes import secrets
from safeboundary_lint.core.shapes import Body


@pytest.mark.parametrize(
    ("code", "met"),
    [
        ("request.headers['X-Token'] == config['api_token']", True),
        ("given = request.headers.get('X-Key')\nif given != self.api_key: raise", True),
        ("user, password = b64decode(form['basic']).split(':')\nif password == kept.password: pass", True),
        ("def f(self, key): return self._auth_key == key", True),
        ("message.get('token') == session.token", True),
        ("token == 'eof'", False),
        ("len(token) == len(other_token)", False),
        ("next_token == token", False),  # of a parser
        ("lock.token == claim.token", False),  # tells generations apart
        ("token == kind", False),
    ],
)
def test_two_secrets_are_compared(code: str, met: bool) -> None:
    assert secrets.compares_secrets(Body(ast.parse(code).body)) is met
