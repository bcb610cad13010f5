"""Identities: what IKE peers call themselves, and whether a certificate proves it (RFC 7296 3.5, RFC 4945 3.1).

An identity is a typed value from the moment it is read. Two of them are compared by the rules of RFC 5280 section 7:
host names without regard to case, the local part of a mail address exactly, addresses as octets, distinguished names
attribute by attribute. Nothing is compared across types, nothing by substring; what comes close is explained instead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from ikesim.errors import UsageError
from ikesim.pki import der
from ikesim.pki.certificates import Certificate
from ikesim.pki.names import EMAIL_ADDRESS, Name, name, rdn_text, show
from ikesim.pki.subjects import subject_der
from ikesim.reasons import Reason
from ikesim.wire.registry import IdType
from ikesim.wire.registry import name as registered

MAX_OCTETS = 4096
"""Of an ID payload's data; the largest that field devices send are names of a few hundred octets."""

_PREFIXES = {
    "fqdn": IdType.ID_FQDN,
    "rfc822": IdType.ID_RFC822_ADDR,
    "ipv4": IdType.ID_IPV4_ADDR,
    "ipv6": IdType.ID_IPV6_ADDR,
    "dn": IdType.ID_DER_ASN1_DN,
    "key-id": IdType.ID_KEY_ID,
}
_TEXTS: dict[int, str] = {value: key for key, value in _PREFIXES.items()}
_ID_TYPES: dict[int, int] = {int(kind): kind for kind in IdType}
_RULES: dict[int, str] = {
    IdType.ID_IPV4_ADDR: "RFC 4945 3.1.1",
    IdType.ID_IPV6_ADDR: "RFC 4945 3.1.1",
    IdType.ID_FQDN: "RFC 4945 3.1.2",
    IdType.ID_RFC822_ADDR: "RFC 4945 3.1.3",
    IdType.ID_DER_ASN1_DN: "RFC 4945 3.1.5",
    IdType.ID_KEY_ID: "RFC 4945 3.1.7",
}


class IdentityError(UsageError, ValueError):
    """A text or an ID payload that is no identity (`id-invalid`)."""

    reason = Reason.ID_INVALID


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity as the ID payload carries it: its type and its data."""

    type: int
    """An IdType, or the number of one that is not registered."""
    data: bytes

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """Read "fqdn:bob.example", "rfc822:bob@example", "ipv4:192.0.2.1", "ipv6:2001:db8::1", "dn:C=CH, CN=bob" or
        "key-id:text" ("key-id:0x..." for octets). Raises IdentityError.
        """
        prefix, colon, value = text.partition(":")
        if not colon or prefix not in _PREFIXES:
            raise IdentityError(
                f"{show(text)!r} does not name its type: one of {', '.join(p + ':' for p in _PREFIXES)} goes first"
            )
        kind = _PREFIXES[prefix]
        try:
            return cls.from_payload(kind, _encode(kind, value.strip()))
        except ValueError as error:
            raise IdentityError(f"{show(text)!r} is no identity of type {prefix}: {error}") from None
        except UsageError as error:
            raise IdentityError(str(error)) from None

    @classmethod
    def from_payload(cls, id_type: int, data: bytes) -> "Identity":
        """An ID payload's type and data. Raises IdentityError."""
        identity = cls.received(id_type, data)
        if problem := identity.problem:
            raise IdentityError(problem)
        return identity

    @classmethod
    def received(cls, id_type: int, data: bytes) -> "Identity":
        """What a peer sent, sound or not: `problem` says which. Never raises."""
        return cls(_ID_TYPES.get(id_type, id_type), data)

    @property
    def problem(self) -> str:
        """What is wrong with it, in words; "" for a sound identity."""
        data = self.data
        if len(data) > MAX_OCTETS:
            return f"{len(data)} octets are more than an identity may have ({MAX_OCTETS})"
        if self.type not in _TEXTS:
            kind = registered(IdType, self.type) if self.type in _ID_TYPES else str(self.type)
            return f"identification type {kind} is not {'supported' if self.type in _ID_TYPES else 'known'}"
        if self.type is IdType.ID_IPV4_ADDR or self.type is IdType.ID_IPV6_ADDR:
            size = 4 if self.type is IdType.ID_IPV4_ADDR else 16
            return "" if len(data) == size else f"{len(data)} octets where an address has {size}"
        if not data:
            return "it is empty"
        if self.type is IdType.ID_DER_ASN1_DN:
            try:
                _ = name(data).key
            except der.DerError as error:
                return f"not a distinguished name: {error}"
            return ""
        if self.type is not IdType.ID_KEY_ID and not (data.isascii() and data.decode("ascii").isprintable()):
            return "characters that do not belong into it (RFC 7296 3.5 allows no terminators)"
        if self.type is IdType.ID_RFC822_ADDR and b"@" not in data:
            return "a mail address without @"
        return ""

    @property
    def text(self) -> str:
        """The value without its type, as it is written."""
        if self.type in (IdType.ID_FQDN, IdType.ID_RFC822_ADDR):
            return show(self.data.decode("latin-1"))
        if self.type in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR) and len(self.data) in (4, 16):
            return str(ip_address(self.data))
        if self.type is IdType.ID_DER_ASN1_DN and not self.problem:
            return name(self.data).text
        if self.type is IdType.ID_KEY_ID and self.data.isascii() and self.data[:2].lower() != b"0x":
            text = self.data.decode("ascii")
            if text.isprintable() and text == text.strip():
                return text
        return "0x" + self.data.hex()

    @property
    def name(self) -> Name:
        """The distinguished name of an identity of that type."""
        return name(self.data)

    def __str__(self) -> str:
        return f"{_TEXTS.get(self.type) or registered(IdType, self.type)}:{self.text}"

    def to_json(self) -> str:
        """As it is written."""
        return str(self)


