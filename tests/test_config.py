"""`[tool.safeboundary-lint]`: what a file says, what is wrong with it, which file governs what, and the command line on top."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import configure
from safeboundary_lint import config
from safeboundary_lint.config import ConfigError, Overrides, Selection, Settings
from safeboundary_lint.core.finding import Confidence
from safeboundary_lint.projects import Projects
from safeboundary_lint.rules import load

EVERYTHING = """
select = ["SBL102", "comments"]
extend-select = ["unused-comment"]
ignore = ["SBL002"]
exclude = ["generated/"]
extend-exclude = ["*_pb2.py"]
preview = true
min-confidence = "low"
tests = ["checks/"]
[tool.safeboundary-lint.per-file-ignores]
"scripts/*.py" = ["wall-clock-elapsed"]
[[tool.safeboundary-lint.knowledge.wall-clock]]
names = ["shop.clock.now"]
"""


def settings_of(tmp_path: Path, table: str) -> Settings:
    found = config.read(str(configure(tmp_path, table)))
    assert found is not None
    settings, problems = found
    assert problems == ()
    return settings


def complaints(tmp_path: Path, table: str) -> list[str]:
    file = configure(tmp_path, table)
    found = config.read(str(file))
    assert found is not None
    assert all(problem.path == str(file) for problem in found[1])
    return [problem.message for problem in found[1]]


def codes(settings: Settings, tmp_path: Path, name: str = "app.py") -> frozenset[str]:
    return settings.options_for(str(tmp_path / name)).codes


def test_every_key_arrives(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, EVERYTHING)
    assert settings.layers == (
        Selection(("SBL102", "comments"), ("unused-comment",), ("SBL002",), str(tmp_path / "pyproject.toml")),
    )
    assert (settings.exclude, settings.extend_exclude, settings.tests) == (("generated/",), ("*_pb2.py",), ("checks/",))
    assert (settings.preview, settings.min_confidence) == (True, Confidence.LOW)
    assert settings.per_file_ignores == (("scripts/*.py", ("wall-clock-elapsed",)),)
    assert [(kind, json.loads(rows)) for kind, rows in settings.knowledge] == [("wall-clock", [{"names": ["shop.clock.now"]}])]
    assert settings.origin("preview") == str(tmp_path / "pyproject.toml")
    assert codes(settings, tmp_path) == {"SBL001", "SBL102"}
    assert codes(settings, tmp_path, "scripts/clean.py") == {"SBL001"}


def test_every_key_is_documented_by_the_test_above() -> None:
    assert all(key in EVERYTHING for key in config.KEYS)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ('ingore = ["SBL102"]', "tool.safeboundary-lint.ingore: unknown key (did you mean 'ignore'?); the keys are select"),
        ('min_confidence = "low"', "unknown key (did you mean 'min-confidence'?)"),
        ('select = "SBL102"', "tool.safeboundary-lint.select: must be a list of strings, not a string ('SBL102')"),
        ("ignore = [102]", "tool.safeboundary-lint.ignore: must be a list of strings, not a list ([102])"),
        ('preview = "yes"', "tool.safeboundary-lint.preview: must be true or false, not a string ('yes')"),
        ("preview = 1", "tool.safeboundary-lint.preview: must be true or false, not a number (1)"),
        (
            'min-confidence = "sure"',
            "tool.safeboundary-lint.min-confidence: must be one of 'high', 'medium', 'low', not a string",
        ),
        ("min-confidence = []", "tool.safeboundary-lint.min-confidence: must be one of"),
        ("exclude = 3", "tool.safeboundary-lint.exclude: must be a list of strings"),
        ('exclude = ["!"]', "tool.safeboundary-lint.exclude: '!' is not a pattern"),
        ('ignore = ["SBL999"]', "tool.safeboundary-lint.ignore: no rule matches 'SBL999'"),
        ('select = ["wall-clock-elapse"]', "no rule matches 'wall-clock-elapse' (did you mean 'wall-clock-elapsed'?)"),
        ("per-file-ignores = []", "tool.safeboundary-lint.per-file-ignores: must be a table"),
        (
            'per-file-ignores = { "a.py" = "SBL102" }',
            "tool.safeboundary-lint.per-file-ignores: 'a.py': must be a list of strings",
        ),
        ('per-file-ignores = { "a.py" = ["E501"] }', "per-file-ignores: 'a.py': no rule matches 'E501'"),
        (
            'per-file-ignores = { "!a.py" = ["SBL102"] }',
            "per-file-ignores: '!a.py': a pattern that starts with '!' matches nothing",
        ),
        ("knowledge = 1", "tool.safeboundary-lint.knowledge: must be a table of kind = [rows]"),
        (
            'knowledge = { wall-clok = [{ names = ["a.b"] }] }',
            "tool.safeboundary-lint.knowledge: knowledge: unknown kind 'wall-clok'",
        ),
        ("knowledge = { wall-clock = [{ names = [2020-01-01] }] }", "tool.safeboundary-lint.knowledge: "),
        ("knowledge = { library = 2020-01-01 }", "tool.safeboundary-lint.knowledge: "),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(tmp_path: Path, table: str, complaint: str) -> None:
    told = complaints(tmp_path, table)
    assert len(told) == 1
    assert complaint in told[0]


def test_one_slip_does_not_undo_the_rest(tmp_path: Path) -> None:
    found = config.read(str(configure(tmp_path, 'exclude = ["generated/"]\npreview = 1\nselect = ["SBL9"]')))
    assert found is not None
    settings, problems = found
    assert len(problems) == 2
    assert settings.excludes(str(tmp_path / "generated" / "api.py"))


@pytest.mark.parametrize(
    ("content", "complaint", "line"),
    [
        (b"[project]\nname = \n", "not valid TOML: ", 2),
        (b"[tool.safeboundary-lint\n", "not valid TOML: ", 1),
        (b'[project]\nname = "caf\xe9"\n', "not valid TOML: byte 21 is not UTF-8", None),
        (b"a = " + b"[" * 5000, "not valid TOML: ", None),
        (b"tool = 1\n", None, None),
        (b"[tool]\nsafeboundary-lint = 1\n", "must be a table", None),
        (
            b"[tool.safeboundary_lint]\npreview = true\n",
            "[tool.safeboundary_lint] is read by nothing: call it [tool.safeboundary-lint]",
            None,
        ),
        (b"[tool.ruff]\nline-length = 100\n", None, None),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, complaint: str | None, line: int | None) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_bytes(content)
    found = config.read(str(file))
    if complaint is None:
        assert found is None
        return
    assert found is not None
    assert complaint in found[1][0].message
    assert len(found[1]) == 1
    if line is not None:
        assert found[1][0].line == line


def test_layers_have_the_last_word_in_turn(tmp_path: Path) -> None:
    everything = load().default()
    plain = Settings(root=str(tmp_path))
    assert codes(plain, tmp_path) == everything
    ignoring = settings_of(tmp_path, 'ignore = ["SBL102"]')
    assert codes(ignoring, tmp_path) == everything - {"SBL102"}
    assert codes(ignoring.overridden(Overrides(Selection(extend_select=("SBL102",)))), tmp_path) == everything
    assert codes(ignoring.overridden(Overrides(Selection(select=("SBL102",)))), tmp_path) == {"SBL102"}
    assert codes(ignoring.overridden(Overrides(Selection(ignore=("SBL001",)))), tmp_path) == everything - {"SBL102", "SBL001"}
    assert codes(settings_of(tmp_path, 'select = ["ALL"]\nignore = ["ordering"]'), tmp_path) == {
        rule.code for rule in load().rules if rule.family() != "ordering"
    }
    assert codes(settings_of(tmp_path, "select = []"), tmp_path) == frozenset()


def test_command_line_overrides_and_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, 'min-confidence = "low"').overridden(Overrides(preview=True, min_confidence=Confidence.HIGH))
    assert (settings.preview, settings.min_confidence) == (True, Confidence.HIGH)
    assert settings.origin("min-confidence") == settings.origin("preview") == "command line"
    assert settings.origin("tests") == "default"
    assert settings.options_for(str(tmp_path / "a.py")).min_confidence is Confidence.HIGH


@pytest.mark.parametrize(
    "name", ["tests/test_app.py", "tests/data.py", "test_app.py", "src/app_test.py", "src/conftest.py", "lib/testing/fakes.py"]
)
def test_test_files_get_the_quieter_defaults_unless_rules_were_selected(tmp_path: Path, name: str) -> None:
    plain = Settings(root=str(tmp_path))
    assert plain.is_test(str(tmp_path / name))
    assert codes(plain, tmp_path, name) == load().default(test_file=True)
    assert codes(settings_of(tmp_path, 'select = ["SBL102"]'), tmp_path, name) == {"SBL102"}
    assert "SBL102" in codes(settings_of(tmp_path, 'tests = ["nowhere/"]'), tmp_path, name)


@pytest.mark.parametrize("name", ["src/app.py", "src/latest.py", "src/contest.py", "src/attestation/app.py"])
def test_other_files_are_no_tests(tmp_path: Path, name: str) -> None:
    assert not Settings(root=str(tmp_path)).is_test(str(tmp_path / name))


def test_equal_options_are_one_object(tmp_path: Path) -> None:
    settings = Settings(root=str(tmp_path))
    assert settings.options_for(str(tmp_path / "a.py")) is settings.options_for(str(tmp_path / "b" / "c.py"))


def test_the_nearest_file_with_a_table_governs(tmp_path: Path) -> None:
    outer = configure(tmp_path, 'ignore = ["SBL001"]')
    inner = configure(tmp_path / "billing", 'ignore = ["SBL102"]')
    (tmp_path / "billing" / "core").mkdir()
    (tmp_path / "billing" / "core" / "pyproject.toml").write_text("[project]\nname = 'core'\n")
    projects = Projects()
    base = str(tmp_path)
    assert projects.settings_for(str(tmp_path / "shop"), base).file == str(outer)
    assert projects.settings_for(str(tmp_path / "billing"), base).file == str(inner)
    assert projects.settings_for(str(tmp_path / "billing" / "core"), base).file == str(inner)
    assert projects.used == [str(inner), str(outer)]
    assert Projects(isolated=True).settings_for(str(tmp_path / "billing"), base).file is None


def test_a_broken_file_is_told_once_and_the_settings_around_it_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = configure(tmp_path, "preview = true")
    (tmp_path / "broken" / "deep").mkdir(parents=True)
    (tmp_path / "broken" / "pyproject.toml").write_text("[tool.safeboundary-lint]\nselect = [\n")
    monkeypatch.chdir(tmp_path)
    projects = Projects()
    for folder in (tmp_path / "broken", tmp_path / "broken" / "deep"):
        assert projects.settings_for(str(folder), str(tmp_path)).file == str(outer)
    assert [problem.path for problem in projects.problems] == ["broken/pyproject.toml"]
    assert "its settings are not used" in projects.problems[0].message


def test_one_file_for_all(tmp_path: Path) -> None:
    configure(tmp_path / "app", "preview = true")
    file = configure(tmp_path / "ci", 'ignore = ["SBL102"]\nexclude = ["old/"]')
    projects = Projects(file=str(file))
    settings = projects.settings_for(str(tmp_path / "app"), str(tmp_path / "app"))
    assert settings.file == str(file)
    assert not settings.preview
    assert projects.excluded(str(tmp_path / "app" / "old" / "x.py"), str(tmp_path / "app"))


def test_one_file_for_all_must_be_usable(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    with pytest.raises(ConfigError, match=r"settings\.toml: cannot be read: No such file"):
        Projects(file=str(file))
    file.write_text("[tool.ruff]\n")
    with pytest.raises(ConfigError, match=r"settings\.toml: has no \[tool\.safeboundary-lint\] table"):
        Projects(file=str(file))
    file.write_text("[tool.safeboundary-lint]\npreview = 3\n")
    with pytest.raises(ConfigError, match=r"settings\.toml: tool\.safeboundary-lint\.preview: must be true or false"):
        Projects(file=str(file))
    with pytest.raises(ConfigError, match="exclude each other"):
        Projects(file=str(file), isolated=True)
