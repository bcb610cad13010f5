"""What a CRL covers: distribution points, issuing distribution points and sets of reasons (RFC 5280 4.2.1.13, 5.2.5).

Names are compared as RFC 5280 7 has it: distinguished names by value, URIs with scheme and host in any case. A name
relative to the CRL issuer is resolved to the full name before it is compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from ikesim.pki.der import SEQUENCE, SET, DerError, Element, decode_bits, read
from ikesim.pki.der_writer import tlv
from ikesim.pki.names import GeneralName, Name, general_name, name

MAX_DISTRIBUTION_POINTS = 32
"""Distribution points read of one extension; real certificates carry one to three, PKITS up to two."""

REASON_FLAGS = {
    1: "keyCompromise",
    2: "cACompromise",
    3: "affiliationChanged",
    4: "superseded",
    5: "cessationOfOperation",
    6: "certificateHold",
    7: "privilegeWithdrawn",
    8: "aACompromise",
}
"""ReasonFlags by bit, RFC 5280 4.2.1.13; bit 0 is unused."""
ALL_REASONS = sum(1 << bit for bit in REASON_FLAGS)


class PointName(NamedTuple):
    """A DistributionPointName: full names, or one relative distinguished name (the content of its SET)."""

    full: tuple[GeneralName, ...] = ()
    relative: bytes | None = None

    def resolve(self, issuer: Name) -> tuple[GeneralName, ...]:
        """The full names, a relative one appended to the distinguished name `issuer`; none when that is too long."""
        if self.relative is None:
            return self.full
        full = name(tlv(SEQUENCE, read(issuer.der, SEQUENCE).value + tlv(SET, self.relative)))
        try:
            _ = full.rdns
        except DerError:
            return ()
        return (GeneralName("dn", full),)


@dataclass(frozen=True, slots=True)
class DistributionPoint:
    """Where a CRL for a certificate is, for which reasons, and who issues it."""

    name: PointName | None = None
    reasons: int = ALL_REASONS
    crl_issuer: tuple[GeneralName, ...] = ()

    def issuers(self) -> tuple[Name, ...]:
        """The distinguished names of the CRL issuers that are named."""
        return tuple(general.value for general in self.crl_issuer if isinstance(general.value, Name))

    def urls(self) -> tuple[str, ...]:
        """The URIs of whichever scheme, in order: alternatives for the same CRL."""
        if self.name is None:
            return ()
        return tuple(part.value for part in self.name.full if part.kind == "uri" and isinstance(part.value, str))


@dataclass(frozen=True, slots=True)
class IssuingDistributionPoint:
    """The scope of a CRL."""

    name: PointName | None = None
    only_user: bool = False
    only_ca: bool = False
    only_attribute: bool = False
    indirect: bool = False
    reasons: int = ALL_REASONS


def read_general_names(element: Element) -> tuple[GeneralName, ...]:
    """The names inside an element of whichever tag. Raises DerError."""
    return tuple(general_name(part) for part in element)


def read_distribution_points(value: bytes) -> tuple[DistributionPoint, ...]:
    """The value of a cRLDistributionPoints or freshestCRL extension. Raises DerError."""
    points: list[DistributionPoint] = []
    for element in read(value, SEQUENCE):
        if len(points) == MAX_DISTRIBUTION_POINTS:
            raise DerError(f"more than {MAX_DISTRIBUTION_POINTS} distribution points", element.start)
        point = None
        reasons = ALL_REASONS
        issuer: tuple[GeneralName, ...] = ()
        for part in element.expect(SEQUENCE):
            match part.tag:
                case 0xA0:
                    point = _point_name(part)
                case 0x81:
                    reasons = read_reasons(part.value)
                case 0xA2:
                    issuer = read_general_names(part)
                case _:
                    raise DerError("an unknown field of a distribution point", part.start)
        if point is None and not issuer:
            raise DerError("a distribution point without name and without CRL issuer", element.start)
        points.append(DistributionPoint(point, reasons, issuer))
    if not points:
        raise DerError("an empty list of distribution points")
    return tuple(points)


def read_issuing_distribution_point(value: bytes) -> IssuingDistributionPoint:
    """The value of an issuingDistributionPoint extension. Raises DerError."""
    point = None
    reasons = ALL_REASONS
    flags = {0x81: False, 0x82: False, 0x84: False, 0x85: False}
    for part in read(value, SEQUENCE):
        if part.tag == 0xA0:
            point = _point_name(part)
        elif part.tag == 0x83:
            reasons = read_reasons(part.value)
        elif part.tag in flags:
            if part.end - part.content != 1:
                raise DerError("a BOOLEAN that is not one octet", part.start)
            flags[part.tag] = part.value != b"\x00"
        else:
            raise DerError("an unknown field of an issuing distribution point", part.start)
    if flags[0x81] + flags[0x82] + flags[0x85] > 1:
        raise DerError("a CRL for more than one kind of certificates only")
    return IssuingDistributionPoint(point, flags[0x81], flags[0x82], flags[0x85], flags[0x84], reasons)


def read_reasons(value: bytes) -> int:
    """The value octets of ReasonFlags as a mask, 1 << bit for each. Raises DerError."""
    octets, _ = decode_bits(value)
    mask = 0
    for bit in REASON_FLAGS:
        if bit // 8 < len(octets) and octets[bit // 8] & 0x80 >> bit % 8:
            mask |= 1 << bit
    return mask


def _point_name(element: Element) -> PointName:
    inner = element.children()
    if len(inner) != 1:
        raise DerError("a distribution point name that is not one choice", element.start)
    if inner[0].tag == 0xA0:
        return PointName(full=read_general_names(inner[0]))
    if inner[0].tag == 0xA1:
        relative = inner[0].value
        _ = name(tlv(SEQUENCE, tlv(SET, relative))).rdns
        return PointName(relative=relative)
    raise DerError("an unknown choice of distribution point name", inner[0].start)


def reason_names(mask: int) -> tuple[str, ...]:
    """The reasons of a mask by name, in the order of the RFC."""
    return tuple(name for bit, name in REASON_FLAGS.items() if mask >> bit & 1)


def comparable(general: GeneralName) -> tuple[str, object]:
    """What two equal GeneralNames have in common (RFC 5280 7)."""
    if general.kind == "uri" and isinstance(general.value, str):
        return general.kind, comparable_uri(general.value)
    return general.kind, general.value


def comparable_uri(uri: str) -> str:
    """A URI with scheme and host in lower case (RFC 5280 7.4)."""
    try:
        parts = urlsplit(uri)
        return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path, parts.query, parts.fragment))
    except ValueError:
        return uri


def shared_name(ours: Iterable[GeneralName], theirs: Iterable[GeneralName]) -> GeneralName | None:
    """The first of our names that is also one of theirs."""
    other = {comparable(general) for general in theirs}
    return next((general for general in ours if comparable(general) in other), None)
