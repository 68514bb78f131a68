"""The reports for other programs, read back by the programs they are for or by the schemas of their formats."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import pytest
from sarif import loader
from sarif_pydantic import Sarif

from safeboundary_lint import __version__, reports, rules
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Finding, Fix, Problem, RunReport, Severity, Span, Step

SCHEMA = json.loads(resources.files("safeboundary_lint").joinpath("reports/schema/report-v1.json").read_text(encoding="utf-8"))
EDIT = Edit(Span(2, 5, 2, 16), "time.monotonic()")


def finding(line: int = 2, **changes: Any) -> Finding:
    told = {
        "code": "SBL102",
        "name": "wall-clock-elapsed",
        "message": "a clock step makes this wrong",
        "path": "app/timer.py",
        "span": Span(line, 5, line, 16),
        "symbol": "Timer.age",
        "severity": Severity.WARNING,
        "confidence": Confidence.HIGH,
        "fingerprint": f"{line:032x}",
    }
    return Finding(**{**told, **changes})


STORY = finding(
    severity=Severity.ERROR,
    trace=(Step(Span(1, 1, 1, 5), "read here"), Step(Span(9, 3, 10, 4), "compared there", "app/other.py")),
    fix=Fix(Applicability.SAFE, "read the monotonic clock", (EDIT,)),
)
REFUSED = finding(
    7, code="SBL001", name="unused-comment", severity=Severity.INFO, symbol="", fix=Fix(Applicability.SUGGESTION, "remove it")
)
PROBLEMS = (Problem("broken.py", "can't be parsed: 100%,\nreally", 3), Problem("gone.py", "does not exist"))
RUN = RunReport(
    (STORY, REFUSED), PROBLEMS, files=12, suppressed=2, hidden=5, baselined=1, sources={"app/timer.py": "import time\n"}
)
HOSTILE = finding(
    message="a\x00b\x1b[1m]]>&<\"' 100%\r\n::error::x\ud800\uffff",
    path="dir with space/ä#?%:,\udcff<&>.py",
    symbol="f\x01",
    trace=(Step(Span(1, 1, 1, 2), "\x0c&\n,"),),
    fix=Fix(Applicability.UNSAFE, "x\x02,\n", (EDIT,)),
)
RUNS = {
    "clean": RunReport(files=3),
    "findings and problems": RUN,
    "problems": RunReport(problems=PROBLEMS, files=1),
    "hostile": RunReport((HOSTILE,), (Problem("\udcff\n:,.py", "\x00\r\n%::warning::x"),), files=1),
    "many": RunReport(tuple(finding(line, severity=list(Severity)[line % 3]) for line in range(1, 100)), files=1),
}

each_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


def report(fmt: str, run: RunReport = RUN) -> Any:
    return json.loads(reports.render(fmt, run))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@each_run
def test_json_is_what_its_schema_says(run: RunReport) -> None:
    jsonschema.validate(report("json", run), SCHEMA, cls=jsonschema.Draft202012Validator)


def test_json_says_everything() -> None:
    told = report("json")
    assert list(told) == ["version", "tool", "findings", "errors", "summary"]
    assert (told["version"], told["tool"]) == (1, {"name": "safeboundary-lint", "version": __version__})
    assert told["findings"][0] == {
        "code": "SBL102",
        "name": "wall-clock-elapsed",
        "message": "a clock step makes this wrong",
        "path": "app/timer.py",
        "line": 2,
        "column": 5,
        "end_line": 2,
        "end_column": 16,
        "symbol": "Timer.age",
        "severity": "error",
        "confidence": "high",
        "fingerprint": f"{2:032x}",
        "trace": [
            {"path": "app/timer.py", "line": 1, "column": 1, "message": "read here"},
            {"path": "app/other.py", "line": 9, "column": 3, "message": "compared there"},
        ],
        "fix": {
            "applicability": "safe",
            "message": "read the monotonic clock",
            "edits": [{"line": 2, "column": 5, "end_line": 2, "end_column": 16, "text": "time.monotonic()"}],
            "imports": [],
        },
        "help": "https://safeboundary-lint.readthedocs.io/rules/wall-clock-elapsed/",
    }
    assert report("json", RunReport((finding(),)))["findings"][0]["fix"] is None
    assert told["errors"] == [
        {"path": "broken.py", "line": 3, "message": "can't be parsed: 100%,\nreally"},
        {"path": "gone.py", "line": None, "message": "does not exist"},
    ]
    assert told["summary"] == {"files": 12, "findings": 2, "suppressed": 2, "baselined": 1, "hidden": 5}


@pytest.mark.parametrize("broken", [{"version": 2}, {"findings": [{}]}, {"summary": {"files": -1}}, {"more": 1}])
def test_the_schema_refuses_other_things(broken: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**report("json"), **broken}, SCHEMA, cls=jsonschema.Draft202012Validator)


@each_run
def test_sarif_is_read_by_others(run: RunReport, tmp_path: Path) -> None:
    text = reports.render("sarif", run)
    model = Sarif.model_validate_json(text)
    assert len(model.runs[0].results or []) == len(run.findings)
    file = tmp_path / "report.sarif"
    file.write_text(text, encoding="utf-8")
    read = loader.load_sarif_file(str(file))
    assert read.get_distinct_tool_names() == ["safeboundary-lint"]
    records = read.get_records()
    assert [(record["Code"], record["Line"]) for record in records] == [(one.code, one.span.line) for one in run.findings]
    assert sum(read.get_report().get_issue_count_for_severity(level) for level in ("error", "warning", "note")) == len(
        run.findings
    )


def test_sarif_results() -> None:
    run = report("sarif")["runs"][0]
    story, refused = run["results"]
    assert run["columnKind"] == "unicodeCodePoints"
    place = {"artifactLocation": {"uri": "app/timer.py", "uriBaseId": "SRCROOT"}}
    region = {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 16}
    assert story["level"] == "error"
    assert refused["level"] == "note"
    assert story["message"] == {"text": "a clock step makes this wrong"}
    assert story["locations"] == [
        {
            "physicalLocation": {**place, "region": region},
            "logicalLocations": [{"fullyQualifiedName": "Timer.age", "name": "age"}],
        }
    ]
    assert story["partialFingerprints"] == {"safeboundaryLint/v1": f"{2:032x}"}
    assert story["properties"] == {"confidence": "high"}
    steps = [one["location"] for one in story["codeFlows"][0]["threadFlows"][0]["locations"]]
    assert [step["message"]["text"] for step in steps] == ["read here", "compared there"]
    assert steps[1]["physicalLocation"]["artifactLocation"]["uri"] == "app/other.py"
    assert story["relatedLocations"] == [{"id": 1, **steps[0]}, {"id": 2, **steps[1]}]
    replacement = {"deletedRegion": region, "insertedContent": {"text": "time.monotonic()"}}
    assert story["fixes"][0]["artifactChanges"] == [{**place, "replacements": [replacement]}]
    assert "codeFlows" not in refused and "fixes" not in refused and "logicalLocations" not in refused["locations"][0]


def test_sarif_rules() -> None:
    run = report("sarif")["runs"][0]
    described = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == ["SBL001", "SBL102"]
    assert [described[result["ruleIndex"]]["id"] for result in run["results"]] == [result["ruleId"] for result in run["results"]]
    rule, page = described[1], rules.load().get("SBL102").page()
    assert rule["name"] == "wall-clock-elapsed"
    assert rule["shortDescription"]["text"] == page[""].strip()
    assert page["Why it matters"] in rule["help"]["text"] and "## Instead\n" in rule["help"]["markdown"]
    assert rule["helpUri"].endswith("/rules/wall-clock-elapsed/")
    assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    assert "ordering" in rule["properties"]["tags"] and rule["properties"]["precision"] == "high"


def test_sarif_problems() -> None:
    invocation = report("sarif")["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    first, second = invocation["toolExecutionNotifications"]
    assert (first["level"], first["message"]["text"]) == ("error", "can't be parsed: 100%,\nreally")
    assert first["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}
    assert "region" not in second["locations"][0]["physicalLocation"]
    assert report("sarif", RUNS["clean"])["runs"][0]["invocations"] == [
        {"executionSuccessful": True, "toolExecutionNotifications": []}
    ]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("./app/a.py", "app/a.py"),
        ("../a b.py", "../a%20b.py"),
        ("c:d/ä#?%.py", "c%3Ad/%C3%A4%23%3F%25.py"),
        ("\udcff.py", "%FF.py"),
    ],
)
def test_sarif_paths_are_relative_uris(path: str, uri: str) -> None:
    location = report("sarif", RunReport((finding(path=path),)))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": uri, "uriBaseId": "SRCROOT"}


def test_sarif_absolute_paths_have_no_base(tmp_path: Path) -> None:
    path = tmp_path / "a b.py"
    location = report("sarif", RunReport((finding(path=str(path)),)))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": path.as_uri()}
    assert unquote(location["artifactLocation"]["uri"]).endswith("/a b.py")


@pytest.mark.parametrize(("source", "complete"), [("import time\nx\n", True), ("import time as t\nx\n", False), (None, False)])
def test_sarif_has_only_fixes_that_are_complete(source: str | None, complete: bool) -> None:
    told = finding(fix=Fix(Applicability.SAFE, "m", (EDIT,), ("import time",)))
    run = RunReport((told,), sources={} if source is None else {told.path: source})
    assert ("fixes" in report("sarif", run)["runs"][0]["results"][0]) is complete


def commands(run: RunReport) -> list[tuple[str, dict[str, str], str]]:
    """What the Actions runner reads from a log: command, properties and text."""
    read = []
    for line in reports.render("github", run).split("\n")[:-1]:
        matched = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
        assert matched and "\r" not in line, line
        properties = dict(one.split("=", 1) for one in matched[2].split(","))
        unescaped = {key: value.replace("%2C", ",").replace("%3A", ":") for key, value in properties.items()}
        texts = [text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%") for text in (*unescaped.values(), matched[3])]
        read.append((matched[1], dict(zip(unescaped, texts[:-1], strict=True)), texts[-1]))
    return read


def test_github_annotations_come_worst_first() -> None:
    weak = finding(3, severity=Severity.ERROR, confidence=Confidence.MEDIUM)
    run = RunReport((REFUSED, finding(5, span=Span(5, 1, 6, 2)), weak, STORY), PROBLEMS)
    assert commands(run) == [
        ("error", {"file": "broken.py", "line": "3", "title": "safeboundary-lint"}, "can't be parsed: 100%,\nreally"),
        ("error", {"file": "gone.py", "title": "safeboundary-lint"}, "does not exist"),
        (
            "error",
            {
                "file": "app/timer.py",
                "line": "2",
                "endLine": "2",
                "col": "5",
                "endColumn": "16",
                "title": "SBL102 wall-clock-elapsed",
            },
            "a clock step makes this wrong\napp/timer.py:1: read here\napp/other.py:9: compared there\n"
            "help: read the monotonic clock",
        ),
        (
            "error",
            {
                "file": "app/timer.py",
                "line": "3",
                "endLine": "3",
                "col": "5",
                "endColumn": "16",
                "title": "SBL102 wall-clock-elapsed",
            },
            "a clock step makes this wrong",
        ),
        (
            "warning",
            {"file": "app/timer.py", "line": "5", "endLine": "6", "title": "SBL102 wall-clock-elapsed"},
            "a clock step makes this wrong",
        ),
        (
            "notice",
            {
                "file": "app/timer.py",
                "line": "7",
                "endLine": "7",
                "col": "5",
                "endColumn": "16",
                "title": "SBL001 unused-comment",
            },
            "a clock step makes this wrong\nhelp: remove it",
        ),
    ]


def test_github_commands_cannot_be_smuggled_in() -> None:
    problem, told = commands(RUNS["hostile"])
    assert problem[1]["file"] == "\ufffd\n:,.py"
    assert problem[2] == "\x00\r\n%::warning::x"
    assert told[1]["file"] == HOSTILE.path.replace("\udcff", "\ufffd")
    assert told[2].startswith("a\x00b\x1b[1m]]>&<\"' 100%\r\n::error::x\ufffd")


def test_github_annotations_are_capped_with_a_notice() -> None:
    read = commands(RUNS["many"])
    kinds = [kind for kind, _, _ in read]
    assert (kinds.count("error"), kinds.count("warning"), kinds.count("notice")) == (10, 10, 10)
    assert read[-1][1] == {"title": "safeboundary-lint"}
    assert read[-1][2].startswith("23 errors, 24 notices, 23 warnings more are not annotated: GitHub shows 10 of a kind")
    ten = RunReport(tuple(finding(line, severity=Severity.INFO) for line in range(10)))
    assert len(commands(ten)) == 10
    assert not any("more are not" in text for _, _, text in commands(ten))
    eleven = RunReport(tuple(finding(line) for line in range(11)))
    assert commands(eleven)[-1][2].startswith("1 warning more are not annotated")


def test_github_says_nothing_about_a_clean_run() -> None:
    assert reports.render("github", RUNS["clean"]) == ""


@each_run
def test_gitlab_issues_have_what_gitlab_needs(run: RunReport) -> None:
    issues = report("gitlab", run)
    assert len(issues) == len(run.findings) + len(run.problems)
    for issue in issues:
        assert issue["description"] and issue["check_name"]
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["lines"]["begin"] >= 1
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)


def test_gitlab_issues() -> None:
    issues = report("gitlab", RunReport((finding(path="./app/a.py"), finding(path="./app/a.py"), STORY, REFUSED), PROBLEMS))
    assert [issue["severity"] for issue in issues] == ["blocker", "blocker", "major", "major", "critical", "info"]
    assert issues[2]["location"] == {"path": "app/a.py", "lines": {"begin": 2, "end": 2}}
    assert issues[2]["fingerprint"] == f"{2:032x}"
    assert len({issue["fingerprint"] for issue in issues}) == 6
    assert issues[4]["content"]["body"].startswith(
        "app/timer.py:1: read here\napp/other.py:9: compared there\nread the monotonic clock\nhttps:"
    )
    assert report("gitlab", RUNS["clean"]) == []


@each_run
def test_junit_is_counted_rightly(run: RunReport) -> None:
    root = ElementTree.fromstring(reports.render("junit", run).encode("utf-8"))
    assert root.tag == "testsuites"
    for element in [root, *root]:
        assert int(element.get("tests", "")) == len(list(element.iter("testcase"))) > 0
        assert int(element.get("failures", "")) == len(list(element.iter("failure")))
        assert int(element.get("errors", "")) == len(list(element.iter("error")))
    assert len(list(root.iter("failure"))) == len(run.findings)
    assert len(list(root.iter("error"))) == len(run.problems)
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names)


def test_junit_suites() -> None:
    root = ElementTree.fromstring(reports.render("junit", RUN))
    assert [suite.get("name") for suite in root] == ["app/timer.py", "broken.py", "gone.py"]
    case = root[0][0]
    assert case.attrib == {
        "name": "SBL102 wall-clock-elapsed at 2:5",
        "classname": "app/timer.py",
        "file": "app/timer.py",
        "line": "2",
    }
    assert case[0].get("message") == "a clock step makes this wrong" and case[0].get("type") == "error"
    assert case[0].text == (
        "app/timer.py:2:5: error: a clock step makes this wrong\napp/timer.py:1:1: read here\napp/other.py:9:3: compared there\n"
        "help: read the monotonic clock\nhttps://safeboundary-lint.readthedocs.io/rules/wall-clock-elapsed/"
    )
    assert root[1][0][0].tag == "error"
    assert root[1][0].get("line") == "3" and root[2][0].get("line") is None


def test_junit_has_a_passing_case_when_clean() -> None:
    root = ElementTree.fromstring(reports.render("junit", RUNS["clean"]))
    assert [case.get("name") for case in root.iter("testcase")] == ["no findings"]
    assert len(root[0][0]) == 0


def test_every_report_can_be_encoded() -> None:
    for fmt in reports.FORMATS:
        text = reports.render(fmt, RUNS["hostile"])
        text.encode("utf-8")
        assert text.isascii() or fmt not in ("json", "sarif", "gitlab"), fmt


def test_json_keeps_text_of_any_script() -> None:
    message = "déjà vu, 日本, \U0001f600, \u2028, \\ufffd, \\"
    for fmt, key in (("json", "message"), ("gitlab", "description")):
        told = report(fmt, RunReport((finding(message=message),)))
        assert (told["findings"] if fmt == "json" else told)[0][key] == message


def test_every_format_tells_every_problem() -> None:
    for fmt in reports.FORMATS:
        text = reports.render(fmt, RUNS["problems"])
        assert "does not exist" in text and "gone.py" in text, fmt
        assert "100" in text and "broken.py" in text, fmt
