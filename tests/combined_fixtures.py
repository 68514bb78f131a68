"""Fixtures that can be fixed, several in one module: moved into functions and classes, their imports merged and renamed."""

from __future__ import annotations

import ast
import functools
import io
import random
import re
import tokenize
from collections import Counter
from dataclasses import dataclass

import libcst as cst
from fixture_files import Fixture, fixtures

from safeboundary_lint.analyse import Options, analyse
from safeboundary_lint.core.finding import Confidence, FileReport, Problem
from safeboundary_lint.fixes import fix_file

PLACES = ("top", "function", "class", "method", "branch")
NAMINGS = ("as it is", "alias", "from")
DRESSES = ("plain", "crlf", "tabs", "no last line end", "mark", "crlf and tabs")

# A fix that brings a finding is not made. These bring one by right: behind the acknowledged message there now is a publishing
# that nobody confirms, and a proof that is compared as a proof should be is one that may be left out.
REVEALED = {("SBL301", "SBL304"), ("SBL512", "SBL511")}
_REFUSED = re.compile(
    r"the fix of (SBL\d+) was not applied: it (?:would leave or bring (SBL\d+)|needs .* means something else .*);"
)


@dataclass(frozen=True)
class Part:
    """One fixture, where its definitions go and how they name what they import."""

    fixture: Fixture
    place: str
    naming: str


@functools.cache
def fixable() -> tuple[Fixture, ...]:
    """The fixtures with a fixed text beside them."""
    return tuple(fixture for fixture in fixtures() if fixture.golden.exists())


def drawn(plan: random.Random) -> tuple[tuple[Part, ...], str]:
    """Some parts and a dress, for runs without a limit."""
    chosen = plan.sample(fixable(), plan.randint(1, 4))
    return tuple(Part(fixture, plan.choice(PLACES), plan.choice(NAMINGS)) for fixture in chosen), plan.choice(DRESSES)


def combined(parts: tuple[Part, ...], dress: str) -> bytes:
    """One module of all the parts."""
    imports: dict[str, None] = {}  # an ordered set
    bodies = []
    for number, part in enumerate(parts):
        statements, body = _taken_apart(part)
        imports.update(dict.fromkeys(statements))
        bodies.append(_placed(body, part.place, number))
    ordered = sorted(imports, key=lambda line: (not line.startswith("from __future__"), line.startswith("from"), line))
    return _dressed('"""Several services in one."""\n\n' + "\n".join(ordered) + "\n\n\n" + "\n\n".join(bodies), dress)


def _taken_apart(part: Part) -> tuple[list[str], str]:
    """The imports at the head of a fixture, one a line, and all the rest."""
    module = cst.parse_module(part.fixture.text)
    naming = _Naming(module, part.naming)
    statements, rest = [], []
    for statement in module.body:
        if isinstance(statement, cst.SimpleStatementLine) and all(map(naming.is_import, statement.body)):
            for small in statement.body:
                statements += naming.imports(small)  # type: ignore[arg-type]
        else:
            rest.append(statement)
    # The comments above the first statement belong to the module in LibCST.
    comments = [line for line in module.header if line.comment is not None]
    body = module.with_changes(header=comments, body=rest)
    return statements, body.visit(naming).code.strip("\n") + "\n"


class _Naming(cst.CSTTransformer):
    """Gives what is imported other names: `import time as time_module`, `from time import time as time_time`."""

    def __init__(self, module: cst.Module, naming: str) -> None:
        self.naming = naming
        tree = ast.parse(module.code)
        nodes = list(ast.walk(tree))
        self.fixed_names = _bound_by_more_than_imports(tree)  # what means two things keeps its name
        self.uses = Counter(node.id for node in nodes if isinstance(node, ast.Name))
        self.members = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
        self.names: dict[str, str] = {}  # old -> new
        self.modules: set[str] = set()  # whose members are imported one by one

    @staticmethod
    def is_import(small: cst.BaseSmallStatement) -> bool:
        """True for an import of names."""
        named = isinstance(small, cst.ImportFrom) and not isinstance(small.names, cst.ImportStar)
        return named or isinstance(small, cst.Import)

    def imports(self, small: cst.Import | cst.ImportFrom) -> list[str]:
        """The statements that import the same under the names that are to be used."""
        [node] = ast.parse(cst.Module(body=[cst.SimpleStatementLine([small])]).code).body
        assert isinstance(node, (ast.Import, ast.ImportFrom))
        source = "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        return [line for alias in node.names for line in self._import(source, alias)]

    def _import(self, source: str, alias: ast.alias) -> list[str]:
        bound = alias.asname or alias.name
        head = f"from {source} import {alias.name}" if source else f"import {alias.name}"
        kept = [f"{head} as {alias.asname}" if alias.asname else head]
        if source == "__future__" or self.naming == "as it is" or "." in bound or bound in self.fixed_names:
            return kept
        if self.naming == "alias":
            self.names[bound] = f"{bound}_module" if not source else f"{bound}_here"
            return [f"{head} as {self.names[bound]}"]
        members = [node for node in self.members if node.value.id == bound]  # type: ignore[attr-defined]
        # `module.name = value`: nothing else can stand for that
        stored = any(not isinstance(node.ctx, ast.Load) for node in members)
        if source or not members or stored or len(members) != self.uses[bound] or "." in alias.name:
            return kept
        self.modules.add(bound)
        return [f"from {alias.name} import {member} as {bound}_{member}" for member in sorted({node.attr for node in members})]

    def visit_Arg_keyword(self, node: cst.Arg) -> None:
        """Keywords are names of somebody else's parameters."""

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        updated_node = updated_node.with_changes(attr=original_node.attr)
        value = original_node.value
        if isinstance(value, cst.Name) and value.value in self.modules:
            return cst.Name(f"{value.value}_{original_node.attr.value}", lpar=original_node.lpar, rpar=original_node.rpar)
        return updated_node

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return updated_node.with_changes(value=self.names.get(original_node.value, original_node.value))

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False