def _encode(kind: IdType, value: str) -> bytes:
    if kind is IdType.ID_IPV4_ADDR:
        return IPv4Address(value).packed
    if kind is IdType.ID_IPV6_ADDR:
        return IPv6Address(value).packed
    if kind is IdType.ID_DER_ASN1_DN:
        return subject_der(value)
    if kind is IdType.ID_KEY_ID and value[:2].lower() == "0x":
        return bytes.fromhex(value[2:])
    return value.encode("utf-8" if kind is IdType.ID_KEY_ID else "ascii")


@dataclass(frozen=True, slots=True)
class IdentityMatch:
    """Whether something matches an identity, with what was compared; true exactly when it does."""

    proved: bool
    rule: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    near_misses: tuple[str, ...] = ()
    """What came close, each in words."""

    def __bool__(self) -> bool:
        return self.proved


def equal_identities(one: Identity, other: Identity) -> bool:
    """Whether two identities are the same: never across types, by the rules of RFC 5280 section 7 within one."""
    if one.type != other.type:
        return False
    if one.data == other.data:
        return True
    if one.type is IdType.ID_FQDN:
        return one.data.lower() == other.data.lower()
    if one.type is IdType.ID_RFC822_ADDR:
        return _mailbox(one.data) == _mailbox(other.data)
    if one.type is IdType.ID_DER_ASN1_DN:
        return not one.problem and not other.problem and one.name == other.name
    return False


def _mailbox(data: bytes) -> tuple[bytes, bytes]:
    """Local part as it is, host in lower case (RFC 5280 7.5)."""
    local, _, host = data.rpartition(b"@")
    return local, host.lower()


@dataclass(frozen=True, slots=True)
class IdentityPattern:
    """Whom a connection expects: `*`, one identity, or a pattern of one type.

    `fqdn:*.example` means any name below example, at any depth; `rfc822:*@example` any mailbox of that host; in
    `dn:C=CH, O=*, CN=*` a value that is `*` stands for any. Names match in either order of their RDNs.
    """

    identity: Identity | None
    """With a `*` in it where `wildcard`; None: anybody."""
    wildcard: bool = False

    @classmethod
    def parse(cls, text: str) -> "IdentityPattern":
        """Read a pattern. Raises IdentityError."""
        if text.strip() == "*":
            return cls(None, True)
        identity = Identity.parse(text)
        value = identity.data
        if identity.type is IdType.ID_DER_ASN1_DN:
            stars = [a.text for rdn in identity.name.rdns for a in rdn if "*" in a.text]
            if any(star != "*" for star in stars):
                raise IdentityError(f"{show(text)!r}: in a DN pattern `*` stands for a whole value")
            return cls(identity, bool(stars))
        if identity.type is IdType.ID_KEY_ID or b"*" not in value:
            return cls(identity)
        if value.count(b"*") > 1 or not value.startswith(b"*") or (value != b"*" and value[1:2] not in (b".", b"@")):
            raise IdentityError(f"{show(text)!r}: `*` may only stand first, before a dot or an @")
        return cls(identity, True)

    def __str__(self) -> str:
        return "*" if self.identity is None else str(self.identity)

    def to_json(self) -> str:
        """As it is written."""
        return str(self)

    def matches(self, identity: Identity) -> IdentityMatch:
        """Whether `identity` is one of those expected."""
        evidence = {"expected": str(self), "identity": identity}
        return IdentityMatch(self._matches(identity), "RFC 4301 4.4.3", evidence)

    def _matches(self, identity: Identity) -> bool:
        own = self.identity
        if own is None:
            return True
        if own.type != identity.type:
            return False
        if own.type is IdType.ID_DER_ASN1_DN:
            if identity.problem:
                return False
            expected, actual = own.name.key, identity.name.key
            return _rdns_match(expected, actual) or _rdns_match(expected[::-1], actual)
        if not self.wildcard:
            return equal_identities(own, identity)
        suffix, data = own.data[1:].lower(), identity.data.lower()
        return data.endswith(suffix) and len(data) > len(suffix)


