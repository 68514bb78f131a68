"""Small random functions that are run for real, so that what the analysis says of their paths and values can be compared with the truth.

A program is made of every statement that moves control, around calls with numbers of their own:

    m(1)  t(2)  i(3)  c(4)  v(5)    a plain step, a test, an iterable, a context manager, the subject of a match
    x = d(6)   u(7, x)              a value that knows where it was made, and its use

Each call may raise by a plan drawn at random, and writes down that it ran and how it went.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field

import libcst as cst
from hypothesis import strategies as st

from safeboundary_lint.core.facts import Facts
from safeboundary_lint.core.flow import Flow, Point
from safeboundary_lint.core.knowledge import load
from safeboundary_lint.core.tree import descendants

PRELUDE = """\
from contextlib import suppress

class E1(Exception): pass
class E2(E1): pass
class E3(ValueError): pass

"""
_CALLS = frozenset("mticvdu")
_BUDGET = 60  # events of one run; then everything ends quickly and unrecorded


@dataclass
class _Writer:
    """Draws the statements of one function."""

    draw: object
    numbers: int = 0

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def choose(self, several: str) -> str:
        return self.draw(st.sampled_from(several.split()))  # type: ignore[operator]

    def block(self, depth: int, *, loop: bool, handler: bool) -> list[str]:
        count = self.draw(st.integers(1, 3))  # type: ignore[operator]
        return [f"    {line}" for _ in range(count) for line in self.statement(depth, loop=loop, handler=handler)]

    def statement(self, depth: int, *, loop: bool, handler: bool) -> list[str]:
        simple = "m m bind bind use use use assert return raise" + (" break continue" if loop else "") + (" reraise" if handler else "")
        compound = " if while forever for with with2 suppress try try try match" if depth else ""
        kind = self.choose(simple + compound)
        if kind in compound.split():
            return getattr(self, f"_{kind}")(depth - 1, loop, handler)
        return [self._simple(kind)]

    def _simple(self, kind: str) -> str:
        number = self.number()
        if kind == "bind":
            return self.choose("x=d({0}) x+=d({0}) x,y=d({0}) x:int=d({0}) (x:=d({0}))").format(number)
        texts = {
            "m": f"m({number})",
            "use": f"u({number}, x)",
            "assert": f"assert t({number})",
            "return": self.choose("return return~m({0})").format(number).replace("~", " "),
            "raise": "raise " + self.choose("E1 E2() E3 KeyboardInterrupt OSError()"),
            "reraise": "raise",
        }
        return texts.get(kind, kind)

    def _if(self, depth: int, loop: bool, handler: bool) -> list[str]:
        test = self.choose("t({0}) (x:=d({0})) not~t({0})").format(self.number()).replace("~", " ")
        lines = [f"if {test}:", *self.block(depth, loop=loop, handler=handler)]
        if self.draw(st.booleans()):  # type: ignore[operator]
            lines += [f"elif t({self.number()}):", *self.block(depth, loop=loop, handler=handler)]
        return lines + self._optional("else:", depth, loop, handler)

    def _optional(self, head: str, depth: int, loop: bool, handler: bool) -> list[str]:
        return [head, *self.block(depth, loop=loop, handler=handler)] if self.draw(st.booleans()) else []  # type: ignore[operator]

    def _while(self, depth: int, loop: bool, handler: bool) -> list[str]:
        head = f"while t({self.number()}):"
        return [head, *self.block(depth, loop=True, handler=handler), *self._optional("else:", depth, loop, handler)]

    def _forever(self, depth: int, loop: bool, handler: bool) -> list[str]:
        return ["while True:", *self.block(depth, loop=True, handler=handler)]

    def _for(self, depth: int, loop: bool, handler: bool) -> list[str]:
        head = f"for {self.choose('x y')} in i({self.number()}):"
        return [head, *self.block(depth, loop=True, handler=handler), *self._optional("else:", depth, loop, handler)]

    def _with(self, depth: int, loop: bool, handler: bool) -> list[str]:
        name = self.choose("- x").replace("-", "")
        return [f"with c({self.number()}){' as x' if name else ''}:", *self.block(depth, loop=loop, handler=handler)]

    def _with2(self, depth: int, loop: bool, handler: bool) -> list[str]:
        return [f"with c({self.number()}), c({self.number()}):", *self.block(depth, loop=loop, handler=handler)]

    def _suppress(self, depth: int, loop: bool, handler: bool) -> list[str]:
        return [f"with suppress({self.choose('E1 E3 Exception')}):", *self.block(depth, loop=loop, handler=handler)]

    def _try(self, depth: int, loop: bool, handler: bool) -> list[str]:
        lines = ["try:", *self.block(depth, loop=loop, handler=handler)]
        for _ in range(count := self.draw(st.integers(0, 2))):  # type: ignore[operator]
            lines += [f"except {self.choose('E1 E2 E3 (E2,E3) Exception OSError')}:", *self.block(depth, loop=loop, handler=True)]
        if count:
            lines += self._optional("else:", depth, loop, handler)
        if not count or self.draw(st.booleans()):  # type: ignore[operator]
            lines += ["finally:", *self.block(depth, loop=loop, handler=handler)]
        return lines

    def _match(self, depth: int, loop: bool, handler: bool) -> list[str]:
        lines = [f"match v({self.number()}):"]
        for pattern in ("0", self.choose("1 _")):
            lines += [f"    case {pattern}:", *(f"    {line}" for line in self.block(depth, loop=loop, handler=handler))]
        return lines


@st.composite
def programs(draw: st.DrawFn) -> str:
    """The text of a module with a function `f(x)`."""
    body = _Writer(draw).block(draw(st.integers(1, 3)), loop=False, handler=False)
    return PRELUDE + "def f(x):\n    y = None\n" + "\n".join(body) + "\n"


@dataclass(frozen=True)
class Event:
    """One call that ran: `failed` when it raised; `outcome` of a test. `exit` is the end of a context manager."""

    call: str
    number: int
    failed: bool
    outcome: bool | None = None


class _Value(int):
    """A value that knows at which call it was made; the number says its truth."""

    made_at: int = 0

    def __iter__(self):  # unpacks into two of its kind
        return iter((self, self))

    def __iadd__(self, other: _Value) -> _Value:
        return other


@dataclass
class Run:
    """What one execution did."""

    plan: random.Random
    events: list[Event] = field(default_factory=list)
    uses: list[tuple[int, int]] = field(default_factory=list)  # number of the use, number of where its value was made
    returned: bool | None = None  # None: cut short

    @property
    def over(self) -> bool:
        return len(self.events) >= _BUDGET

    def execute(self, program: str) -> Run:
        """Run `f` once by the plan."""
        names = {"m": self._step, "t": self._test, "i": self._items, "c": self._context, "v": self._subject, "d": self._make, "u": self._use}
        scope: dict[str, object] = {**names, "tick": lambda: not self.over}
        exec(program.replace("while True:", "while tick():"), scope)  # noqa: S102 -- the test's own program
        self.errors = [scope["E1"], scope["E2"], scope["E3"], OSError]
        try:
            scope["f"](_Value(1))  # type: ignore[operator]
            self.returned = None if self.over else True
        except BaseException as error:
            if type(error) in (UnboundLocalError, NameError, TypeError):
                raise
            self.returned = None if self.over else False
        return self

    def _write(self, call: str, number: int, outcome: bool | None = None) -> None:
        failed = not self.over and self.plan.random() < 0.2
        if not self.over:
            self.events.append(Event(call, number, failed, None if failed else outcome))
        if failed:
            raise self.plan.choice(self.errors)

    def _step(self, number: int) -> None:
        self._write("m", number)

    def _test(self, number: int) -> bool:
        outcome = not self.over and self.plan.random() < 0.5
        self._write("t", number, outcome)
        return outcome

    def _value(self, number: int) -> _Value:
        value = _Value(not self.over and self.plan.random() < 0.5)
        value.made_at = number
        return value

    def _items(self, number: int) -> list[_Value]:
        self._write("i", number)
        return [] if self.over else [self._value(number) for _ in range(self.plan.randrange(3))]

    def _subject(self, number: int) -> int:
        self._write("v", number)
        return 2 if self.over else self.plan.randrange(3)

    def _make(self, number: int) -> _Value:
        value = self._value(number)
        self._write("d", number, bool(value))
        return value

    def _use(self, number: int, value: _Value) -> None:
        if not self.over:
            self.uses.append((number, value.made_at))
        self._write("u", number)

    def _context(self, number: int) -> contextlib.AbstractContextManager[_Value]:
        self._write("c", number)
        return _Context(self, number)


class _Context:
    def __init__(self, run: Run, number: int) -> None:
        self.run, self.number = run, number

    def __enter__(self) -> _Value:
        return self.run._value(self.number)

    def __exit__(self, kind: object, *_rest: object) -> None:
        self.run._write("exit", self.number, kind is None)


class Graph:
    """The flow graph of a program, walked along the events of a run."""

    def __init__(self, program: str) -> None:
        self.facts = Facts(cst.parse_module(program), load())
        self.function = next(f for f in self.facts.tree.all(cst.FunctionDef) if f.name.value == "f")
        self.flow: Flow = self.facts.flow(self.function)
        self.labels = {point.index: self._label(point) for point in self.flow.points}

    def _label(self, point: Point) -> tuple[str, int] | None:
        """Which call a point makes."""
        if point.node is None or point.kind in ("branch", "dispatch", "handler", "next", "case"):
            return None
        call = next((c for c in descendants(point.node.item if isinstance(point.node, cst.WithItem) else point.node) if number_of(c)), None)
        if call is None:
            return None
        name, number = number_of(call)  # type: ignore[misc]
        return ("exit" if point.kind == "exit" else name, number)

    def stuck_at(self, run: Run) -> int | str | None:
        """The index of the first event that no path explains, or how the function ended in a way no path ends; None when all is explained."""
        arrived = self._silently([self.flow.entry])
        for position, event in enumerate(run.events):
            there = [p for p in arrived if self.labels[p.index] == (event.call, event.number)]
            if event.call == "exit" and not event.failed:
                there = [p for p in there if p.outcome is event.outcome]
            arrived = self._silently([succ for point in there for succ in self._leaving(point, event)])
            if not arrived and not (run.returned is None and position == len(run.events) - 1):
                return position
        if run.returned is None:
            return None
        end = self.flow.returned if run.returned else self.flow.raised
        return None if end in arrived else f"ended by {'return' if run.returned else 'raise'}"

    def _leaving(self, point: Point, event: Event) -> list[Point]:
        if event.failed:
            return point.raising or (point.succs if point.kind == "exit" and not point.outcome else [])
        if point.kind == "test" and event.outcome is not None:
            outcome = event.outcome is not isinstance(point.node, cst.UnaryOperation)
            return [succ for succ in point.succs if succ.outcome is outcome]
        if isinstance(point.node, cst.Assert):
            return point.succs if event.outcome else point.raising
        return point.succs

    def _silently(self, points: list[Point]) -> list[Point]:
        """The points with an event, and the ends, that can be next."""
        found, seen, stack = [], set(), list(points)
        while stack:
            point = stack.pop()
            if point.index in seen:
                continue
            seen.add(point.index)
            if self.labels[point.index] is not None or point in (self.flow.returned, self.flow.raised):
                found.append(point)
            else:
                stack += point.raising if isinstance(point.node, cst.Raise) else point.succs
        return found


def number_of(node: cst.CSTNode) -> tuple[str, int] | None:
    """Name and number of one of the calls that write down that they ran."""
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in _CALLS:
        first = node.args[0].value
        return (node.func.value, int(first.value)) if isinstance(first, cst.Integer) else None
    return None
