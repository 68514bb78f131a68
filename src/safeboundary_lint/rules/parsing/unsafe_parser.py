"""SBL405: data of the boundary reaches a parser that runs or expands what it says."""

from __future__ import annotations

import libcst as cst

from safeboundary_lint.core.boundary import PARAMETER, PEER, SHARED, Source
from safeboundary_lint.core.calls import argument
from safeboundary_lint.core.edits import argument_removed, replaced
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.rule import Rule

_FILES = ("*stdout*", "*output*", "*path*", "*file*", "fname", "*dir*", "fn", "fp", "f", "fd", "fh", "source", "src")


class UnsafeParser(Rule):
    """Data of the boundary reaches a parser that runs what it says, or expands the entities it declares.

    What it does
    ------------
    Finds `pickle`, `marshal`, `eval`, `yaml.load` and the like on a value that is seen to come from a request, a response, a
    socket or a message, and XML parsers that expand entities on such a value or on text that is handed in.

    Why it matters
    --------------
    A pickle, an expression or a tagged YAML document runs any code its sender wants. Ten lines of nested XML entities
    expand to gigabytes.

    Example
    -------

        import pickle
        from flask import request

        def restore():
            return pickle.loads(request.data)

    Instead
    -------

        import json
        from flask import request

        def restore():
            return json.loads(request.data)

    Stays silent when
    -----------------
    The value is the program's own; nothing shows that it comes from the boundary (other linters report every use); a safe
    loader is given; the XML parser is defusedxml's, under any name.

    Fix safety
    ----------
    Unsafe for `yaml.load`, which becomes `yaml.safe_load`: documents with tags for Python objects are refused then. Otherwise a
    suggestion.

    Known limits
    ------------
    Values from other files are not followed. Newer versions of expat limit how far entities expand, but not to nothing.
    """

    code, name, since, severity = "SBL405", "unsafe-parser", "0.1", Severity.ERROR
    overlaps = (
        "ruff:S301",
        "ruff:S302",
        "ruff:S307",
        "ruff:S314",
        "ruff:S318",
        "ruff:S506",
        "bandit:B301",
        "bandit:B302",
        "bandit:B307",
        "bandit:B314",
        "bandit:B318",
        "bandit:B506",
    )
    needs = (("unsafe-load", "entity-parser"),)
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("unsafe-load"):
            loader = match.row.parameter("loader")
            given = argument(match.call, loader) if loader is not None else None
            if given is None or last_name(given) not in match.row.get("safe", ()):
                self._check_load(match)
        for match in self.facts.calls("entity-parser"):
            self._check_entities(match)

    def _check_load(self, match: Match) -> None:
        if (source := self._source(match)) is None:
            return
        if source.writer == PEER:
            self._tell(
                match,
                source,
                "runs whatever code its sender put into it",
                Confidence.weakest(match.confidence, source.confidence),
                None,
            )
        elif source.writer == SHARED:
            self._tell(match, source, "runs whatever code a writer of that store put into it", Confidence.LOW, Severity.INFO)

    def _check_entities(self, match: Match) -> None:
        parser = match.row.parameter("parser")
        if parser is not None and argument(match.call, parser) is not None:
            return
        if (source := self._source(match)) is None:
            return
        if source.writer == PEER:
            confidence = source.confidence
        elif source.writer == PARAMETER and not match.row.get("seen") and not self.facts.boundary.names_file(source, *_FILES):
            confidence = Confidence.MEDIUM
        else:
            return
        self._tell(
            match,
            source,
            "expands the entities it declares, to gigabytes if it wants",
            Confidence.weakest(match.confidence, confidence),
            Severity.WARNING,
        )

    def _source(self, match: Match) -> Source | None:
        data = match.row.parameter("data")
        if data is None:
            return Source(PEER, match.call, match.confidence)  # receives and parses in one
        value = argument(match.call, data)
        return self.facts.boundary.source(value) if value is not None else None

    def _tell(self, match: Match, source: Source, harm: str, confidence: Confidence, severity: Severity | None) -> None:
        self.report(
            match.call,
            f"`{self.facts.code(match.call)}` is given `{self.facts.code(source.node)}` (line "
            f"{self.facts.line(source.node)}) and {harm}",
            confidence=confidence,
            severity=severity,
            trace=[(source.node, f"written by somebody else: `{self.facts.code(source.node)}`"), (match.call, "parsed here")],
            fix=self._fix(match),
        )

    def _fix(self, match: Match) -> Fix:
        safer, called = match.row.get("safer", "a format that holds data only"), self.facts.code(match.call.func)
        func = match.call.func
        if (
            match.row.get("loader") is not None
            and isinstance(func, cst.Attribute)
            and func.attr.value == "load"
            and len(match.call.args) <= 2
        ):
            edits = [replaced(self.facts, func.attr, "safe_load")]
            if len(match.call.args) == 2:
                edits.append(argument_removed(self.facts, match.call, match.call.args[1]))
            return Fix(Applicability.UNSAFE, f"parse by `{safer}`", tuple(edits))
        return Fix(Applicability.SUGGESTION, f"parse by {safer} instead of `{called}`")