def _rdns_match(
    expected: tuple[tuple[tuple[str, str], ...], ...], actual: tuple[tuple[tuple[str, str], ...], ...]
) -> bool:
    if len(expected) != len(actual):
        return False
    for wanted, found in zip(expected, actual, strict=True):
        if [oid for oid, _ in wanted] != [oid for oid, _ in found]:
            return False
        if any(value not in ("*", other) for (_, value), (_, other) in zip(wanted, found, strict=True)):
            return False
    return True


MAX_SHOWN = 64
"""Names of a certificate that a mismatch is explained with; one in the field has at most a few dozen."""


def proves(certificate: Certificate) -> tuple[str, ...]:
    """Every identity that a certificate proves, as written."""
    names = [item.text for item in certificate.san if item.kind in ("fqdn", "rfc822", "ip")]
    if not certificate.subject.is_empty:
        names.append(f"dn:{certificate.subject.text}")
    return tuple(names)


def match_certificate(identity: Identity, certificate: Certificate, *, wildcard_san: bool = False) -> IdentityMatch:
    """Whether a certificate proves an identity; with `wildcard_san` a dNSName `*.example` proves one label more.

    Addresses, host names and mail addresses are proved by subjectAltName alone, a DN by the subject, a key ID by the
    subjectKeyIdentifier or the SHA-1 of the key that it stands for.
    """
    rule = _RULES.get(identity.type, "RFC 7296 3.5")
    matched = "" if identity.problem else _find(identity, certificate, wildcard_san)
    if matched:
        return IdentityMatch(True, rule, {"identity": identity, "matched": matched})
    near = tuple(dict.fromkeys(_near_misses(identity, certificate)))
    proved = proves(certificate)
    if len(proved) > MAX_SHOWN:
        proved = (*proved[:MAX_SHOWN], f"and {len(proved) - MAX_SHOWN} more")
    return IdentityMatch(False, rule, {"identity": identity, "proves": proved, "near_misses": near}, near)


def _find(identity: Identity, certificate: Certificate, wildcard_san: bool) -> str:
    """The name of the certificate that proves the identity, "" when none does."""
    if identity.type is IdType.ID_DER_ASN1_DN:
        return f"dn:{certificate.subject.text}" if certificate.subject == identity.name else ""
    if identity.type is IdType.ID_KEY_ID:
        found = identity.data in (certificate.subject_key_id, certificate.key_sha1)
        return f"subjectKeyIdentifier {identity.data.hex()}" if found else ""
    for item in certificate.san:
        value = item.value
        if isinstance(value, bytes):
            if (
                item.kind == "ip"
                and identity.type in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR)
                and value == identity.data
            ):
                return item.text
        elif isinstance(value, str) and (
            (item.kind == "fqdn" and identity.type is IdType.ID_FQDN)
            or (item.kind == "rfc822" and identity.type is IdType.ID_RFC822_ADDR)
        ):
            other = Identity(identity.type, value.encode("latin-1"))
            if equal_identities(identity, other) or (
                wildcard_san and item.kind == "fqdn" and _wildcard_covers(value, identity.text)
            ):
                return item.text
    return ""


def _wildcard_covers(pattern: str, host: str) -> bool:
    """`*.example` covers a name of exactly one label more (RFC 6125 6.4.3)."""
    label, _, rest = host.lower().partition(".")
    return pattern.startswith("*.") and bool(label) and pattern[2:].lower() == rest


