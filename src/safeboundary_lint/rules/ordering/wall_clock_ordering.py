"""SBL101: time stamps decide which record wins, or which rows are read next."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.calls import string, string_parts
from safeboundary_lint.core.clocks import FILE_TIME
from safeboundary_lint.core.edits import argument_added, parameter_added, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.ordering import CURSOR, STAMP_COPIES, compares_stamps, snake
from safeboundary_lint.core.sql import is_statement, skips_tied_rows
from safeboundary_lint.core.tree import descendants

_ORDERINGS = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)
_THERE = frozenset(
    "remote incoming peer replica other received theirs their server upstream foreign external master primary neighbor "
    "neighbour announced".split()
)
_HERE = frozenset("local existing current stored mine ours our own self cached known previous present slave secondary".split())
_ROW_KEY = Regex(r"(^|_)(id|pk|uuid|key|seq|sequence|version)$")


class WallClockOrdering(Rule):
    """Time stamps of wall clocks decide which record wins, or where reading goes on.

    What it does
    ------------
    Finds copies of one record on two hosts compared by their time stamps to choose which one is kept, the newest of several
    replicas chosen by its stamp, and cursors that read on behind the last time stamp, in SQL strings and in query builders.

    Why it matters
    --------------
    Clocks of hosts differ by more than the time between two writes: the later write loses, silently, against a stamp from a clock
    that is ahead. And stamps are not unique: rows that share the stamp of the last one of a batch are never read.

    Example
    -------

        def next_batch(connection, last_seen, size):
            return connection.execute(
                "SELECT id, updated_at, body FROM notes WHERE updated_at > %s ORDER BY updated_at LIMIT %s",
                (last_seen, size),
            ).fetchall()

    Instead
    -------

        def next_batch(connection, last_seen, last_id, size):
            return connection.execute(
                "SELECT id, updated_at, body FROM notes WHERE (updated_at, id) > (%s, %s) ORDER BY updated_at, id LIMIT %s",
                (last_seen, last_id, size),
            ).fetchall()

    Stays silent when
    -----------------
    The key has a second column, or a version, epoch or sequence comes first; the query takes all rows at once; one service gave
    all the stamps (`last_modified` of an object store); file times of one host are compared; rows are sorted to be shown.

    Fix safety
    ----------
    A suggestion: the copies are compared by a version first, the cursor gets the id as its second column. Where a version comes
    from, and who hands in the last id, the code at hand does not tell.

    Known limits
    ------------
    Which object is the remote one is told by its name, or by the name of what it was taken from.
    """

    code, name, since, severity = "SBL101", "wall-clock-ordering", "0.1", Severity.WARNING
    overlaps = ()
    needs = (("record-stamp",), (compares_stamps,))
    local = True

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._check_text(node)

    def visit_FormattedString(self, node: cst.FormattedString) -> None:
        self._check_text(node)

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> None:
        self._check_text(node)

    def _check_text(self, node: cst.BaseExpression) -> None:
        if isinstance(self.facts.tree.parent(node), (cst.ConcatenatedString, cst.Expr)):
            return
        text = string_parts(node)
        if text is None or not is_statement(text) or (test := skips_tied_rows(text)) is None or not self._is_stamp(test.column):
            return
        self.report(
            node,
            f"the next batch starts behind `{test.column}` alone: rows with the same stamp as the last one of a batch, or "
            f"written late with an earlier one, are never read",
            confidence=Confidence.MEDIUM,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"go on behind `({test.column}, id)`: compare and order by both, and keep both as the cursor",
            ),
        )

    def visit_Comparison(self, node: cst.Comparison) -> None:
        if len(node.comparisons) != 1 or not isinstance(node.comparisons[0].operator, _ORDERINGS):
            return
        left, right = node.left, node.comparisons[0].comparator
        one, other = self._stamped(left), self._stamped(right)
        if one is not None and other is not None and one[1] == other[1]:
            self._check_winner(node, one[0], other[0], one[1])
        elif one is not None and isinstance(node.comparisons[0].operator, cst.GreaterThan):
            self._check_cursor(node, one[1], right)

    def _check_winner(self, node: cst.Comparison, one: cst.CSTNode, other: cst.CSTNode, stamp: str) -> None:
        chosen_by = next(
            (
                outer
                for outer in self.facts.tree.ancestors(node)
                if isinstance(outer, (cst.If, cst.IfExp)) and self.facts.tree.within(node, outer.test)
            ),
            None,
        )
        if chosen_by is None:
            return
        sides = [self._side_of(one), self._side_of(other)]
        decided = (
            None not in sides
            and sides[0] != sides[1]
            or sides != [None, None]
            and None in sides
            and self._keeps_one(chosen_by, one, other)
        )
        if not decided or any(
            self.facts.clocks.of_domain(side, FILE_TIME) for side in (node.left, node.comparisons[0].comparator)
        ):
            return
        self.report(
            node,
            f"`{self.facts.code(node)}` lets the clocks of two hosts decide which copy is kept: the one whose clock is ahead "
            f"wins, and a later write of the other is lost",
            confidence=Confidence.MEDIUM,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"order the copies by a version or sequence that grows with each write, and use `{stamp}` only between equal "
                f"ones",
                tuple(self._versioned(side, stamp) for side in (node.left, node.comparisons[0].comparator)),
            ),
        )

    def _versioned(self, stamped: cst.BaseExpression, stamp: str) -> Edit:
        """`(x.version, x.updated_at)` for `x.updated_at`."""
        code = source_of(self.facts, stamped)
        start = code.rindex(stamp)
        return replaced(self.facts, stamped, f"({code[:start]}version{code[start + len(stamp) :]}, {code})")

    def _keeps_one(self, branch: cst.If | cst.IfExp, one: cst.CSTNode, other: cst.CSTNode) -> bool:
        """True when the branch puts one of the two objects where the other one was kept: under a key or in an attribute."""
        names = {side.value for side in (one, other) if isinstance(side, cst.Name)}
        return isinstance(branch, cst.If) and any(
            isinstance(part, cst.Assign)
            and isinstance(part.value, cst.Name)
            and part.value.value in names
            and isinstance(part.targets[0].target, (cst.Subscript, cst.Attribute))
            for part in descendants(branch.body)
        )

    def _side_of(self, expression: cst.CSTNode) -> str | None:
        """Whether a name, or what it was taken from, says that the object is of here or of there."""
        words: set[str] = set()
        for origin in self.facts.origins.trail(expression)[:6]:
            for part in descendants(origin.node, into_definitions=False):
                if (
                    isinstance(part, (cst.Name, cst.Attribute))
                    and (name := last_name(part)) is not None
                    and name not in ("self", "cls")
                ):
                    words |= set(snake(name).split("_"))
            if here_or_there := (bool(words & _THERE), bool(words & _HERE)):
                if here_or_there in ((True, False), (False, True)):
                    return "there" if here_or_there[0] else "here"
        return "here" if isinstance(expression, cst.Name) and expression.value == "self" else None

    def _check_cursor(self, node: cst.Comparison, column: str, bound: cst.CSTNode) -> None:
        if not isinstance(bound, (cst.Name, cst.Attribute, cst.Subscript)) or not CURSOR.search(snake(last_name(bound) or "")):
            return
        call = self._selecting_call(node)
        if call is not None:
            self._tell_query(node, call, column, self._keyed(node, bound))

    def _selecting_call(self, node: cst.CSTNode) -> cst.Call | None:
        outer = self.facts.tree.parent(node)
        call = self.facts.tree.parent(outer) if isinstance(outer, cst.Arg) else None
        return call if isinstance(call, cst.Call) and last_name(call.func) in ("where", "filter") else None

    def visit_Call(self, node: cst.Call) -> None:
        called = last_name(node.func)
        if called == "filter":
            for arg in node.args:
                column = arg.keyword.value if arg.keyword is not None else ""
                if (
                    column.endswith("__gt")
                    and self._is_stamp(column.removesuffix("__gt"))
                    and CURSOR.search(snake(last_name(arg.value) or ""))
                ):
                    self._tell_query(node, node, column.removesuffix("__gt"))
        elif self.facts.names.qualified(node.func) in ("builtins.max", "builtins.min") and node.args:
            self._check_newest(node)

    def visit_DictElement(self, node: cst.DictElement) -> None:
        """`find({"updated_at": {"$gt": last}})`, the query document of a store."""
        outer = self.facts.tree.enclosing(node, cst.DictElement) if string(node.key) == "$gt" else None
        call = self.facts.tree.enclosing(node, cst.Call)
        if outer is None or call is None or not CURSOR.search(snake(last_name(node.value) or "")):
            return
        column = string(outer.key)
        if column is not None and self._is_stamp(column) and isinstance(outer.value, cst.Dict):
            self._tell_query(outer.value, call, column)

    def _keyed(self, node: cst.Comparison, bound: cst.CSTNode) -> tuple[Edit, ...]:
        """The comparison and the order by a row's id too, which the caller has to hand in beside the stamp."""
        left, function = node.left, self.facts.tree.function_of(node)
        calls = [part for part in descendants(self.facts.tree.statement_of(node)) if isinstance(part, cst.Call)]
        order = next((call for call in calls if last_name(call.func) == "order_by"), None)
        if not isinstance(left, cst.Attribute) or not isinstance(function, cst.FunctionDef) or order is None or node.lpar:
            return ()
        column, start = source_of(self.facts, left), source_of(self.facts, bound)
        row = f"{source_of(self.facts, left.value)}.id"
        both = f"({column} > {start}) | (({column} == {start}) & ({row} > last_id))"
        several = (
            parameter_added(self.facts, function, "last_id"),
            replaced(self.facts, node, both),
            argument_added(self.facts, order, row),
        )
        return tuple(one for one in several if one is not None) if None not in several else ()

    def _tell_query(self, node: cst.BaseExpression, call: cst.Call, column: str, by_both: tuple[Edit, ...] = ()) -> None:
        """A query that reads a limited batch in the order of the column, and says nothing of a second one."""
        names: set[str] = set()
        limited = False
        for part in descendants(self.facts.tree.statement_of(call)):
            if isinstance(part, (cst.Name, cst.Attribute)):
                names.add((last_name(part) or "").lower())
            elif isinstance(part, cst.Arg) and part.keyword is not None:
                names.add(part.keyword.value.lower().partition("__")[0])
            limited |= isinstance(part, cst.Slice)
        ordered = not names.isdisjoint(("order_by", "sort")) and (limited or "limit" in names or "fetchmany" in names)
        compared = [part for part in descendants(call) if isinstance(part, cst.Comparison) and part is not node]
        keyed = (
            any(_ROW_KEY.search(last_name(part.left) or "") for part in compared)
            or "tuple_" in names
            or "or_" in names
            or "q" in names
        )
        if not ordered or keyed:
            return
        self.report(
            node,
            f"the next batch starts behind `{column}` alone: rows with the same stamp as the last one of a batch, or written "
            f"late with an earlier one, are never read",
            confidence=Confidence.MEDIUM,
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"go on behind `({column}, id)`: compare and order by both, and keep both as the cursor",
                by_both,
            ),
        )

    def _check_newest(self, node: cst.Call) -> None:
        key = next((arg.value for arg in node.args if arg.keyword is not None and arg.keyword.value == "key"), None)
        stamp = None
        if isinstance(key, cst.Lambda) and (found := self._stamped(key.body)) is not None:
            stamp = found[1]
        elif isinstance(key, cst.Call) and last_name(key.func) in ("attrgetter", "itemgetter") and key.args:
            named = string(key.args[0].value)
            stamp = named if named is not None and self._is_stamp(named) else None
        if stamp is not None and STAMP_COPIES.search(snake(last_name(node.args[0].value) or "")):
            self.report(
                node,
                f"`{self.facts.code(node)}` takes the copy with the latest `{stamp}` for the newest: the host whose clock is "
                f"ahead wins, whatever was written last",
                confidence=Confidence.MEDIUM,
                fix=lambda: Fix(
                    Applicability.SUGGESTION,
                    f"choose by a version or sequence that grows with each write, and by `{stamp}` only between equal ones",
                    (self._versioned(key.body, stamp),) if isinstance(key, cst.Lambda) else (),
                ),
            )

    def _stamped(self, expression: cst.CSTNode) -> tuple[cst.CSTNode, str] | None:
        """The object and the name of a stamp read from it: `x.updated_at`, `x["updated_at"]`, `x.get("updated_at")`."""
        owner: cst.CSTNode | None = None
        name: str | None = None
        if isinstance(expression, cst.Attribute):
            owner, name = expression.value, expression.attr.value
        elif (
            isinstance(expression, cst.Subscript)
            and len(expression.slice) == 1
            and isinstance(expression.slice[0].slice, cst.Index)
        ):
            owner, name = expression.value, string(expression.slice[0].slice.value)
        elif (
            isinstance(expression, cst.Call)
            and isinstance(expression.func, cst.Attribute)
            and expression.func.attr.value == "get"
            and expression.args
        ):
            owner, name = expression.func.value, string(expression.args[0].value)
        return (owner, name) if owner is not None and name is not None and self._is_stamp(name) else None

    def _is_stamp(self, name: str) -> bool:
        return any(row.kind == "record-stamp" for row in self.facts.knowledge.wild.get(name, ()))
