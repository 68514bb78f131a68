"""Paths of a function, by marker calls: which come before which on every path, which can follow which."""

from __future__ import annotations

import libcst as cst
import pytest
from snippets import Snippet

from safeboundary_lint.core import paths
from safeboundary_lint.core.flow import Flow, Point


class Marked:
    """A function whose markers `a()`, `b()` ... are asked for by name."""

    def __init__(self, text: str) -> None:
        self.snippet = Snippet(text)
        self.flow: Flow = self.snippet.facts.flow(self.snippet.function())

    def at(self, marker: str) -> list[Point]:
        """The points of `marker()`; "return" and "raise" are the ends."""
        ends = {"return": [self.flow.returned], "raise": [self.flow.raised]}
        return ends.get(marker) or [p for call in self.snippet.expressions(f"{marker}()") for p in self.flow.points_of(call)]

    def always(self, first: str, then: str) -> bool:
        """On every path `first()` has ended well before `then`."""
        return all(paths.always_before(self.flow, self.at(first), point) for point in self.at(then))

    def follows(self, then: str, first: str, leaving: str = "any", raising: bool = True) -> bool:
        """Some path leads from `first()` to `then`."""
        goals = self.at(then)
        return paths.find(self.at(first), lambda point: point in goals, leaving=leaving, raising=raising) is not None

    def reached(self, marker: str) -> bool:
        """Some path leads to the marker at all."""
        return any(point.index in self.flow.reachable for point in self.at(marker))

    def guards(self, marker: str) -> list[tuple[str, bool]]:
        """The tests with known outcome at the marker, nearest first."""
        dominators = self.snippet.facts.dominators(self.flow)
        return [(self.snippet.code(test).split("\n")[0], outcome) for test, outcome in dominators.guards(self.at(marker)[0])]


def test_one_after_the_other() -> None:
    f = Marked("""
        def f():
            a()
            b()
        """)
    assert f.always("a", "b")
    assert not f.always("b", "a")
    assert f.follows("raise", "a")
    assert not f.follows("b", "a", leaving="raising")


def test_branches_meet_again() -> None:
    f = Marked("""
        def f(x):
            if x:
                a()
            else:
                b()
            c()
        """)
    assert not f.always("a", "c") and not f.always("b", "c")
    assert f.follows("c", "a") and f.follows("c", "b") and not f.follows("b", "a")
    assert f.guards("a") == [("x", True)]
    assert f.guards("b") == [("x", False)]
    assert f.guards("c") == []


def test_guard_clauses_hold_for_the_rest() -> None:
    f = Marked("""
        def f(x, y):
            if x > 9:
                raise ValueError
            if not y:
                return
            a()
        """)
    assert f.guards("a") == [("not y", False), ("x > 9", False)]


def test_elif_knows_that_the_first_test_failed() -> None:
    f = Marked("""
        def f(x, y):
            if x: a()
            elif y: b()
            else: c()
        """)
    assert f.guards("b") == [("y", True), ("x", False)]
    assert f.guards("c") == [("y", False), ("x", False)]


@pytest.mark.parametrize("head", ["while t():", "for x in t():"])
def test_loops(head: str) -> None:
    f = Marked(f"""
        def f():
            {head}
                if x: break
                if y: continue
                a()
            else:
                b()
            c()
        """)
    assert f.follows("a", "a")
    assert f.follows("b", "a") and f.follows("c", "b")
    assert not f.always("b", "c")  # break jumps over else
    assert f.follows("c", "t", raising=False)


def test_nothing_follows_an_endless_loop_without_break() -> None:
    f = Marked("""
        def f():
            while True:
                a()
            b()
        """)
    assert not f.reached("b")
    assert f.at("b") == []
    assert not f.follows("return", "a")


def test_break_leaves_an_endless_loop() -> None:
    f = Marked("""
        def f():
            while 1:
                if a(): break
            b()
        """)
    assert f.always("a", "b")


