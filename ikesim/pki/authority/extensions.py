"""The extensions of certificates and CRLs (RFC 5280 4.2 and 5.2) as (OID, critical, DER of the value)."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ikesim.errors import UsageError
from ikesim.pki.der_writer import (
    bit_string,
    boolean,
    explicit,
    ia5,
    implicit,
    integer,
    named_bits,
    null,
    octet_string,
    oid,
    sequence,
    utf8,
)
from ikesim.pki.general_names import GeneralNameText, encode_general_name, encode_general_names, encode_subtree


class Extension(NamedTuple):
    """One extension: its OID, its criticality, and the DER inside its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes

    def encode(self) -> bytes:
        """The Extension SEQUENCE; FALSE is the default and left out."""
        return sequence(oid(self.oid), boolean(True) if self.critical else b"", octet_string(self.value))


SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALT_NAME = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
CRL_NUMBER = "2.5.29.20"
REASON_CODE = "2.5.29.21"
INVALIDITY_DATE = "2.5.29.24"
DELTA_CRL_INDICATOR = "2.5.29.27"
ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
CERTIFICATE_ISSUER = "2.5.29.29"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
POLICY_MAPPINGS = "2.5.29.33"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
POLICY_CONSTRAINTS = "2.5.29.36"
EXTENDED_KEY_USAGE = "2.5.29.37"
FRESHEST_CRL = "2.5.29.46"
INHIBIT_ANY_POLICY = "2.5.29.54"
AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1"
IP_ADDRESS_BLOCKS = "1.3.6.1.5.5.7.1.7"
OCSP_NOCHECK = "1.3.6.1.5.5.7.48.1.5"

KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
"""In bit order (RFC 5280 4.2.1.3)."""
EXTENDED_KEY_USAGES = {
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "codeSigning": "1.3.6.1.5.5.7.3.3",
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
    "ocspSigning": "1.3.6.1.5.5.7.3.9",
    "ipsecIKE": "1.3.6.1.5.5.7.3.17",
    "ikeIntermediate": "1.3.6.1.5.5.8.2.2",
    "msSmartcardLogon": "1.3.6.1.4.1.311.20.2.2",
    "any": "2.5.29.37.0",
}
REASONS = {
    "unspecified": 0,
    "key-compromise": 1,
    "ca-compromise": 2,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation-of-operation": 5,
    "certificate-hold": 6,
    "remove-from-crl": 8,
    "privilege-withdrawn": 9,
    "aa-compromise": 10,
}
"""CRLReason (RFC 5280 5.3.1)."""


def basic_constraints(ca: bool, path_length: int | None = None) -> Extension:
    """BasicConstraints; critical in a CA certificate."""
    length = b"" if path_length is None else integer(path_length)
    return Extension(BASIC_CONSTRAINTS, ca, sequence(boolean(True) if ca else b"", length))


def key_usage(names: Iterable[str]) -> Extension:
    """KeyUsage from the names of RFC 5280. Raises UsageError."""
    chosen = list(names)
    for name in chosen:
        if name not in KEY_USAGES:
            raise UsageError(f"key usage {name!r} is not one of {', '.join(KEY_USAGES)}")
    return Extension(KEY_USAGE, True, named_bits(KEY_USAGES.index(name) for name in chosen))


def extended_key_usage(names: Iterable[str], critical: bool = False) -> Extension:
    """ExtendedKeyUsage from names or dotted OIDs."""
    return Extension(
        EXTENDED_KEY_USAGE, critical, sequence(*(oid(EXTENDED_KEY_USAGES.get(name, name)) for name in names))
    )


def subject_alt_name(names: Sequence[GeneralNameText], critical: bool = False) -> Extension:
    """SubjectAltName; critical where the subject is empty (RFC 5280 4.2.1.6)."""
    return Extension(SUBJECT_ALT_NAME, critical, encode_general_names(names))


def subject_key_identifier(identifier: bytes) -> Extension:
    """SubjectKeyIdentifier."""
    return Extension(SUBJECT_KEY_IDENTIFIER, False, octet_string(identifier))


def authority_key_identifier(
    identifier: bytes | None, issuer: bytes | None = None, serial: int | None = None
) -> Extension:
    """AuthorityKeyIdentifier; `issuer` is the DER of a Name, together with `serial`."""
    parts = b"" if identifier is None else implicit(0, identifier)
    if issuer is not None and serial is not None:
        parts += implicit(1, explicit(4, issuer), constructed=True) + implicit(2, integer(serial)[2:])
    return Extension(AUTHORITY_KEY_IDENTIFIER, False, sequence(parts))


def distribution_points(
    urls: Iterable[GeneralNameText],
    crl_issuer: bytes | None = None,
    reasons: Iterable[int] | None = None,
    kind: str = CRL_DISTRIBUTION_POINTS,
) -> Extension:
    """CRLDistributionPoints or FreshestCRL: one DistributionPoint a URL. `crl_issuer` is the DER of a Name."""
    names: list[GeneralNameText | None] = [_url(url) for url in urls]
    if not names and crl_issuer is not None:
        names = [None]
    tail = b"" if reasons is None else implicit(1, named_bits(reasons)[2:])
    tail += b"" if crl_issuer is None else implicit(2, explicit(4, crl_issuer), constructed=True)
    points = [sequence((b"" if name is None else explicit(0, _full_name([name]))) + tail) for name in names]
    return Extension(kind, False, sequence(*points))


