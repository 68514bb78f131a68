"""A file's text with the definitions of no interest blanked out, line for line, so that every position holds.

LibCST parses a small part of a large file in a small part of the time. What stays: the module's and the classes' own statements,
each function that could be part of a finding, and with it what its rule may look at from there: helpers, the methods that
share the attributes it uses, and the functions that call it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from safeboundary_lint.core.outline import Outline
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.screen import Screen, Test
from safeboundary_lint.core.words import Words


def thinned(text: str, rules: Iterable[type[Rule]], screen: Screen, words: Words) -> tuple[str, list[type[Rule]]]:
    """What of a text has to be parsed for these rules, and which of them can still fire when comments and docstrings are left out.

    All of it for all of them when the running Python can't read the text.
    """
    wanted = list(rules)
    if words.star_import:
        return text, wanted
    try:
        outline = Outline(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text, wanted
    thinning = Thinning(outline)
    seeds: dict[int, set[int]] = defaultdict(set)
    left = []
    for rule in wanted:
        found, around = thinning.seeds(rule, [screen.test(group, words) for group in rule.needs])
        if found or around:
            left.append(rule)
            seeds[rule.reach] |= found | outline.used_around if around else found
    return thinning.text(thinning.closure(seeds)) if left else "", left


class Thinning:
    """Which units of a file matter."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._met: dict[Test, tuple[set[int], bool]] = {}
        self._within: dict[tuple[Test, int], set[int]] = {}

    def seeds(self, rule: type[Rule], tests: Sequence[Test]) -> tuple[set[int], bool]:
        """Units that could hold a part of a finding of a rule, and whether the code around the units could.

        A finding needs something from each group of its rule's needs (`tests`), somewhere in what the units name of each other: so it is
        enough to start from the group that the fewest units meet. A local rule needs all of it in one unit, and has all units where
        what else it asks for may stand anywhere (`whole`).
        """
        everything = set(range(len(self._outline.units)))
        if rule.local:
            several, around = self._meeting_all(tests)
            return (everything, True) if rule.whole and (several or around) else (several, around)
        if rule.whole or not tests:
            return everything, True
        met, outside = [], []
        for test in tests:
            several, around = self._meeting(test)
            if not several and not around:
                return set(), False
            met.append(several)
            outside.append(around)
        if rule.anchored:
            below = [self._reaching(test, rule.anchored) for test, around in zip(tests[1:], outside[1:], strict=True) if not around]
            anchors = met[-1].intersection(*below)
            return {index for index in anchors if outside[0] or self._has_part(index, rule, tests[0])}, outside[-1]
        inside = [several for several, around in zip(met, outside, strict=True) if not around]
        # What stands around the units reaches them by names of the module, which are not followed: then every group counts.
        return (min(inside, key=self._outline.size), False) if inside else (set.union(*met), True)

    def _meeting(self, test: Test) -> tuple[set[int], bool]:
        """The units that pass a test, and whether the code around them does; each test is made once."""
        if test not in self._met:
            self._met[test] = {index for index, unit in enumerate(self._outline.units) if test(unit.words)}, test(self._outline.around)
        return self._met[test]

    def _meeting_all(self, tests: Sequence[Test]) -> tuple[set[int], bool]:
        """The same for several tests, of which the dearest come last."""
        several, around = set(range(len(self._outline.units))), True
        for test in tests:
            several = {index for index in several if test(self._outline.units[index].words)}
            around = around and test(self._outline.around)
            if not several and not around:
                break
        return several, around

    def _reaching(self, test: Test, steps: int) -> set[int]:
        """The units that pass a test, and those from which it is so many steps at most to one that does, down what they use."""
        if (test, steps) not in self._within:
            outline = self._outline
            found = edge = self._meeting(test)[0]
            for _step in range(steps):
                links = {link for index in edge for link in outline.offered_by(index)}
                edge = {other for link in links for other in outline.asking(link)} - found
                found = found | edge
            self._within[test, steps] = found
        return self._within[test, steps]

    def _has_part(self, index: int, rule: type[Rule], test: Test) -> bool:
        """True when one of the parts of a unit that count meets a need, or uses a unit that does."""
        if rule.parts is None:
            return index in self._reaching(test, rule.anchored)
        unit, reaching = self._outline.units[index], self._reaching(test, rule.anchored - 1)
        for part in rule.parts(unit.words.body or ()):
            piece = self._outline.part_of(unit, part)
            if test(piece.words) or any(not reaching.isdisjoint(self._outline.offering(link)) for link in self._outline.asked_by(piece)):
                return True
        return False

    def closure(self, seeds: Mapping[int, Collection[int]]) -> set[int]:
        """`seeds` by the number of steps that the search goes from them, and what is reached: what they use, what uses them."""
        outline = self._outline
        kept: set[int] = set()
        edge: set[int] = set()
        for steps in range(max(seeds, default=0), -1, -1):
            down = {link for index in edge for link in outline.asked_by(outline.units[index])}
            up = {link for index in edge for link in outline.offered_by(index)}
            edge = {other for link in down for other in outline.offering(link)} | {other for link in up for other in outline.asking(link)}
            edge = edge.union(seeds.get(steps, ())) - kept
            kept |= edge
        return kept

    def text(self, kept: Collection[int]) -> str:
        """The text with the other units blanked; a `pass` stays where a unit stood, so that no body is empty."""
        lines = list(self._outline.lines)
        for index, unit in enumerate(self._outline.units):
            if index not in kept:
                head = lines[unit.first]
                lines[unit.first : unit.last] = [head[: len(head) - len(head.lstrip())] + "pass"] + [""] * (unit.last - unit.first - 1)
        return "\n".join(lines)
