"""LibCST, imported in half the time where nothing has imported it yet: comes before any `import libcst`."""

from __future__ import annotations

from safeboundary_lint.core.late_methods import compiled_late

with compiled_late():
    import libcst  # noqa: F401
