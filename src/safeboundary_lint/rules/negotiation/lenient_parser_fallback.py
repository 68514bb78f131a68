"""SBL510: what a strict parser refuses is handed to one that runs what it reads."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core import loaders, paths
from safeboundary_lint.core.calls import string
from safeboundary_lint.core.edits import source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name, parameters
from safeboundary_lint.core.refusals import let_out, raised_instead
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants

_FORMATS = (
    "*format*",
    "*fmt*",
    "*content_type*",
    "*mimetype*",
    "*mime*",
    "*encoding*",
    "*serializer*",
    "*codec*",
    "*kind*",
    "*type*",
    "*scheme*",
    "*version*",
)
_WRITERS = ("*set*", "*stor*", "*save*", "*writ*", "*put*", "*dump*", "*add*", "*encod*", "*seriali*", "*pack*")
_VALUES = ("*value*", "*data*", "*result*", "*response*", "*item*", "*obj*", "*payload*", "*content*", "*record*", "*state*")


class LenientParserFallback(Rule):
    """Input that the strict parser refuses goes to a parser that runs what its input says.

    What it does
    ------------
    Finds handlers of a strict parser (JSON, TOML, safe YAML, msgpack) that try `eval`, `pickle` or `yaml.load` on the same input,
    unknown format tags that reach the unpickler, and (info) JSON that falls back to `literal_eval`.

    Why it matters
    --------------
    The strict parser only guards those who send what it can parse. Everybody else chooses the parser behind it, and that one
    executes code.

    Example
    -------

        import json
        import pickle

        def restored(blob):
            try:
                return json.loads(blob)
            except ValueError:
                return pickle.loads(blob)

    Instead
    -------

        import json

        def restored(blob):
            return json.loads(blob)

    Stays silent when
    -----------------
    The second parser is as strict; the unsafe one is chosen by the own configuration; the safe loader is given;
    `literal_eval` reads what the same class has stored with `str(value)`.

    Fix safety
    ----------
    A suggestion, which raises where the unsafe parser stood: stored values in the old format have to be converted first.

    Known limits
    ------------
    A fallback that happens in a caller in another file is not seen. JSON that falls back to `literal_eval` has low confidence: it
    makes data only, and most often reads what the project itself has written.
    """

    code, name, since, severity = "SBL510", "lenient-parser-fallback", "0.1", Severity.ERROR
    overlaps = ()
    needs = (("unsafe-load", "python-literal"),)
    reach = 2

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("unsafe-load"):
            if not loaders.is_safe(self.facts, match) and not self.facts.consent.asked(match.call):
                self._check(match)

    def visit_Call(self, node: cst.Call) -> None:
        if self.facts.match(node, "python-literal") is None or self._is_own_format(node):
            return
        if (strict := self._strict_before(node)) is not None:
            self.report(
                node,
                f"what the parser in line {self.facts.line(strict)} refuses is read as Python "
                f"(`{self.facts.code(node)}`): two formats are accepted "
                "where one was agreed, and deep nesting exhausts the interpreter",
                severity=Severity.INFO,
                confidence=Confidence.LOW,  # it makes data only, and reads most often what the project wrote itself
                trace=[(strict, "refuses the input"), (node, "reads it all the same")],
                fix=lambda: Fix(Applicability.SUGGESTION, "refuse what is not in the agreed format", self._refusal(node, strict)),
            )

    def _check(self, match: Match) -> None:
        strict = self._strict_before(match.call)
        if strict is not None:
            self._tell(match, strict)
        elif (tag := self._unknown_tag(match.call)) is not None:
            self._tell_tag(match, tag)

    def _is_own_format(self, call: cst.Call) -> bool:
        """The class (or the module) stores its values with `str(value)`: Python's notation is what it agreed on with itself."""
        tree = self.facts.tree
        owner = tree.class_of(call) or tree.module
        for other in tree.all(cst.Call):
            function = tree.function_of(other)
            if not isinstance(function, cst.FunctionDef) or not tree.within(other, owner) or not other.args:
                continue
            if self.facts.names.qualified(other.func) in ("builtins.str", "builtins.repr"):
                written = last_name(other.args[0].value)
                given = {parameter.name.value for parameter in parameters(function)}
                if written in given and named_like(written, *_VALUES) and named_like(function.name.value, *_WRITERS):
                    return True
        return False

    def _strict_before(self, call: cst.Call) -> cst.Call | None:
        """The strict parser of the same input whose failure leads here: in the try around the handler, or before it."""
        tree = self.facts.tree
        function = tree.function_of(call)
        if function is None:
            return None
        flow = self.facts.flow_around(call)
        goals = {point.index for point in flow.points_of(call)}
        strict = [
            c
            for c in self.facts.summaries.calls_of(function)
            if c is not call and self.facts.match(c, "strict-parse") is not None
        ]
        for parse in strict:
            attempt = tree.enclosing(parse, cst.Try, cst.FunctionDef)
            if not isinstance(attempt, cst.Try) or not tree.within(parse, attempt.body) or not self._same_input(parse, call):
                continue
            handlers = [point for handler in attempt.handlers for point in flow.points_of(handler) if point.kind == "handler"]
            if any(tree.within(call, handler) for handler in attempt.handlers) or paths.find(
                handlers, lambda p: p.index in goals, raising=False
            ):
                return parse
        return None

    def _same_input(self, one: cst.Call, other: cst.Call) -> bool:
        if not one.args or not other.args:
            return False
        names = [{node.value for node in descendants(call.args[0].value) if isinstance(node, cst.Name)} for call in (one, other)]
        return bool(names[0] & names[1])

    def _unknown_tag(self, call: cst.Call) -> cst.CSTNode | None:
        """`if fmt == "json": ... else: pickle.loads(data)`: the last branch takes every tag that nobody knows."""
        for ancestor in self.facts.tree.ancestors(call):
            if isinstance(ancestor, cst.Else) and isinstance(above := self.facts.tree.parent(ancestor), cst.If):
                test = above.test
                if isinstance(test, cst.Comparison) and isinstance(test.comparisons[0].operator, cst.Equal):
                    tag = string(test.comparisons[0].comparator)
                    if (
                        tag is not None
                        and "pickle" not in tag
                        and named_like(last_name(test.left), *_FORMATS)
                        and self._reads_input(test.left)
                    ):
                        return test
                return None
            if isinstance(ancestor, (cst.FunctionDef, cst.Lambda)):
                return None
        return None

    def _reads_input(self, tag: cst.CSTNode) -> bool:
        """The tag comes with the data: an element, a header, a parameter; not an attribute of our own configuration."""
        own = ("self", "cls", "settings", "config", "conf", "options", "args")
        names = {
            node.value.lower()
            for origin in self.facts.origins.trail(tag)
            for node in descendants(origin.node)
            if isinstance(node, cst.Name)
        }
        return not names & set(own)

    def _tell(self, match: Match, strict: cst.Call) -> None:
        self.report(
            match.call,
            f"what the parser in line {self.facts.line(strict)} refuses goes to `{self.facts.code(match.call.func)}`, "
            f"which runs what its input says: "
            "a sender reaches it by sending something that does not parse",
            confidence=match.confidence,
            trace=[(strict, "refuses the input"), (match.call, "runs it")],
            fix=lambda: self._strict(match, strict),
        )

    def _strict(self, match: Match, strict: cst.Call) -> Fix:
        edits, imports = loaders.made_safe(self.facts, match)
        if edits:
            return Fix(Applicability.SUGGESTION, f"read it by `{match.row.get('safer')}`, which makes data only", edits, imports)
        words = f"let the failure of `{self.facts.code(strict.func)}` stand, and convert old values once with a migration"
        return Fix(Applicability.SUGGESTION, words, self._refusal(match.call, strict))

    def _tell_tag(self, match: Match, test: cst.CSTNode) -> None:
        self.report(
            match.call,
            f"every tag but those tested in line {self.facts.line(test)} leads to `{self.facts.code(match.call.func)}`, "
            f"which runs what its input says: "
            "a sender reaches it with a tag that nobody knows",
            confidence=Confidence.weakest(match.confidence, Confidence.MEDIUM),
            trace=[(test, "the tag that comes with the input is compared"), (match.call, "the rest is run")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                "raise for an unknown tag, and give the unsafe format a tag of its own that senders can't set",
                self._unknown(match.call, test),
            ),
        )

    def _refusal(self, call: cst.Call, strict: cst.Call) -> tuple[Edit, ...]:
        """The failure of the strict parser is let out where the lenient one was tried, or by the handler that leads there."""
        tree = self.facts.tree
        attempt = tree.enclosing(strict, cst.Try, cst.FunctionDef)
        handlers = attempt.handlers if isinstance(attempt, cst.Try) else ()
        inside = next((one for one in handlers if tree.within(call, one)), None)
        if inside is None:
            return let_out(self.facts, handlers[0]) if len(handlers) == 1 else ()
        second = tree.enclosing(call, cst.Try, cst.ExceptHandler)
        if isinstance(second, cst.Try) and second.handlers:
            return ()  # the second attempt has an answer of its own to failure
        return raised_instead(self.facts, call, "raise")

    def _unknown(self, call: cst.Call, test: cst.CSTNode) -> tuple[Edit, ...]:
        tag = source_of(self.facts, test.left) if isinstance(test, cst.Comparison) else None
        if tag is None or any(quote in tag for quote in ("'", '"', "{", "\n")):
            return raised_instead(self.facts, call, 'raise ValueError("the tag is unknown")')
        return raised_instead(self.facts, call, f'raise ValueError(f"{{{tag}!r}} is unknown")')
