"""SBL314: a write whose failure is told in a result that nobody reads."""

from __future__ import annotations


import libcst as cst

from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.edits import argument_removed, inserted_after, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_LAZY = ("map", "imap", "imap_unordered")  # whose answers are asked for one by one
_LEAVES = Regex(
    r"(?:download|send|copy|move|delete|remove|push|sync|export|backup|create|migrate|convert|process|handle|install|transfer|"
    r"archive|restore|import|load_into|apply)(?:_\w+)?"
)


class UnusedWriteResult(Rule):
    """A write tells its failure in a result that nobody reads, or is built and never executed.

    What it does
    ------------
    Finds writes handed to `executor.map` or `executor.submit` whose result is dropped (for `map`, whatever is done for its
    effect, such as downloads and deletions), `gather(..., return_exceptions=True)`
    over writes whose results are dropped, and `insert()`, `update()`, `delete()` statements that are built and not executed.

    Why it matters
    --------------
    An executor keeps the exception of a call in its future; `return_exceptions=True` keeps it in the list. Nobody who reads
    neither will ever learn that rows are missing. A statement that is not executed writes nothing at all.

    Example
    -------

        from concurrent.futures import ThreadPoolExecutor

        def save_all(repository, orders):
            with ThreadPoolExecutor() as executor:
                executor.map(repository.save, orders)

    Instead
    -------

        from concurrent.futures import ThreadPoolExecutor

        def save_all(repository, orders):
            with ThreadPoolExecutor() as executor:
                list(executor.map(repository.save, orders))

    Stays silent when
    -----------------
    The result is iterated, kept, returned, given a callback; what runs handles its own failures in this file; nothing is
    written.

    Fix safety
    ----------
    A suggestion: the result is read, so that the first failure is raised. What to do with it is the author's decision.

    Known limits
    ------------
    A result that is kept and never looked at is not followed.
    """

    code, name, since, severity = "SBL314", "unused-write-result", "0.1", Severity.WARNING
    overlaps = ("ruff:RUF006",)
    needs = (("drops-failure", "statement"),)

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("drops-failure"):
            if self._is_dropped(match.call) and (work := self._written(match)) is not None:
                self._report(match, work)
        for match in self.facts.calls("statement"):
            if isinstance(self.facts.tree.parent(self._outermost(match.call)), cst.Expr):
                self._report_statement(match)

    def _is_dropped(self, call: cst.Call) -> bool:
        parent = self.facts.tree.parent(call)
        if isinstance(parent, cst.Await):
            parent = self.facts.tree.parent(parent)
        return isinstance(parent, cst.Expr)

    def _written(self, match: Match) -> cst.BaseExpression | None:
        """What is run, when that is a write whose failure would only be in the result."""
        flag = match.row.get("when")
        if flag is not None and not self.facts.is_constant(argument(match.call, flag), True):
            return None
        handed = [arg.value for arg in match.call.args if arg.keyword is None]
        if match.row.get("work") is not None:
            handed = handed[:1]
        for value in handed:
            for called in self._called(value):
                if self._writes(called) or last_name(match.call.func) in _LAZY and self._leaves(called):
                    return called
        return None

    def _leaves(self, called: cst.BaseExpression) -> bool:
        """True for a function of that name that brings something about: nobody maps it for its answers."""
        definition = self.facts.types.definition(called)
        if isinstance(definition, cst.FunctionDef) and any(isinstance(n, cst.Try) for n in descendants(definition.body)):
            return False
        return _LEAVES.fullmatch((last_name(called) or "").lstrip("_")) is not None

    def _called(self, value: cst.BaseExpression) -> list[cst.BaseExpression]:
        """The functions that run: a reference, or the coroutines in `*(save(x) for x in xs)` and `*tasks`."""
        if isinstance(value, (cst.Name, cst.Attribute)):
            origins = [
                o.node
                for o in self.facts.origins.step(value)
                if o.how == "value" and not isinstance(o.node, (cst.Name, cst.Attribute))
            ]
            return [call.func for o in origins for call in descendants(o) if isinstance(call, cst.Call)] or [value]
        if isinstance(value, cst.Call) and last_name(value.func) == "partial" and value.args:
            return [value.args[0].value]
        return [call.func for call in descendants(value) if isinstance(call, cst.Call)]

    def _writes(self, called: cst.BaseExpression) -> bool:
        definition = self.facts.types.definition(called)
        if isinstance(definition, cst.FunctionDef):
            caught = any(
                isinstance(n, cst.Try) and any(self.facts.exceptions.catches_all(h.type) for h in n.handlers)
                for n in descendants(definition.body)
            )
            return not caught and self.facts.work.within(definition) is not None
        if isinstance(definition, cst.Lambda):
            return self.facts.work.within(definition) is not None
        name = (last_name(called) or "").lstrip("_")
        return name.startswith(
            ("save", "store", "insert", "upsert", "persist", "write", "upload", "publish", "update_", "delete_", "ingest")
        ) or (
            self.facts.match(called, "durable-write", "publish") is not None and name not in ("execute", "fetchrow", "fetchval")
        )

    def _report(self, match: Match, work: cst.BaseExpression) -> None:
        self.report(
            match.node,
            f"a failure of `{self.facts.code(work)}` is kept in a result that nobody reads: what it did not write is"
            " never missed",
            confidence=Confidence.weakest(match.confidence, Confidence.MEDIUM),
            trace=[(work, "this writes"), (match.node, "and its result is dropped")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "go through the results (`list(...)`, `.result()`), and raise or handle each exception",
                self._read(match),
            ),
        )

    def _read(self, match: Match) -> tuple[Edit, ...]:
        """What raises the first failure here."""
        call, flag = match.call, match.row.get("when")
        given = next((arg for arg in call.args if flag and arg.keyword is not None and arg.keyword.value == flag), None)
        if given is not None:
            return (argument_removed(self.facts, call, given),)
        if last_name(call.func) == "map":
            return (replaced(self.facts, call, f"list({source_of(self.facts, call)})"),)
        return (inserted_after(self.facts, call, ".result()"),) if last_name(call.func) == "submit" else ()

    def _outermost(self, call: cst.Call) -> cst.CSTNode:
        """The whole chain: `table.insert().values(...)`."""
        node: cst.CSTNode = call
        while isinstance(parent := self.facts.tree.parent(node), (cst.Attribute, cst.Call)) and (
            isinstance(parent, cst.Attribute) and parent.value is node or isinstance(parent, cst.Call) and parent.func is node
        ):
            node = parent
        return node

    def _report_statement(self, match: Match) -> None:
        whole = self._outermost(match.call)
        ends = last_name(whole.func) if isinstance(whole, cst.Call) else None
        if ends in ("execute", "scalar", "scalars", "all", "run", "aexecute", "gino"):
            return
        self.report(
            whole,
            f"`{self.facts.code(whole)}` is built and never executed: nothing is written",
            confidence=match.confidence,
            trace=[(whole, "built here")],
            fix=lambda: Fix(Applicability.SUGGESTION, "execute it, through the session or the connection", self._executed(whole)),
        )

    def _executed(self, whole: cst.CSTNode) -> tuple[Edit, ...]:
        """Through what is committed in the same function."""
        function = self.facts.tree.function_of(whole) or self.facts.tree.module
        calls = (call for call in self.facts.summaries.calls_of(function) if self.facts.match(call, "commit") is not None)
        commit = next((call.func for call in calls if isinstance(call.func, cst.Attribute)), None)
        if commit is None:
            return ()
        call = self.facts.tree.parent(commit)
        waits = "await " if call is not None and isinstance(self.facts.tree.parent(call), cst.Await) else ""
        through = f"{waits}{source_of(self.facts, commit.value)}.execute"
        return (replaced(self.facts, whole, f"{through}({source_of(self.facts, whole)})"),)
