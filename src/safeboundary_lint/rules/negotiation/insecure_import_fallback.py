"""SBL508: when a module can't be imported, something weaker takes its place."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from safeboundary_lint.core.edits import replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.knowledge import Row
from safeboundary_lint.core.names import Binding, dotted_text, last_name, parameters
from safeboundary_lint.core.paths import implied
from safeboundary_lint.core.refusals import raised_else, raised_from
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.shapes.negotiation import tries_import
from safeboundary_lint.core.tree import descendants

_IMPORT_ERRORS = ("builtins.ImportError", "builtins.ModuleNotFoundError", "builtins.Exception", "builtins.BaseException")


class InsecureImportFallback(Rule):
    """A missing module is replaced by something that does not protect.

    What it does
    ------------
    Finds `except ImportError` that replaces a hardened XML parser by the plain one, the system's random numbers by `random`,
    a token library by base64, encryption by plaintext, a constant-time comparison by `==`, and flags such as
    `HAS_CRYPTO = False` behind which a check is left out or its answer is yes.

    Why it matters
    --------------
    A dependency that is missing from one image, or fails to load after an upgrade, silently turns the protection off, and the
    service runs on as if nothing had happened.

    Example
    -------

        try:
            import defusedxml.ElementTree as ElementTree
        except ImportError:
            import xml.etree.ElementTree as ElementTree

        def titles(feed):
            return [item.text for item in ElementTree.fromstring(feed).iter("title")]

    Instead
    -------

        import defusedxml.ElementTree as ElementTree

        def titles(feed):
            return [item.text for item in ElementTree.fromstring(feed).iter("title")]

    Stays silent when
    -----------------
    The handler raises or exits; the second module is as strong (another implementation, a moved path, pure Python); the name
    becomes None and its use refuses.

    Fix safety
    ----------
    A suggestion: the dependency has to be declared, or the feature refused without it.

    Known limits
    ------------
    Wrappers of the project's own around such modules are not recognised.
    """

    code, name, since, severity = "SBL508", "insecure-import-fallback", "0.1", Severity.ERROR
    overlaps = ()
    whole = True  # the flag may be looked at anywhere
    needs = (("hardened-module",), (tries_import,))

    def visit_Try(self, node: cst.Try) -> None:
        hardened = next(self._hardened(node.body), None)
        if hardened is None:
            return
        dotted, row = hardened
        for handler in node.handlers:
            if set(self.facts.exceptions.classes(handler.type)) & set(_IMPORT_ERRORS) and not self._refuses(handler.body):
                self._check(node, handler, dotted, row)

    def _hardened(self, body: cst.CSTNode) -> Iterator[tuple[str, Row]]:
        """Imports of modules that protect: dotted name and row."""
        for node in descendants(body, into_definitions=False):
            if not isinstance(node, (cst.Import, cst.ImportFrom)) or isinstance(node.names, cst.ImportStar):
                continue
            for dotted in self._imported(node):
                for part in (dotted.partition(".")[0], dotted.rpartition(".")[2]):
                    for row in self.facts.knowledge.wild.get(part, ()):
                        if row.kind == "hardened-module":
                            yield dotted, row

    def _imported(self, node: cst.Import | cst.ImportFrom) -> list[str]:
        if isinstance(node.names, cst.ImportStar) or isinstance(node, cst.ImportFrom) and node.relative:
            return []
        module = f"{dotted_text(node.module)}." if isinstance(node, cst.ImportFrom) else ""
        return [f"{module}{dotted_text(alias.name)}" for alias in node.names]

    def _refuses(self, body: cst.CSTNode) -> bool:
        for node in descendants(body, into_definitions=False):
            if isinstance(node, cst.Raise) or isinstance(node, cst.Call) and self.facts.exceptions.never_returns(node):
                return True
        return False

    def _check(self, attempt: cst.Try, handler: cst.ExceptHandler, dotted: str, row: Row) -> None:
        for node in descendants(handler.body):
            if isinstance(node, (cst.Import, cst.ImportFrom)):
                weaker = next((name for name in self._imported(node) if name.partition(".")[0] in row.get("drop_in", ())), None)
                if weaker is not None and weaker != dotted and not any(self._hardened(handler.body)):
                    self._tell(node, attempt, dotted, row, f"`{weaker}`", Confidence.HIGH)
                    return
            elif isinstance(node, cst.FunctionDef) and node.name.value == dotted.rpartition(".")[2] and self._only_compares(node):
                self._tell(node, attempt, dotted, row, f"`{node.name.value}`, which compares byte by byte", Confidence.HIGH)
                return
            elif isinstance(node, cst.Return) and self._is_weak_answer(node, row, handler.body):
                self._tell(node, attempt, dotted, row, f"`{self.facts.code(node)}`", Confidence.HIGH)
                return
        self._check_flags(attempt, handler, dotted, row)

    def _only_compares(self, function: cst.FunctionDef) -> bool:
        returned = [origin for origin in self.facts.origins.returned(function) if isinstance(origin, cst.Comparison)]
        return any(isinstance(one.comparisons[0].operator, cst.Equal) for one in returned)

    def _is_weak_answer(self, answer: cst.Return, row: Row, block: cst.CSTNode) -> bool:
        """An answer that needs no key: yes, the input itself, or what a weaker module makes of it."""
        value = answer.value
        if value is None or self.facts.is_constant(value, None, False):
            return False
        if self.facts.is_constant(value, True):
            return True
        function = self.facts.tree.function_of(answer)
        own = {parameter.name.value for parameter in parameters(function)} if function is not None else set()
        if isinstance(value, cst.Name) and value.value in own:
            return True
        calls = [node for node in descendants(block, into_definitions=False) if isinstance(node, cst.Call)]
        return any(module in row.get("weaker", ()) for call in calls for module in self._modules_of(call))

    def _modules_of(self, call: cst.Call) -> Iterator[str]:
        """The module a call asks, or those that a helper of this file asks for it."""
        helper = self.facts.types.callee(call)
        asked = [call] if helper is None else self.facts.summaries.calls_of(helper)
        dotted = (self.facts.names.qualified(one.func) for one in asked)
        yield from (text.partition(".")[0] for text in dotted if text)

    # -- flags ---------------------------------------------------------------------------------------------------------

    def _check_flags(self, attempt: cst.Try, handler: cst.ExceptHandler, dotted: str, row: Row) -> None:
        """`HAS_CRYPTO = False`, `Fernet = None`: what is done where the flag says no."""
        assigned = [node for node in descendants(handler.body, into_definitions=False) if isinstance(node, cst.Assign)]
        missing = [node.targets[0].target for node in assigned if self.facts.is_constant(node.value, False, None)]
        names = {target.value for target in missing if isinstance(target, cst.Name)}
        if not names:
            return
        for test in self.facts.tree.all(cst.If):
            block = self._block_without(test, names)
            if block is not None and not self._refuses(block):
                answer = next(
                    (
                        n
                        for n in descendants(block, into_definitions=False)
                        if isinstance(n, cst.Return) and self._is_weak_answer(n, row, block)
                    ),
                    None,
                )
                if answer is not None:
                    self._tell(answer, attempt, dotted, row, f"`{self.facts.code(answer)}`", Confidence.MEDIUM)
            elif block is None and test.orelse is None and self._guards_check(test, names):
                self._tell(test, attempt, dotted, row, "no check at all", Confidence.MEDIUM)

    def _block_without(self, test: cst.If, names: set[str]) -> cst.CSTNode | None:
        """The block that runs when the module is missing."""
        if self._says(test.test, True, names) is False:
            return test.body
        if isinstance(test.orelse, cst.Else) and self._says(test.test, True, names) is True:
            return test.orelse.body
        return None

    def _says(self, test: cst.CSTNode, outcome: bool, names: set[str]) -> bool | None:
        """Is the module there when the test goes this way?"""
        for part, truth in implied(test, outcome):
            if isinstance(part, cst.Name) and part.value in names and self._is_flag(part):
                return truth
            if (
                isinstance(part, cst.Comparison)
                and isinstance(part.left, cst.Name)
                and part.left.value in names
                and self._is_flag(part.left)
            ):
                missing = self.facts.is_constant(part.comparisons[0].comparator, None, False)
                same = isinstance(part.comparisons[0].operator, (cst.Is, cst.Equal))
                return truth is not (missing and same)
        return None

    def _is_flag(self, name: cst.Name) -> bool:
        found = self.facts.names.lookup(name)
        return (
            found is not None
            and found[0] is self.facts.names.module_scope
            and all(b.how != "parameter" for b in self._bindings(name))
        )

    def _bindings(self, name: cst.Name) -> list[Binding]:
        found = self.facts.names.lookup(name)
        return found[1] if found is not None else []

    def _guards_check(self, test: cst.If, names: set[str]) -> bool:
        """`if HAS_NACL: verify(...)`, with nothing where it is missing, inside a function that goes on."""
        if self._says(test.test, True, names) is not True or self.facts.tree.function_of(test) is None:
            return False
        leaves = any(isinstance(node, cst.Return) for node in descendants(test.body, into_definitions=False))
        calls = [node for node in descendants(test.body, into_definitions=False) if isinstance(node, cst.Call)]
        return not leaves and any(named_like(last_name(call.func), "*verif*", "*check_sig*", "*authenticat*") for call in calls)

    def _tell(self, node: cst.CSTNode, attempt: cst.Try, dotted: str, row: Row, instead: str, confidence: Confidence) -> None:
        self.report(
            node,
            f"when `{dotted}` can't be imported, {instead} takes its place: the service runs on without "
            f"{row.get('protects')}, and nobody is told",
            confidence=confidence,
            trace=[(attempt, f"`{dotted}` is imported if it is there"), (node, "this is done where it is not")],
            fix=lambda: Fix(
                Applicability.SUGGESTION,
                f"make `{dotted}` a dependency, or raise where it is missing",
                self._required(node, attempt, dotted),
            ),
        )

    def _required(self, node: cst.CSTNode, attempt: cst.Try, dotted: str) -> tuple[Edit, ...]:
        """The import alone where nothing is said in between; else an error that names what is missing."""
        missing = f'raise RuntimeError("{dotted} is not installed")'
        if isinstance(node, cst.If):
            return raised_else(self.facts, node, node.test, missing)
        text, line = source_of(self.facts, attempt), attempt.body.body[-1]
        plain = attempt.orelse is None and attempt.finalbody is None and len(attempt.handlers) == 1 and "#" not in text
        if plain and len(attempt.body.body) == 1 and isinstance(line, cst.SimpleStatementLine) and isinstance(node, cst.Import):
            return (replaced(self.facts, attempt, source_of(self.facts, line.body[0])),)
        inside = self.facts.tree.enclosing(node, cst.ExceptHandler, cst.FunctionDef, cst.Lambda)
        return raised_from(self.facts, node, "raise" if isinstance(inside, cst.ExceptHandler) else missing)
