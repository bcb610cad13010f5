"""Where another validator decides otherwise than we, and the text that decides. The suites stand on this table."""

from typing import NamedTuple

OPENSSL, PYHANKO = "openssl verify", "pyhanko-certvalidator"


class Disagreement(NamedTuple):
    """One kind of input on which verdicts differ."""

    what: str
    ours: str
    """Our reason, or "accepted"."""
    others: tuple[str, ...]
    """Who decides otherwise."""
    text: str
    """The section that decides, and what it says."""


RULES: dict[tuple[str, str], Disagreement] = {
    ("RFC 4945 5.1.3.2", "CN=bob"): Disagreement(
        "an end certificate whose keyUsage lacks digitalSignature and nonRepudiation",
        "cert-key-usage",
        (OPENSSL,),
        "RFC 4945 5.1.3.2: IKE wants one of the two where keyUsage is there; a rule of IKE, not of paths",
    ),
    ("RFC 4945 3.1.2", "CN=bob"): Disagreement(
        "an end certificate that does not prove the identity",
        "id-mismatch",
        (OPENSSL,),
        "RFC 4945 3.1.2: the ID must be in subjectAltName; `openssl verify` is not asked about names here",
    ),
    ("RFC 5280 4.1.2.1", "CN=bob"): Disagreement(
        "version 4",
        "cert-malformed",
        (OPENSSL,),
        "RFC 5280 4.1.2.1: the versions are v1, v2 and v3",
    ),
    ("RFC 5280 6.1.4 (k)", "CN=root"): Disagreement(
        "a version 3 root without basicConstraints, with keyCertSign",
        "cert-not-ca",
        (OPENSSL,),
        "RFC 5280 4.2.1.9: every CA certificate whose key verifies certificates has the extension with cA TRUE; "
        "libreswan's NSS refuses it too",
    ),
    ("policy: minimum strength", "CN=bob"): Disagreement(
        "RSA of 2047 bits and P-224",
        "key-weak",
        (OPENSSL,),
        "a policy of ours: 2048 bits of RSA, 256 of ECDSA; OpenSSL's level 2 asks for 112 bits of security",
    ),
}
"""By rule and subject of `test_path_rules.PAIRS`."""

NAMES: dict[str, Disagreement] = {
    "excluded wildcard": Disagreement(
        "a dNSName `*.x` where a name below x is excluded",
        "cert-name-constraint",
        (OPENSSL,),
        "RFC 5280 4.2.1.10: no name within an excluded subtree is acceptable; the wildcard stands for one that is "
        "within",
    ),
    "URI with user part": Disagreement(
        "a URI `user@host` under a constraint on hosts",
        "cert-name-constraint",
        (OPENSSL,),
        "RFC 5280 4.2.1.10: the constraint applies to the host part; RFC 3986 3.2.1: what stands before @ is none of "
        "it",
    ),
    "a mask with a hole": Disagreement(
        "an iPAddress constraint whose mask is not contiguous",
        "cert-name-constraint",
        (OPENSSL,),
        "RFC 5280 4.2.1.10: address and mask are encoded in the style of RFC 4632 (CIDR), which has only prefixes",
    ),
}
"""By name of a row of `test_path_rules.NAMES` or `ADDRESSES`."""

KEY_IDENTIFIERS = Disagreement(
    "an authorityKeyIdentifier that is not the issuer's subjectKeyIdentifier",
    "accepted",
    (OPENSSL, PYHANKO),
    "RFC 5280 6.1.3: a path is valid by names and signatures; 4.2.1.1: key identifiers help to build it, and order "
    "ours",
)

ALL = (*RULES.values(), *NAMES.values(), KEY_IDENTIFIERS)