def _url(url: GeneralNameText) -> GeneralNameText:
    if isinstance(url, str) and not url.startswith(("uri:", "dn:")):
        return f"uri:{url}"
    return url


def _full_name(names: Iterable[GeneralNameText]) -> bytes:
    return implicit(0, b"".join(encode_general_name(name) for name in names), constructed=True)


def authority_info_access(ocsp: Iterable[str], issuers: Iterable[str] = ()) -> Extension:
    """AuthorityInfoAccess: OCSP responders, and where the issuer's certificate is published."""
    access = [sequence(oid("1.3.6.1.5.5.7.48.1"), encode_general_name(f"uri:{url}")) for url in ocsp]
    access += [sequence(oid("1.3.6.1.5.5.7.48.2"), encode_general_name(f"uri:{url}")) for url in issuers]
    return Extension(AUTHORITY_INFO_ACCESS, False, sequence(*access))


def name_constraints(permitted: Sequence[GeneralNameText], excluded: Sequence[GeneralNameText]) -> Extension:
    """NameConstraints from subtrees such as `fqdn:example`, `rfc822:org`, `ip:10.0.0.0/8`, `dn:O=Org`."""
    parts = b""
    for number, names in enumerate((permitted, excluded)):
        if names:
            parts += implicit(number, b"".join(encode_subtree(name) for name in names), constructed=True)
    return Extension(NAME_CONSTRAINTS, True, sequence(parts))


def certificate_policies(policies: Iterable[str], cps: str | None = None, notice: str | None = None) -> Extension:
    """CertificatePolicies; a CPS URI and a user notice go with every policy."""
    qualifiers = b""
    if cps is not None:
        qualifiers += sequence(oid("1.3.6.1.5.5.7.2.1"), ia5(cps))
    if notice is not None:
        qualifiers += sequence(oid("1.3.6.1.5.5.7.2.2"), sequence(utf8(notice)))
    tail = sequence(qualifiers) if qualifiers else b""
    return Extension(CERTIFICATE_POLICIES, False, sequence(*(sequence(oid(policy), tail) for policy in policies)))


def policy_mappings(mappings: Iterable[tuple[str, str]]) -> Extension:
    """PolicyMappings: (issuer's domain, subject's domain)."""
    return Extension(POLICY_MAPPINGS, True, sequence(*(sequence(oid(one), oid(other)) for one, other in mappings)))


def policy_constraints(require_explicit: int | None, inhibit_mapping: int | None) -> Extension:
    """PolicyConstraints."""
    parts = b"" if require_explicit is None else implicit(0, integer(require_explicit)[2:])
    parts += b"" if inhibit_mapping is None else implicit(1, integer(inhibit_mapping)[2:])
    return Extension(POLICY_CONSTRAINTS, True, sequence(parts))


def inhibit_any_policy(skip: int) -> Extension:
    """InhibitAnyPolicy."""
    return Extension(INHIBIT_ANY_POLICY, True, integer(skip))


def ip_address_blocks(networks: Iterable[str]) -> Extension:
    """The IP address blocks of RFC 3779 section 2 (as prefixes). Raises UsageError."""
    families: dict[int, list[bytes]] = {}
    for text in networks:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            raise UsageError(f"{text!r} is not a network such as 10.0.0.0/8") from None
        octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
        prefix = bit_string(octets, -network.prefixlen % 8)
        families.setdefault(1 if network.version == 4 else 2, []).append(prefix)
    blocks = (
        sequence(octet_string(number.to_bytes(2, "big")), sequence(*sorted(families[number])))
        for number in (1, 2)
        if number in families
    )
    return Extension(IP_ADDRESS_BLOCKS, True, sequence(*blocks))


def ocsp_nocheck() -> Extension:
    """The mark of a responder's certificate that needs no revocation check (RFC 6960 4.2.2.2.1)."""
    return Extension(OCSP_NOCHECK, False, null())


def issuing_distribution_point(
    urls: Sequence[GeneralNameText] = (),
    *,
    only_user: bool = False,
    only_ca: bool = False,
    only_attribute: bool = False,
    reasons: Iterable[int] | None = None,
    indirect: bool = False,
) -> Extension:
    """IssuingDistributionPoint (RFC 5280 5.2.5)."""
    parts = explicit(0, _full_name([_url(url) for url in urls])) if urls else b""
    parts += implicit(1, b"\xff") if only_user else b""
    parts += implicit(2, b"\xff") if only_ca else b""
    parts += b"" if reasons is None else implicit(3, named_bits(reasons)[2:])
    parts += implicit(4, b"\xff") if indirect else b""
    parts += implicit(5, b"\xff") if only_attribute else b""
    return Extension(ISSUING_DISTRIBUTION_POINT, True, sequence(parts))


def encode_extensions(extensions: Iterable[Extension]) -> bytes:
    """Extensions: a SEQUENCE of them; empty when there are none."""
    encoded = b"".join(extension.encode() for extension in extensions)
    return sequence(encoded) if encoded else b""