def _near_misses(identity: Identity, certificate: Certificate) -> Iterable[str]:
    if problem := identity.problem:
        yield f"the identity itself is unsound: {problem}"
        return
    if identity.type is IdType.ID_DER_ASN1_DN:
        yield from _near_names(identity.name, certificate)
        return
    if not certificate.san:
        yield "the certificate has no subjectAltName"
    claimed = identity.text
    folded = claimed.lower()
    for item in certificate.san[:MAX_SHOWN]:
        text = item.text.partition(":")[2]
        kind = {"fqdn": "dNSName", "rfc822": "rfc822Name", "ip": "iPAddress", "uri": "URI"}.get(item.kind, item.kind)
        same_type = _TEXTS[identity.type] == item.text.partition(":")[0]
        value = item.value if isinstance(item.value, str) else text
        if same_type:
            yield from _near_text(claimed, value)
        elif value.lower().rstrip(".") == folded:
            if item.kind == "fqdn" and identity.type in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR):
                yield "an IP address inside a dNSName; it must be an iPAddress"
            else:
                yield f"the same text, but as {kind} and not as {_TEXTS[identity.type]}"
        elif item.kind == "ip" and isinstance(item.value, bytes) and _mapped(item.value) == _mapped(identity.data):
            yield f"the same address, but as {text}"
    if any(common.strip().lower() == folded for common in certificate.common_names):
        yield "only in the subject's CN, which IKE ignores"
    if any(mail.lower() == folded for mail in certificate.subject.values(EMAIL_ADDRESS)):
        yield "only as emailAddress in the subject, which IKE ignores"


def _near_text(claimed: str, value: str) -> Iterable[str]:
    """Two names of one type that are not equal: how they differ."""
    if value.lower() == claimed.lower():
        yield f"{show(value)} differs in case only, and the local part of a mail address is compared exactly"
    elif value.rstrip(".").lower() == claimed.rstrip(".").lower():
        yield f"{show(value)} differs in a trailing dot only"
    elif "\x00" in value and value.partition("\x00")[0].lower() == claimed.lower():
        yield f"{show(value)} holds a NUL; what stands before it is not the name"
    elif value.strip().lower() == claimed.lower():
        yield f"{show(value)!r} differs in white space only"
    elif _wildcard_covers(value, claimed):
        yield f"{show(value)} is a wildcard, which IKE does not expand in certificates (RFC 4945 3.1.2)"
    elif not value.isascii() or claimed.startswith("xn--") or ".xn--" in claimed:
        if _ascii_forms(value) & _ascii_forms(claimed):
            yield f"{show(value)} is the same internationalized name in another form"
    elif claimed.lower().endswith("." + value.lower()):
        yield f"{show(value)} is a parent domain of it, which proves nothing about names below"


def _ascii_forms(text: str) -> set[str]:
    """A host name in A-labels, its octets taken as Latin-1 and as UTF-8; empty when it is no host name."""
    forms: set[str] = set()
    if len(text) > 255:
        return forms
    for candidate in (text, text.encode("latin-1", "replace").decode("utf-8", "replace")):
        try:
            forms.add(candidate.encode("idna").decode("ascii").lower())
        except UnicodeError:
            continue
    return forms


def _mapped(octets: bytes) -> bytes:
    """An address in its 16 octets, IPv4 as IPv4-mapped."""
    return b"\x00" * 10 + b"\xff\xff" + octets if len(octets) == 4 else octets


def _near_names(claimed: Name, certificate: Certificate) -> Iterable[str]:
    own, subject = claimed.key, certificate.subject.key
    if any(item.value == claimed for item in certificate.san if item.kind == "dn"):
        yield "only as directoryName in subjectAltName; a DN is proved by the subject"
    if certificate.subject.is_empty:
        yield "the certificate's subject is empty"
        return
    if own[::-1] == subject:
        yield "the subject holds the same RDNs in the reverse order"
    elif sorted(own) == sorted(subject):
        yield "the subject holds the same RDNs in another order"
    elif len(own) == len(subject):
        pairs = zip(claimed.rdns, certificate.subject.rdns, own, subject, strict=True)
        differing = [(ours, theirs) for ours, theirs, key, other in pairs if key != other]
        if len(differing) == 1:
            claims, has = map(rdn_text, differing[0])
            yield f"one RDN differs: {claims} was claimed, the subject has {has}"
    elif missing := [r for r, key in zip(certificate.subject.rdns, subject, strict=True) if key not in own]:
        if len(missing) == len(subject) - len(own):
            yield f"the subject has more: {', '.join(map(rdn_text, missing))}"
    elif extra := [rdn for rdn, key in zip(claimed.rdns, own, strict=True) if key not in subject]:
        yield f"the subject lacks {', '.join(map(rdn_text, extra))}"
