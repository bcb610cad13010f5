"""Junos' operational words, as they stand in a runbook: one row for each, naming the handler that does it.

A handler is a command of `ikesim`; where an everyday spelling exists, it is the same handler. Words and keywords
may be shortened to any unique prefix, as in Junos.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ikesim.errors import ForbiddenError, IkesimError, UsageError

_NO_KEY = (
    "ikesim never imports a private key (KP-02): create the key here (ikesim pki key generate ID), send its request "
    "to the CA, load the certificate it returns"
)
_NO_ENROLMENT = (
    "enrolment over the network is not part of this version: take the request to the CA with "
    "ikesim pki request ID --subject DN, or mail it with --mail PROFILE, and load what it returns"
)


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword argument: what it becomes among the arguments of the handler, where "{}" is its value."""

    becomes: tuple[str, ...] = ()
    note: str = ""
    """Said on stderr: the value changes nothing here."""
    only: tuple[str, ...] = ()
    """The values that are accepted; others are refused with `refusal`."""
    refusal: str = ""
    """Why it is forbidden (with `only`: why another value is)."""
    has_value: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One operational command of Junos."""

    words: str
    handler: str = ""
    """module:attribute of the click command that does it."""
    everyday: str = ""
    """The same in everyday words, for documentation."""
    keywords: Mapping[str, Keyword] = field(default_factory=dict)
    bare: tuple[str, ...] = ()
    """What an argument without keyword becomes; empty: there is none."""
    defaults: tuple[str, ...] = ()
    """Arguments of the handler, unless a keyword gave the same option."""
    refusal: str = ""
    """Why ikesim does not do it."""
    forbidden: bool = False
    """A rule of the PKI model stands against it; otherwise it is not offered."""


def _value(*becomes: str) -> Keyword:
    return Keyword(becomes or ("{}",))


def _flag(*becomes: str) -> Keyword:
    return Keyword(becomes, has_value=False)


_ID = {"certificate-id": _value()}
_LEVEL = {"brief": _flag(), "detail": _flag("--detail")}
_DIGEST = Keyword(
    note="the digest follows the key: SHA-256 for RSA and P-256, SHA-384 for P-384, SHA-512 for P-521",
    only=("sha-256", "sha-384", "sha-512"),
    refusal="a request is never signed over SHA-1 or MD5: leave digest out, it follows the key",
)
_NAMES = {
    "subject": _value("--subject", "{}"),
    "domain-name": _value("--fqdn", "{}"),
    "email": _value("--email", "{}"),
    "ip-address": _value("--ip", "{}"),
    "ipv6-address": _value("--ip", "{}"),
}
_SA = {"index": _value("--index", "{}"), **_LEVEL}


def _enrolment(words: str) -> Row:
    return Row(words, refusal=_NO_ENROLMENT)


def _clearing(kind: str, keyword: str, becomes: tuple[str, ...], everyday: str) -> tuple[Row, Row]:
    words = f"clear security pki {kind}"
    return (
        Row(words, "ikesim.cli.pki:rm", f"pki rm {everyday}", {keyword: Keyword(becomes)}, defaults=_kind(kind)),
        Row(f"{words} all", "ikesim.cli.pki_more:clear", f"pki clear {kind}", defaults=(kind,)),
    )


def _kind(kind: str) -> tuple[str, ...]:
    return ("--kind", kind) if kind in ("key-pair", "certificate-request", "local-certificate") else ()


ROWS: tuple[Row, ...] = (
    Row(
        "request security pki generate-key-pair",
        "ikesim.cli.pki:generate",
        "pki key generate ID",
        {**_ID, "size": _value("--size", "{}"), "type": _value("--type", "{}")},
        defaults=("--type", "rsa"),
    ),
    Row(
        "request security pki generate-certificate-request",
        "ikesim.cli.pki:request",
        "pki request ID --subject DN",
        {**_ID, **_NAMES, "filename": _value("--out", "{}"), "digest": _DIGEST},
    ),
    Row(
        "request security pki local-certificate load",
        "ikesim.cli.pki:load",
        "pki load FILE --as ID",
        {
            "certificate-id": _value("--as", "{}"),
            "filename": _value(),
            "key": Keyword(refusal=_NO_KEY),
            "passphrase": Keyword(refusal=_NO_KEY),
        },
    ),
    Row("request security pki local-certificate verify", "ikesim.cli.pki_more:verify", "pki verify ID", _ID),
    Row(
        "request security pki local-certificate export",
        "ikesim.cli.pki_more:export",
        "pki export ID --out FILE",
        {**_ID, "filename": _value("--out", "{}"), "type": _value("--format", "{}")},
    ),
    _enrolment("request security pki local-certificate enroll"),
    _enrolment("request security pki local-certificate re-enroll"),
    Row(
        "request security pki local-certificate generate-self-signed",
        refusal="no peer of ikesim would accept a self-signed certificate, since only CA profiles validate; "
        "ikesim ca init makes a CA that can sign one",
    ),
    Row(
        "request security pki key-pair export",
        refusal="a private key never leaves its vault (KP-03); nothing was written",
        forbidden=True,
    ),
    Row(
        "request security pki ca-certificate load",
        "ikesim.cli.pki:load",
        "pki load FILE --ca PROFILE",
        {"ca-profile": _value("--ca", "{}"), "filename": _value()},
    ),
    Row(
        "request security pki ca-certificate verify",
        "ikesim.cli.pki_more:verify",
        "pki verify --ca PROFILE",
        {"ca-profile": _value("--ca", "{}")},
    ),
    _enrolment("request security pki ca-certificate enroll"),
    Row(
        "request security pki ca-profile-group load",
        refusal="every CA certificate belongs to a CA profile of the configuration (PF-01): "
        "load one after the other with ikesim pki load FILE --ca PROFILE",
    ),
    Row(
        "request security pki crl load",
        "ikesim.cli.pki:load",
        "pki load FILE --crl PROFILE",
        {"ca-profile": _value("--crl", "{}"), "filename": _value()},
    ),
    *_clearing("key-pair", "certificate-id", ("{}",), "ID --kind key-pair"),
    *_clearing("certificate-request", "certificate-id", ("{}",), "ID --kind certificate-request"),
    *_clearing("local-certificate", "certificate-id", ("{}",), "ID --kind local-certificate"),
    *_clearing("ca-certificate", "ca-profile", ("--ca", "{}"), "--ca PROFILE"),
    *_clearing("crl", "ca-profile", ("--crl", "{}"), "--crl PROFILE"),
    Row(
        "clear security ike security-associations",
        "ikesim.cli.sa:clear",
        "down CONNECTION",
        {"index": _value("--index", "{}"), "gateway": _value("--connection", "{}")},
        bare=("--peer", "{}"),
    ),
    Row(
        "clear security ipsec security-associations",
        "ikesim.cli.sa:clear",
        "down CONNECTION --child NAME",
        {"index": _value("--index", "{}"), "vpn-name": _value("--connection", "{}")},
        defaults=("--children",),
    ),
    Row(
        "show security pki local-certificate",
        "ikesim.cli.junos_show:local_certificate",
        "pki show ID",
        {**_ID, **_LEVEL},
    ),
    Row(
        "show security pki certificate-request",
        "ikesim.cli.junos_show:certificate_request",
        "pki show ID",
        {**_ID, **_LEVEL},
    ),
    Row(
        "show security pki ca-certificate",
        "ikesim.cli.junos_show:ca_certificate",
        "pki show --ca PROFILE",
        {"ca-profile": _value(), **_LEVEL},
    ),
    Row(
        "show security pki crl",
        "ikesim.cli.junos_show:crl",
        "pki crl show PROFILE",
        {"ca-profile": _value(), **_LEVEL},
    ),
    Row("show security pki statistics", "ikesim.cli.junos_show:statistics", "pki ls"),
    Row("show security pki encryption-status", "ikesim.cli.junos_show:encryption_status"),
    Row(
        "show security ike security-associations",
        "ikesim.cli.sa:ike",
        "sa ls",
        {**_SA, "gateway": _value("--connection", "{}")},
        bare=("--peer", "{}"),
    ),
    Row("show security ike active-peer", "ikesim.cli.sa:active_peer", "sa ls", _LEVEL),
    Row(
        "show security ipsec security-associations",
        "ikesim.cli.sa:ipsec",
        "status",
        {**_SA, "vpn-name": _value("--connection", "{}")},
    ),
    Row("show security ipsec statistics", "ikesim.cli.sa:statistics", "status"),
    Row(
        "show configuration security pki",
        "ikesim.cli.ca_profile:show",
        "ca-profile show",
        {"ca-profile": _value()},
    ),
    Row("request system fips self-test", "ikesim.cli.self_test:run", "self-test run"),
)


class Call(NamedTuple):
    """What was said: the row, the arguments of its handler, and what is worth a line on stderr."""

    row: Row
    arguments: tuple[str, ...]
    notes: tuple[str, ...]


def understand(tokens: Sequence[str]) -> Call:
    """The command that Junos' words ask for. Raises UsageError naming what may follow, or ForbiddenError."""
    said: list[str] = []
    rest = list(tokens)
    row = _ROWS.get(())
    while rest:
        following = _following(said)
        row = _ROWS.get(tuple(said))
        words = [*following, *(row.keywords if row else ())]
        found = _matching(rest[0], words)
        if len(found) > 1:
            raise UsageError(f"{rest[0]!r} is ambiguous after {' '.join(said)!r}: {', '.join(found)}")
        if not found or found[0] not in following:
            break
        said.append(found[0])
        rest.pop(0)
    row = _ROWS.get(tuple(said))
    if row is None:
        wrong = f"{rest[0]!r} is not known after" if rest else "something is missing after"
        raise UsageError(f"{wrong} {' '.join(said)!r}: {', '.join(_following(said))}")
    if row.refusal:
        raise _refused(f"{row.words}: {row.refusal}", forbidden=row.forbidden)
    return _arguments(row, rest)