def test_finally_stands_on_every_way_out() -> None:
    f = Marked("""
        def f(xs):
            for x in xs:
                try:
                    if x: return
                    if y: break
                    if z: continue
                    a()
                finally:
                    b()
            c()
        """)
    assert len(f.at("b")) == 5  # falling through, exception, return, break, continue
    assert f.follows("b", "a", leaving="raising")
    assert f.follows("return", "b") and f.follows("raise", "b") and f.follows("c", "b")


def test_finally_keeps_the_ways_apart() -> None:
    f = Marked("""
        def f():
            try:
                a()
            finally:
                b()
            c()
        """)
    raised = paths.find(f.at("a"), lambda p: p in f.at("b"), leaving="raising")
    assert raised is not None
    assert paths.find([raised[-1]], lambda p: p in f.at("c")) is None
    assert f.always("a", "c")


def test_return_in_finally_ends_the_exception() -> None:
    f = Marked("""
        def f():
            try:
                a()
            finally:
                return b()
        """)
    assert f.follows("return", "a", leaving="raising")
    assert not f.follows("raise", "a", leaving="normally") or f.follows("b", "a")
    assert paths.find(f.at("a"), lambda p: p is f.flow.raised, avoiding=lambda p: p in f.at("b")) is None


def test_handler_else_and_finally() -> None:
    f = Marked("""
        def f():
            try:
                a()
            except ValueError:
                b()
            else:
                c()
            finally:
                d()
        """)
    assert f.follows("b", "a", leaving="raising") and not f.follows("b", "a", leaving="normally")
    assert f.follows("c", "a", leaving="normally") and not f.follows("c", "a", leaving="raising")
    assert not f.follows("b", "c")  # what else raises is not caught here
    assert f.follows("raise", "a")  # not every exception is a ValueError
    assert paths.find(f.at("a"), lambda p: p is f.flow.raised, avoiding=lambda p: p in f.at("d")) is None


@pytest.mark.parametrize("clause", ["except:", "except Exception:", "except BaseException as e:"])
def test_what_catches_all_lets_nothing_out(clause: str) -> None:
    f = Marked(f"""
        def f():
            try:
                a()
            {clause}
                pass
        """)
    assert not f.follows("raise", "a")


def test_a_raise_of_known_type_goes_to_its_handler() -> None:
    f = Marked("""
        class Mine(KeyError): pass
        def f(x):
            try:
                if x: raise Mine("x")
                raise OSError
            except LookupError:
                a()
            except (ValueError, OSError):
                b()
            except Exception:
                c()
        """)
    assert f.guards("a") == [("x", True)]
    assert f.guards("b") == [("x", False)]
    assert not f.reached("c")


def test_a_raise_that_no_handler_catches_goes_further_out() -> None:
    f = Marked("""
        def f():
            try:
                try:
                    raise KeyboardInterrupt
                except Exception:
                    a()
            except KeyboardInterrupt:
                b()
        """)
    assert not f.reached("a") and f.reached("b")


@pytest.mark.parametrize("raised", ["error", "make()", "self.kind", "lib.Unheard('x')", "error.with_traceback(None)"])
def test_a_raise_of_unknown_type_may_go_to_any_handler(raised: str) -> None:
    f = Marked(f"""
        import lib
        def f(error, self):
            try:
                raise {raised}
            except OSError:
                a()
            except ValueError:
                b()
        """)
    assert f.reached("a") and f.reached("b") and f.reached("raise")


def test_bare_raise_in_a_handler_leaves() -> None:
    f = Marked("""
        def f():
            try:
                a()
            except Exception:
                b()
                raise
            c()
        """)
    assert f.always("a", "c") and f.follows("raise", "b") and not f.follows("c", "b")


def test_the_end_of_a_with_block() -> None:
    f = Marked("""
        def f(lock):
            with lock, m() as n:
                a()
                return
        """)
    first, second = f.snippet.facts.tree.all(cst.WithItem)
    assert f.flow.exits_of(first) and f.flow.exits_of(second)
    left = f.flow.exits_of(second)
    assert paths.find(f.at("a"), lambda p: p is f.flow.returned, avoiding=lambda p: p in left) is None
    assert f.flow.exits_of(first, normal=False)


