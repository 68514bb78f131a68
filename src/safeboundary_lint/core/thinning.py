"""A file's text with the definitions of no interest blanked out, line for line, so that every position holds.

LibCST parses a small part of a large file in a small part of the time. What stays: the module's and the classes' own statements,
each function that could be part of a finding, and with it what its rule may look at from there: helpers, the methods that
share the attributes it uses, and the functions that call it.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from safeboundary_lint.core.needs import Asked
from safeboundary_lint.core.outline import CALLS, LINKS, Outline
from safeboundary_lint.core.screen import Screen, Test
from safeboundary_lint.core.words import Words

_LEVELS = 3  # calls of calls in which the needs of one rule are looked for


class Thinning:
    """Which units of a file matter to the rules that were taken."""

    @classmethod
    def of(cls, outline: Outline, rules: Iterable[Asked], screen: Screen, words: Words) -> Thinning:
        """What of a file has to be looked at for these rules."""
        thinning = cls(outline, screen, words)
        if words.star_import:  # a bare word may be any name
            thinning.rules = list(rules)
            thinning._seeds[0] = set(range(len(outline.units)))
            return thinning
        for rule in rules:
            if thinning.take(rule, [screen.test(group, words) for group in rule.groups]):
                thinning.rules.append(rule)
                if rule.beside is not None:
                    thinning.keep(screen.test(rule.beside, words))
        return thinning

    def __init__(self, outline: Outline, screen: Screen, words: Words) -> None:
        self.rules: list[Asked] = []  # those that can still fire when comments and docstrings are left out
        self._outline = outline
        self._groups = [screen.groups_of(unit.words, words) for unit in outline.units]  # by unit the bits of what its words may meet
        self._around = screen.groups_of(outline.around, words)
        self._anywhere = functools.reduce(operator.or_, self._groups, self._around)
        self._seeds: dict[int, set[int]] = defaultdict(set)  # by the number of steps that are gone from them
        self._met: dict[Test, tuple[set[int], bool]] = {}
        self._reaching: dict[tuple[Test, int, tuple[str, ...]], set[int]] = {}

    def take(self, rule: Asked, tests: Sequence[Test]) -> bool:
        """Keep the units that could hold a part of a finding of a rule; false when nothing in the file could.

        A finding needs something from each group of its rule's needs (`tests`), in what the units name of each other: the units on
        the ways between them are kept too. A local rule needs all of it in one unit, and where it also asks what becomes of a name
        anywhere (`whole`), the units with a name that is bound there.
        """
        bits = functools.reduce(operator.or_, (test.bit for test in tests if not test.everywhere), 0)
        if self._anywhere & bits != bits:
            return False
        if rule.local:
            several, around = self._meeting_all(tests, bits)
            between = self._sharing_names(several, around) if rule.whole else set()
        elif rule.whole or not tests:
            around = all(any(self._meeting(test)) for test in tests)
            several, between = set(range(len(self._outline.units))) if around else set(), set()
        else:
            several, around, between = self._together(rule, tests)
        self._seeds[0] |= between
        self._seeds[rule.reach] |= several | self._outline.used_around if around else several
        return bool(several or around)

    def keep(self, test: Test) -> None:
        """Keep the units that pass a test."""
        self._seeds[0] |= self._meeting(test)[0]

    def _together(self, rule: Asked, tests: Sequence[Test]) -> tuple[set[int], bool, set[int]]:
        """The units to start from, whether the code around the units counts, and the units on the way from one need to another."""
        for test in sorted(tests, key=lambda test: len(self._candidates(test))):
            if not any(self._meeting(test)):
                return set(), False, set()
        met = [self._meeting(test) for test in tests]
        inside = [test for test, (_several, around) in zip(tests, met, strict=True) if not around]
        if rule.anchored:
            anchors = self._leading_to(tests[-1], rule.anchored, CALLS) if rule.handed else met[-1][0]
            top = anchors.intersection(*(self._leading_to(test, rule.anchored) for test in inside if test is not tests[-1]))
            if rule.own or not met[0][1]:
                top = {index for index in top if self._has_part(index, rule, tests[0])}
            around = met[-1][1] and (met[0][1] or not rule.own)
            return top, around, self._between(top, inside, rule.anchored)
        if not inside:  # what stands around the units reaches them by names of the module, which are not followed
            return set().union(*(several for several, _around in met)), True, set()
        fewest = min((self._meeting(test)[0] for test in inside), key=self._outline.size)
        if len(inside) == 1:
            return fewest, False, set()
        above = set.intersection(*(self._leading_to(test, _LEVELS) for test in inside))
        below = edge = above
        for _step in range(_LEVELS):
            edge = self._used(edge) - below
            below = below | edge
        return fewest & below, False, self._between(fewest & below, inside, _LEVELS)

    def _between(self, top: Collection[int], tests: Sequence[Test], steps: int) -> set[int]:
        """The units on a way of so many calls at most from these to one that passes a test."""
        found: set[int] = set()
        edge = set(top)
        for left in range(steps - 1 if edge else -1, -1, -1):
            edge = self._used(edge, CALLS).intersection(set().union(*(self._leading_to(test, left) for test in tests))) - found
            found |= edge
        return found

    def _used(self, several: Collection[int], kinds: tuple[str, ...] = LINKS) -> set[int]:
        """The units to which links of some kinds lead from these."""
        return set().union(*(self._outline.used_by(index, kinds) for index in several))

    def _users(self, several: Collection[int], kinds: tuple[str, ...] = LINKS) -> set[int]:
        """The units from which links of some kinds lead to these."""
        return set().union(*(self._outline.using(index, kinds) for index in several))

    def _meeting(self, test: Test) -> tuple[set[int], bool]:
        """The units that pass a test, and whether the code around them does; each test is made once."""
        if test not in self._met:
            units = self._outline.units
            self._met[test] = {index for index in self._candidates(test) if test(units[index].words)}, test(self._outline.around)
        return self._met[test]

    def _candidates(self, test: Test) -> Sequence[int]:
        """The units that may pass a test as far as their words say."""
        if test.everywhere:
            return range(len(self._groups))
        bit = test.bit
        return [index for index, groups in enumerate(self._groups) if groups & bit]

    def _meeting_all(self, tests: Sequence[Test], bits: int) -> tuple[set[int], bool]:
        """The same for several tests with these bits, of which the dearest come last."""
        several, around = {index for index, groups in enumerate(self._groups) if groups & bits == bits}, self._around & bits == bits
        for test in tests:
            several = {index for index in several if test(self._outline.units[index].words)}
            around = around and test(self._outline.around)
            if not several and not around:
                break
        return several, around

    def _sharing_names(self, several: Collection[int], around: bool) -> set[int]:
        """The units in which a name stands that is bound in some of them, or around them."""
        units = self._outline.units
        bound = frozenset().union(*(units[index].words.assigned for index in several), self._outline.around.assigned if around else ())
        return {index for index, unit in enumerate(units) if not bound.isdisjoint(unit.words.all)}

    def _leading_to(self, test: Test, steps: int, kinds: tuple[str, ...] = LINKS) -> set[int]:
        """The units that pass a test, and those from which it is so many steps at most to one that does, down what they use."""
        key = (test, steps, kinds)
        if key not in self._reaching:
            found = edge = self._meeting(test)[0]
            for _step in range(steps):
                edge = self._users(edge, kinds) - found
                found = found | edge
            self._reaching[key] = found
        return self._reaching[key]

    def _has_part(self, index: int, rule: Asked, test: Test) -> bool:
        """True when one of the parts of a unit that count meets a need, or calls a unit that does."""
        if rule.parts is None:
            return index in self._leading_to(test, rule.anchored)
        unit, reaching = self._outline.units[index], self._leading_to(test, rule.anchored - 1, CALLS)
        for part in rule.parts(unit.words.body or ()):
            piece = self._outline.part_of(unit, part)
            called = (link for link in self._outline.asked_by(piece) if link[0] in CALLS)
            if test(piece.words) or any(not reaching.isdisjoint(self._outline.offering(link)) for link in called):
                return True
        return False

    def kept(self) -> set[int]:
        """The units that are kept, and those within reach of them: what they use, what uses them."""
        kept: set[int] = set()
        edge: set[int] = set()
        for steps in range(max(self._seeds, default=0), -1, -1):
            edge = (self._used(edge) | self._users(edge)).union(self._seeds.get(steps, ())) - kept
            kept |= edge
        return kept

    def dropped(self) -> list[ast.stmt]:
        """The definitions that are not kept."""
        kept = self.kept()
        return [unit.node for index, unit in enumerate(self._outline.units) if index not in kept]

    def text(self) -> str:
        """The text with the other units blanked; a `pass` stays where a unit stood, so that no body is empty."""
        lines, kept = list(self._outline.lines), self.kept()
        for index, unit in enumerate(self._outline.units):
            if index not in kept:
                head = lines[unit.first]
                lines[unit.first : unit.last] = [head[: len(head) - len(head.lstrip())] + "pass"] + [""] * (unit.last - unit.first - 1)
        return "\n".join(lines)
