#!/usr/bin/env python3
"""How accurate the linter is on code that nobody here wrote: two tables, one command.

    python benchmarks/accuracy.py --shared ../shared --mirrors DIR --wild DIR [--rule SBL3] [--sample FILE] [--report FILE]

The first table scores real bugs that real projects fixed (shared/bench/score.py with tune.jsonl; DIR holds the repositories).
The second draws 200 findings of the default rules from the non-test files of the pinned packages (shared/bench/wild.py lays them out) and counts
how many are right by the judgements in wild_labels.jsonl. `--sample FILE` writes those of the 200 that nobody has judged yet,
one JSON object a line in the form of wild_labels.jsonl with an empty verdict, to be read and judged. `--report FILE` takes the findings from
a JSON report of a run in DIR that was made before (`check --isolated --output-format json .`), which takes some minutes.

The draw is by a hash of each finding's place, so that a finding keeps its place in the order when others come and go, and most of a
new sample has been judged before.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

LABELS = pathlib.Path(__file__).with_name("wild_labels.jsonl")
SAMPLE = 200
Key = tuple[str, str, str, int, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=pathlib.Path, default=pathlib.Path("../shared"), help="the folder with bench/score.py")
    parser.add_argument("--mirrors", type=pathlib.Path, help="the repositories of the real fixes; without it the first table is left out")
    parser.add_argument("--wild", type=pathlib.Path, help="the laid-out packages; without it the second table is left out")
    parser.add_argument("--rule", default="SBL[1-5]", help="rules to score, by the start of their codes or SBL[1-5] (the default)")
    parser.add_argument("--sample", type=pathlib.Path, help="write the findings of the sample that have no judgement yet")
    parser.add_argument("--report", type=pathlib.Path, help="a JSON report of the packages that is there already")
    args = parser.parse_args()
    if args.mirrors:
        real_fixes(args.shared / "bench", args.mirrors, args.rule)
    if args.wild:
        wild(args.wild, args.sample, args.report)
    return 0


def real_fixes(bench: pathlib.Path, mirrors: pathlib.Path, rule: str) -> None:
    """Print the score of the cases of these rules."""
    print("Real bugs that real projects fixed\n")
    lines = [line for line in (bench / "tune.jsonl").read_text().splitlines() if line.strip()]
    prefixes = [rule] if "[" not in rule else [f"SBL{digit}" for digit in "12345"]
    wanted = [line for line in lines if json.loads(line)["rule"].startswith(tuple(prefixes))]
    cases = pathlib.Path(__file__).with_name(".cases.jsonl")
    cases.write_text("\n".join(wanted) + "\n")
    try:
        subprocess.run(
            [sys.executable, bench / "score.py", cases, "--mirrors", mirrors, "--lint", f"{sys.executable} -m safeboundary_lint"], check=True
        )
    finally:
        cases.unlink()


def wild(folder: pathlib.Path, sample_file: pathlib.Path | None, report: pathlib.Path | None) -> None:
    """Print what the judgements say of the sample, and by rule of all that was ever judged and is still reported."""
    print("\nThe wild: default findings in non-test files of pinned packages\n")
    found = list(findings(folder, report))
    labels = {key_of(label): label for label in read_labels()}
    by_rule = collections.Counter(finding["code"] for finding in found)
    drawn = sorted(found, key=lambda finding: hashlib.sha256(repr(key_of(finding)).encode()).digest())[:SAMPLE]
    unjudged = [finding for finding in drawn if key_of(finding) not in labels]
    print(f"{'rule':10} {'findings':>9} {'share':>7} {'judged':>7} {'right':>6}")
    for code, count in sorted(by_rule.items()):
        judged = [labels[key_of(f)]["verdict"] for f in found if f["code"] == code and key_of(f) in labels]
        print(f"{code:10} {count:>9} {count / len(found):>7.1%} {len(judged):>7} {judged.count('right'):>6}")
    verdicts = [labels[key_of(finding)]["verdict"] for finding in drawn if key_of(finding) in labels]
    print(f"\nsample    {len(drawn)} of {len(found)} findings; {len(unjudged)} not judged yet")
    if verdicts:
        print(f"right     {verdicts.count('right')}/{len(verdicts)} = {verdicts.count('right') / len(verdicts):.1%}")
    if sample_file is not None:
        sample_file.write_text("".join(json.dumps({**finding, "verdict": "", "reason": ""}) + "\n" for finding in unjudged))


def findings(folder: pathlib.Path, made: pathlib.Path | None) -> Iterator[dict[str, Any]]:
    """Default findings of all packages in a folder, each with its package and version, those in test files left out."""
    from safeboundary_lint.config import Settings

    command = [sys.executable, "-m", "safeboundary_lint", "check", "--isolated", "--output-format", "json", "."]
    text = made.read_text() if made else subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
    report = json.loads(text)
    for problem in report["errors"]:
        print(f"error     {problem['path']}:{problem['line']}: {problem['message']}", file=sys.stderr)
    settings = Settings(str(folder.resolve()))
    for finding in report["findings"]:
        package, _slash, path = finding["path"].removeprefix("./").partition("/")
        if not settings.is_test(str(folder.resolve() / package / path)):
            name, _dash, version = package.rpartition("-")
            line = {"package": name, "version": version, "path": path, "line": finding["line"], "code": finding["code"]}
            yield {**line, "message": finding["message"]}


def read_labels() -> Iterable[dict[str, Any]]:
    """The judgements kept in the repository."""
    return [json.loads(line) for line in LABELS.read_text().splitlines() if line.strip()] if LABELS.exists() else []


def key_of(label: dict[str, Any]) -> Key:
    """What makes two findings the same one."""
    return label["package"], label["version"], label["path"], label["line"], label["code"]


if __name__ == "__main__":
    sys.exit(main())