def _bound_by_more_than_imports(tree: ast.Module) -> set[str]:
    """The names that something else than an import at the head of a module gives a value."""
    names: set[str] = set()
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                names.update(node.names)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)) and node is not statement:
                names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    return names


def _placed(body: str, place: str, number: int) -> str:
    """The definitions where they are to stand."""
    if place == "top":
        return body
    if place == "method":
        return f"class Service{number}:\n    def run(self):\n{_indented(body, 2)}"
    head = {"function": f"def part{number}():", "class": f"class Part{number}:", "branch": "if True:"}[place]
    return f"{head}\n{_indented(body, 1)}"


def _indented(body: str, steps: int) -> str:
    """Deeper, but for the lines of strings."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(body)):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))):
            inside.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    lines = body.split("\n")
    kept = (not line or number in inside for number, line in enumerate(lines, start=1))
    return "\n".join(line if same else "    " * steps + line for line, same in zip(lines, kept, strict=True))


def _dressed(text: str, dress: str) -> bytes:
    """Bytes with other line ends, indentation, end or byte order mark."""
    if "tabs" in dress:
        text = re.sub(r"^(?: {4})+", lambda spaces: "\t" * (len(spaces[0]) // 4), text, flags=re.MULTILINE)
    if dress == "no last line end":
        text = text.rstrip("\n")
    if "crlf" in dress:
        text = text.replace("\n", "\r\n")
    return (b"\xef\xbb\xbf" if dress == "mark" else b"") + text.encode()


@functools.cache
def _options(codes: frozenset[str]) -> Options:
    return Options(codes, Confidence.LOW)


def applied(data: bytes, codes: frozenset[str]) -> Counter[str]:
    """How many fixes of which rule are made in a module."""
    outcome = fix_file("services.py", data, lambda source: analyse(source, "services.py", _options(codes)), unsafe=True)
    return Counter(finding.code for finding in outcome.applied)


def broken_promises(data: bytes, codes: frozenset[str]) -> list[str]:
    """What fixing a module, unsafe fixes too, does that it should not; `codes` are the rules that look at it."""

    @functools.cache
    def check(source: bytes) -> FileReport:
        return analyse(source, "services.py", _options(codes))

    before, outcome = check(data), fix_file("services.py", data, check, unsafe=True)
    new, after = outcome.new_source, outcome.report
    broken = [f"{problem.line}: {problem.message}" for problem in outcome.problems if not _is_right(problem)]
    broken += [str(problem) for problem in (*before.problems, *after.problems)]
    try:
        compile(new, "services.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return [*broken, f"{error.lineno}: does not compile: {error.msg}"]
    was, now = (Counter(finding.code for finding in report.findings) for report in (before, check(new)))
    if worse := now - (was - Counter(finding.code for finding in outcome.applied)):
        broken.append(f"findings are left or new: {worse}")
    if lost := _comments(data) - _comments(new):
        broken.append(f"comments are lost: {sorted(lost)}")
    if fix_file("services.py", new, check, unsafe=True).new_source != new:
        broken.append("fixing again changes more")
    return broken + _of_its_dress(data, new)


def _is_right(problem: Problem) -> bool:
    """True for a refusal with a good reason: the name it imports is taken, or it would reveal another defect."""
    refused = _REFUSED.match(problem.message)
    return refused is not None and (refused[2] is None or refused.groups() in REVEALED)


def _of_its_dress(data: bytes, new: bytes) -> list[str]:
    """What a fix wrote in another style than that of the file."""
    broken = []
    if new.startswith(b"\xef\xbb\xbf") != data.startswith(b"\xef\xbb\xbf"):
        broken.append("the byte order mark came or went")
    if new.endswith(b"\n") != data.endswith(b"\n"):
        broken.append("the last line end came or went")
    if b"\r\n" in data and new.count(b"\n") != new.count(b"\r\n"):
        broken.append("a line ends in another way than the others")
    if b"\n\t" in data:
        known = set(data.splitlines())
        broken += [f"indented by spaces: {line!r}" for line in new.splitlines() if line.startswith(b" ") and line not in known]
    return broken


def _comments(data: bytes) -> Counter[str]:
    tokens = tokenize.tokenize(io.BytesIO(data).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)