def _arguments(row: Row, rest: list[str]) -> Call:
    arguments: list[str] = []
    notes: list[str] = []
    while rest:
        token = rest.pop(0)
        found = _matching(token, row.keywords)
        if len(found) > 1:
            raise UsageError(f"{token!r} is ambiguous in {row.words!r}: {', '.join(found)}")
        if not found:
            if not row.bare:
                raise UsageError(
                    f"{token!r} is not known in {row.words!r}: it takes {', '.join(row.keywords) or 'nothing'}"
                )
            arguments += [part.replace("{}", token) for part in row.bare]
            continue
        keyword = row.keywords[found[0]]
        value = ""
        if keyword.has_value:
            if not rest:
                raise UsageError(f"{found[0]} needs a value in {row.words!r}")
            value = rest.pop(0)
        if keyword.refusal and value not in keyword.only:
            raise _refused(f"{row.words} {found[0]}: {keyword.refusal}", forbidden=not keyword.only)
        arguments += [part.replace("{}", value) for part in keyword.becomes]
        if keyword.note:
            notes.append(f"{found[0]} {value}: {keyword.note}")
    if not row.defaults or row.defaults[0] not in arguments:
        arguments += row.defaults
    return Call(row, tuple(arguments), tuple(notes))


def _refused(sentence: str, *, forbidden: bool) -> IkesimError:
    return ForbiddenError(sentence) if forbidden else UsageError(sentence)


def _matching(token: str, words: Iterable[str]) -> list[str]:
    """The words that a token may stand for: itself, else all that it begins."""
    known = list(dict.fromkeys(words))
    return [token] if token in known else [word for word in known if token and word.startswith(token)]


def _following(said: Sequence[str]) -> list[str]:
    """The words that may come next."""
    depth = len(said)
    return list(dict.fromkeys(words[depth] for words in _ROWS if words[:depth] == tuple(said) and len(words) > depth))


def forms(verb: str) -> list[Row]:
    """The rows of one verb, in order."""
    return [row for row in ROWS if row.words.split()[0] == verb]


_ROWS: Mapping[tuple[str, ...], Row] = {tuple(row.words.split()): row for row in ROWS}
VERBS = ("request", "show", "clear")
