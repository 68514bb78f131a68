"""SBL405: data of the boundary reaches a parser that runs or expands what it says."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core import loaders
from safeboundary_lint.core.boundary import PARAMETER, PEER, SHARED, Source
from safeboundary_lint.core.calls import argument, string, unpacks
from safeboundary_lint.core.edits import argument_added, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.matching import Match
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.urls import CALLER, CHOSEN

_FILES = ("*stdout*", "*output*", "*path*", "*file*", "fname", "*dir*", "fn", "fp", "f", "fd", "fh", "source", "src")
_PRINTED = ("*stdout*", "*output*", "*path*", "*filename*", "fname", "*dir*", "fn", "fp", "f", "fd", "fh", "source", "src")
_INTAKE = ("*pars*", "*import*", "*upload*", "*ingest*", "*intake*")
_WRAPPING = (
    "BytesIO", "StringIO", "InputSource", "bytes", "str", "smart_str", "smart_bytes", "force_str", "force_bytes", "cast", "b64decode",
)  # fmt: skip
_ASKING = ("get", "post", "put", "request*")
_WHO_ASKS = ("headers", "auth", "cert")
_STEPS = 20
_MEANT = Regex(r"\b(noqa|nosec)\b.*\b(by design|on purpose|intended|intentional)", re.IGNORECASE)
_CALLABLE = Regex(r"\w+(\.\w+)+")


_TAUGHT = ("add_constructor", "add_multi_constructor", "add_implicit_resolver", "add_path_resolver", "YAMLObject")  # anywhere in a file


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
    Safe for YAML by a loader that makes data only (`FullLoader`, or none given) in a file that teaches it no tags of its own: it
    becomes `yaml.safe_load`, plain documents give the same, and only those that ask for a Python type by a tag are refused, which
    is the defect. Unsafe for the other loaders of YAML, whose honest senders may write Python objects, and for lxml, whose
    entities stay unexpanded then. Otherwise a suggestion: the sender has to change its format, or a library is added.

    Known limits
    ------------
    Values from other files are not followed; XML that a call of another file gives has low confidence, and so have the answers of
    services that the program has chosen: at a constant address, to a request with credentials or headers, or handed in as a
    response. So has code that is run by design, as the comment that answers another linter in its line says. Newer versions of
    expat limit how far entities expand, but not to nothing. `torch.load` without `weights_only`, which is safe since torch 2.6, has
    low confidence.
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
    needs = (("unsafe-load", "entity-parser", *(f"={taught}" for taught in _TAUGHT)),)
    fixable = Applicability.SAFE

    def visit_Module(self, node: cst.Module) -> None:
        for match in self.facts.calls("unsafe-load"):
            if not loaders.is_safe(self.facts, match):
                self._check_load(match)
        for match in self.facts.calls("entity-parser"):
            self._check_entities(match)

    def _check_load(self, match: Match) -> None:
        if (source := self._source(match)) is None:
            return
        if source.writer == PEER:
            doubtful = self._is_meant(match.call) or match.row.get("guarded") and loaders.given(match) is None
            confidence = Confidence.LOW if doubtful else Confidence.weakest(match.confidence, source.confidence)
            self._tell(match, source, "runs whatever code its sender put into it", confidence, None)
        elif source.writer == SHARED:
            self._tell(match, source, "runs whatever code a writer of that store put into it", Confidence.LOW, Severity.INFO)

    def _is_meant(self, call: cst.Call) -> bool:
        """`eval(code)  # noqa: S307 - runs code by design`: another linter has asked, and the answer is written down."""
        line = self.facts.tree.parent(self.facts.tree.statement_of(call))
        comment = line.trailing_whitespace.comment if isinstance(line, cst.SimpleStatementLine) else None
        return comment is not None and _MEANT.search(comment.value) is not None

    def _check_entities(self, match: Match) -> None:
        parser = match.row.parameter("parser")
        given = argument(match.call, parser) if parser is not None else None
        expanding = self._expanding(given) if given is not None else None
        if given is not None and expanding is None or (source := self._source(match)) is None:
            return
        if self._is_refused_with_entities(match):
            return
        if source.writer == PEER:
            confidence = Confidence.LOW if self._is_own_service(source.node) else source.confidence
        elif source.writer == PARAMETER and (expanding or not match.row.get("seen")) and not self._is_own_file(source):
            confidence = Confidence.MEDIUM if self._is_handed_in(match) else Confidence.LOW
        else:
            return
        self._tell(
            match,
            source,
            "expands the entities it declares, to gigabytes if it wants",
            Confidence.weakest(match.confidence, confidence),
            Severity.WARNING,
            expanding,
        )

    def _is_refused_with_entities(self, match: Match) -> bool:
        """The same text goes through a check before that is named after what declares entities: `reject_dtd(body)`."""
        data, function = match.row.parameter("data"), self.facts.tree.function_of(match.call)
        value = argument(match.call, data) if data is not None else None
        place = self.facts.origins.place(value) if value is not None else None
        if place is None or function is None:
            return False
        checks = (one for one in self.facts.summaries.calls_of(function) if named_like(last_name(one.func), "*dtd*", "*doctype*", "*entit*"))
        return any(self.facts.origins.place(arg.value) == place for one in checks for arg in one.args)

    def _expanding(self, parser: cst.BaseExpression) -> cst.Call | None:
        """Where the parser is made that a call is given, if it is one that expands entities: `XMLParser(recover=True)`."""
        for origin in self.facts.origins.trail(parser):
            made = self.facts.match(origin.node, "xml-parser") if isinstance(origin.node, cst.Call) else None
            if made is not None and (switch := made.row.parameter("switch")) is not None:
                return made.call if argument(made.call, switch) is None and not unpacks(made.call) else None
        return None

    def _is_own_file(self, source: Source) -> bool:
        """A file of this host, by its name; what a parser of reports is handed as a file is somebody's upload."""
        if not isinstance(source.node, cst.Param) or not self.facts.boundary.names_file(source, *_FILES):
            return False
        function = self.facts.tree.enclosing(source.node, cst.FunctionDef, cst.Lambda)
        intake = isinstance(function, cst.FunctionDef) and named_like(function.name.value, *_INTAKE)
        return not (intake and named_like(source.node.name.value, "*_file", "*_upload", "*_report"))

    def _is_handed_in(self, match: Match) -> bool:
        """The text is a parameter or comes out of one, and isn't what a call gave that was told something by one."""
        parameter = match.row.parameter("data")
        value = argument(match.call, parameter) if parameter is not None else None
        queue: list[cst.CSTNode] = [value] if value is not None else []
        for node in queue:  # grows while it is walked
            for origin in self.facts.origins.trail(node):
                if isinstance(origin.node, cst.Param) and origin.node.name.value not in ("self", "cls"):
                    return not self._is_passed_own(origin.node)
                if isinstance(origin.node, cst.Call) and len(queue) < _STEPS:
                    func = origin.node.func
                    queue += [arg.value for arg in origin.node.args] if last_name(func) in _WRAPPING else []
                    queue += [func.value] if isinstance(func, cst.Attribute) and self.facts.names.qualified(func) is None else []
        return False

    def _is_passed_own(self, parameter: cst.Param) -> bool:
        """All callers of this file pass what a tool printed, or the answer of a service that this program has chosen."""
        values = self.facts.origins.passed(parameter)
        return bool(values) and all(named_like(last_name(one), *_PRINTED) or self._is_own_service(one) for one in values)

    def _is_own_service(self, content: cst.CSTNode) -> bool:
        """The answer to a request that says who asks, or to one at a constant address; or a response that was handed in."""
        node = content.func if isinstance(content, cst.Call) else content
        if not isinstance(node, cst.Attribute):
            return False
        origins = [origin.node for origin in self.facts.origins.trail(node.value, callers=True)]
        if any(isinstance(one, cst.Param) and self._is_response(one) for one in origins):
            return True
        asked = [one for one in origins if isinstance(one, cst.Call) and named_like(last_name(one.func), *_ASKING)]
        return bool(asked) and all(self._says_who_asks(call) or self._asks_constant(call) for call in asked)

    def _says_who_asks(self, call: cst.Call) -> bool:
        match = self.facts.match(call, "fetch")
        url = argument(call, match.row.parameter("url")) if match is not None and match.row.parameter("url") else None
        chosen = url is None or self.facts.urls.chooser(url) in (CALLER, CHOSEN)
        return not chosen and any(arg.keyword is not None and arg.keyword.value in _WHO_ASKS for arg in call.args)

    def _asks_constant(self, call: cst.Call) -> bool:
        url = call.args[0].value if call.args else None
        constant = string(url) is not None or isinstance(url, cst.Name) and url.value.isupper()
        return constant and self.facts.urls.looks_like_one(url)

    def _is_response(self, parameter: cst.Param) -> bool:
        """Somebody else's request was answered, and this only reads the answer: `answer: httpx.Response`."""
        return parameter.annotation is not None and (last_name(parameter.annotation.annotation) or "").endswith("Response")

    def _source(self, match: Match) -> Source | None:
        data = match.row.parameter("data")
        if data is None:
            return Source(PEER, match.call, match.confidence)  # receives and parses in one
        value = argument(match.call, data)
        return self.facts.boundary.source(value) if value is not None else None

    def _tell(
        self, match: Match, source: Source, harm: str, confidence: Confidence, severity: Severity | None, parser: cst.Call | None = None
    ) -> None:
        self.report(
            parser or match.call,
            f"`{self.facts.code(match.call)}` is given `{self.facts.code(source.node)}` (line "
            f"{self.facts.line(source.node)}) and {harm}",
            confidence=confidence,
            severity=severity,
            trace=[(source.node, f"written by somebody else: `{self.facts.code(source.node)}`"), (match.call, "parsed here")],
            fix=lambda: self._fix(match) if parser is None else self._hardened(parser),
        )

    def _hardened(self, parser: cst.Call) -> Fix:
        made = self.facts.match(parser, "xml-parser")
        switch = made.row.parameter("switch") if made is not None else None
        text = f"{switch.name if switch is not None else ''}=False"
        added = argument_added(self.facts, parser, text)
        return Fix(Applicability.UNSAFE, f"pass `{text}`", (added,)) if added is not None else Fix(Applicability.SUGGESTION, f"pass `{text}`")

    def _fix(self, match: Match) -> Fix:
        """The same format by a parser that makes data only, or another format, which the sender has to write too."""
        call, func = match.call, match.call.func
        called, name = self.facts.code(func), match.dotted.rpartition(".")[2]
        safer = match.row.get("safer", "a format that holds data only").format(name=name)
        if (hardened := match.row.get("hardened")) is not None and isinstance(func, cst.Attribute):
            text = hardened.format(module=source_of(self.facts, func.value))
            if loaders.given(match) is None and (added := argument_added(self.facts, call, text)) is not None:
                return Fix(Applicability.UNSAFE, f"pass `{text}`", (added,))
        edits, imports = loaders.made_safe(self.facts, match)
        if edits:
            level = Applicability.SAFE if loaders.makes_data_only(self.facts, match) else Applicability.UNSAFE
            return Fix(level, f"parse by `{safer}`", edits, imports)
        if not _CALLABLE.fullmatch(safer) or match.row.get("keeps") or len(call.args) != 1:
            return Fix(Applicability.SUGGESTION, f"parse by {safer} instead of `{called}`")
        words = f"parse by `{safer}` instead of `{called}`"
        words += "" if match.row.kind == "entity-parser" else ", and let the sender write what that reads"
        return Fix(Applicability.SUGGESTION, words, (replaced(self.facts, func, safer),), (f"import {safer.rpartition('.')[0]}",))
