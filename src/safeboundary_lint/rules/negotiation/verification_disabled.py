"""SBL502: a TLS peer's certificate or host name is not checked."""

from __future__ import annotations

import re

import libcst as cst

from safeboundary_lint.core.calls import argument, string
from safeboundary_lint.core.commands import option_texts, without_option
from safeboundary_lint.core.edits import argument_added, argument_removed, replaced, source_of
from safeboundary_lint.core.finding import Applicability, Confidence, Edit, Fix, Severity
from safeboundary_lint.core.globs import named_like
from safeboundary_lint.core.names import last_name
from safeboundary_lint.core.regex import Regex
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.tree import descendants
from safeboundary_lint.core.weakening import HOSTNAME, Weakening

_FACTORIES = ("*session*", "*client*", "*connector*", "*transport*", "*adapter*")
_PEER = Regex(r"url|uri|host|addr|endpoint|server|domain|(^|_)ip(_|$)", re.IGNORECASE)
_VERBS = ("get", "post", "put", "patch", "delete", "head", "request*", "stream", "send", "fetch", "ws_connect")


class VerificationDisabled(Rule):
    """The certificate or the host name of a TLS peer is not checked, so that whoever sits on the network can be the peer.

    What it does
    ------------
    Finds verification switched off: `verify=False`, `CERT_NONE`, `check_hostname = False`, unverified contexts, as arguments,
    attributes, defaults and dict entries; `SSLContext` of no client's protocol that a client uses as it is; mail clients whose `starttls()` or `SMTP_SSL` checks nothing without a context;
    options of LDAP and curl bindings; command-line options such as `--tls-verify=false`.

    Why it matters
    --------------
    TLS without verification protects against listening only when nobody does more than listen. Anyone on the path answers with a
    certificate of his own and reads and changes everything: passwords, tokens, payloads.

    Example
    -------

        import smtplib

        def send(message, user, password):
            with smtplib.SMTP("mail.example.org", 587) as server:
                server.starttls()
                server.login(user, password)
                server.send_message(message)

    Instead
    -------

        import smtplib
        import ssl

        def send(message, user, password):
            with smtplib.SMTP("mail.example.org", 587) as server:
                server.starttls(context=ssl.create_default_context())
                server.login(user, password)
                server.send_message(message)

    Stays silent when
    -----------------
    An explicit option, off by default, asks for it; the context is set back to `CERT_REQUIRED` (with a private authority the host
    name may stay unchecked); the code compares a fingerprint or reads the peer's certificate itself; the context belongs to a
    server; the peer is this machine.

    Fix safety
    ----------
    Unsafe: peers with self-signed certificates are refused afterwards, which is the point. The argument or the option is removed,
    the value set to the checking one, the context added. A suggestion where more has to be decided: which authority to trust,
    what a callback refuses; and for defaults, on which code and users elsewhere rely.

    Known limits
    ------------
    A value that is read from a configuration is the operator's decision and is not reported, whatever its default elsewhere. Of
    low confidence is what leaves open who the peer is: a function of the project that makes a session, called with
    `verify_ssl=False` and no address (an appliance with a certificate of its own making, or a public service?), and a constant
    `DEFAULT_VERIFY_SSL = False` that no connection in this file uses. So is what a class of test cases does.
    """

    code, name, since, severity = "SBL502", "verification-disabled", "0.1", Severity.ERROR
    overlaps = ("ruff:S501", "ruff:S323", "bandit:B501", "bandit:B323")
    needs = (
        (
            "verify-option",
            "verify-switch=",
            "verify-off",
            "verify-setting",
            "unverified-context",
            "tls-context",
            "starttls",
            "implicit-tls",
            "insecure-option",
            "verify-callback",
            "~verify=False",
        ),
        ("%verif|ssl|tls|cert|secur|hostname|trust|strict|proxy|check",),
    )
    fixable = Applicability.UNSAFE

    def visit_Module(self, node: cst.Module) -> None:
        for one in (*self.facts.security.unverified, *option_texts(self.facts, "insecure-option")):
            if not self.facts.consent.given(one.value or one.node) and not self.facts.downgrades.holds(one.node):
                self._tell(one)
        told = {id(one.node) for one in self.facts.security.unverified}
        for match in self.facts.calls("verify-callback"):
            callback = argument(match.call, match.row.parameter("callback") or "")
            if (
                callback is not None
                and id(match.call) not in told
                and self._always_yes(callback)
                and not self.facts.consent.given(match.call)
            ):
                self._tell_callback(match.call, callback)

    def _always_yes(self, callback: cst.BaseExpression) -> bool:
        definition = self.facts.types.definition(callback)
        if definition is None or isinstance(definition, cst.ClassDef):
            return False
        answers = self.facts.origins.returned(definition)
        return bool(answers) and all(self.facts.is_constant(answer, True, 1) for answer in answers)

    def _tell_callback(self, call: cst.Call, callback: cst.BaseExpression) -> None:
        self.report(
            call,
            f"`{self.facts.code(callback)}` accepts every certificate, whatever the library found wrong with it: anyone "
            f"on the network path can pose as the peer",
            fix=lambda: self._honest_fix(callback),
        )

    def _honest_fix(self, callback: cst.BaseExpression) -> Fix:
        """The callback answers what the library found, which is its last argument."""
        words = "answer what the library found (the last argument of the callback), or leave the callback out"
        edits = self._honest(callback)
        return Fix(Applicability.UNSAFE if edits else Applicability.SUGGESTION, words, edits)

    def _honest(self, callback: cst.BaseExpression) -> tuple[Edit, ...]:
        definition = self.facts.types.definition(callback)
        if definition is None or isinstance(definition, cst.ClassDef):
            return ()
        params = definition.params
        if isinstance(params.star_arg, cst.Param):
            found = f"bool({params.star_arg.name.value}[-1])"
        elif params.params:
            found = f"bool({params.params[-1].name.value})"
        else:
            return ()
        return tuple(replaced(self.facts, answer, found) for answer in self.facts.origins.returned(definition))

    def _tell(self, one: Weakening) -> None:
        what = "the peer's host name" if one.checks == HOSTNAME else "the peer's certificate"
        default = " by default" if one.form in ("default", "variable") else ""
        self.report(
            one.node,
            f"`{one.text}` leaves {what} unchecked{default}: anyone on the network path can pose as the peer and read "
            f"and change what is sent",
            confidence=self._confidence(one),
            severity=(
                Severity.WARNING
                if one.form in ("default", "variable", "entry", "option") or one.checks == HOSTNAME
                else Severity.ERROR
            ),
            trace=[(other.node, f"and `{other.text}` here") for other in one.others],
            fix=lambda: self._fix(one),
        )

    def _confidence(self, one: Weakening) -> Confidence:
        if self._is_for_anybody(one) or self._is_only_offered(one) or self._is_in_test(one.node):
            return Confidence.LOW
        if one.form in ("default", "variable", "entry", "option"):
            return Confidence.weakest(one.confidence, Confidence.MEDIUM)
        return one.confidence

    def _is_in_test(self, node: cst.CSTNode) -> bool:
        """A class of test cases asks a server that it has started itself."""
        cls = self.facts.tree.class_of(node)
        names = [] if cls is None else [cls.name.value, *(last_name(base.value) for base in cls.bases)]
        return any((name or "").endswith("TestCase") for name in names)

    def _is_for_anybody(self, one: Weakening) -> bool:
        """A session made by a function of the project: neither its arguments nor a request made with it here name the peer."""
        name = last_name(one.call.func) if one.call is not None else None
        if one.call is None or one.form != "argument" or one.row is None or one.row.kind != "verify-switch":
            return False
        if name is None or not name.islower() or not named_like(name, *_FACTORIES):
            return False
        words = (word for arg in one.call.args if arg is not one.node for word in self._words(arg))
        return not any(_PEER.search(word) for word in words) and not self._asks(one.call)

    def _words(self, arg: cst.Arg) -> list[str]:
        names = [last_name(node) for node in descendants(arg) if isinstance(node, (cst.Name, cst.Attribute))]
        return [word for word in (*names, *(string(node) for node in descendants(arg))) if word is not None]

    def _asks(self, call: cst.Call) -> bool:
        """`session = make_session(...)`, and `session.get(url)` in the same function."""
        tree, above = self.facts.tree, self.facts.tree.parent(call)
        above = tree.parent(above) if isinstance(above, cst.Await) else above
        bound: cst.CSTNode | None = None
        if isinstance(above, cst.Assign):
            bound = above.targets[0].target
        elif isinstance(above, cst.AnnAssign):
            bound = above.target
        elif isinstance(above, cst.WithItem) and above.asname is not None:
            bound = above.asname.name
        place = self.facts.origins.place(bound) if bound is not None else None
        return place is not None and any(
            isinstance(other.func, cst.Attribute)
            and named_like(other.func.attr.value, *_VERBS)
            and self.facts.origins.place(other.func.value) == place
            for other in self.facts.summaries.calls_of(tree.function_of(call) or tree.module)
        )

    def _is_only_offered(self, one: Weakening) -> bool:
        """The default of an option that an operator sees, whose value is used elsewhere."""
        name = last_name(one.node) if one.form == "variable" else None
        if name is None or not name.startswith("DEFAULT_"):
            return False
        uses = (node for node in self.facts.tree.all(cst.Name) if node.value == name and node is not one.node)
        return not any(self._connects(self.facts.tree.parent(use)) for use in uses)

    def _connects(self, above: cst.CSTNode | None) -> bool:
        if isinstance(above, cst.Param):
            return True
        keyword = above.keyword.value if isinstance(above, cst.Arg) and above.keyword is not None else None
        return keyword is not None and (keyword in ("verify", "ssl") or self.facts.security.is_switch("verify-switch", keyword))

    def _fix(self, one: Weakening) -> Fix:
        edits: list[Edit] = []
        for part in (one, *one.others):
            if (edit := self._edit(part)) is None:
                return Fix(Applicability.SUGGESTION, self._advice(one), self._proposed(one))
            edits.append(edit)
        imports = ("import ssl",) if one.form == "missing" else ()
        # Who relies on the default stands in other files.
        offered = one.form == "default" or (one.form == "variable" and (last_name(one.node) or "").startswith("DEFAULT_"))
        level = Applicability.SUGGESTION if offered else Applicability.UNSAFE
        return Fix(level, self._advice(one), tuple(edits), imports)

    def _edit(self, one: Weakening) -> Edit | None:
        if one.row is not None and one.row.kind == "tls-context":
            return None  # which authority to trust, and whether old protocols are needed, is for the author to say
        if one.call is not None and any(isinstance(arg.value, cst.Lambda) for arg in one.call.args):
            return None  # a callback that decides as well
        if isinstance(one.value, cst.Attribute) and (known := self.facts.match(one.value, "verify-off")) is not None:
            return replaced(self.facts, one.value.attr, known.row.get("safe").rpartition(".")[2])
        if one.form == "argument" and one.call is not None and isinstance(one.node, cst.Arg):
            return argument_removed(self.facts, one.call, one.node)
        if one.form == "option":
            return without_option(self.facts, one.node, one.text)
        if isinstance(one.value, cst.Attribute) and one.safe and one.form == "context":
            return replaced(self.facts, one.value.attr, one.safe.rpartition(".")[2])
        literal = one.form == "attribute" or isinstance(one.value, (cst.Name, cst.Integer, cst.SimpleString))
        if literal and one.safe and isinstance(one.value, cst.BaseExpression):
            return replaced(self.facts, one.value, one.safe)
        row = one.row if one.form == "missing" and one.value is None else None
        context = row.parameter("context") if row is not None else None
        if context is not None and one.call is not None and self._ssl_is_free(one.call):
            return argument_added(self.facts, one.call, f"{context.name}=ssl.create_default_context()")
        return None

    def _proposed(self, one: Weakening) -> tuple[Edit, ...]:
        """What can be shown where more has to be decided: the authority to trust, what a callback answers."""
        if one.call is None or one.others:
            return ()
        if isinstance(one.value, cst.Attribute) and (known := self.facts.match(one.value, "verify-off")) is not None:
            callbacks = [arg.value for arg in one.call.args if isinstance(arg.value, cst.Lambda)]
            checking = replaced(self.facts, one.value.attr, known.row.get("safe").rpartition(".")[2])
            return (checking, *(edit for callback in callbacks for edit in self._honest(callback)))
        option = one.row.parameter("option") if one.form == "missing" and one.row is not None else None
        if option is not None and one.safe and isinstance(one.call.func, cst.Attribute):
            text = f"{option.name}={source_of(self.facts, one.call.func.value)}.{one.safe}"
            added = argument_added(self.facts, one.call, text)
            return (added,) if added is not None else ()
        return ()

    def _ssl_is_free(self, call: cst.Call) -> bool:
        """`ssl` means the module, or nothing yet, where the call stands."""
        found = self.facts.names.lookup_in(self.facts.names.scope_of(call), "ssl")
        return found is None or all(binding.how == "import" and binding.dotted == "ssl" for binding in found[1])

    def _advice(self, one: Weakening) -> str:
        if one.form == "missing" and one.row is not None and (context := one.row.parameter("context")) is not None:
            return f"pass `{context.name}=ssl.create_default_context()`"
        if one.form == "missing":
            return f"pass a value for it that checks the certificate, such as `ssl.CERT_REQUIRED`, instead of `{one.text}`"
        if one.form == "option":
            return f"leave `{one.text}` out and give the tool the certificate authority to trust"
        if one.form == "context":
            return f"make the context with `{one.safe}` and load your own authority into it where the peer has a private one"
        if one.safe:
            return f"use `{one.safe}` in `{one.text}`, and trust a private authority by its certificate file"
        return f"remove `{one.text}`, and trust a private authority by its certificate file"
