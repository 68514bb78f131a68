"""Options of the test run."""

from __future__ import annotations

import hypothesis
import pytest

# The same examples in every run: what fails here fails for everybody. Other examples are for the soak.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write the fixed text of each fixture beside it instead of comparing")


@pytest.fixture(scope="session")
def write_golden(request: pytest.FixtureRequest) -> bool:
    """True when golden files are to be written."""
    return bool(request.config.getoption("--write-golden"))