def test_a_with_that_swallows_goes_on_behind_the_block() -> None:
    f = Marked("""
        import lib, contextlib
        def f():
            with contextlib.suppress(OSError):
                a()
            b()
            with lib.quiet():
                c()
            d()
        """)
    assert f.follows("b", "a", leaving="raising") and f.follows("d", "c", leaving="raising")
    assert not f.always("a", "b")


def test_an_ordinary_with_swallows_nothing() -> None:
    f = Marked("""
        async def f(pool):
            async with pool.acquire() as connection:
                a()
            b()
        """)
    assert f.always("a", "b") and f.follows("raise", "a", leaving="raising")


def test_match() -> None:
    f = Marked("""
        def f(x):
            match x:
                case 1: a()
                case 2 if g(): b()
                case _: c()
            d()
        """)
    assert not f.follows("b", "a") and f.follows("d", "a") and f.follows("d", "c")
    assert not f.follows("a", "g") and f.follows("c", "g")


def test_a_match_without_a_last_case_may_do_nothing() -> None:
    f = Marked("""
        def f(x):
            match x:
                case 1: a()
                case [y, *_]: a()
            b()
        """)
    assert not f.always("a", "b")


def test_bodies_of_nested_functions_do_not_run_where_they_stand() -> None:
    f = Marked("""
        def f():
            def inner():
                a()
            g = lambda: b()
            c()
        """)
    assert f.at("a") == [] and f.at("b") == []
    assert f.reached("c")


def test_defaults_and_decorators_run_where_the_definition_stands() -> None:
    f = Marked("""
        def f():
            @a()
            def inner(x=b()):
                pass
            c()
        """)
    assert f.always("a", "c") and f.always("b", "c")


@pytest.mark.parametrize("call", ["lib.stop()", "sys.exit(1)", "fail('x')", "await stop()"])
def test_calls_that_never_come_back(call: str) -> None:
    f = Marked(f"""
        import lib, sys
        def fail(why):
            log(why)
            raise RuntimeError(why)
        async def stop():
            fail("stopped")
        async def f(x):
            if x:
                {call}
            else:
                a()
            b()
        """)
    assert f.always("a", "b")


def test_what_is_known_not_to_raise_has_no_exception_edge() -> None:
    f = Marked("""
        import lib
        def f(log, x):
            try:
                lib.note()
                log.info("x %s", len(x))
                y = x + 1
            except Exception:
                a()
        """)
    assert not f.reached("a")


@pytest.mark.parametrize("statement", ["x[0]", "x / 2", "assert x", "import y", "del x[0]", "g(x)", "yield x", "from y import z"])
def test_what_may_raise_has_one(statement: str) -> None:
    f = Marked(f"""
        def f(x):
            try:
                {statement}
            except Exception:
                a()
        """)
    assert f.reached("a")


def test_a_generator_may_be_left_at_its_yield() -> None:
    f = Marked("""
        def f():
            try:
                yield a()
            finally:
                b()
            c()
        """)
    assert len(f.at("b")) == 2


def test_handlers_of_an_exception_group() -> None:
    f = Marked("""
        def f():
            try:
                a()
            except* ValueError:
                b()
            except* OSError:
                c()
            d()
        """)
    assert f.follows("b", "a") and f.follows("c", "a") and f.follows("d", "b")
    assert f.follows("c", "b")  # one group may hold both
    assert not f.follows("b", "c")
    assert f.follows("raise", "b")


def test_a_lambda_and_a_module_have_graphs_too() -> None:
    snippet = Snippet("""
        g = lambda x: a(x)
        if g:
            b()
        """)
    flow = snippet.facts.flow(snippet.facts.tree.all(cst.Lambda)[0])
    assert flow.points_of(snippet.expression("a(x)"))
    assert snippet.facts.flow(snippet.facts.tree.module).points_of(snippet.expression("b()"))


def test_branches_of_a_test() -> None:
    f = Marked("""
        def f(x):
            if x:
                a()
            b()
        """)
    test = f.snippet.expression("x")
    assert [p.outcome for p in f.flow.branches_of(test, True)] == [True]
    assert paths.find(f.flow.branches_of(test, False), lambda p: p in f.at("a")) is None
