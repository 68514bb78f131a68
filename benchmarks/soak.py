"""Run every rule over every Python file below a folder and hold it to its promise: no exception, no internal error, no file that takes for ever.

    python benchmarks/soak.py DIR [--every N] [--damage SEED] [--slow MICROSECONDS] [--compare]

`--damage` drops and doubles random lines of each file first: much of it still parses, and none of it is what anybody wrote.
`--compare` looks at each file a second time, screened and thinned as users have it: the findings must be the same.
Prints each file that breaks the promise, the slowest ones, and exits with 1 when one broke it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence, Finding
from safeboundary_lint.rules import load


def damaged(source: bytes, plan: random.Random) -> bytes:
    """The text with some lines dropped, doubled or swapped with the next."""
    lines = source.splitlines(keepends=True)
    for _ in range(1 + len(lines) // 200):
        if len(lines) > 2:
            at = plan.randrange(len(lines) - 1)
            lines[at : at + 2] = plan.choice([[lines[at + 1]], [lines[at]] * 2, [lines[at + 1], lines[at]]])
    return b"".join(lines)


def unlike(some: tuple[Finding, ...], others: tuple[Finding, ...]) -> list[Finding]:
    """The findings that only one of two reports has."""
    return [finding for finding in (*some, *others) if (finding in some) != (finding in others)]


def combined(count: int, seed: int) -> int:
    """Fix modules of fixtures; 1 when one of them broke a promise."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import combined_fixtures

    codes, broken = frozenset(rule.code for rule in load().rules), 0
    for number in range(seed, seed + count):
        parts, dress = combined_fixtures.drawn(random.Random(number))
        for what in combined_fixtures.broken_promises(combined_fixtures.combined(parts, dress), codes):
            broken += 1
            told = ", ".join(f"{part.fixture.label} ({part.place}, {part.naming})" for part in parts)
            print(f"seed {number}: {what}\n    {dress}: {told}")
    print(f"{count} modules, {broken} broken promises")
    return 1 if broken else 0


def main() -> int:
    """Check the files; 1 when one of them broke the promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--combined", type=int, help="fix as many modules of fixtures instead")
    parser.add_argument("--seed", type=int, default=0, help="of the modules of fixtures")
    parser.add_argument("--every", type=int, default=1, help="take one file of N")
    parser.add_argument("--damage", type=int, help="seed of the damage done to each file")
    parser.add_argument("--slow", type=int, default=600, help="report files of 200 lines and more that take longer than this per line")
    parser.add_argument("--compare", action="store_true", help="check that screening changes no finding")
    chosen = parser.parse_args()
    if chosen.combined is not None:
        return combined(chosen.combined, chosen.seed)
    if chosen.folder is None:
        parser.error("name a folder, or say --combined N")
    options = Options(frozenset(rule.code for rule in load().rules), Confidence.LOW, screening=False)
    screened = options._replace(screening=True)
    broken, times = 0, []
    for path in sorted(chosen.folder.rglob("*.py"))[:: chosen.every]:
        source = path.read_bytes()
        if chosen.damage is not None:
            source = damaged(source, random.Random(f"{chosen.damage} {path.name}"))
        start = time.process_time()
        try:
            report = analyse(source, str(path), options)
        except Exception:
            broken += 1
            print(f"{path}: raised\n{traceback.format_exc()}")
            continue
        taken = time.process_time() - start
        lines = source.count(b"\n") + 1
        times.append((taken / lines * 1e6, taken, lines, path))
        for problem in report.problems:
            if "internal error" in problem.message or "nested too deeply" in problem.message:
                broken += 1
                print(f"{path}:{problem.line}: {problem.message}")
        if chosen.compare and (differing := unlike(report.findings, analyse(source, str(path), screened).findings)):
            broken += 1
            print("".join(f"{path}:{finding.span.line}: {finding.code} hangs on the screen\n" for finding in differing), end="")
    for per_line, taken, lines, path in sorted(times, reverse=True):
        if per_line > chosen.slow and lines >= 200:
            print(f"slow: {path}: {per_line:.0f} us a line, {taken:.1f} s")
    total, lines = sum(one[1] for one in times), sum(one[2] for one in times)
    print(f"{len(times)} files, {lines} lines, {total / max(lines, 1) * 1e6:.0f} us a line, {broken} broke the promise")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
